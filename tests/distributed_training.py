"""Trainings that test_distribution.py runs in processes of their own.

python distributed_training.py DEVICES CPUS SCENARIOS FOLDER, with TF_CONFIG for several
workers; SCENARIOS are names with commas between them. Every worker writes
FOLDER/<worker>.npz and prints what it did last.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tiny import batch, tiny_model, toy_model

from keras_frm import load_dataset
from keras_frm.layers import DropPath
from keras_frm.losses import CrossEntropy
from keras_frm.metrics import MeanIoU
from keras_frm.models.quantized_model import QuantizedSegmentationModel
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from keras_frm.optimizers.poly_decay import PolyDecay
from keras_frm.training import variables
from keras_frm.training.distribution import Distribution, assign_total, distribution

BATCH, STEPS, CLASSES = 8, 20, 3


def main(devices, cpus, scenarios, folder):
    if int(cpus) > 1:
        logical = [tf.config.LogicalDeviceConfiguration()] * int(cpus)
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, logical)
    chosen = distribution(devices)
    results = {}
    with chosen.watching():
        for name in scenarios.split(","):
            keras.utils.set_random_seed(3)
            found = SCENARIOS[name](chosen) or {}
            results |= {f"{name}/{key}": value for key, value in found.items()}
    print("done:", chosen.worker, chosen.workers, chosen.replicas, chosen.is_chief)
    if results:
        np.savez(Path(folder) / f"{chosen.worker}.npz", **results)


# === Data ===


def examples(count=BATCH * 5, size=(32, 40)):
    """Return images and labels; most ignored ones in the second half of a batch."""
    images, labels = batch(count, size, CLASSES, seed=1)
    images = images.astype("float32")
    half = np.arange(count) % BATCH >= BATCH // 2
    labels[half, :, 12:] = 255  # unequal numbers of valid pixels
    labels[half & (np.arange(count) // BATCH == 3)] = 255  # none in a whole replica
    return images, labels


def stream(images, labels, shard):
    """Return this worker's part of endless global batches."""
    worker, workers = shard
    part = BATCH // workers
    rows = np.arange(len(images)) % BATCH // part == worker
    data = tf.data.Dataset.from_tensor_slices((images[rows], labels[rows]))
    return data.batch(part).repeat()


def training_data(chosen, images, labels):
    """Return the global batches, divided among the devices."""
    return chosen.distributed(stream(images, labels, chosen.shard), BATCH)


def validation_data(chosen: Distribution, images, labels):
    """Return single images, which the replicas take in turns."""
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(1)
    return chosen.evaluated(data, ignore_label=255)


# === Trainings ===


def fit(chosen, model, optimizer, images, labels, steps):
    """Train step by step; return the logs, and what each replica holds at the end."""
    with chosen.scope():
        model.compile(optimizer, CrossEntropy(), [MeanIoU(CLASSES)])
    data = training_data(chosen, images, labels)
    history = model.fit(
        data, epochs=steps, steps_per_epoch=1, verbose=0, shuffle=False
    ).history
    results = {f"log/{name}": np.array(values) for name, values in history.items()}
    results["skipped_in_a_row"] = model.skipped_in_a_row
    results["iterations"] = int(tf.convert_to_tensor(optimizer.iterations))
    trained = model.weights + model.optimizer.variables
    for index, variable in enumerate(trained):
        copies = chosen.strategy.experimental_local_results(variable.value)
        for copy, value in enumerate(copies):
            results[f"weight/{copy}/{index:03d}/{variable.path}"] = value.numpy()
    return results


def plain(chosen):
    """The whole network with BatchNorm, momentum, decay, poly and an average."""
    images, labels = examples()
    with chosen.scope():
        model = tiny_model(num_classes=CLASSES, contrastive_weight=0.0)
        schedule = PolyDecay(0.02, total_steps=STEPS)
        optimizer = CoupledSGD(
            schedule, momentum=0.9, l2=1e-3, use_ema=True, ema_momentum=0.9
        )
    results = fit(chosen, model, optimizer, images, labels, STEPS)
    images, labels = examples(7)
    validation = model.evaluate(
        validation_data(chosen, images, labels), verbose=0, return_dict=True
    )
    return results | {f"val/{name}": value for name, value in validation.items()}


def contrastive(chosen):
    """With the contrastive loss, whose anchors are each replica's own."""
    images, labels = examples(size=(16, 24))
    with chosen.scope():
        model = toy_model(CLASSES, contrastive_weight=1.0)
        optimizer = CoupledSGD(0.02, momentum=0.9)
    return fit(chosen, model, optimizer, images, labels, 5)


def broken_step(chosen, dtype="float32", **options):
    """One replica's image of the third batch is no number."""
    images, labels = examples(size=(16, 24))
    images[2 * BATCH + BATCH - 1, 3, 4] = np.nan
    with chosen.scope():
        model = toy_model(CLASSES, dtype=dtype, contrastive_weight=0.0)
        optimizer = CoupledSGD(0.02, momentum=0.9, **options)
        if dtype == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64)
    return fit(chosen, model, optimizer, images, labels, 5)


