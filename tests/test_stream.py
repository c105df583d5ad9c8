"""Endless streams: any start, any number of workers, the same batches."""

import itertools
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from data_files import CLASSES, write_folder, write_image, write_mask

from keras_frm.data import listing
from keras_frm.data.order import Order
from keras_frm.data.pipeline import load_dataset
from keras_frm.files import data_error

CROP = (9, 11)


def write_textured(root, count):
    """Write a folder whose examples and crops all differ."""
    rng = np.random.default_rng(count)
    for n in range(count):
        pixels = rng.integers(0, 256, (15, 17, 3), np.uint8)
        write_image(root / f"images/train/{n:03d}.png", (15, 17), pixels)
        write_mask(root / f"masks/train/{n:03d}.png", value=pixels[..., 0] % 3)
    (root / "classes.csv").write_text(CLASSES)
    return root


@pytest.fixture
def textured(tmp_path):
    return write_textured(tmp_path, count=7)


def load(root, batch_size, **options):
    options = {"crop": CROP, "colour_jitter": 0.2, **options}
    return load_dataset("folder", root, "train", batch_size=batch_size, **options)


def take(dataset, steps=None):
    """Return images and labels of the next batches, one array each."""
    batches = itertools.islice(dataset.as_numpy_iterator(), steps)
    return [np.concatenate([image, label[..., None]], -1) for image, label in batches]


def assert_same(first, second):
    assert len(first) == len(second) > 0
    for batch, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(batch, other)


def values(dataset, steps):
    """Return the grey values that name `write_folder`'s examples, a row a batch."""
    return [batch[:, 0, 0, 0].tolist() for batch in take(dataset, steps)]


def draws(order, first_step, steps):
    """Return index and seed of each example of the next batches: (steps, B, 3)."""
    examples = order.numbers(first_step).map(order.draw)
    batches = examples.batch(order.worker_batch_size, drop_remainder=True).take(steps)
    return [np.c_[index, seed] for index, seed in batches.as_numpy_iterator()]


@pytest.mark.parametrize(
    ("count", "batch_size"), [(7, 2), (7, 3), (5, 1), (4, 4), (5, 4), (1, 1)]
)
def test_the_order_is_the_same_from_any_step(count, batch_size):
    order = Order(count, batch_size, seed=3, shuffle=True, drop_remainder=True)
    steps = 2 * (count // batch_size) + 2
    whole = draws(order, 0, steps)
    assert len({batch.tobytes() for batch in whole}) == steps
    for first_step in range(1, steps):
        assert_same(draws(order, first_step, steps - first_step), whole[first_step:])
    assert [order.batch(n) for n in range(steps)] == [b[:, 0].tolist() for b in whole]


@pytest.mark.parametrize("first_step", [None, 0, 3])
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("shuffle", [True, False])
def test_shards_together_are_the_global_order(first_step, workers, shuffle):
    def next_batches(shard):
        order = Order(11, 4, 0, shuffle, drop_remainder=True, shard=shard)
        steps = order.steps_per_epoch if first_step is None else 5
        return draws(order, first_step, steps)

    shards = [next_batches((n, workers)) for n in range(workers)]
    assert all(len(batch) == 4 // workers for shard in shards for batch in shard)
    joined = [np.concatenate(parts) for parts in zip(*shards, strict=True)]
    assert_same(joined, next_batches((0, 1)))


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 4, 5, 6, 7])
def test_shards_of_a_smaller_last_batch_hold_every_example_once(count, workers):
    def epochs(shard):
        order = Order(count, 4, 0, False, drop_remainder=False, shard=shard)
        numbers = order.numbers(None)
        assert int(numbers.cardinality()) == order.worker_epoch_length
        return [[int(number) for number in numbers] for _ in range(3)]

    shards = [epochs((n, workers)) for n in range(workers)]
    assert len(shards[0][0]) == max(len(shard[0]) for shard in shards)
    for epoch, parts in enumerate(zip(*shards, strict=True)):
        numbers = sorted(number for part in parts for number in part)
        assert numbers == list(range(epoch * count, (epoch + 1) * count))


def test_batches_are_the_same_from_any_step(textured):
    whole = take(load(textured, 2, first_step=0), 8)
    assert len({batch.tobytes() for batch in whole}) == 8
    for first_step in (2, 4):  # 3 steps an epoch
        part = load(textured, 2, first_step=first_step)
        assert_same(take(part, 8 - first_step), whole[first_step:])


