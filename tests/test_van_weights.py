"""VAN checkpoints: what fits is loaded, what is hostile or damaged is refused."""

import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from tiny import tiny_backbone, tiny_model
from torch_files import (
    Call,
    Global,
    official_van_state,
    save_legacy,
    save_pickle_in_zip,
    save_zip,
    tensor,
)

from keras_frm import load_van_weights
from keras_frm.networks.checkpoints.torch_file import (
    CheckpointError,
    read_torch_checkpoint,
)

DIMS, RATIOS, DEPTHS = (8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 1, 1)


@pytest.fixture(scope="module")
def state():
    return official_van_state(DIMS, RATIOS, DEPTHS)


@pytest.fixture(scope="module")
def backbone():
    van = tiny_backbone()
    van.build((None, None, None, 3))
    return van


@pytest.fixture(autouse=True)
def _reset(request):
    """Put every weight of the shared backbone to 0.25 before a test."""
    if "backbone" in request.fixturenames:
        for weight in request.getfixturevalue("backbone").weights:
            weight.assign(np.full(weight.shape, 0.25))


def is_unchanged(backbone):
    return all(np.all(weight.numpy() == 0.25) for weight in backbone.weights)


def check_holds(backbone, state):
    """Check places of the network by hand, one of each kind."""
    conv = backbone.patch_embeddings[1].conv
    kernel = state["patch_embed2.proj.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(conv.kernel, kernel)
    np.testing.assert_array_equal(conv.bias, state["patch_embed2.proj.bias"])
    block = backbone.blocks[2]  # the only block of stage 3
    gate = "block3.0.attn.spatial_gating_unit"
    for layer, name in (
        (block.attention.attention.local, f"{gate}.conv0"),
        (block.attention.attention.dilated, f"{gate}.conv_spatial"),
        (block.mlp.depthwise, "block3.0.mlp.dwconv.dwconv"),
    ):
        expected = state[f"{name}.weight"].transpose(2, 3, 0, 1)
        np.testing.assert_array_equal(layer.kernel, expected)
    for norm, name in ((block.norm_2, "block3.0.norm2"),):
        np.testing.assert_array_equal(norm.gamma, state[f"{name}.weight"])
        np.testing.assert_array_equal(norm.moving_mean, state[f"{name}.running_mean"])
        np.testing.assert_array_equal(
            norm.moving_variance, state[f"{name}.running_var"]
        )
    np.testing.assert_array_equal(
        block.scale_2.gamma, state["block3.0.layer_scale_2"].reshape(-1)
    )
    np.testing.assert_array_equal(backbone.norms[3].gamma, state["norm4.weight"])
    assert not any(np.any(weight.numpy() == 0.25) for weight in backbone.weights)


# === What fits ===


def with_prefix(state):
    return {f"backbone.{name}": value for name, value in state.items()}


@pytest.mark.parametrize("save", [save_zip, save_legacy])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 300, "best": 0.81},
        lambda state: {"model": state},
        lambda state: {"meta": {"CLASSES": ["a"]}, "state_dict": with_prefix(state)},
    ],
    ids=["top", "state_dict", "model", "mmseg"],
)
def test_layouts(save, wrap, state, backbone, tmp_path):
    path = save(tmp_path / "van.pth.tar", wrap(state))
    assert load_van_weights(backbone, path) is backbone
    check_holds(backbone, state)


def test_protocol_4(state, backbone, tmp_path):
    load_van_weights(backbone, save_zip(tmp_path / "van.pth", state, protocol=4))
    check_holds(backbone, state)


def test_heads_are_left_out(state, backbone, tmp_path):
    head = np.ones((10, 16), np.float32)
    path = save_zip(tmp_path / "a.pth", {**state, "head.weight": head})
    load_van_weights(backbone, path)
    check_holds(backbone, state)
    decoder = {"decode_head.conv_seg.weight": head, "auxiliary_head.bias": head[0]}
    path = save_zip(tmp_path / "b.pth", {"state_dict": with_prefix(state) | decoder})
    load_van_weights(backbone, path)


