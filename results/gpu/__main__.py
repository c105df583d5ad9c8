"""Measure and train on a machine with a GPU, JAX and no TensorFlow.

    python -m results.gpu measure --out OUT
    python -m results.gpu train --archives FOLDER --out OUT

To be run in the root of a checkout; `results/gpu/README.md` says what to bring along.
"""

import argparse
import os
from pathlib import Path


def main():
    """Run one of the modes."""
    parser = argparse.ArgumentParser(prog="python -m results.gpu", description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    measuring = modes.add_parser("measure", help="write gpu.csv")
    measuring.add_argument("--minutes", type=float, default=4, help="of all cases")
    measuring.add_argument("--limit", type=float, default=75, help="seconds of a case")
    training = modes.add_parser("train", help="leave weights in float16, and a log")
    training.add_argument("--minutes", type=float, default=5, help="of both trainings")
    training.add_argument("--archives", type=Path, required=True)
    for mode in (measuring, training):
        mode.add_argument("--out", type=Path, required=True, help="folder to write to")
        mode.add_argument("--smallest", action="store_true", help="try it on a CPU")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.mode == "measure":
        from results.gpu.cases import all_cases, smallest_cases
        from results.gpu.measure import measure

        cases = smallest_cases() if given.smallest else all_cases()
        measure(cases, given.out, given.minutes, given.limit)
    else:
        os.environ.setdefault("KERAS_BACKEND", "jax")
        from results.gpu.train import SMALLEST, WHOLE, train

        settings = SMALLEST if given.smallest else WHOLE
        train(given.archives, given.out, given.minutes, settings)


if __name__ == "__main__":
    main()
