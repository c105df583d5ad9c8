"""Paddle's checkpoints: what `paddle.save` writes, and what is damaged or hostile."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from paddle_files import save_paddle

from keras_frm.networks.checkpoints.paddle_file import read_paddle_checkpoint
from keras_frm.networks.checkpoints.restricted_pickle import CheckpointError

# What paddle 3.3.1 wrote of one tensor, [1.5, -2.0].
OF_PADDLE = (
    b"\x80\x04\x95\xd8\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x08bn._mean\x94"
    b"\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94"
    b"\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94"
    b"(K\x01K\x02\x85\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02f4\x94\x89\x88\x87\x94"
    b"R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89"
    b"C\x08\x00\x00\xc0?\x00\x00\x00\xc0\x94t\x94b"
    b"\x8c\x1bStructuredToParameterName@@\x94}\x94h\x01\x8c\x12generated_tensor_0\x94su."
)


@pytest.fixture
def state():
    random = np.random.default_rng(0)
    return {
        "conv.weight": random.normal(size=(4, 3, 1, 1)).astype("float32"),
        "bn._mean": random.normal(size=4).astype("float32"),
        "bn._variance": random.normal(size=4),
        "k": random.normal(size=(2, 4)).astype("float16"),
        "counter": np.array(7),
    }


def check_refused(path, match=None):
    with pytest.raises(CheckpointError, match=match) as error:
        read_paddle_checkpoint(path)
    message = str(error.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 1000


def test_file_of_paddle_itself(tmp_path):
    """Pins the writer of these tests to the real format."""
    path = tmp_path / "a.pdparams"
    path.write_bytes(OF_PADDLE)
    ((name, value),) = read_paddle_checkpoint(path).items()
    assert name == "bn.running_mean"
    np.testing.assert_array_equal(value, np.float32([1.5, -2.0]))
    written = save_paddle(path, {"bn._mean": value}).read_bytes()
    assert pickle.loads(written).keys() == pickle.loads(OF_PADDLE).keys()


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_array_is_read(state, protocol, tmp_path):
    found = read_paddle_checkpoint(save_paddle(tmp_path / "a", state, protocol))
    names = {"bn._mean": "bn.running_mean", "bn._variance": "bn.running_var"}
    assert list(found) == [names.get(key, key) for key in state]
    for value, (key, expected) in zip(found.values(), state.items(), strict=True):
        assert value.dtype == expected.dtype, key
        np.testing.assert_array_equal(value, expected)


def test_order_of_bytes_and_of_axes(tmp_path):
    table = np.arange(6.0).reshape(2, 3)
    state = {"fortran": np.asfortranarray(table), "big": table.astype(">f4")}
    found = read_paddle_checkpoint(save_paddle(tmp_path / "a", state))
    for value in found.values():
        np.testing.assert_array_equal(value, table)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="checkpoint at"):
        read_paddle_checkpoint(tmp_path / "gone.pdparams")


@pytest.mark.parametrize(
    "content", [{}, [], 3, {"a": "text"}, {"\x1b[2J": np.ones(2)}, np.ones(2)]
)
def test_no_state_dict(content, tmp_path):
    path = tmp_path / "a.pdparams"
    path.write_bytes(pickle.dumps(content))
    check_refused(path, "holds no state dict")


class Evil:
    """Would run a command when it is unpickled."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_call_of_code(state, protocol, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil.pdparams"
    evil = Evil(f"touch '{marker}'")
    for content in (evil, {**state, "deep": [(1, evil)]}, OrderedDict(a=evil)):
        path.write_bytes(pickle.dumps(content, protocol))
        check_refused(path, "nothing was run")
    assert not marker.exists()


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}, 1], dtype=object),
        np.array(["text"]),
        np.array([1 + 2j]),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, "datetime64[s]"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_other_types(array, tmp_path):
    check_refused(save_paddle(tmp_path / "a", {"weight": array}), "tensors of type")


@pytest.mark.parametrize(
    "described",
    [
        ((5,), b"\0" * 16),
        ((2**62, 4), b"\0" * 16),
        ((4,), b"\0" * 15),
        ((4.0,), b"\0" * 16),
        ((4,), "text"),
    ],
    ids=str,
)
def test_array_beyond_its_bytes(described, tmp_path):
    shape, data = described

    class Array:
        def __reduce__(self):
            function, args, (version, _, *kind, _) = np.ones(4, "f4").__reduce__()
            return function, args, (version, shape, *kind, data)

    check_refused(save_paddle(tmp_path / "a", {"weight": Array()}))


def test_type_that_is_none(tmp_path):
    """What NumPy is told is made by our own code alone."""

    class Array:
        def __reduce__(self):
            function, args, _ = np.ones(4, "f4").__reduce__()
            return function, args, (1, (4,), OrderedDict(), False, b"\0" * 16)

    check_refused(save_paddle(tmp_path / "a", {"weight": Array()}), "without a type")


def test_memo_index_that_would_fill_the_memory(tmp_path):
    path = tmp_path / "a.pdparams"
    for put in (b"r\xff\xff\xff\x7f", b"p4294967296\n"):
        path.write_bytes(b"\x80\x02}" + put + b".")
        check_refused(path, "memo has gaps")


def test_truncated(state, tmp_path):
    whole = save_paddle(tmp_path / "whole", state).read_bytes()
    path = tmp_path / "cut.pdparams"
    for length in {*range(0, len(whole), 7), len(whole) - 1}:
        path.write_bytes(whole[:length])
        check_refused(path)


def test_random_corruption(state, tmp_path):
    """A damaged file is refused, or read where the damage is in numbers only."""
    random = np.random.default_rng(4)
    whole = save_paddle(tmp_path / "whole", state).read_bytes()
    path, refused = tmp_path / "a.pdparams", []
    for trial in range(300):
        data = bytearray(whole)
        for position in random.integers(0, len(whole), 1 + trial % 4):
            data[position] = random.integers(256)
        path.write_bytes(data)
        try:
            read_paddle_checkpoint(path)
        except CheckpointError as error:
            refused.append(str(error))
    assert len(refused) > 60
    assert all(message.isprintable() for message in refused)


def test_file_of_pytorch_under_paddles_name(tmp_path):
    path = tmp_path / "a.pdparams"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    check_refused(path, "not a Paddle checkpoint")