def test_layer_scales_stored_with_three_axes(state, backbone, tmp_path):
    stored = {
        name: value.reshape(-1, 1, 1) if "layer_scale" in name else value
        for name, value in state.items()
    }
    load_van_weights(backbone, save_zip(tmp_path / "van.pth", stored))
    check_holds(backbone, state)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats(dtype, state, backbone, tmp_path):
    stored = {
        name: value.astype(dtype) if value.dtype == np.float32 else value
        for name, value in state.items()
    }
    load_van_weights(backbone, save_zip(tmp_path / "van.pth", stored))
    rounded = {name: value.astype("float32") for name, value in stored.items()}
    check_holds(backbone, rounded)


def test_parameters_and_training_options(state, backbone, tmp_path):
    """Old files keep `Parameter`s and the options of the training."""
    name = "norm4.bias"
    parameter = Call(
        Global("torch._utils", "_rebuild_parameter"),
        (
            tensor("p", state[name]),
            True,
            Call(Global("collections", "OrderedDict"), ()),
        ),
    )
    content = {"state_dict": {**state, name: parameter}}
    content["args"] = Call(Global("argparse", "Namespace"), ())
    load_van_weights(backbone, save_zip(tmp_path / "van.pth", content))
    np.testing.assert_array_equal(backbone.norms[3].beta, state[name])


def test_transposed_and_shared_storage(tmp_path):
    flat = np.arange(12, dtype=np.float32)
    content = {
        "transposed": tensor("0", flat, size=(4, 3), stride=(1, 4)),
        "tail": tensor("0", flat, offset=9, size=(3,), stride=(1,)),
        "scalar": tensor("0", flat, offset=5, size=(), stride=()),
        "empty": tensor("0", flat, size=(0, 3), stride=(3, 1)),
    }
    for save in (save_zip, save_legacy):
        arrays = read_torch_checkpoint(save(tmp_path / "a.pth", content))
        np.testing.assert_array_equal(arrays["transposed"], flat.reshape(3, 4).T)
        np.testing.assert_array_equal(arrays["tail"], [9, 10, 11])
        assert arrays["scalar"] == 5
        assert arrays["empty"].shape == (0, 3)


def test_files_of_pytorch_itself(parity_dir, tmp_path):
    """Pins the writer of these tests to the real format."""
    for name in ("van_small_dims.pth", "van_seg_small_dims.pth"):
        arrays = read_torch_checkpoint(parity_dir / name)
        assert len(arrays) > 100
        again = read_torch_checkpoint(save_legacy(tmp_path / name, arrays))
        assert list(again) == list(arrays)
        for key, array in arrays.items():
            np.testing.assert_array_equal(again[key], array)


def test_epsilon_follows_the_source(state, backbone, tmp_path):
    load_van_weights(backbone, save_zip(tmp_path / "a.pth", with_prefix(state)))
    assert {norm.epsilon for norm in backbone.norms} == {1e-5}
    assert backbone.get_config()["layer_norm_epsilon"] == 1e-5
    load_van_weights(backbone, save_zip(tmp_path / "b.pth", state))
    assert {norm.epsilon for norm in backbone.norms} == {1e-6}


def test_build_model_loads_the_backbone_only(state, tmp_path):
    path = save_zip(tmp_path / "van.pth.tar", {"state_dict": state})
    model = tiny_model(weights=path)
    check_holds(model.network.get_layer("backbone"), state)


# === What does not fit ===


