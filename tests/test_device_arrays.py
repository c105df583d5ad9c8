"""Batches that are made on the device, from the same numbers as the pipeline's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import batch, toy_model, weights_of
from views import CASES, assert_same_views, case

import keras_frm
from keras_frm import dataset_from_arrays
from keras_frm.backend import compiled
from keras_frm.data.arrays.augmentation import augment
from keras_frm.data.augmentation import view_of

# === Views ===


def piped_views(images, masks, draws, options):
    """Return the pipeline's views of the same draws."""
    view = tf.function(lambda *pair: view_of(*pair, **options))
    examples = zip(images, masks, draws, strict=True)
    pairs = [view(*map(tf.constant, example)) for example in examples]
    return [np.stack(arrays) for arrays in zip(*pairs, strict=True)]


def device_views(images, masks, draws, options):
    """Return the device's views."""
    view = compiled(lambda *arrays: augment(*arrays, **options))
    return [array.numpy() for array in view(images, masks, draws)]


@pytest.mark.parametrize("name", CASES)
def test_views_are_those_of_the_pipeline(name):
    *arrays, options = case(name)
    piped, device = piped_views(*arrays, options), device_views(*arrays, options)
    assert device[0].shape == (len(arrays[0]), *options["crop"], 3)
    assert (device[0].dtype, device[1].dtype) == (np.uint8, np.uint8)
    assert_same_views(*device, *piped)


def test_the_cases_pad_flip_and_crop():
    """Else they would compare nothing."""
    images, masks, draws, options = case("image smaller than the crop")
    views, ids = device_views(images, masks, draws, options)
    padded = ids == options["ignore_label"]
    assert padded.any(axis=(1, 2)).all()
    assert (views[padded] == (124, 116, 104)).all()
    images, masks, draws, options = case("scale of one")
    _, ids = device_views(images, masks, draws, options)
    _, plain = device_views(images, masks, draws, {**options, "flip": False})
    mirrored = [(a == b[:, ::-1]).all() for a, b in zip(ids, plain, strict=True)]
    assert mirrored == (draws[:, 8] < 0.5).tolist()
    assert 0 < sum(mirrored) < len(mirrored)
    assert len(np.unique(plain[:, 0, 0])) > 3


def test_a_view_depends_on_its_own_draws_alone():
    images, masks, draws, options = case("strong jitter")
    alone = device_views(images[3:4], masks[3:4], draws[3:4], options)
    together = device_views(images, masks, draws, options)
    assert_same_views(*alone, together[0][3:4], together[1][3:4])


# === Batches ===


def arrays(count=6, size=(40, 60)):
    """Return images that can be told apart, and masks of CamVid's classes."""
    images, masks = batch(count, size, num_classes=11)
    images[:, 0, 0, 0] = np.arange(count)
    return images, masks


def numbers(dataset):
    """Return which images the batches of one epoch hold."""
    return [views.numpy()[:, 0, 0, 0].tolist() for views, _ in dataset]


def test_the_same_seed_gives_the_same_batches_and_epochs_differ():
    options = {"batch_size": 2, "crop": (16, 24)}
    first, again, other = (
        dataset_from_arrays("camvid", *arrays(), seed=seed, **options)
        for seed in (1, 1, 2)
    )
    one, two = ([views.numpy() for views, _ in first] for _ in range(2))
    for views, (expected, _) in zip(one, again, strict=True):
        np.testing.assert_array_equal(views, expected)
    assert all((a != b).any() for a, b in zip(one, two, strict=True))
    assert any((a != b.numpy()).any() for a, (b, _) in zip(one, other, strict=True))
    np.testing.assert_array_equal(again.batch(5)[0], two[2])


def test_an_epoch_has_every_example_once_in_an_order_of_its_own():
    dataset = dataset_from_arrays(
        "camvid", *arrays(12), batch_size=4, augment=False, shuffle=True
    )
    epochs = [[n for of_batch in numbers(dataset) for n in of_batch] for _ in range(2)]
    assert [sorted(epoch) for epoch in epochs] == 2 * [list(range(12))]
    assert epochs[0] != epochs[1]


def test_an_epoch_that_was_not_finished_comes_again():
    dataset = dataset_from_arrays("camvid", *arrays(), batch_size=2, augment=False)
    for views, _ in dataset:
        assert views[1, 0, 0, 0] == 1
        break
    assert numbers(dataset) == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(("drop", "sizes"), [(True, [4]), (False, [4, 2])])
def test_the_last_smaller_batch(drop, sizes):
    dataset = dataset_from_arrays(
        "camvid", *arrays(), batch_size=4, crop=(8, 8), drop_remainder=drop
    )
    assert [len(ids) for _, ids in dataset] == sizes
    assert len(dataset) == dataset.steps_per_epoch == len(sizes)


def test_without_augmentation_images_stay_as_they_are():
    images, masks = arrays()
    dataset = dataset_from_arrays("camvid", images, masks, augment=False)
    for number, (views, ids) in enumerate(dataset):
        np.testing.assert_array_equal(views, images[number : number + 1])
        np.testing.assert_array_equal(ids, masks[number : number + 1])
    assert number == len(images) - 1


def test_what_is_not_given_comes_from_the_preset():
    preset = keras_frm.presets.preset("camvid").with_changes(
        crop=(24, 32), batch_size=3, scale_range=(1.0, 1.0), colour_jitter=0.0
    )
    images, masks = arrays()
    images[:] = 7
    views, ids = dataset_from_arrays(preset, images, masks).batch(0)
    assert ids.shape == (3, 24, 32)
    assert np.unique(views).tolist() == [7]  # neither padded nor coloured
    views, _ = dataset_from_arrays(preset, images, masks, colour_jitter=0.9).batch(0)
    assert np.unique(views).tolist() != [7]


