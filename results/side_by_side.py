"""Networks trained side by side from random weights, on Cityscapes at 256x256.

python results/side_by_side.py CITYSCAPES_FOLDER [--only NAME ...] [--epochs 5]

All get equal images (stretched to 256x512, crops of 192x192), the same batches,
augmentation and optimiser, and plain cross-entropy of the network's own logits, without
auxiliary heads or class weights; then they are measured on `val`. A row goes to
results/side_by_side.csv after each training.
"""

import argparse
from pathlib import Path

from contexts import train_and_measure
from table import write_table

from keras_frm.presets import preset

CROP, BATCH, RATE = (192, 192), 8, 1e-3
RUNS = {
    "ddrnet_23_slim": {},
    "pidnet_s": {},
    "frm, van_tiny": {"network": "frm", "backbone": "van_tiny"},
    "frm_lite0": {},
}
IMAGES = 2975
AUXILIARY = ("high", "p", "d")  # outputs of DDRNet and of PIDNet


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cityscapes", type=Path)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    chosen = preset("cityscapes_small").with_changes(
        crop=CROP,
        batch_size=BATCH,
        learning_rate=RATE,
        class_weights=None,
        auxiliary_weights=dict.fromkeys(AUXILIARY, 0.0),
    )
    steps = given.epochs * IMAGES // BATCH
    write_table(
        (
            train_and_measure(
                *(name, chosen, {"network": name} | RUNS[name], given.cityscapes),
                *(given.seed, steps, given.cache),
            )
            for name in given.only
        ),
        given.out,
    )


if __name__ == "__main__":
    main()