def test_all_differences_are_named_and_nothing_is_loaded(state, backbone, tmp_path):
    wrong = dict(state)
    missing = ["norm4.bias", "block2.0.attn.proj_1.weight"]
    for name in missing:
        del wrong[name]
    wrong["block1.5.norm1.weight"] = np.ones(8, np.float32)
    wrong["patch_embed3.proj.weight"] = np.ones((16, 8, 5, 5), np.float32)
    path = save_zip(tmp_path / "van.pth", wrong)
    with pytest.raises(CheckpointError, match="nothing was loaded") as error:
        load_van_weights(backbone, path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert "surplus: block1.5.norm1.weight" in message
    assert "patch_embed3.proj.weight (16, 8, 5, 5) instead of (16, 8, 3, 3)" in message
    for name in missing:
        assert name in message
    assert is_unchanged(backbone)


def test_checkpoint_of_another_size(backbone, tmp_path):
    other = official_van_state((8, 8, 16, 24), RATIOS, (1, 1, 2, 1))
    path = save_zip(tmp_path / "van.pth", other)
    with pytest.raises(CheckpointError, match=r"block3\.1\."):
        load_van_weights(backbone, path)
    assert is_unchanged(backbone)


@pytest.mark.parametrize(
    "content",
    [{}, {"state_dict": {}}, {"state_dict": {"epoch": 3}}, [1, 2], 7, None, "text"],
)
def test_no_state_dict(content, tmp_path):
    for save in (save_zip, save_legacy):
        path = save(tmp_path / "van.pth", content)
        with pytest.raises(CheckpointError, match="holds no state dict") as error:
            read_torch_checkpoint(path)
        assert str(path) in str(error.value)


def test_missing_file(backbone, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        load_van_weights(backbone, tmp_path / "gone.pth")
    with pytest.raises(FileNotFoundError, match="checkpoint at"):
        load_van_weights(backbone, tmp_path)  # a folder


def test_model_without_a_van(tmp_path, state):
    import keras

    image = keras.Input((8, 8, 3))
    dense = keras.layers.Dense(2, name="backbone")(image)
    path = save_zip(tmp_path / "van.pth", state)
    with pytest.raises(ValueError, match="has 0 VAN backbones"):
        load_van_weights(keras.Model(image, dense), path)


# === What is hostile ===


def check_refused(path, match=None):
    """Check that a file gives one line that names it."""
    with pytest.raises(CheckpointError, match=match) as error:
        read_torch_checkpoint(path)
    check_message(str(error.value), path)


def check_message(message, path):
    """Check that it names the file, in one line without terminal codes."""
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 1000


def command(marker):
    return f"touch '{marker}'"


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "function",
    [
        Global("os", "system"),
        Global("posix", "system"),
        Global("subprocess", "getoutput"),
        Global("builtins", "eval"),
        Global("builtins", "exec"),
        Global("__builtin__", "getattr"),
        Global("collections", "OrderedDict.__init__"),
        Global("torch", "load"),
        Global("torch", "FloatStorage.from_file"),
        Global("numpy", "load"),
        Global("keras_frm.networks.checkpoints.torch_file", "os.system"),
    ],
    ids=lambda function: f"{function.module}.{function.name}"[:30],
)
def test_call_of_code(function, protocol, tmp_path):
    marker = tmp_path / "marker"
    argument = command(marker)
    if function.name in ("eval", "exec"):
        argument = f"__import__('os').system({argument!r})"
    content = {"state_dict": Call(function, (argument,))}
    for save in (save_zip, save_legacy):
        if save is save_legacy:
            path = save(tmp_path / "evil.pth", content)
        else:
            path = save(tmp_path / "evil.pth", content, protocol=protocol)
        check_refused(path, "nothing was run")
        assert not marker.exists()


def test_names_that_are_no_text(tmp_path):
    """A message must not carry line ends or terminal codes of the file."""
    evil = {"a": Call(Global("line\nbreak", "\x1b[2J"), ())}
    check_refused(save_zip(tmp_path / "evil.pth", evil, protocol=4), "nothing was run")
    evil = {"\x1b[2J": np.ones(3, np.float32)}
    check_refused(save_zip(tmp_path / "evil.pth", evil), "no state dict")


def test_call_inside_arguments(state, tmp_path):
    marker = tmp_path / "marker"
    evil = Call(Global("os", "system"), (command(marker),))
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    for nested in (
        Call(rebuild, (evil, 0, (1,), (1,), False, None)),
        Call(Global("collections", "OrderedDict"), (([("a", evil)]),)),
        {"state_dict": state, "optimizer": [{"deep": (1, [evil])}]},
    ):
        check_refused(save_zip(tmp_path / "evil.pth", nested), "os.system")
        assert not marker.exists()


def test_first_pickles_of_the_old_format_are_read_safely(tmp_path):
    marker = tmp_path / "marker"
    evil = b"cos\nsystem\n(V" + command(marker).encode() + b"\ntR."
    path = tmp_path / "evil.pth"
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    for position in range(5):
        path.write_bytes(magic * (position > 0) + pickle.dumps(1, 2) * 2 + evil)
        check_refused(path)
    path.write_bytes(evil)
    check_refused(path, "nothing was run")
    assert not marker.exists()


ALLOWED = [
    Global("collections", "OrderedDict"),
    Global("torch._utils", "_rebuild_tensor"),
    Global("torch._utils", "_rebuild_tensor_v2"),
    Global("torch._utils", "_rebuild_parameter"),
    Global("argparse", "Namespace"),
    Global("numpy.core.multiarray", "scalar"),
    Global("numpy", "dtype"),
    Global("torch", "FloatStorage"),
]


@pytest.mark.parametrize("function", ALLOWED, ids=lambda f: f.name)
def test_allowed_names_with_odd_arguments(function, tmp_path):
    for args in ((), (1,), ("a", "b", "c", "d"), (None,) * 6, ({}, [], 2, 3)):
        content = {"state_dict": {"weight": Call(function, args)}}
        check_refused(save_zip(tmp_path / "odd.pth", content))


@pytest.mark.parametrize(
    "view",
    [
        {"size": (2000,), "stride": (1,)},
        {"offset": 10, "size": (8,), "stride": (1,)},
        {"size": (4, 4), "stride": (100, 1)},
        {"offset": 1, "size": (4,), "stride": (-1,)},
        {"offset": -1, "size": (4,), "stride": (1,)},
        {"size": (-4,), "stride": (1,)},
        {"size": (4,), "stride": (1, 1)},
        {"size": (2**62, 2**62), "stride": (2**62, 1)},
        {"size": (1 << 36,), "stride": (0,)},  # would take 256 GB
        {"size": (4.5,), "stride": (1,)},
        {"size": "12", "stride": "11"},
        {"offset": "0"},
    ],
    ids=str,
)
def test_tensor_beyond_its_storage(view, tmp_path):
    content = {"weight": tensor("0", np.arange(12, dtype=np.float32), **view)}
    for save in (save_zip, save_legacy):
        check_refused(save(tmp_path / "beyond.pth", content))


def test_tensor_in_place_of_a_storage(tmp_path):
    """Its offset must not count rows: the last ones would lie beyond the memory."""
    table = tensor("0", np.arange(2000, dtype=np.float32).reshape(2, 1000))
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    for last, inside in ((2000, True), (2001, False)):
        view = (table, 1, (last - 1,), (1,), False, None)
        for save in (save_zip, save_legacy):
            path = save(tmp_path / "rows.pth", {"weight": Call(rebuild, view)})
            if inside:
                array = read_torch_checkpoint(path)["weight"]
                np.testing.assert_array_equal(array, np.arange(1, 2000))
            else:
                check_refused(path)


def test_allowed_functions_cannot_be_changed(state, tmp_path):
    """BUILD sets attributes of what is on the stack, a function of ours too."""
    pickled = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
        b"N}X\x0c\x00\x00\x00__defaults__(I1\nI2\nI3\nI4\nts\x86b."
    )
    check_refused(save_pickle_in_zip(tmp_path / "evil.pth", pickled))
    arrays = read_torch_checkpoint(save_zip(tmp_path / "van.pth", state))
    assert arrays.keys() == state.keys()
    rebuild = Call(Global("torch._utils", "_rebuild_tensor_v2"), ())
    check_refused(save_zip(tmp_path / "short.pth", {"a": rebuild}), "TypeError")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
