"""Build the wheel and the source archive, and use both where no checkout is.

    python tests/check_package.py

It is no test of pytest: it makes virtual environments and downloads what the package
needs. The wheel's base install predicts, also on Python 3.10 where that is to be had
(`python3.10`, or what PYTHON310 names); the archive's `[train]` trains.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Run by the environment of the checkout: a file to predict with, and a photo.
MAKE_FILE = """
import cv2, numpy
from tiny import toy_model
from keras_frm import export_onnx, export_tflite
export_tflite(toy_model(11).network, "tiny.tflite", input_shape=(32, 48))
export_onnx(toy_model(11).network, "tiny.onnx", input_shape=(32, 48))
image = numpy.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=numpy.uint8)
cv2.imwrite("photo.jpg", image)
"""

USE_SEGMENTER = """
import sys, cv2, keras_frm
for name in ("tiny.tflite", "tiny.onnx"):
    mask = keras_frm.Segmenter(name)(cv2.imread("photo.jpg")[:, :, ::-1])
    assert mask.shape == (60, 80), mask.shape
assert not {"keras", "tensorflow"} & set(sys.modules)
"""


def run(*command, cwd, fails=False):
    """Run a command away from the checkout; stop where it does not end as it must."""
    print("$", *command, flush=True)
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if (done.returncode != 0) != fails:
        sys.exit(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def build(folder):
    """Return the wheel and the source archive, after a look at what is inside."""
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    (archive,) = folder.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"keras_frm"}
    assert "keras_frm/py.typed" in names
    assert "keras_frm/web/page/litert/litert_wasm_compat_internal.wasm" in names
    with tarfile.open(archive) as file:
        inside = {name.partition("/")[2] for name in file.getnames()}
    for name in (
        *("keras_frm/py.typed", "tests/conftest.py", "tests/parity/ohem.npz"),
        *("tests/parity/README.md", "docs/index.md", "mkdocs.yml", "Makefile"),
        *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"),
    ):
        assert name in inside, f"{name} is not in {archive.name}"
    return wheel, archive


def install(folder, *requirements, python=sys.executable):
    """Return the bin folder of a new environment with the requirements."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", *requirements, cwd=folder)
    try_cv2 = [python, "-c", "import cv2"]
    if subprocess.run(try_cv2, capture_output=True, check=False).returncode:  # no libGL
        pip = (python, "-m", "pip")
        run(*pip, "uninstall", "--quiet", "--yes", "opencv-python", cwd=folder)
        run(*pip, "install", "--quiet", "opencv-python-headless", cwd=folder)
    return folder / "bin"


def check_base(bin_folder, work, remedy="pip install 'keras_frm[train]'"):
    """Predict with nothing but the base install and a runtime of .onnx files."""
    run(bin_folder / "python", "-c", "import keras", cwd=work, fails=True)
    run(bin_folder / "python", "-c", USE_SEGMENTER, cwd=work)
    command = bin_folder / "keras-frm"
    assert "predict" in run(command, "--help", cwd=work).stdout
    run(command, "predict", "tiny.tflite", "photo.jpg", "--masks", cwd=work)
    assert (work / "predictions" / "photo_overlay.png").is_file()
    assert (work / "predictions" / "photo_mask.png").is_file()
    refused = run(command, "profile", cwd=work, fails=True).stderr
    assert remedy in refused, refused
    assert len(refused.splitlines()) == 1, refused


def check_train(bin_folder, work):
    """Train, export and score with the extra `train`."""
    options = ("--epochs", 1, "--scenes", 8, "--out", "run")
    run(bin_folder / "keras-frm", "demo", *options, cwd=work)
    assert (work / "run" / "best.keras").is_file()
    assert (work / "run" / "frm_int8.tflite").is_file()


def main():
    """Build, install and use."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        work = folder / "work"
        work.mkdir()
        wheel, archive = build(folder)
        make_file = f"import sys; sys.path[:0] = {[str(ROOT), str(ROOT / 'tests')]}"
        run(sys.executable, "-c", make_file + MAKE_FILE, cwd=work)
        check_base(install(folder / "base", wheel, "onnxruntime"), work)
        old = shutil.which(os.environ.get("PYTHON310", "python3.10"))
        if old:
            shutil.rmtree(work / "predictions")
            base = install(folder / "base310", wheel, "onnxruntime", python=old)
            check_base(base, work, "needs Python 3.11; this is 3.10")
        else:
            print("no Python 3.10 is there to try the base install with")
        check_train(install(folder / "train", f"{archive}[train]"), work)
    print("the wheel predicts, the source archive trains")


if __name__ == "__main__":
    main()
