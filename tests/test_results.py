"""The scripts in `results` that made the tables."""

import csv
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "results"
SCRIPTS = sorted(path for path in RESULTS.glob("*.py"))
# What single scripts compare with; everything else must be there.
NOT_HERE = {"pycocotools", "torch"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_name_that_a_script_imports_is_there(script, monkeypatch):
    monkeypatch.syspath_prepend(str(RESULTS))
    try:
        assert importlib.import_module(script.stem).__doc__
    except ModuleNotFoundError as error:
        if error.name not in NOT_HERE:
            raise
        pytest.skip(f"{error.name} is not installed")


@pytest.mark.slow
def test_latency_of_files_of_two_formats(tmp_path):
    out = tmp_path / "latency.csv"
    command = [sys.executable, RESULTS / "latency.py", tmp_path, "--out", out]
    command += ["--networks", "frm_lite0:decoder_width=16"]
    command += ["--sizes", "64x96", "--runs", "2"]
    command += ["--files", "plain", "float32", "onnx_float32"]
    environment = {**os.environ, "PYTHONPATH": str(RESULTS.parent)}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    rows = list(csv.DictReader(out.open(newline="")))
    assert [row["file"] for row in rows] == ["plain", "float32", "onnx_float32"]
    for row in rows:
        assert float(row["logits_difference"]) < 1e-4
        assert float(row["ms_median"]) > 0
