"""`keras-frm export` with data to calibrate on, and where the data is wrong."""

import pytest
from data_files import write_folder
from test_cli import camvid, keras_frm, write_camvid  # noqa: F401
from test_export import own_network

from keras_frm.runtime.tflite import metadata_zip

INT8 = ("--size", 16, 24, "--precision", "int8", "--min-agreement", 0.5)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Small networks of 11 and of 3 classes."""
    folder = tmp_path_factory.mktemp("saved")
    for classes in (3, 11):
        own_network(classes).save(folder / f"{classes}.keras")
    return folder


def assert_exported(done, out):
    """The file is there, and the report speaks of it."""
    assert done.code == 0, done.err
    about = metadata_zip.read(out.read_bytes())
    assert (about.precision, about.input_dtype) == ("int8", "uint8")
    assert str(out) in done.out
    assert "same class as the Keras model" in done.out
    return about


@pytest.mark.parametrize("split", [(), ("--split", "val")])
def test_int8_calibrated_on_camvid(split, saved, camvid, tmp_path):  # noqa: F811
    out = tmp_path / "a.tflite"
    data = ("--preset", "camvid", "--data", camvid, *split)
    done = keras_frm("export", saved / "11.keras", out, *INT8, *data)
    assert assert_exported(done, out).labels.name == "camvid"


def test_int8_calibrated_on_an_own_folder(saved, tmp_path):
    out = tmp_path / "a.tflite"
    data = ("--preset", "folder", "--data", write_folder(tmp_path / "data"))
    done = keras_frm("export", saved / "3.keras", out, *INT8, *data)
    about = assert_exported(done, out)
    assert about.labels.classes == ("road", "car", "sky")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--preset", "camvid", "--data", "nowhere"), "There is no folder 'nowhere/tr"),
        (("--preset", "camvid", "--data", "camvid", "--split", "test"), "camvid/test'"),
        (("--preset", "folder", "--data", "nowhere"), "nowhere"),
        (("--preset", "folder"), "needs --data"),
        (("--data", "camvid"), "--data needs --preset"),
        (("--preset", "camvid"), "int8 needs --preset and --data, or --images: images"),
        (("--images", "nowhere"), "There is no image below 'nowhere'"),
        (("--preset", "camvid", "--data", "camvid", "--images", "."), "give one of th"),
    ],
)
def test_int8_with_wrong_or_no_data(options, match, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_camvid(tmp_path / "camvid", count=1, splits=("train",))
    done = keras_frm("export", saved / "11.keras", "a.tflite", *INT8, *options)
    assert match in done.only_line
    assert [path.name for path in tmp_path.iterdir()] == ["camvid"]


def test_damaged_calibration_image(saved, tmp_path):
    data = write_camvid(tmp_path / "camvid", splits=("train",))
    (data / "train" / "1.png").write_bytes(b"no image")
    arguments = ("--preset", "camvid", "--data", data, *INT8)
    out = tmp_path / "a.tflite"
    assert "1.png" in keras_frm("export", saved / "11.keras", out, *arguments).line
    assert not out.exists()