def test_a_stream_starts_far_away_at_once(textured):
    far = 10**12
    options = {"augment": False, "shuffle": True}
    start = time.perf_counter()
    later = take(load(textured, 3, first_step=far, **options), 2)
    assert time.perf_counter() - start < 30
    earlier = take(load(textured, 3, first_step=far - 1, **options), 3)
    assert_same(earlier[1:], later)


@pytest.mark.parametrize("options", [{}, {"augment": False, "shuffle": True}])
def test_a_stream_is_the_epochs_one_after_another(textured, options):
    epochs = load(textured, 2, drop_remainder=True, **options)
    joined = [batch for _ in range(3) for batch in take(epochs)]
    assert_same(take(load(textured, 2, first_step=0, **options), 9), joined)


def test_a_stream_without_shuffle_wraps_around(tmp_path):
    root = write_folder(tmp_path, count=5)
    options = {"augment": False, "first_step": 1}
    stream = load(root, 2, **options)
    assert values(stream, 4) == [[20, 30], [0, 10], [20, 30], [0, 10]]
    assert values(stream, 1) == [[20, 30]]
    assert load(root, 2, **options).element_spec[0].shape == (2, 12, 16, 3)


def test_a_stream_has_no_end(textured):
    stream = load(textured, 3, first_step=5)
    assert stream.cardinality() == tf.data.INFINITE_CARDINALITY
    assert len(take(stream, 20)) == 20


def test_seeds_give_different_streams(textured):
    zero, one = (take(load(textured, 3, first_step=0, seed=s), 2) for s in (0, 1))
    assert all((a != b).any() for a, b in zip(zero, one, strict=True))


def test_the_global_seed_changes_nothing(textured):
    before = take(load(textured, 3), 2)
    tf.random.set_seed(5)
    assert_same(take(load(textured, 3), 2), before)


@pytest.mark.parametrize("first_step", [None, 2])
def test_workers_change_nothing(textured, monkeypatch, first_step):
    expected = take(load(textured, 2, first_step=first_step, workers=1), 8)
    delays = itertools.cycle([0.02, 0, 0.01, 0, 0])
    read_pair = listing.read_pair

    def read_with_delay(*args, **kwargs):
        time.sleep(next(delays))
        return read_pair(*args, **kwargs)

    monkeypatch.setattr(listing, "read_pair", read_with_delay)
    for workers in (3, None):
        found = take(load(textured, 2, first_step=first_step, workers=workers), 8)
        assert_same(found, expected)


@pytest.mark.parametrize("first_step", [None, 2])
def test_shards_together_are_the_global_batch(textured, first_step):
    whole = load(textured, 2, first_step=first_step)
    shards = [load(textured, 2, first_step=first_step, shard=(n, 2)) for n in range(2)]
    for _ in range(2):  # a second iteration is a second epoch
        parts = [take(shard, 4) for shard in shards]
        joined = [np.concatenate(rows) for rows in zip(*parts, strict=True)]
        assert_same(joined, take(whole, 4))


def test_a_shard_knows_its_shape_and_steps(textured):
    shard = load(textured, 4, shard=(1, 4))
    assert shard.element_spec[0].shape == (1, *CROP, 3)
    assert shard.steps_per_epoch == int(shard.cardinality()) == 1


@pytest.mark.parametrize(
    ("batch_size", "drop", "steps"), [(3, True, 2), (3, False, 3), (7, False, 1)]
)
def test_steps_per_epoch(textured, batch_size, drop, steps):
    dataset = load(textured, batch_size, drop_remainder=drop)
    assert dataset.steps_per_epoch == int(dataset.cardinality()) == steps
    assert len(take(dataset)) == steps


def test_steps_per_epoch_of_a_stream(textured):
    assert load(textured, 2, first_step=9).steps_per_epoch == 3


@pytest.mark.parametrize("shard", [(0, 1), (1, 3)])
def test_files_of_names_the_global_batch(tmp_path, shard):
    root = write_folder(tmp_path, count=7)
    options = {"augment": False, "shuffle": True, "seed": 3, "first_step": 1}
    rows = values(load(root, 3, **options), 8)
    stream = load(root, 3, shard=shard, **options)
    for step, row in enumerate(rows, start=1):
        names = [f"{value // 10:03d}.png" for value in row]
        assert stream.files_of(step) == [str(root / "images/train" / n) for n in names]


