"""A training under JAX on the devices of this process: `python jax_devices.py TO.npz`.

XLA_FLAGS=--xla_force_host_platform_device_count=N makes N of the CPU.
"""

import sys

import keras
import numpy as np


def main():
    import jax

    devices = jax.devices()
    if len(devices) > 1:
        # Before anything has variables.
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    keras.utils.set_random_seed(1)
    from tiny import batch, tiny_model

    images, labels = batch(8, (64, 64))  # BatchNorms of few values would not be steady
    labels[:5] = 255  # labelled pixels are all on one of two devices
    model = tiny_model("cityscapes", num_classes=3)
    model.compile()
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}
    history = model.fit(images, labels, epochs=2, **options).history
    on = model.network.weights[0].value.devices()
    np.savez(
        sys.argv[1],
        devices=len(on),
        predicted=model.predict(images, verbose=0),
        **{f"log/{name}": np.array(values) for name, values in history.items()},
        **{weight.path: weight.numpy() for weight in model.weights},
    )


if __name__ == "__main__":
    main()
