"""A model file is tried in a process of its own, once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tflite_files import colour_logits

from keras_frm.runtime import trial
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.segmenter import Segmenter
from keras_frm.runtime.trial import try_apart

# A backend whose files are Python.
BACKEND = "def exercise(content, num_threads):\n    exec(content)\n"
CRASH = b"import os; os.abort()"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and a backend that can be imported."""
    (tmp_path / "python_backend.py").write_text(BACKEND)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KERAS_FRM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def children(monkeypatch):
    """The commands of the processes that are started."""
    started, run = [], subprocess.run

    def counted(command, **settings):
        started.append(command)
        return run(command, **settings)

    monkeypatch.setattr(subprocess, "run", counted)
    return started


def attempt(content, runtime="python 1", num_threads=1):
    try_apart(content, "python_backend", runtime, num_threads)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CRASH, r"^it crashes the interpreter \(SIGABRT\)$"),
        (b"while True: pass", r"^a trial did not end within 3 seconds; pass verify"),
        (b"raise ValueError('first\\nsecond')", "^first$"),
        (b"raise RuntimeError", "^RuntimeError$"),
        (b"bytearray(2**36)", "^MemoryError$"),
        (b"import os; os._exit(5)", r"\(exit status 5\)"),
    ],
    ids=["crash", "hang", "refused", "no words", "memory", "exit"],
)
def test_what_is_wrong_is_said_in_one_line(content, message, monkeypatch, cache):
    if content.startswith(b"while"):
        monkeypatch.setattr(trial, "TIME_LIMIT", 3)
    with pytest.raises(ModelFileError, match=message):
        attempt(content)
    assert not cache.exists()


def test_what_passed_is_remembered(children):
    attempt(b"pass")
    attempt(b"pass")
    assert len(children) == 1
    attempt(b"x = 1")
    attempt(b"pass", runtime="python 2")
    attempt(b"pass", num_threads=2)
    assert len(children) == 4


def test_what_failed_is_tried_again(children):
    for _ in range(2):
        with pytest.raises(ModelFileError):
            attempt(CRASH)
    assert len(children) == 2


@pytest.mark.parametrize("place", ["a file", "no home"])
def test_without_a_cache_each_time_is_tried(place, children, cache, monkeypatch):
    if place == "a file":
        cache.write_text("")
    else:
        monkeypatch.delenv("KERAS_FRM_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setenv("LOCALAPPDATA", "relative")
    attempt(b"pass")
    attempt(b"pass")
    assert len(children) == 2


def test_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_FRM_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert trial._cache_folder() == tmp_path / "keras_frm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert trial._cache_folder() == Path("/home/me/.cache/keras_frm")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert trial._cache_folder() == Path("/home/me/Library/Caches/keras_frm")


def test_without_a_python_to_start(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(
        ModelFileError, match=r"no process can be started.*verify=False"
    ):
        attempt(b"pass")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ModelFileError, match=r"no Python to try it with.*verify=False"):
        attempt(b"pass")


def test_current_folder_is_not_imported_from(tmp_path, monkeypatch):
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "json.py").write_text("raise SystemExit(5)")
    monkeypatch.chdir(tmp_path / "evil")
    attempt(b"pass")


def test_segmenter_tries_once_and_not_if_told(tmp_path, children):
    path = tmp_path / "model.tflite"
    path.write_bytes(colour_logits())
    Segmenter(path, verify=False)
    assert children == []
    Segmenter(path)
    Segmenter(path)
    assert len(children) == 1


def test_trial_loads_neither_keras_nor_tensorflow_nor_opencv():
    script = (
        "import sys, keras_frm.runtime.trial, keras_frm.runtime.backends.litert as l\n"
        "l.runtime_name()\n"
        "print({'keras', 'tensorflow', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