def overflow(chosen):
    """A loss scale at which a replica's gradients overflow, in float16."""
    images, labels = examples(size=(16, 24))
    labels[np.arange(len(labels)) % BATCH < BATCH // 2] = 255
    with chosen.scope():
        model = toy_model(CLASSES, dtype="mixed_float16", contrastive_weight=0.0)
        optimizer = keras.optimizers.LossScaleOptimizer(
            CoupledSGD(0.02), initial_scale=2.0**24
        )
    return fit(chosen, model, optimizer, images, labels, 12)


def restored_counts(chosen):
    """What a metric holds after its counts were put back."""
    with chosen.scope():
        (variable,) = MeanIoU(CLASSES).variables
    counts = np.arange(2 * (CLASSES**2 + 1)).reshape(2, -1)
    assign_total(variable, counts, chosen.strategy)
    return {"counts": tf.convert_to_tensor(variable).numpy()}


def shared_gradients(chosen):
    """What a checkpoint holds after one of two steps, before and after sharing."""
    images, labels = examples(size=(16, 24))
    with chosen.scope():
        model = toy_model(CLASSES, contrastive_weight=0.0)
        optimizer = CoupledSGD(0.02, gradient_accumulation_steps=2)
    fit(chosen, model, optimizer, images, labels, 1)
    results = {}
    for when in ("before", "after"):
        variable = optimizer._accumulated_gradients[0].value
        for copy, value in enumerate(
            chosen.strategy.experimental_local_results(variable)
        ):
            results[f"{when}/{copy}"] = value.numpy()
        arrays = variables.gather(model)
        results |= {f"saved_{when}/{i:03d}": a for i, a in enumerate(arrays)}
        variables.share_accumulated(model)
    return results


def drop_path(chosen):
    """What images of a global batch of ones are dropped, three times."""
    with chosen.scope():
        layer = DropPath(0.5, seed=3)
    of_replica = BATCH // chosen.replicas
    drop = tf.function(lambda: layer(tf.ones((of_replica, 2)), training=True))
    results = {}
    for turn in range(3):
        outputs = chosen.strategy.run(drop)
        for copy, y in enumerate(chosen.strategy.experimental_local_results(outputs)):
            results[f"{turn}/{copy}"] = y.numpy()[:, 0]
    return results


def validated(chosen):
    """mIoU of numbers of images that cannot be divided, each read by one worker."""
    with chosen.scope():
        model = toy_model(19, contrastive_weight=0.0)
        model.compile(CoupledSGD(0.02), CrossEntropy(), [MeanIoU(19)])
    results = {}
    for count in (1, 5):

        def part(shard, count=count):
            return load_dataset(
                *("synthetic", None, "val"),
                batch_size=2 * shard[1],
                resize=(64, 128),
                count=count,
                drop_remainder=False,
                shard=shard,
            )

        found = model.evaluate(chosen.evaluated(part), verbose=0, return_dict=True)
        metrics = [m for each in model.metrics for m in getattr(each, "metrics", ())]
        results[f"mean_iou/{count}"] = found["mean_iou"]
        results[f"counts/{count}"] = tf.convert_to_tensor(metrics[0].variables[0])
    return results


def refused(chosen):
    """What is said of compiling what replicas cannot share or do."""
    with chosen.scope():
        model = toy_model(CLASSES, contrastive_weight=0.0)
    wrong = {"outside": {"metrics": [MeanIoU(CLASSES)]}, "at_once": {"metrics": []}}
    wrong["at_once"]["steps_per_execution"] = 2
    wrong["xla"] = {"metrics": [], "jit_compile": True}
    messages = dict.fromkeys(wrong, "")
    for name, arguments in wrong.items():
        try:
            model.compile(**arguments)
        except ValueError as error:
            messages[name] = str(error)
    return messages


def quantized(chosen):
    """A model of simulated integers, made in the scope and compiled outside of it."""
    images, labels = examples(size=(16, 24))
    with chosen.scope():
        parts = toy_model(19).parts
        model = QuantizedSegmentationModel(parts, "cityscapes", contrastive_weight=0.0)
    model.compile()
    data = training_data(chosen, images, labels)
    history = model.fit(data, epochs=2, steps_per_epoch=1, verbose=0, shuffle=False)
    optimizer = model.optimizer
    losses = np.array(history.history["loss"])
    return {"l2": optimizer.l2, "use_ema": optimizer.use_ema, "loss": losses}


def endless(chosen):
    """Train until the process is killed."""
    images, labels = examples(size=(16, 24))
    with chosen.scope():
        model = toy_model(CLASSES, contrastive_weight=0.0)
        model.compile(CoupledSGD(0.02), CrossEntropy(), [MeanIoU(CLASSES)])
    say = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print("epoch", epoch, flush=True)
    )
    data = training_data(chosen, images, labels)
    model.fit(data, epochs=10**6, steps_per_epoch=5, verbose=0, callbacks=[say])


SCENARIOS = {
    "plain": plain,
    "contrastive": contrastive,
    "broken": broken_step,
    "broken_float16": lambda chosen: broken_step(chosen, "mixed_float16"),
    "accumulated": lambda chosen: broken_step(chosen, gradient_accumulation_steps=2),
    "overflow": overflow,
    "shared": shared_gradients,
    "drop_path": drop_path,
    "validated": validated,
    "restored": restored_counts,
    "refused": refused,
    "quantized": quantized,
    "endless": endless,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
