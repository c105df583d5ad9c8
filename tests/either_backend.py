"""What a training makes of the same weights, images and anchors, on any backend.

`python either_backend.py PARTS FROM.npz TO.npz` runs it without TensorFlow. Imported by
a test, it gives what TensorFlow makes of the same. Files go beside TO.npz.
"""

import functools
import os
import sys
from pathlib import Path

import numpy as np
from other_backend import NoTensorFlow

CLASSES = 3


def inputs():
    """Return the arrays that every part starts from."""
    from tiny import batch

    images, labels = batch(4, (24, 40), CLASSES)
    random = np.random.default_rng(0)
    return {
        "images": images,
        "labels": labels,
        # Of a batch of two: each has 6 x 10 features.
        "anchors": random.permutation(2 * 6 * 10)[:48].astype("int32"),
        "valid": random.uniform(size=48) < 0.8,
    }


def model_of(given, name, **options):
    """Return the whole network, with the weights given or its own."""
    from tiny import tiny_model

    model = tiny_model("cityscapes", num_classes=CLASSES, **options)
    keys = [f"{name}/{i}" for i in range(len(model.weights))]
    if keys[0] in given:
        model.set_weights([given[key] for key in keys])
    return model, dict(zip(keys, model.get_weights(), strict=True))


def one_step(given, _):
    """Return logits, losses and gradients of a step with the contrastive loss."""
    import keras

    model, results = model_of(given, "start")
    indices, valid = (keras.ops.array(given[key]) for key in ("anchors", "valid"))
    model.contrastive_loss.sample = lambda labels, predictions: (indices, valid)
    # Its first velocity is the gradient.
    model.compile(keras.optimizers.SGD(1.0, momentum=0.9))
    images, labels = given["images"][:2], given["labels"][:2]
    results["logits"] = model.predict(images, verbose=0)
    logs = model.train_on_batch(images, labels, return_dict=True)
    results |= {f"log/{name}": np.asarray(value) for name, value in logs.items()}
    for weight, velocity in zip(
        model.trainable_weights, model.optimizer.momentums, strict=True
    ):
        results[f"gradient/{weight.path}"] = keras.ops.convert_to_numpy(velocity)
    return results


def ten_steps(given, _):
    """Return weights and logs of ten steps with the preset's recipe."""
    model, results = model_of(given, "ten", contrastive_weight=0)
    model.compile()
    options = {"batch_size": 2, "shuffle": False, "verbose": 0}
    history = model.fit(given["images"], given["labels"], epochs=5, **options).history
    results |= {f"log/{name}": np.array(values) for name, values in history.items()}
    for weight in model.weights:
        results[f"trained/{weight.path}"] = weight.numpy()
    results["predicted"] = model.predict(given["images"], verbose=0)
    return results


def saved(given, folder):
    """Train three steps, save in both kinds of files, and return the predictions."""
    import keras
    from tiny import toy_model

    from keras_frm.optimizers.adamw import AdamW

    model = toy_model(CLASSES)
    model.compile(AdamW(0.01))
    images, labels = (
        np.tile(given[key], (2, 1, 1, 1)[: given[key].ndim])
        for key in ("images", "labels")
    )
    model.fit(images[:6], labels[:6], batch_size=2, verbose=0)
    backend = keras.backend.backend()
    model.save(folder / f"{backend}.keras")
    model.network.save_weights(folder / f"{backend}.weights.h5")
    moments = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    return {
        "predicted": model.predict(given["images"], verbose=0),
        **{f"optimizer/{i}": moment for i, moment in enumerate(moments)},
    }


def opened(given, folder):
    """Return what a model that TensorFlow saved predicts here, and where it goes on."""
    import keras
    from tiny import toy_model

    from keras_frm.models.saving import load_model
    from keras_frm.models.weights import load_weights

    model, other = load_model(folder / "tensorflow.keras"), toy_model(CLASSES)
    load_weights(other, folder / "tensorflow.weights.h5")
    moments = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    return {
        "from keras": model.predict(given["images"], verbose=0),
        "from h5": other.predict(given["images"], verbose=0),
        **{f"optimizer/{i}": moment for i, moment in enumerate(moments)},
    }


def views(given, _):
    """Return views of given draws, and two batches of arrays on the device."""
    from views import CASES, case

    from keras_frm import dataset_from_arrays
    from keras_frm.backend import compiled
    from keras_frm.data.arrays.augmentation import augment

    results = {}
    for name in CASES:
        *arrays, options = case(name)
        made = compiled(functools.partial(augment, **options))(*arrays)
        results |= {f"{name}/images": made[0], f"{name}/labels": made[1]}
    options = {"batch_size": 2, "crop": (16, 24)}
    dataset = dataset_from_arrays(
        "camvid", given["images"], given["labels"], seed=5, **options
    )
    for step, (images, labels) in enumerate([*dataset, *dataset]):
        results |= {f"batch {step}/images": images, f"batch {step}/labels": labels}
    return {name: np.asarray(array) for name, array in results.items()}


PARTS = {part.__name__: part for part in (one_step, ten_steps, saved, opened, views)}


def main():
    parts, source, target = sys.argv[1:]
    sys.meta_path.insert(0, NoTensorFlow())
    import keras

    assert keras.backend.backend() == os.environ["KERAS_BACKEND"] != "tensorflow"
    given, folder = dict(np.load(source)), Path(target).parent
    results = {}
    for name in parts.split(","):
        made = PARTS[name](given, folder)
        results |= {f"{name}/{key}": value for key, value in made.items()}
    assert "tensorflow" not in sys.modules
    np.savez(target, **results)


if __name__ == "__main__":
    main()
