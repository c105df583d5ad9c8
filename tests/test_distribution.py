"""One device, two devices and two processes train the same; what is wrong is one line.

The trainings run in processes of their own, for TensorFlow takes its devices once.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_frm.training.distribution import Distribution, WorkerLostError, distribution

SCRIPT = Path(__file__).parent / "distributed_training.py"
# Seconds; a process takes about 60 of two idle cores.
TIMEOUT = 540
SETUPS = ("mirrored", "workers")
SCENARIOS = (
    *("plain", "contrastive", "broken", "broken_float16"),
    *("accumulated", "overflow", "restored", "refused"),
)
SMALL_SCENARIOS = ("broken", "shared", "drop_path", "validated", "quantized")


def start(folder, scenarios, devices="one", cpus=1, cluster=None, worker=0):
    """Start a training and return its process."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = f"{SCRIPT.parents[1]}:{SCRIPT.parent}"
    environment.pop("TF_CONFIG", None)
    if cluster:
        task = {"type": "worker", "index": worker}
        content = {"cluster": {"worker": cluster}, "task": task}
        environment["TF_CONFIG"] = json.dumps(content)
    return subprocess.Popen(
        [sys.executable, SCRIPT, devices, str(cpus), scenarios, folder],
        env=environment,
        stdout=open(folder / f"{worker}.out", "w"),
        stderr=open(folder / f"{worker}.err", "w"),
    )


def start_workers(folder, scenarios):
    """Start two workers on free ports."""
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("localhost", 0))
        cluster = [f"localhost:{each.getsockname()[1]}" for each in (first, second)]
    return [start(folder, scenarios, cluster=cluster, worker=i) for i in range(2)]


