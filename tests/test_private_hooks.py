"""The private names of Keras, TensorFlow and LiteRT: all listed, all there."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import keras_frm
from keras_frm.backend.private_hooks import (
    HOOKS,
    accumulated_gradients,
    data_adapter,
    maker_of,
    moving_average,
    schedule_of,
)

PACKAGE = Path(keras_frm.__file__).parent
LISTED = {hook.name for hook in HOOKS}
PRIVATE = re.compile(r"_[a-z]\w*")


def optimizer():
    """Return a built optimizer that has everything."""
    made = keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5),
        use_ema=True,
        gradient_accumulation_steps=2,
    )
    made.build([keras.Variable([1.0, 2.0])])
    return made


# Owner -> one of its objects. An interpreter needs a file; its class has the method.
OWNERS = {
    "keras.KerasTensor": lambda: keras.ops.relu(keras.Input((2,))),
    "keras.Operation": lambda: maker_of(keras.ops.relu(keras.Input((2,))))[0],
    "keras.Function": lambda: keras.Function(x := keras.Input((2,)), -x),
    "keras.Layer": lambda: keras.layers.Dense(2),
    "keras.Model": keras.Model,
    "keras.src.trainers.data_adapters.data_adapter": lambda: inspect.getmodule(
        data_adapter()
    ),
    "keras.metrics.Metric": lambda: keras.metrics.MeanSquaredError(),
    "keras.Optimizer": optimizer,
    "tf.distribute.StrategyExtended": lambda: tf.distribute.get_strategy().extended,
    "ai_edge_litert.interpreter.Interpreter": lambda: Interpreter,
}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_hook_is_there(hook):
    assert hasattr(OWNERS[hook.owner](), hook.name)
    assert hook.without.endswith(".")


def test_overridden_hooks_take_what_keras_hands_over():
    """An argument that Keras gains would be lost without a word."""
    from keras_frm.models.replicated_model import ReplicatedModel
    from keras_frm.optimizers.accumulation import AccumulatedGradients
    from keras_frm.optimizers.adamw import AdamW

    for own, parent, name in (
        (ReplicatedModel, keras.Model, "_maybe_symbolic_build"),
        (ReplicatedModel, keras.Model, "_get_metrics_result_or_logs"),
        (AccumulatedGradients, keras.Optimizer, "_backend_apply_gradients"),
        (AdamW, keras.Optimizer, "_apply_weight_decay"),
    ):
        taken = list(inspect.signature(getattr(own, name)).parameters)
        assert taken == list(inspect.signature(getattr(parent, name)).parameters)


def test_functions_give_what_they_say():
    made = optimizer()
    assert [tuple(v.shape) for v in accumulated_gradients(made)] == [(2,)]
    assert [tuple(v.shape) for v in moving_average(made)] == [(2,)]
    schedule = keras.optimizers.schedules.ExponentialDecay
    assert isinstance(schedule_of(made), schedule)
    assert schedule_of(None) is None
    x = keras.Input((2,))
    operation, taken = maker_of(x)
    assert isinstance(operation, keras.layers.InputLayer)
    assert taken == []


# === No other private name ===


def trees():
    """Return the syntax of every file of the package."""
    return {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def names_defined(trees):
    """Return the private names that the package gives to things of its own."""
    found = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
    return found


def test_no_other_private_name_is_used():
    parsed = trees()
    # `_replace` is the public interface of a NamedTuple, `_exit` that of `os`.
    known = names_defined(parsed) | LISTED | {"_replace", "_exit"}
    wrong = {
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.attr}"
        for path, tree in parsed.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and PRIVATE.fullmatch(node.attr)
        and node.attr not in known
    }
    assert wrong == set()


def test_no_other_private_module_is_imported():
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in [getattr(node, "module", None), *(a.name for a in node.names)]
        if name
        if re.search(r"^(keras|tf_keras)\.src|^tensorflow\.python|^_tensorflow", name)
    }
    (owner,) = {hook.owner for hook in HOOKS if ".src." in hook.owner}
    assert found == {("backend/private_hooks.py", owner)}


def classes():
    """Return the package's classes that Keras has a parent of."""
    for module in pkgutil.walk_packages(keras_frm.__path__, "keras_frm."):
        # Its mixin is looked at in test_jax_steps.py.
        if module.name.startswith("keras_frm.backend.jax."):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            own = inspect.isclass(value) and value.__module__ == module.name
            if own and any(c.__module__.startswith("keras.") for c in value.__mro__):
                yield value


def test_no_other_private_name_is_overridden():
    """A class of the package must not hide what its parents in Keras call."""
    found = set()
    for own in classes():
        parents = {c for c in own.__mro__ if c.__module__.startswith("keras.src")}
        sources = "\n".join(map(inspect.getsource, parents))
        taken = set(re.findall(r"self\.(_[a-z]\w*)", sources))
        for each in set(own.__mro__) - parents:
            if each.__module__.startswith("keras_frm"):
                text = inspect.getsource(each)
                names = set(re.findall(r"def (_[a-z]\w*)\(self", text))
                names |= set(re.findall(r"self\.(_[a-z]\w*)(?: =|,.* =)", text))
                found |= names & taken
    assert found == {
        "_apply_weight_decay",
        "_backend_apply_gradients",
        "_get_metrics_result_or_logs",
        "_maybe_symbolic_build",
    }
    assert found < LISTED
