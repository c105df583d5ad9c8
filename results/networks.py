"""All networks in one table: latency, memory, size, and published accuracy.

python results/networks.py WORK_FOLDER [--networks NAME ...] [--runs 9]

Networks as in `latency.py`, whose files take an image of 512x1024 and give its mask, of
the same size. All are timed in turn; ratios are to the float32 file of DDRNet-39.
Published mean IoUs are those of results/networks/published.csv. Writes
results/networks/networks.csv and, of what has a published mean IoU,
results/networks/latency.png.
"""

import argparse
import csv
import math
from pathlib import Path

from latency import built, export_all, measure, open_all
from table import write_table

import keras_frm
from keras_frm.benchmark.comparison_plot import tradeoff_picture
from keras_frm.files import write_png

SIZE = (512, 1024)
FOLDER = Path(__file__).with_suffix("")
NETWORKS = (
    *("ddrnet_39", "ddrnet_23", "ddrnet_23_slim", "pidnet_s", "pidnet_m", "pidnet_l"),
    *("sfnet_r18", "segformer_b0", "segformer_b1"),
    *("frm", "frm_table1", "frm:backbone=van_tiny", "frm_lite0"),
)


def published():
    """Return network -> its row of what its authors publish."""
    with (FOLDER / "published.csv").open(newline="") as file:
        return {row.pop("network"): row for row in csv.DictReader(file)}


def with_counts(rows):
    """Yield the rows with what is counted and what is published."""
    counts, authors = {}, published()
    unknown = dict.fromkeys(next(iter(authors.values())), "")
    for row in rows:
        network = row["network"]
        if network not in counts:
            counts[network] = keras_frm.profile(built(network), SIZE)[-1]
        total = counts[network]
        yield row | {
            "m_parameters": round(total.parameters / 1e6, 2),
            "g_multiply_adds": round(total.multiply_adds / 1e9, 2),
            "g_attention_multiply_adds": round(total.attention_multiply_adds / 1e9, 2),
            **authors.get(network, unknown),
        }


def picture(rows):
    """Draw latency against what is published for test, or else for val."""
    names = [f"{row['network']} {row['file']}" for row in rows]
    scores = [float(row["test_miou"] or row["val_miou"] or math.nan) for row in rows]
    splits = ["test" if row["test_miou"] else "val" for row in rows]
    return tradeoff_picture(
        [f"{name} ({split})" for name, split in zip(names, splits, strict=True)],
        [row["ms_median"] for row in rows],
        [score / 100 for score in scores],
        "published mIoU, Cityscapes",
        f"published for 1024x2048; timed at 512x1024 on {rows[0]['machine']}",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--runs", type=int, default=9, help="0: export only")
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    files = {
        (network, kind): path
        for network in given.networks
        for kind, path in export_all(
            *(given.folder, SIZE, network, ("float32", "int8")),
            output="mask",
            stride=1,
        ).items()
    }
    if given.runs:
        rows = list(with_counts(measure(files, open_all(files), SIZE, given.runs)))
        write_table(rows, given.out / "networks.csv")
        write_png(given.out / "latency.png", picture(rows))


if __name__ == "__main__":
    main()