def finish(folder, processes):
    """Wait for processes that should end well; return what each has written."""
    end = time.monotonic() + TIMEOUT
    try:
        for worker, process in enumerate(processes):
            code = process.wait(max(1, end - time.monotonic()))
            assert code == 0, (folder / f"{worker}.err").read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()
    return [dict(np.load(folder / f"{i}.npz")) for i in range(len(processes))]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one device, two devices and each of two workers have come to."""
    return trained_everywhere(tmp_path_factory, ",".join(SCENARIOS))


@pytest.fixture(scope="module")
def small_results(tmp_path_factory):
    """The same of what takes a network of two convolutions, or none."""
    return trained_everywhere(tmp_path_factory, ",".join(SMALL_SCENARIOS))


def trained_everywhere(tmp_path_factory, scenarios):
    """Train on one device, on two, and on two workers; return what each has written."""
    one, mirrored, workers = (tmp_path_factory.mktemp(n) for n in ("one", *SETUPS))
    return {
        "one": finish(one, [start(one, scenarios)]),
        "mirrored": finish(mirrored, [start(mirrored, scenarios, "all", cpus=2)]),
        "workers": finish(workers, start_workers(workers, scenarios)),
    }


def part(results, setup, scenario, kind):
    """Return one kind of results of a scenario, for each process."""
    prefix = f"{scenario}/{kind}"
    return [
        {key: value for key, value in each.items() if key.startswith(prefix)}
        for each in results[setup]
    ]


def weights(results, setup, scenario):
    """Return what each replica holds at the end: index and path -> array."""
    replicas = []
    for of_process in part(results, setup, scenario, "weight/"):
        for copy in range(2):
            prefix = f"{scenario}/weight/{copy}/"
            # Names of layers made later are numbered, the index is the same.
            held = {
                k[len(prefix) :][:3]: v for k, v in of_process.items() if prefix in k
            }
            replicas += [held] if held else []
    return replicas


# === Many devices ===


@pytest.mark.slow
@pytest.mark.parametrize("setup", SETUPS)
def test_small_network_trains_as_on_one_device(small_results, setup):
    """With unequal numbers of valid pixels, none in a replica, and a bad step."""
    assert_same_weights(small_results, setup, "broken")
    assert_same_logs(small_results, setup, "broken")


def copies(results, setup, name):
    """Return what all replicas hold of one result, those of the first process first."""
    return [
        value
        for each in results[setup]
        for key, value in sorted(each.items())
        if key.startswith(f"{name}/")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("setup", ["one", *SETUPS])
def test_quantised_model_compiles_outside_of_the_scope(small_results, setup):
    (expected,) = small_results["one"]
    for each in small_results[setup]:
        assert each["quantized/use_ema"]
        assert each["quantized/l2"] == 1e-4
        np.testing.assert_allclose(
            each["quantized/loss"], expected["quantized/loss"], rtol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("setup", SETUPS)
def test_replicas_drop_what_one_device_drops_of_the_global_batch(small_results, setup):
    drawn = []
    for turn in range(3):
        (expected,) = copies(small_results, "one", f"drop_path/{turn}")
        parts = copies(small_results, setup, f"drop_path/{turn}")
        np.testing.assert_array_equal(np.concatenate(parts), expected)
        drawn.append(parts)
    first, second = np.array(drawn).transpose(1, 0, 2)  # (turns, images)
    assert (first != second).any()


@pytest.mark.slow
@pytest.mark.parametrize("setup", SETUPS)
def test_a_checkpoint_within_an_accumulation_has_the_part_of_every_replica(
    small_results, setup
):
    before = copies(small_results, setup, "shared/before")
    after = copies(small_results, setup, "shared/after")
    assert len(before) == len(after) == 2
    assert np.abs(before[0] - before[1]).max() > 1e-4
    np.testing.assert_array_equal(after[0], after[1])
    (alone,) = copies(small_results, "one", "shared/before")
    for held in (before, after):
        np.testing.assert_allclose(sum(held), alone, rtol=1e-4, atol=1e-6)
    saved = [
        {key: value for key, value in each.items() if "shared/saved_after" in key}
        for each in small_results[setup]
    ]
    assert saved[0]
    for key, value in saved[0].items():
        np.testing.assert_array_equal(saved[-1][key], value)


@pytest.mark.slow
@pytest.mark.parametrize("setup", SETUPS)
def test_sharded_validation_counts_every_image_once(small_results, setup):
    (expected,) = small_results["one"]
    for each in small_results[setup]:
        for count in (1, 5):
            counts = expected[f"validated/counts/{count}"]
            assert counts.sum() > 0.5 * count * 64 * 128
            np.testing.assert_array_equal(each[f"validated/counts/{count}"], counts)
            name = f"validated/mean_iou/{count}"
            assert each[name] == expected[name]


same_training = pytest.mark.parametrize(
    "scenario", ["plain", "broken", "accumulated", "overflow"]
)


@pytest.mark.long
@pytest.mark.parametrize("setup", SETUPS)
@same_training
def test_same_weights_as_on_one_device(results, setup, scenario):
    assert_same_weights(results, setup, scenario)


@pytest.mark.long
@pytest.mark.parametrize("setup", SETUPS)
@same_training
def test_same_logs_as_on_one_device(results, setup, scenario):
    assert_same_logs(results, setup, scenario)


def assert_same_weights(results, setup, scenario):
    (expected,) = weights(results, "one", scenario)
    replicas = weights(results, setup, scenario)
    assert len(replicas) == 2
    for held in replicas:
        assert held.keys() == expected.keys()
        for index, value in held.items():
            size = np.abs(expected[index]).max()
            np.testing.assert_allclose(value, expected[index], 0, 2e-5 * max(size, 1))


def assert_same_logs(results, setup, scenario):
    (expected,) = part(results, "one", scenario, "log/")
    assert f"{scenario}/log/mean_iou" in expected
    for logs in part(results, setup, scenario, "log/"):
        assert logs.keys() == expected.keys()
        for name, values in logs.items():
            np.testing.assert_allclose(values, expected[name], 1e-5, err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize("setup", SETUPS)
def test_same_mean_iou_of_a_number_of_images_that_cannot_be_divided(results, setup):
    (expected,) = part(results, "one", "plain", "val/mean_iou")
    for values in part(results, setup, "plain", "val/mean_iou"):
        assert values == expected


@pytest.mark.long
@pytest.mark.parametrize("scenario", ["plain", "contrastive", "broken_float16"])
@pytest.mark.parametrize("setup", SETUPS)
def test_replicas_hold_the_same(results, setup, scenario):
    first, second = weights(results, setup, scenario)
    for index, value in first.items():
        assert np.isfinite(value).all()
        np.testing.assert_array_equal(value, second[index])


@pytest.mark.long
@pytest.mark.parametrize("setup", SETUPS)
def test_contrastive_loss_of_replicas(results, setup):
    for logs in part(results, setup, "contrastive", "log/"):
        total = logs["contrastive/log/cross_entropy"]
        total = total + logs["contrastive/log/contrastive"]
        np.testing.assert_allclose(logs["contrastive/log/loss"], total, 1e-5)
        assert (logs["contrastive/log/contrastive"][:3] > 0).all()


@pytest.mark.long
@pytest.mark.parametrize("setup", ["one", *SETUPS])
@pytest.mark.parametrize("scenario", ["broken", "broken_float16", "accumulated"])
def test_a_step_that_is_bad_on_one_replica_is_skipped_by_all(results, setup, scenario):
    for logs in part(results, setup, scenario, "log/"):
        np.testing.assert_array_equal(
            logs[f"{scenario}/log/skipped_steps"], [0, 0, 1, 0, 0]
        )
    for each in results[setup]:
        assert each[f"{scenario}/iterations"] == (2 if scenario == "accumulated" else 4)
        assert each[f"{scenario}/skipped_in_a_row"] == 0


@pytest.mark.long
@pytest.mark.parametrize("setup", ["one", *SETUPS])
def test_overflow_on_one_replica_halves_the_scale_of_all(results, setup):
    for each in results[setup]:
        assert 0 < each["overflow/iterations"] < 12
        assert each["overflow/log/skipped_steps"].sum() == 0


@pytest.mark.long
@pytest.mark.parametrize("setup", ["one", *SETUPS])
def test_counts_of_a_metric_are_restored_exactly(results, setup):
    for each in results[setup]:
        expected = np.arange(20).reshape(2, 10)
        np.testing.assert_array_equal(each["restored/counts"], expected)


@pytest.mark.long
def test_what_replicas_cannot_share_or_do_is_refused(results):
    assert results["one"][0]["refused/outside"] == ""
    assert results["one"][0]["refused/at_once"] == ""
    for each in results["mirrored"] + results["workers"]:
        assert "mean_iou/counts was made outside" in str(each["refused/outside"])
        assert "`steps_per_execution` must be 1 on 2" in str(each["refused/at_once"])
        assert "XLA cannot compile a step on 2 devices" in str(each["refused/xla"])


@pytest.mark.slow
def test_a_killed_worker_ends_the_other_with_one_line(tmp_path):
    """Within 60 seconds: TensorFlow waits 10 for the heartbeat of the other."""
    survivor, killed = start_workers(tmp_path, "endless")
    try:
        end = time.monotonic() + TIMEOUT
        while "epoch 2" not in (tmp_path / "0.out").read_text():
            assert survivor.poll() is None, (tmp_path / "0.err").read_text()[-3000:]
            assert time.monotonic() < end
            time.sleep(0.2)
        killed.kill()
        assert survivor.wait(60) == 1
    finally:
        for process in (survivor, killed):
            process.kill()
    last = (tmp_path / "0.err").read_text().strip().splitlines()[-1]
    assert re.search("WorkerLostError: Worker 0 of 2 lost .* again to go on", last)


# === What is wrong ===


def config(**changes):
    """Return a TF_CONFIG of two workers with some parts replaced."""
    content = {
        "cluster": {"worker": ["a:1", "b:2"]},
        "task": {"type": "worker", "index": 0},
    }
    return {"TF_CONFIG": json.dumps({**content, **changes})}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{worker"}, "TF_CONFIG is wrong: Expecting property name"),
        ({"TF_CONFIG": "[1]"}, "TF_CONFIG is wrong: .*'get'"),
        (config(task={"type": "worker"}), "it has no 'index'"),
        (config(task={"type": "worker", "index": 2}), "the index 2"),
        (config(task={"type": "worker", "index": "0"}), "the index '0'"),
        (config(task={"type": "ps", "index": 0}), "of type 'ps'"),
        (config(task=None), "TF_CONFIG is wrong"),
        (config(cluster={"chief": ["a:1"], "worker": ["b:2"]}), "names chief"),
    ],
)
def test_wrong_tf_config_is_one_line(environment, message):
    with pytest.raises(ValueError, match=message) as caught:
        distribution("one", environment)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "environment",
    [{}, {"TF_CONFIG": " "}, config(cluster={"worker": ["a:1"]}), config(cluster={})],
)
def test_one_device_needs_no_strategy(environment):
    chosen = distribution("one", environment)
    assert not tf.distribute.has_strategy()
    assert chosen.strategy is tf.distribute.get_strategy()
    assert (chosen.shard, chosen.replicas, chosen.is_chief) == ((0, 1), 1, True)
    data = tf.data.Dataset.range(4)
    assert chosen.distributed(data, 4) is data
    assert chosen.evaluated(data) is data
    assert chosen.evaluated(lambda shard: {(0, 1): data}[shard]) is data


@pytest.mark.parametrize("devices", ["none", "0", "-1", "1.5", ""])
def test_wrong_devices_are_one_line(devices):
    with pytest.raises(ValueError, match="one, all or a number"):
        distribution(devices, {})


def test_more_devices_than_there_are():
    with pytest.raises(ValueError, match=r"There are \d+ .* devices, not 999"):
        distribution("999", {})


class OfThree:
    """In a strategy's place."""

    num_replicas_in_sync = 3


def test_batch_that_cannot_be_divided():
    chosen = Distribution(OfThree())
    assert chosen.replica_batch(12) == 4
    with pytest.raises(
        ValueError, match=r"batch of 8 .* 3 devices; take a batch size of 6"
    ):
        chosen.replica_batch(8)
    with pytest.raises(ValueError, match="take a batch size of 3"):
        chosen.replica_batch(2)


def test_only_a_lost_worker_is_called_one():
    lost = tf.errors.UnavailableError(None, None, "Socket closed")
    several, alone = Distribution(OfThree(), 1, 2), Distribution(OfThree())
    with pytest.raises(WorkerLostError, match="Worker 1 of 2"), several.watching():
        raise lost
    with pytest.raises(tf.errors.UnavailableError), alone.watching():
        raise lost
    with pytest.raises(KeyError), several.watching():
        raise KeyError
