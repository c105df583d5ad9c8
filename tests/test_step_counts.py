"""Steps that were read, steps that were taken, updates: what counts which."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import Rates, assert_same_weights, batch, toy_model

from keras_frm.labels import numbered_labels
from keras_frm.losses import CrossEntropy
from keras_frm.metrics import MeanIoU
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from keras_frm.optimizers.poly_decay import PolyDecay
from keras_frm.training import resume, variables
from keras_frm.training.distribution import Distribution
from keras_frm.training.train import train

TOTAL = 8


def compiled(accumulate=2, total=TOTAL):
    """Return a small model that trains by the poly rule."""
    keras.utils.set_random_seed(2)
    model = toy_model(contrastive_weight=0.0)
    optimizer = CoupledSGD(
        PolyDecay(0.5, total_steps=total),
        momentum=0.9,
        gradient_accumulation_steps=accumulate,
    )
    model.compile(optimizer, CrossEntropy(), [MeanIoU(3)])
    variables.build_for_training(model)
    return model


def steps(count, broken=()):
    """Return batches of one image; those of some steps are no numbers."""
    images, labels = batch(count)
    images = images.astype("float32")
    images[list(broken)] = np.nan
    return list(zip(images[:, None], labels[:, None], strict=True))


def take(model, batches):
    for images, labels in batches:
        model.train_on_batch(images, labels)


def test_a_left_out_step_moves_neither_schedule_nor_accumulation():
    batches = steps(6, broken=(1, 2))
    model, expected = compiled(), compiled()
    take(model, batches)
    take(expected, [batches[i] for i in (0, 3, 4, 5)])
    assert_same_weights(model, expected, rtol=0, atol=0)
    assert int(model.optimizer._iterations) == 4
    assert int(model.optimizer.iterations) == 2
    rate = float(PolyDecay(0.5, total_steps=TOTAL)(4))
    assert float(model.optimizer.learning_rate) == pytest.approx(rate)


@pytest.mark.parametrize("done", [2, 3, 4])
def test_counts_go_on_from_a_checkpoint_after_a_left_out_step(done):
    batches = steps(7, broken=(1,))
    whole, first, second = compiled(), compiled(), compiled()
    take(whole, batches)
    take(first, batches[:done])
    variables.restore(second, variables.gather(first), "checkpoint")
    take(second, batches[done:])
    assert_same_weights(second, whole, rtol=0, atol=0)
    assert int(second.optimizer._iterations) == 6
    assert second.skipped_in_a_row == whole.skipped_in_a_row == 0


def test_a_plan_goes_on_in_the_middle_of_an_accumulation():
    model = compiled(total=None)
    images, labels = batch(3)
    note = Rates()
    for first in range(2):
        model.fit(
            *(images, labels),
            batch_size=1,
            initial_epoch=first,
            epochs=2 if first else 1,
            shuffle=False,
            verbose=0,
            callbacks=[note],
        )
    planned = PolyDecay(0.5, total_steps=6)
    np.testing.assert_allclose(
        note.rates[3:], [float(planned(i)) for i in (3, 4, 5)], 1e-6
    )


# === Checkpoints of several workers ===


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        (1, [1, 2, 3, 3, 4, 5, 6, 6]),
        # The third step waits for its update; the validation comes before.
        (2, [2, 3, 4, 6, 6]),
    ],
)
def test_within_an_epoch_several_workers_save_whole_updates(
    workers, expected, tmp_path, monkeypatch
):
    saved = []
    monkeypatch.setattr(
        resume,
        "write_checkpoint",
        lambda folder, arrays, position: saved.append(position.global_step),
    )
    data = tf.data.Dataset.from_tensor_slices(batch(3)).batch(1)
    train(
        *(compiled(), data, data, tmp_path, numbered_labels(3)),
        epochs=2,
        checkpoint_minutes=0.0,
        spread=Distribution(tf.distribute.get_strategy(), 0, workers),
    )
    assert saved == expected