@pytest.mark.parametrize("put", [b"r\xff\xff\xff\x7f", b"p4294967296\n"])
def test_memo_index_that_would_fill_the_memory(put, tmp_path):
    """Python's unpickler allocates a table up to the index: 32 GB here."""
    save_pickle_in_zip(tmp_path / "zip.pth", b"\x80\x02}" + put + b".")
    (tmp_path / "old.pth").write_bytes(b"\x80\x02}" + put + b".")
    script = (
        "import sys; from keras_frm.networks.checkpoints.torch_file import *\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_torch_checkpoint(path)\n"
        "    except CheckpointError as error: print(path in str(error), str(error))\n"
    )

    import resource

    def limit_memory():
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "zip.pth", tmp_path / "old.pth"],
        preexec_fn=limit_memory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.count("True") == 2, done.stderr
    assert "MemoryError" not in done.stdout


def test_persistent_object_of_another_kind(tmp_path):
    pickled = b"\x80\x02(X\x06\x00\x00\x00module(Nt(NtNNtQ."
    check_refused(save_pickle_in_zip(tmp_path / "kind.pth", pickled))
    check_refused(save_pickle_in_zip(tmp_path / "text.pth", b"Pabc\n."))


def test_zip_that_lies_about_sizes(state, tmp_path):
    """Either the true content comes out, or nothing does."""
    path = save_zip(tmp_path / "van.pth", state)
    honest = path.read_bytes()
    at = honest.index(b"PK\x01\x02") + 20  # compressed and true size of data.pkl
    true = honest[at : at + 4]
    assert true == honest[at + 4 : at + 8]
    refused = 0
    for lie in (b"\xff\xff\xff\x7f", b"\1\0\0\0", b"\0\0\0\0", b"\xfe\xff\xff\xff"):
        for sizes in (lie + true, true + lie, lie + lie):
            path.write_bytes(honest[:at] + sizes + honest[at + 8 :])
            refused += not reads_as(path, state)
    assert refused >= 8