def test_labels_travel():
    images, masks = arrays()
    plain = dataset_from_arrays("camvid", images, masks, augment=False)
    assert plain.labels.name == "camvid"
    merged = keras_frm.merge_classes(
        keras_frm.presets.preset("camvid").labels, {"ignore": "sky", "rest": "tree"}
    )
    dataset = dataset_from_arrays(
        "camvid", images, masks, labels=merged, augment=False, batch_size=6
    )
    _, ids = dataset.batch(0)
    assert dataset.labels.classes == merged.classes
    expected = np.where(masks == 0, 255, np.where(masks == 255, 255, masks - 1))
    np.testing.assert_array_equal(ids, expected)


# === Trainings ===


def spied(model, made):
    """Let `fit` hand its batches over in place of training."""

    def take(iterator):
        made.append(next(iterator))
        return {}

    model.compile(metrics=[])
    model.train_function = take
    model.get_metrics_result = dict
    return model


def test_fit_gets_the_batches_themselves():
    """The very tensors: nothing was copied to the host, or through NumPy."""
    dataset = dataset_from_arrays("camvid", *arrays(), batch_size=2, crop=(16, 24))
    made, taken = [], []
    make = dataset.batch
    dataset.batch = lambda step: made.append(make(step)) or made[-1]
    spied(toy_model(11), taken).fit(dataset, epochs=2, verbose=0)
    assert len(taken) == len(made) == 6
    for batch_made, batch_taken in zip(made, taken, strict=True):
        assert all(a is b for a, b in zip(batch_made, batch_taken, strict=True))


def test_a_training_is_that_of_the_batches_one_by_one():
    model, other = (toy_model(11, contrastive_weight=0.0) for _ in "ab")
    other.set_weights(model.get_weights())
    options = {"batch_size": 2, "crop": (16, 24), "seed": 3}
    dataset = dataset_from_arrays("camvid", *arrays(), **options)
    for each in (model, other):
        each.compile(keras.optimizers.SGD(0.1), metrics=[])
    model.fit(dataset, epochs=2, verbose=0)
    for step in range(6):
        other.train_on_batch(*dataset.batch(step))
    for path, value in weights_of(model).items():
        np.testing.assert_allclose(value, weights_of(other)[path], 1e-5, 1e-6)


def test_fit_evaluate_and_predict():
    images, masks = arrays()
    model = toy_model(11)
    model.compile(steps_per_execution=2)
    train = dataset_from_arrays("camvid", images, masks, batch_size=1, crop=(16, 24))
    val = dataset_from_arrays("camvid", images, masks, augment=False, batch_size=4)
    history = model.fit(train, epochs=2, validation_data=val, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][1] != history["loss"][0]
    model.compile(metrics=None)
    logs = model.evaluate(val, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-5)
    assert model.predict(val, verbose=0).shape == (6, 40, 60, 11)
    evaluation = keras_frm.evaluate(model, val)
    assert evaluation.images == 6
    assert evaluation.mean_iou == pytest.approx(logs["mean_iou"], rel=1e-5)


def test_class_weights_weigh_pixels():
    model, other = (toy_model(11, contrastive_weight=0.0) for _ in "ab")
    other.set_weights(model.get_weights())
    dataset = dataset_from_arrays("camvid", *arrays(), batch_size=6, augment=False)
    for each, weights in ((model, {0: 3.0}), (other, None)):
        each.compile(keras.optimizers.SGD(0.1), metrics=[])
        each.fit(dataset, class_weight=weights, verbose=0)
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    assert any((a != b).any() for a, b in pairs)


def test_all_ignored_leaves_the_weights():
    images, masks = arrays()
    masks[:] = 255
    model = toy_model(11)
    model.compile(keras.optimizers.SGD(0.1))
    before = weights_of(model)
    dataset = dataset_from_arrays("camvid", images, masks, batch_size=2, crop=(16, 16))
    assert model.fit(dataset, verbose=0).history["loss"] == [0]
    for path, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[path])


# === What is refused ===


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 8, 8, 3))}, "images are float64; pass .* uint8"),
        ({"images": np.zeros((2, 8, 8), np.uint8)}, r"\(2, 8, 8\); pass RGB"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8)}, "pass RGB"),
        ({"masks": np.zeros((2, 8, 9), np.uint8)}, "of each image's size"),
        ({"masks": np.full((2, 8, 8), 12, np.uint8)}, "Mask 0 holds 12, .* 11 classes"),
        ({"batch_size": 3}, "do not fill one batch of 3"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"name": "kitti"}, "no preset 'kitti'"),
        ({"labels": keras_frm.presets.preset("cityscapes").labels}, "merge_classes"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    given = {
        "name": "camvid",
        "images": np.zeros((2, 8, 8, 3), np.uint8),
        "masks": np.zeros((2, 8, 8), np.uint8),
        "batch_size": 2,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        dataset_from_arrays(**given)


def test_several_replicas_are_refused(monkeypatch):
    model = toy_model(11)
    model.compile()
    monkeypatch.setattr(type(model), "replicas", 2)
    dataset = dataset_from_arrays("camvid", *arrays(), batch_size=2)
    with pytest.raises(ValueError, match=r"on one device, .* on 2\. Pass .*load_data"):
        model.fit(dataset, verbose=0)
