"""Images per second of the training pipeline, beside what a training step eats.

    python results/pipeline.py CAMVID_FOLDER > results/pipeline.csv

Half-resolution CamVid as in results/camvid: read, decode, resize, augment, batch. The
model is VAN-tiny. Rates are medians of rounds that alternate between pipeline and step.
"""

import csv
import statistics
import sys
import time

import keras_frm

CROP, BATCH, ROUNDS = (128, 160), 4, 5


def main():
    data = keras_frm.load_dataset(
        "camvid",
        sys.argv[1],
        "train",
        batch_size=BATCH,
        resize=(180, 240),
        crop=CROP,
    )
    model = keras_frm.build_model("camvid", backbone="van_tiny", decoder_width=64)
    model.compile()
    batches = iter(data.repeat())
    images, labels = next(batches)
    model.train_on_batch(images, labels)

    def read():
        next(batches)

    def train():
        model.train_on_batch(images, labels)

    rates = {"pipeline": (read, 60, []), "training step": (train, 8, [])}
    for _ in range(ROUNDS):
        for work, count, measured in rates.values():
            start = time.perf_counter()
            for _ in range(count):
                work()
            measured.append(count * BATCH / (time.perf_counter() - start))
    medians = {name: statistics.median(entry[2]) for name, entry in rates.items()}
    table = csv.writer(sys.stdout)
    table.writerow(["pipeline_over_training_step", *medians])
    table.writerow(
        [
            round(medians["pipeline"] / medians["training step"], 1),
            *(round(rate, 1) for rate in medians.values()),
        ]
    )


if __name__ == "__main__":
    main()