def reads_as(path, state):
    """Say whether a file is read; what is read must be the true content."""
    try:
        arrays = read_torch_checkpoint(path)
    except CheckpointError as error:
        check_message(str(error), path)
        return False
    assert arrays.keys() == state.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[name])
    return True


def test_zip_bomb(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"}.")
        for key in range(3):
            archive.writestr(f"archive/data/{key}", b"0")
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(4):  # each member claims 2 GB
        at = data.index(b"PK\x01\x02", at + 1)
        data[at + 24 : at + 28] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    check_refused(path, "more than 4 GiB")


@pytest.mark.parametrize(
    "names", [["a.txt"], ["a/data.pkl", "b/data.pkl"], ["a/data.pkl/"]]
)
def test_other_zip_files(names, tmp_path):
    path = tmp_path / "other.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else b"}.")
    check_refused(path)


# === What is damaged ===


@pytest.fixture(scope="module")
def small_state(state):
    return {name: state[name] for name in sorted(state)[:12]}


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_truncated(save, small_state, tmp_path):
    path = save(tmp_path / "whole.pth", small_state)
    whole = path.read_bytes()
    lengths = {*range(0, len(whole), max(1, len(whole) // 60)), len(whole) - 1}
    for length in sorted(lengths):
        path = tmp_path / "cut.pth"
        path.write_bytes(whole[:length])
        check_refused(path)


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_random_corruption(save, small_state, tmp_path):
    """A damaged file is refused, or read where the damage is in numbers only."""
    random = np.random.default_rng(4)
    path = save(tmp_path / "whole.pth", small_state)
    whole, refused = path.read_bytes(), 0
    # Half of the damage goes to the structure, which is a small part of the file.
    head = whole[: len(whole) // 3] if save is save_legacy else whole
    for trial in range(100):
        data = bytearray(whole)
        reach = len(head) if trial % 2 else len(whole)
        for position in random.integers(0, reach, 1 + trial % 4):
            data[position] = random.integers(256)
        path.write_bytes(data)
        try:
            read_torch_checkpoint(path)
        except CheckpointError as error:
            refused += 1
            check_message(str(error), path)
    assert refused > 20


def test_noise_and_other_files(tmp_path):
    random = np.random.default_rng(6)
    path = tmp_path / "noise.pth"
    for size in (0, 1, 2, 100, 10_000):
        path.write_bytes(random.bytes(size))
        check_refused(path)
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + random.bytes(500))
    check_refused(path)
    os.truncate(path, 10)
    check_refused(path)
