"""`--val-share`: what the commands make of it; `load_dataset` does the dividing."""

import json

import pytest
from test_cli import SMALL, camvid, keras_frm, quick_model, trained  # noqa: F401

from keras_frm.cli.trained import split_of_run
from keras_frm.errors import ArgumentError


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask `load_dataset` for, which divides nothing here."""
    from keras_frm.data.pipeline import load_dataset

    splits = []

    def load(name, root, split, *, val_share=None, **options):
        splits.append((split, val_share))
        return load_dataset(name, root, split, **options)

    monkeypatch.setattr("keras_frm.cli.datasets.load_dataset", load)
    return splits


@pytest.mark.slow
def test_the_run_keeps_the_share(asked, quick_model, camvid, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    command = ("train", "--preset", "camvid", "--data", camvid, "--out", run, *SMALL)
    done = keras_frm(*command, "--val-share", 0.25)
    assert done.code == 0, done.err
    assert {("train", 0.25), ("val", 0.25)} == set(asked)
    assert json.loads((run / "config.json").read_text())["val_share"] == 0.25
    line = keras_frm("train", "--out", run, "--val-share", 0.5).only_line
    assert "was started with val_share 0.25, not 0.5" in line
    asked.clear()
    done = keras_frm("evaluate", run)
    assert done.code == 0, done.err
    assert asked == [("val", 0.25)]


def test_a_share_is_that_of_the_runs_data(tmp_path):
    run, data, other = tmp_path / "run", tmp_path / "data", tmp_path / "other"
    for folder in (run, data, other):
        folder.mkdir()
    settings = {"val_share": 0.1, "options": {"data": str(data)}}
    (run / "config.json").write_text(json.dumps(settings))
    for model in (run, run / "best.keras"):
        assert split_of_run([model], data / "." / "..") == {}
        assert split_of_run([model], other / ".." / "data") == {"val_share": 0.1}
    assert split_of_run([run], other) == split_of_run([run], None) == {}


def test_a_missing_val_names_the_option(monkeypatch, camvid, tmp_path):  # noqa: F811
    def load(name, root, split, **options):
        raise ArgumentError("There is no folder 'val'", "val_share", "pass val_share=")

    monkeypatch.setattr("keras_frm.cli.datasets.load_dataset", load)
    command = ("train", "--preset", "camvid", "--data", camvid, *SMALL)
    line = keras_frm(*command, "--out", tmp_path / "run").only_line
    assert "There is no folder 'val'; pass --val-share 0.1 to hold out" in line
