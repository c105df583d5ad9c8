"""Which calls of a graph compute in integers."""

from typing import TYPE_CHECKING

from keras_frm.graph.convolutions import Convolution
from keras_frm.graph.graph import Call
from keras_frm.graph.passes.primitive_layers import is_plain_resize
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.quantization.kept_float import is_kept_float
from keras_frm.quantization.operation_kinds import (
    ACTIVATIONS,
    COMPARING,
    FLOAT,
    FLOAT_BY_CHOICE,
    INTEGER,
    JOINING,
    SAME_SCALE,
    is_cheap_in_float,
)

if TYPE_CHECKING:
    from keras_frm.quantization.plan import Plan


def computes_in_integers(plan: "Plan", call: Call) -> bool:
    """Return whether a call has an integer kernel and integers to compute with.

    Args:
        plan: A plan that knows all calls before this one.
        call: Of the plan's graph.

    Raises:
        ValueError: There is no rule for the operation, or no integer kernel where only
            integers are allowed.
    """
    operation, kind = call.operation, type(call.operation).__name__
    if is_kept_float(operation, plan.keep_float):
        return False
    if isinstance(operation, Convolution):
        # One channel is no work in float, and a softmax makes exponents of it.
        narrow = call.outputs[0].shape[-1] == 1 and not plan.integer_only
        return not (narrow and _feeds_float_only(plan, call))
    any_integer = any(id(tensor) in plan.integer_tensors for tensor in call.inputs)
    if is_cheap_in_float(operation) and _feeds_float_only(plan, call):
        return False
    if kind in JOINING and _mixes_fixed_ranges(plan, call):
        return _in_float(plan, call)
    if kind == "Resize" and not is_plain_resize(operation):
        raise ValueError(_no_rule(operation))
    if isinstance(operation, LayerScale):
        return any_integer
    if kind in FLOAT_BY_CHOICE:
        return plan.integer_only and any_integer
    if kind in INTEGER | SAME_SCALE | ACTIVATIONS:
        return any_integer
    if kind in FLOAT:
        return _in_float(plan, call)
    if kind in COMPARING:
        return False
    raise ValueError(_no_rule(operation))


def _in_float(plan, call):
    """Return False, for a call that computes in float where that is allowed."""
    if plan.integer_only:
        raise ValueError(
            f"{type(call.operation).__name__} '{call.operation.name}' has no integer "
            "kernel here: the network cannot run in integers only."
        )
    return False


def _no_rule(operation):
    name, kind = operation.name, type(operation).__name__
    function = getattr(getattr(operation, "activation", None), "__name__", "")
    what = f"{kind} '{name}'" + (f" ({function})" if kind == "Activation" else "")
    return (
        f"Quantisation has no rule for {what}. Leave it in float with "
        f"keep_float=['{name}']."
    )


def _mixes_fixed_ranges(plan, call):
    """Return whether a call joins tensors of which a kernel dictates some ranges.

    In one range, the others would be cut off at it.
    """
    names = {plan.range_name(tensor) for tensor in call.inputs}
    return len(names) > 1 and not names.isdisjoint(plan.fixed_ranges)


def _feeds_float_only(plan, call):
    """Return whether only float operations take a call's result, in the end.

    A scale before a LayerNorm, of what was requantised, need not requantise again.
    """
    users = plan.graph.users(call)
    if not users or plan.graph.is_output(call):
        return False
    floats = FLOAT if plan.integer_only else FLOAT | FLOAT_BY_CHOICE
    return all(
        type(user.operation).__name__ in floats
        or (is_cheap_in_float(user.operation) and _feeds_float_only(plan, user))
        for user in users
    )
