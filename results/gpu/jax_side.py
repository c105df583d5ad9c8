"""The package's side of the measurements: a process on JAX, without TensorFlow."""

import time

import jax
import keras
from jax import numpy as jnp

import keras_frm
from keras_frm.benchmark.random_batch import random_batch
from keras_frm.losses import CrossEntropy
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from results.gpu.cases import Case
from results.gpu.timing import first_and_later
from results.gpu.tiny import network_options

CLASSES = 19
_MIB = 2**20


def measure(case: Case) -> dict:
    """Return the times of a case, and the memory that XLA plans for it."""
    parts = {"matmul": matmul, "step": step, "inference": inference}
    return {
        **parts[case.what](case),
        "device": jax.devices()[0].device_kind,
        "version": f"JAX {jax.__version__}, Keras {keras.__version__}",
    }


def matmul(case: Case) -> dict:
    """Multiply matrices of random numbers: zeros would draw less power."""
    key = jax.random.key(0)
    a = jax.random.normal(key, (case.height, case.width), case.dtype)
    product = jax.jit(lambda a: a @ a.T)
    return first_and_later(lambda: product(a), jax.block_until_ready)


def inference(case: Case) -> dict:
    """Predict a batch: logits of uint8 images."""
    network, (images, _) = model_of(case).network, batch_of(case)
    weights = [v.value for v in network.trainable_variables]
    moved = [v.value for v in network.non_trainable_variables]

    def predict(weights, moved, images):
        logits, _ = network.stateless_call(weights, moved, images, training=False)
        return jnp.argmax(logits, -1).astype("uint8")

    program, seconds = built(jax.jit(predict), weights, moved, images)
    times = first_and_later(
        lambda: program(weights, moved, images), jax.block_until_ready
    )
    return {**times, "first_s": seconds + times["first_s"], **planned(program)}


def step(case: Case) -> dict:
    """Take the steps of `fit`, with its program, its state and no metrics."""
    model, batch = model_of(case), batch_of(case)
    model.compile(CoupledSGD(0.01, momentum=0.9, l2=1e-4), CrossEntropy(), metrics=[])
    model.optimizer.build(model.trainable_variables)
    # A compiled loss makes its variables when it first sees what it compares.
    logits = jnp.zeros((1, 1, 1, CLASSES))
    model.compute_loss(None, jnp.zeros((1, 1, 1), "uint8"), logits)
    state = tuple(
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )
    program, seconds = built(jax.jit(model.train_step, donate_argnums=0), state, batch)

    def call():
        nonlocal state
        logs, state = program(state, batch)
        return logs

    times = first_and_later(call, jax.block_until_ready)
    return {**times, "first_s": seconds + times["first_s"], **planned(program)}


def model_of(case: Case) -> keras.Model:
    """Return the model of a case, with random weights and without drop path."""
    keras.utils.set_random_seed(0)
    return keras_frm.build_model(
        "cityscapes",
        contrastive_weight=None if case.contrastive else 0.0,
        rematerialize=case.rematerialize,
        dtype="mixed_bfloat16" if case.dtype == "bfloat16" else "float32",
        **network_options(case.backbone),
    )


def batch_of(case: Case) -> tuple[jax.Array, jax.Array]:
    """Return random images and labels on the device."""
    arrays = random_batch(case.batch, (case.height, case.width), CLASSES)
    return tuple(map(jnp.asarray, arrays))


def built(function, *arguments) -> tuple:
    """Return the program for these arguments, and the seconds that it took to build."""
    start = time.perf_counter()
    program = function.lower(*arguments).compile()
    return program, time.perf_counter() - start


def planned(program) -> dict:
    """Return the memory of a program: arguments, results and what is between."""
    plan = program.memory_analysis()
    peak = plan.argument_size_in_bytes + plan.output_size_in_bytes
    peak += plan.temp_size_in_bytes - plan.alias_size_in_bytes
    return {"peak_mib": peak / _MIB}