def test_files_of_scenes_names_them():
    stream = load_dataset("synthetic", batch_size=2, count=2, first_step=0)
    assert sorted(stream.files_of(4)) == ["synthetic scene 0", "synthetic scene 1"]


def drawn(order, epochs):
    """Return the indices of an order, a row an epoch."""
    numbers = tf.data.Dataset.range(epochs * order.epoch_length)
    indices = numbers.map(lambda n: order.draw(n)[0]).batch(order.epoch_length)
    return np.stack(list(indices.as_numpy_iterator()))


@pytest.mark.parametrize(("count", "batch_size"), [(23, 5), (16, 4), (3, 1)])
def test_an_epoch_holds_no_example_twice(count, batch_size):
    order = Order(count, batch_size, seed=1, shuffle=True, drop_remainder=True)
    epochs = drawn(order, 30)
    assert all(len(set(epoch)) == order.epoch_length for epoch in epochs.tolist())
    assert set(epochs.flat) == set(range(count))


def test_orders_do_not_repeat_in_a_long_training():
    order = Order(20, 4, seed=0, shuffle=True, drop_remainder=True)
    epochs = drawn(order, 600)
    # Of 65536 orders that index_shuffle knows, 600 draws give about 3 pairs.
    assert len({tuple(epoch) for epoch in epochs.tolist()}) > 580


def test_every_place_gets_every_example_evenly():
    order = Order(10, 10, seed=0, shuffle=True, drop_remainder=True)
    counts = np.stack(
        [np.bincount(place, minlength=10) for place in drawn(order, 1000).T]
    )
    # Binomial of mean 100 and deviation 9.5: five of them.
    assert np.abs(counts - 100).max() < 48


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_step": -1}, "first_step is -1; steps count from 0"),
        ({"shard": (2, 2)}, r"shard is \(2, 2\); it must be \(worker, workers\)"),
        ({"shard": (-1, 2)}, r"shard is \(-1, 2\)"),
        ({"shard": (0, 0)}, r"shard is \(0, 0\)"),
        ({"shard": (0, 4)}, "batch_size 6 .* 4 workers .* divisible by 4"),
        ({"first_step": 0, "drop_remainder": False}, "first_step pass drop_remainder"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"cache": __file__}, "cache='.*test_stream.py' is no folder"),
        ({"batch_size": 8, "first_step": 0}, "7 examples do not fill one batch of 8"),
    ],
)
def test_wrong_arguments_are_named(textured, options, message):
    with pytest.raises(ValueError, match=message):
        load(textured, **{"batch_size": 6, **options})


def test_a_cache_changes_no_batch(textured, tmp_path_factory):
    expected = take(load(textured, 2, first_step=0), 7)
    folder = tmp_path_factory.mktemp("cache")
    for _ in range(2):  # written, read
        found = load(textured, 2, first_step=0, cache=folder, workers=4)
        assert_same(take(found, 7), expected)
    assert len(list(folder.iterdir())) == 7


def test_scenes_are_not_cached(tmp_path):
    with pytest.raises(ValueError, match="'synthetic' reads no files: pass cache=None"):
        load_dataset("synthetic", batch_size=1, cache=tmp_path)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("lost", ["images", "masks"])
def test_a_file_that_vanishes_is_named(textured, lost, cached):
    cache = textured / "cache" if cached else None
    options = {"first_step": 0, "augment": False, "cache": cache}
    stream = load(textured, 2, **options).as_numpy_iterator()
    list(itertools.islice(stream, 7))  # every file was read, and is cached
    path = textured / lost / "train/003.png"
    path.unlink()
    with pytest.raises(tf.errors.OpError) as caught:
        list(itertools.islice(stream, 100))
    assert (
        str(data_error(caught.value)) == f"There is no file '{path}'. Check the path."
    )


class Recorder(keras.Model):
    """Note the first value of each example it is trained on."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def train_step(self, data):
        self.seen.append(data[0].numpy()[:, 0, 0, 0].tolist())
        return {"loss": 0.0}


def test_fit_goes_through_a_stream_step_by_step(tmp_path):
    root = write_folder(tmp_path, count=7)
    options = {"augment": False, "shuffle": True}
    expected = values(load(root, 2, first_step=0, **options), 8)
    model = Recorder()
    model.compile(run_eagerly=True)
    stream = load(root, 2, first_step=2, **options)
    model.fit(stream, epochs=2, steps_per_epoch=3, shuffle=False, verbose=0)
    assert model.seen == expected[2:]
