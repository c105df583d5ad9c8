"""A training step on JAX: a function from the model's state to the next one."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import keras
from jax import numpy as jnp

from keras_frm.backend.jax.image_levels import ImageLevels
from keras_frm.backend.private_hooks import schedule_of


class State(NamedTuple):
    """The values of a model's variables, as Keras hands them over; None for its own."""

    trainable: list | None = None
    non_trainable: list | None = None
    optimizer: list | None = None
    metrics: list | None = None


class TrainStep:
    """Mixin of a `keras.Model`: its steps on JAX, and on all its devices.

    The model gives `unpacked`, `training_losses`, `tracked`, `evaluated`,
    `moved_weights`, `variables_beside` and `plain_optimizer`, see `CheckedStepModel`.
    They read and assign variables; stateless scopes make functions of them.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.image_levels = ImageLevels()

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """All that a step reads or moves and does not train: Keras passes it on."""
        return [*super().non_trainable_variables, *self.variables_beside()]

    def watched(self, function: Callable) -> Callable:
        """Return a training function that raises before steps of wrong images."""

        def call(state, iterator):
            first = next(iterator)
            images, _, _ = keras.utils.unpack_x_y_sample_weight(first)
            try:
                self.image_levels.look_at(images)
            except ValueError:
                self._put_back(State(*state))
                raise
            return function(state, itertools.chain([first], iterator))

        return call

    def train_step(self, state, data):
        before = State(*state)
        images, labels, sample_weight = batch = self.unpacked(data)
        gradients, losses, logits, moved = self._gradients(before, *batch)
        taken = _is_finite(self.optimizer, losses["loss"], gradients)
        trained, optimizer = self._applied(before, gradients)
        with self._holding(State(metrics=before.metrics)) as scope:
            logs = self.tracked(images, labels, sample_weight, losses, logits, taken)
        after = State(
            _chosen(taken, trained, before.trainable),
            self._without_moved_weights(taken, moved, before.non_trainable),
            _chosen(taken, optimizer, before.optimizer),
            _values_in(scope, self.metrics_variables),
        )
        return logs, tuple(after)

    def test_step(self, state, data):
        trainable, non_trainable, metrics = state
        with self._holding(State(trainable, non_trainable, None, metrics)) as scope:
            logs = self.evaluated(data)
        non_trainable = _values_in(scope, self.non_trainable_variables)
        return logs, (
            trainable,
            non_trainable,
            _values_in(scope, self.metrics_variables),
        )

    def _gradients(self, state, images, labels, sample_weight):
        """Return gradients, losses, logits, and the non-trainable values after them."""

        def forward(trainable):
            known = state._replace(trainable=trainable, metrics=None)
            with self._holding(known) as scope:
                losses, logits = self.training_losses(images, labels, sample_weight)
                scaled_loss = self.optimizer.scale_loss(losses["loss"])
            moved = _values_in(scope, self.non_trainable_variables)
            return scaled_loss, (losses, logits, moved)

        gradients, aux = jax.grad(forward, has_aux=True)(state.trainable)
        return gradients, *aux

    def _applied(self, state, gradients):
        """Return the trainable values and the optimizer's after an update."""
        with self._holding(state):
            rate = jnp.asarray(self.plain_optimizer.learning_rate)
        with _given_rate(self.plain_optimizer, rate):
            return self.optimizer.stateless_apply(
                state.optimizer, gradients, state.trainable
            )

    def _without_moved_weights(self, taken, moved, before):
        """Return the non-trainable values; random numbers go on after a bad step."""
        weights = set(map(id, self.moved_weights()))
        chosen = _chosen(taken, moved, before)
        triples = zip(self.non_trainable_variables, chosen, moved, strict=True)
        return [kept if id(v) in weights else value for v, kept, value in triples]

    def _holding(self, state):
        """Return a scope in which the variables hold the values of a state."""
        return keras.StatelessScope(self._pairs(state), collect_losses=True)

    def _put_back(self, state):
        """Give the variables the values that Keras takes out of them for an epoch."""
        for variable, value in self._pairs(state):
            variable.assign(value)

    def _pairs(self, state):
        """Return the variables with their values in a state."""
        variables = State(
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        return [
            pair
            for of_kind, values in zip(variables, state, strict=True)
            if values is not None
            for pair in zip(of_kind, values, strict=True)
        ]


def _values_in(scope, variables):
    """Return what variables hold at the end of a stateless scope."""
    return [scope.get_current_value(variable) for variable in variables]


def _is_finite(optimizer, loss, gradients: Sequence[jax.Array]) -> jax.Array:
    """Tell whether a step may be taken; the sum of a gradient tells of all of it.

    With loss scaling only the loss decides: overflowing gradients are its business.
    """
    good = jnp.isfinite(loss)
    if hasattr(optimizer, "inner_optimizer"):
        return good
    sums = [jnp.isfinite(jnp.sum(gradient)) for gradient in gradients]
    return good & jnp.all(jnp.stack(sums))


def _chosen(taken, after, before):
    """Return one of two lists of values; a branch would wait for the device."""
    return [jnp.where(taken, a, b) for a, b in zip(after, before, strict=True)]


@contextlib.contextmanager
def _given_rate(optimizer: keras.Optimizer, rate: jax.Array) -> Iterator[None]:
    """Let an optimizer take a learning rate that is known already.

    Its stateless form knows the values of its own variables only, and a schedule may
    have some, too.
    """
    schedule = schedule_of(optimizer)
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        yield
        return
    optimizer.learning_rate = lambda: rate
    try:
        yield
    finally:
        optimizer.learning_rate = schedule
