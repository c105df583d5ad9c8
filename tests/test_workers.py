"""`keras-frm train` on two workers, which are processes of this machine."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from worker_training import STEPS

from keras_frm.training.checkpoint import newest_checkpoint

SCRIPT = Path(__file__).parent / "worker_training.py"
# Seconds; two processes take about 30 of two idle cores.
TIMEOUT = 400
OPTIONS = (
    *("--epochs", "2", "--patience", "9"),
    *("--weight-ema", "0.9", "--contrastive-weight", "0"),
)


class Workers:
    """Two processes that train into one run folder.

    Args:
        folder: Where they write; the run folder is in it.
        arguments: Options of the command, but those that are in the script.
        options: What each worker does besides, as the script takes it.
    """

    def __init__(self, folder, *arguments, options=({}, {})):
        folder.mkdir(exist_ok=True)
        self.run = folder / "run"
        self.outputs = [folder / f"{i}.out" for i in range(2)]
        with socket.socket() as first, socket.socket() as second:
            for each in (first, second):
                each.bind(("localhost", 0))
            cluster = [f"localhost:{each.getsockname()[1]}" for each in (first, second)]
        self.processes = [
            self._start(worker, cluster, [json.dumps(options[worker]), *arguments])
            for worker in range(2)
        ]

    def _start(self, worker, cluster, arguments):
        task = {"type": "worker", "index": worker}
        config = {"cluster": {"worker": cluster}, "task": task}
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": f"{SCRIPT.parents[1]}:{SCRIPT.parent}",
            "TF_CONFIG": json.dumps(config),
        }
        return subprocess.Popen(
            [sys.executable, SCRIPT, *arguments, "--out", self.run],
            env=environment,
            stdout=open(self.outputs[worker], "w"),
            stderr=subprocess.STDOUT,
        )

    def ended(self, seconds=TIMEOUT):
        """Wait for both; return the exit codes and what each has said."""
        end = time.monotonic() + seconds
        try:
            codes = [p.wait(max(1, end - time.monotonic())) for p in self.processes]
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{error}\n{self.said()}") from None
        finally:
            for process in self.processes:
                process.kill()
        return codes, self.said()

    def said(self):
        return [output.read_text()[-3000:] for output in self.outputs]


def log_of(run):
    with open(run / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


# === A training that nothing disturbs ===


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two epochs; every step is saved, and one worker comes late to each."""
    folder = tmp_path_factory.mktemp("workers")
    options = ({}, {"late": 0.05})
    workers = Workers(
        *(folder, *OPTIONS, "--checkpoint-every", "0.001"), options=options
    )
    codes, said = workers.ended()
    assert codes == [0, 0], said
    return workers.run


@pytest.mark.slow
def test_both_end_well_and_the_first_writes_all(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        *("best.keras", "checkpoints", "config.json", "curves.png"),
        *("last.keras", "log.csv", "samples", "tensorboard"),
    ]
    for name in ("train", "validation"):
        assert len(list((trained / "tensorboard" / name).iterdir())) == 1
    assert len(list((trained / "samples").iterdir())) == 2
    assert newest_checkpoint(trained).position.finished


@pytest.mark.slow
def test_log_has_both_epochs(trained):
    rows = log_of(trained)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(0 < float(row["val_mean_iou"]) < 1 for row in rows)


@pytest.mark.long
def test_a_finished_training_is_left_and_one_without_its_end_goes_on(trained, tmp_path):
    """What is left after the newest checkpoint is lost is done again, to the end."""
    shutil.copytree(trained, tmp_path / "run")
    newest = newest_checkpoint(tmp_path / "run").path
    shutil.rmtree(newest)
    codes, said = Workers(tmp_path, *OPTIONS).ended()
    assert codes == [0, 0], said
    assert "going on from" in said[0]
    assert_same_end(tmp_path / "run", trained)


# === A signal to one worker ===


@pytest.mark.long
@pytest.mark.parametrize(
    ("worker", "kill", "at", "position"),
    [
        pytest.param(1, "TERM", ["train", 1], (0, 1), id="first step"),
        pytest.param(0, "TERM", ["train", STEPS + 2], (1, 2), id="chief"),
        pytest.param(1, "INT", ["test", 1], (0, STEPS), id="validation"),
    ],
)
def test_all_save_and_go_on(worker, kill, at, position, trained, tmp_path):
    options = [{}, {}]
    options[worker] = {"kill": kill, "at": at}
    codes, said = Workers(tmp_path, *OPTIONS, options=options).ended()
    assert codes == ([0, 0] if kill == "TERM" else [130, 130]), said
    for each in said:
        assert "stopped by a signal after step" in each
    found = newest_checkpoint(tmp_path / "run").position
    assert (found.epoch, found.step) == position
    codes, said = Workers(tmp_path, *OPTIONS).ended()
    assert codes == [0, 0], said
    assert_same_end(tmp_path / "run", trained)


@pytest.mark.long
def test_accumulated_steps_are_saved_between_updates(tmp_path):
    """A signal in the middle of an update waits for its end."""
    arguments = (*OPTIONS, "--accumulate", "2")
    whole = Workers(tmp_path / "whole", *arguments)
    codes, said = whole.ended()
    assert codes == [0, 0], said
    ended = {"kill": "TERM", "at": ["train", 3]}
    codes, said = Workers(tmp_path / "ended", *arguments, options=({}, ended)).ended()
    assert codes == [0, 0], said
    run = tmp_path / "ended" / "run"
    assert newest_checkpoint(run).position.step == 4
    codes, said = Workers(tmp_path / "ended", *arguments).ended()
    assert codes == [0, 0], said
    assert_same_end(run, whole.run)


def assert_same_end(run, trained):
    """Compare two runs up to the round-off of parallel sums."""
    left, right = (newest_checkpoint(each).position for each in (run, trained))
    assert left.finished
    assert left.global_step == right.global_step
    for left, right in zip(log_of(run), log_of(trained), strict=True):
        assert float(left["loss"]) == pytest.approx(float(right["loss"]), 1e-3)
