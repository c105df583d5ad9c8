"""Weights, inputs and outputs of the peer networks' official code."""

import contextlib

import keras
import numpy as np
from helpers import nchw, nhwc
from paddle_files import save_paddle
from torch_files import save_zip

from keras_frm.networks.checkpoints.official import load_official_weights


def small_state(arrays) -> dict[str, np.ndarray]:
    """Return the state dict of a file of reduced width."""
    return {k.removeprefix("w."): arrays[k] for k in arrays if k.startswith("w.")}


def full_state(arrays) -> dict[str, np.ndarray]:
    """Return the state dict that a file of full width tells the rule of."""
    rng = np.random.Generator(np.random.PCG64(int(arrays["seed"])))
    factors = [row.split("|") for row in np.atleast_1d(arrays["mult"]) if row]
    state = {}
    for row in arrays["keys"]:
        key, _, sides = row.partition("|")
        shape = tuple(map(int, sides.split("x"))) if sides else ()
        value = _drawn(key, rng.random(shape), float(arrays["gain"]))
        if not key.endswith(("_mean", "_var", "_variance")):
            for text, factor in factors:
                value = value * float(factor) if text in key else value
        state[key] = value.astype("float32")
    check = sum(float(np.abs(value).sum(dtype="float64")) for value in state.values())
    np.testing.assert_allclose(check, arrays["check.sum_abs"], rtol=1e-6)
    return state


def _drawn(key, u, gain):
    """Return a tensor by the rule of the arrays' README, of uniform numbers."""
    if key.endswith("_mean"):
        return 0.6 * u - 0.3
    if key.endswith(("_var", "_variance")):
        return 1 + 2 * u
    if u.ndim > 1:
        return (2 * u - 1) * np.sqrt(3 * gain / np.prod(u.shape[1:]))
    return 0.6 + 0.8 * u if key.endswith("weight") else 0.6 * u - 0.3


def full_input(arrays, case: int) -> np.ndarray:
    """Return the input that a file of full width tells the rule of: (B, 3, H, W)."""
    rng = np.random.Generator(np.random.PCG64(int(arrays[f"x{case}.seed"])))
    batch, _, height, width = arrays[f"x{case}.shape"]
    coarse = rng.random((batch, 3, -(-height // 16), -(-width // 16)))
    coarse = coarse.repeat(16, axis=2).repeat(16, axis=3)[:, :, :height, :width]
    fine = rng.random((batch, 3, height, width))
    x = np.round((4 * coarse + 2 * fine - 3) * 8) / 8
    np.testing.assert_array_equal(x.ravel()[:8], arrays[f"x{case}.first"].ravel()[:8])
    return x.astype("float32")


def loaded(network, state, num_classes: int, tmp_path):
    """Return the parts of a network with the weights of a checkpoint."""
    parts = network.build(num_classes)
    # Paddle's names of statistics; PyTorch's end otherwise.
    is_paddle = any(key.endswith("._variance") for key in state)
    path = tmp_path / ("official.pdparams" if is_paddle else "official.pth")
    if is_paddle:
        save_paddle(path, state)
    else:
        save_zip(path, {"state_dict": state})
    assert load_official_weights(parts, path) == num_classes
    return parts


def outputs_of(parts, x: np.ndarray, layers: dict[str, str]) -> dict[str, np.ndarray]:
    """Return results of layers, NCHW, for an image that is normalised already.

    Args:
        parts: The network.
        x: (B, 3, H, W).
        layers: Name of a result -> name of the layer that makes it; "NAME:INDEX" where
            it makes several, "NAME.ATTRIBUTE" where it is a layer inside of it.
    """
    graph = parts.training_graph()
    inner = {name: layer.split(".") for name, layer in layers.items() if "." in layer}
    outer = {name: layer for name, layer in layers.items() if name not in inner}
    tensors = {name: _made_by(graph, layer) for name, layer in outer.items()}
    normalized = graph.get_layer("normalization").output
    model = keras.Model([parts.image, normalized], tensors)
    with contextlib.ExitStack() as stack:
        recorded = {
            name: stack.enter_context(_recorded(getattr(graph.get_layer(layer), part)))
            for name, (layer, part) in inner.items()
        }
        results = model([nhwc(x), nhwc(x)])
    results |= {name: result for name, (result,) in recorded.items()}
    return {name: nchw(result) for name, result in results.items()}


@contextlib.contextmanager
def _recorded(layer):
    """Yield a list that gets what a layer puts out while the block runs."""
    results, call = [], layer.call

    def call_and_record(*args, **kwargs):
        results.append(call(*args, **kwargs))
        return results[-1]

    layer.call = call_and_record
    try:
        yield results
    finally:
        layer.call = call


def _made_by(graph, layer):
    name, _, index = layer.partition(":")
    output = graph.get_layer(name).output
    return output[int(index)] if index else output


def assert_points(found: np.ndarray, arrays, name: str, noise_of: str | None = None):
    """Compare an output with the values that a file of full width has of it.

    Args:
        found: (B, C, H, W).
        arrays: The file.
        name: Name of the output.
        noise_of: Name of the output whose noise to take, where it has none.
    """
    assert found.shape == tuple(arrays[f"{name}.shape"])
    values, noise = arrays[f"{name}.val"], float(arrays[f"{noise_of or name}.noise"])
    largest = np.abs(arrays[f"{name}.stat"]).max()
    error = np.abs(found.ravel()[arrays[f"{name}.idx"]] - values).max()
    assert error <= max(20 * noise, 1e-5 * largest), (name, error, noise)
