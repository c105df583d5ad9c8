"""Cached examples: never stale, never damaged, safe to share."""

import io
import os
import resource
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from data_files import write_folder, write_image, write_mask

from keras_frm.data import listing as listing_module
from keras_frm.data.examples import file_examples
from keras_frm.data.folder import find_pairs
from keras_frm.data.reading import read_pair
from keras_frm.files import DataError

COUNT = 5


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "data", COUNT, size=(13, 17))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "made" / "cache"


def examples(root, cache, resize=None):
    return file_examples(find_pairs(root, "train"), resize, False, cache)


def assert_example(example, grey, class_id, size=(13, 17)):
    image, label = example
    np.testing.assert_array_equal(image, np.full((*size, 3), grey, np.uint8))
    np.testing.assert_array_equal(label, np.full(size, class_id, np.uint8))
    assert image.dtype == label.dtype == np.uint8


# Reads all examples often; says how often each was wrong. Arguments: root, cache.
_READ_ALL = """
import sys
from pathlib import Path
from keras_frm.data.examples import file_examples
from keras_frm.data.folder import find_pairs
drawn = file_examples(find_pairs(Path(sys.argv[1]), "train"), None, False, sys.argv[2])
for n in [*range(drawn.count)] * 20:
    image, label = drawn.read(n)
    assert (image == 10 * n).all() and (label == n % 3).all(), n
"""


@pytest.fixture
def decoded(monkeypatch):
    """Return the images that are decoded from now on."""
    names = []

    def read_and_note(image, *args, **kwargs):
        names.append(image.name)
        return read_pair(image, *args, **kwargs)

    monkeypatch.setattr(listing_module, "read_pair", read_and_note)
    return names


def test_an_example_is_decoded_once(root, cache, decoded):
    for _ in range(2):
        drawn = examples(root, cache)
        for n in (3, 0, 3):
            assert_example(drawn.read(n), 10 * n, n % 3)
    assert decoded == ["003.png", "000.png"]


def test_pixels_come_back_as_they_were(root, cache):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (13, 17, 3), np.uint8)
    write_image(root / "images/train/001.png", (13, 17), pixels)
    write_mask(root / "masks/train/001.png", value=pixels[..., 0] % 3)
    for _ in range(2):
        image, label = examples(root, cache).read(1)
        np.testing.assert_array_equal(image, pixels)
        np.testing.assert_array_equal(label, pixels[..., 0] % 3)


def test_it_takes_four_bytes_a_pixel(tmp_path, cache):
    root = write_folder(tmp_path / "data", 1, size=(64, 96))
    examples(root, cache).read(0)
    (file,) = cache.iterdir()
    assert 4 * 64 * 96 < file.stat().st_size < 4 * 64 * 96 + 1000


@pytest.mark.parametrize("same", ["size", "time"])
@pytest.mark.parametrize("changed", ["image", "mask"])
def test_a_changed_file_is_decoded_anew(root, cache, changed, same):
    image, mask = root / "images/train/001.png", root / "masks/train/001.png"
    assert_example(examples(root, cache).read(1), 10, 1)
    path = image if changed == "image" else mask
    before = path.stat()
    if changed == "image":
        write_image(path, (13, 17), 99)
    else:
        write_mask(path, (13, 17), 2)
    if same == "size":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    else:
        path.write_bytes(path.read_bytes() + b"longer")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    expected = (99, 1) if changed == "image" else (10, 2)
    for _ in range(2):
        assert_example(examples(root, cache).read(1), *expected)
    assert len(list(cache.iterdir())) == 1


def test_another_resize_is_another_example(root, cache, decoded):
    for _ in range(2):
        for size in ((13, 17), (6, 8), (26, 34)):
            resize = None if size == (13, 17) else size
            assert_example(examples(root, cache, resize).read(2), 20, 2, size)
    assert len(decoded) == 3


def test_another_class_file_is_another_example(root, cache):
    assert_example(examples(root, cache).read(2), 20, 2)
    classes = "id,name,r,g,b\n2,sky,70,130,180\n1,car,0,0,142\n0,road,128,64,128\n"
    (root / "classes.csv").write_text(classes)
    assert_example(examples(root, cache).read(2), 20, 0)


def flip(place):
    def damage(data):
        data = bytearray(data)
        data[place] ^= 1
        return bytes(data)

    return damage


class Payload:
    """Raises where it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def pickled(data):
    file = io.BytesIO()
    np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data[:-1], id="last byte cut"),
        pytest.param(lambda data: data[:200], id="cut after the head"),
        pytest.param(lambda data: data[:-64] + bytes(64), id="end zeroed"),
        pytest.param(lambda data: bytes(len(data)), id="zeroed"),
        pytest.param(lambda data: b"\x93NUMPY" + b"\xff" * 300, id="header of 64 KB"),
        pytest.param(
            lambda data: data.replace(b"13, 17, 3", b"17, 13, 3"), id="turned"
        ),
        pytest.param(lambda data: data.replace(b"|u1", b"|i1"), id="signed"),
        pytest.param(lambda data: data.replace(b"(13", b"(9" * 9), id="huge"),
        pytest.param(pickled, id="pickled"),
        *[pytest.param(flip(n), id=f"bit of {n}") for n in (3, 20, 130, 170, -300, -1)],
    ],
)
def test_a_damaged_file_is_decoded_anew(root, cache, damage, decoded):
    assert_example(examples(root, cache).read(2), 20, 2)
    (file,) = cache.iterdir()
    intact = file.read_bytes()
    assert damage(intact) != intact
    file.write_bytes(damage(intact))
    assert_example(examples(root, cache).read(2), 20, 2)
    assert len(decoded) == 2
    assert file.read_bytes() == intact


@pytest.mark.parametrize("lost", ["images", "masks"])
def test_a_cached_example_without_its_file_is_an_error(root, cache, lost):
    drawn = examples(root, cache)
    drawn.read(1)
    path = root / lost / "train/001.png"
    path.unlink()
    with pytest.raises(DataError, match=f"There is no file '{path}'"):
        drawn.read(1)


def test_a_bad_file_is_not_cached(root, cache):
    write_mask(root / "masks/train/001.png", (13, 17), 99)
    for _ in range(2):
        with pytest.raises(DataError, match="holds ids that are not in"):
            examples(root, cache).read(1)
    assert list(cache.iterdir()) == []


def test_threads_share_a_folder(root, cache):
    drawn = [examples(root, cache) for _ in range(2)]
    with ThreadPoolExecutor(8) as threads:
        jobs = [(n % COUNT, drawn[n % 2].read) for n in range(200)]
        found = list(threads.map(lambda job: job[1](job[0]), jobs))
    for (n, _), example in zip(jobs, found, strict=True):
        assert_example(example, 10 * n, n % 3)
    assert len(list(cache.iterdir())) == COUNT


def test_processes_share_a_folder(root, cache):
    command = [sys.executable, "-c", _READ_ALL, root, cache]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert len(list(cache.iterdir())) == COUNT


def test_a_full_disk_is_warned_of_once_and_survived(root, cache):
    drawn = examples(root, cache)
    drawn.read(0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for n in (1, 2, 0, 1):
                assert_example(drawn.read(n), 10 * n, n % 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (message,) = [str(w.message) for w in caught if w.category is UserWarning]
    assert f"Cannot write to the cache '{cache}' (" in message
    assert "None" not in message
    assert "\n" not in message
    assert len(list(cache.iterdir())) == 1
