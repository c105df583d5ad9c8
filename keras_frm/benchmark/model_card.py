"""One page about a trained model: where it comes from, what it is worth, its limits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from keras_frm import tables
from keras_frm.benchmark.comparison import Comparison, ComparisonRow
from keras_frm.labels import LabelSet
from keras_frm.models.cost import PartProfile
from keras_frm.tables import Column

_WEAK = 0.3  # IoU below which a class is named among the limits


class DeviceFile(NamedTuple):
    """How XNNPACK runs a `.tflite` file.

    Args:
        partitions: Pieces of the graph that it takes; 1 is best.
        outside: Operations that it does not take, by name.
    """

    partitions: int
    outside: Counter


@dataclass(frozen=True)
class ModelCard:
    """What the page about a trained model says.

    Args:
        title: Its first line.
        labels: The classes.
        comparison: The trained network, then its files, measured on labelled images.
        settings: What the run's configuration says, empty where there is none.
        command: The command line that it was trained by.
        cost: Parameters and multiply-adds, part by part, of the size of the files.
        data_terms: Terms of the data it was trained on.
        extra_data: What it was trained on before.
        files: Name of a file of the comparison -> how XNNPACK runs it.
        pictures: Name of the picture beside the page, None for none.

    Example:
    >>> labels = LabelSet("two", ("road", "car"), ((0, 0, 0), (9, 9, 9)))
    >>> numbers = (2.0, 3.0, 480.0, 1.0, 2.5, 90e6, 10**6, 1.0, 0.5, (0.9, 0.1))
    >>> row = ComparisonRow("best.keras", "TensorFlow", (64, 128), *numbers)
    >>> measured = Comparison((row,), "a machine", 2, 30, 8, "camvid val")
    >>> card = ModelCard("mine", labels, measured)
    >>> [line for line in card.to_markdown().splitlines() if "under 30 %" in line]
    ['- Classes under 30 % IoU on these images: car.']
    """

    title: str
    labels: LabelSet
    comparison: Comparison
    settings: Mapping = field(default_factory=dict)
    command: str = ""
    cost: Sequence[PartProfile] = ()
    data_terms: str = ""
    extra_data: str = ""
    files: Mapping[str, DeviceFile] = field(default_factory=dict)
    pictures: str | None = None

    def to_markdown(self) -> str:
        """Return the page as Markdown."""
        sections = {
            "Network": self._network(),
            "Data and licence": self._data(),
            "Training": self._training(),
            "Accuracy": self._accuracy(),
            "Files": self._files(),
            "Pictures": f"![Image and masks]({self.pictures})\n" * bool(self.pictures),
            "Limits": self._limits(),
        }
        parts = [f"## {title}\n\n{text}" for title, text in sections.items() if text]
        return "\n".join([f"# {self.title}\n", *parts])

    def _network(self):
        described = self.settings.get("network", {})
        name = self.settings.get("preset", {}).get("network")
        lines = [f"- network: {name}"] if name else []
        lines += [f"- {key}: {_plain(value)}" for key, value in described.items()]
        classes = ", ".join(self.labels.classes)
        lines.append(f"- {self.labels.num_classes} classes: {classes}")
        if self.cost:
            total, (height, width) = self.cost[-1], self.comparison.rows[0].input_size
            lines.append(
                f"- {total.parameters / 1e6:.2f} M parameters, "
                f"{total.multiply_adds / 1e9:.2f} G multiply-adds at {width}x{height} "
                f"(attention: {total.attention_multiply_adds / 1e9:.2f} G more)"
            )
        return _listed(lines)

    def _data(self):
        dataset = self.settings.get("preset", {}).get("dataset", "unknown")
        lines = [f"- trained on: {dataset}"]
        if self.extra_data:
            lines.append(f"- extra data: {self.extra_data}")
        terms = self.data_terms or "not stated; ask who has the data"
        lines.append(f"- terms of the data: {terms}")
        lines.append(
            "- The terms of the data hold for the weights. The licence of the code "
            "does not cover them."
        )
        return _listed(lines)

    def _training(self):
        preset = self.settings.get("preset", {})
        if not preset:
            return ""
        chosen = {key: preset[key] for key in ("crop", "batch_size", "epochs")}
        chosen |= {"resize": self.settings.get("resize")}
        chosen |= {"start": self.settings.get("weights") or "random weights"}
        chosen |= {"seed": self.settings.get("seed")} | preset["recipe"]
        lines = [f"- {key}: {_plain(value)}" for key, value in chosen.items() if value]
        command = f"```sh\n{self.command}\n```\n\n" if self.command else ""
        return command + _listed(lines)

    def _accuracy(self):
        rows = [row for row in self.comparison.rows if row.iou]
        columns = [Column("class", lambda index: self.labels.classes[index])]
        columns += [
            Column(row.name, lambda index, row=row: row.iou[index], ".1%")
            for row in rows
        ]
        table = tables.to_markdown(range(self.labels.num_classes), columns)
        means = ", ".join(f"{row.name} {row.mean_iou:.2%}" for row in rows)
        return (
            f"IoU on {self.comparison.images} images ({self.comparison.source}), "
            f"one scale. Mean: {means}.\n\n{table}"
        )

    def _files(self):
        columns = [
            Column("file", "name"),
            Column("runtime", lambda row: row.runtime.partition(",")[0]),
            Column("input", lambda row: "x".join(map(str, row.input_size))),
            Column("MB", lambda row: row.file_size / 1e6, ".2f"),
            Column("ms", "latency", ".1f"),
            Column("memory MB", lambda row: row.memory / 1e6, ".0f"),
            Column("mIoU", "mean_iou", ".2%"),
            Column("agreement", "agreement", ".2%"),
            Column("partitions", self._partitions),
            Column("outside XNNPACK", self._outside),
        ]
        measured = self.comparison
        return (
            f"{tables.to_markdown(measured.rows, columns)}\n"
            f"{measured.machine}; {measured.threads} threads. Agreement: pixels with "
            "the class of the first row. Milliseconds are of this machine and no "
            "other.\n"
        )

    def _partitions(self, row: ComparisonRow):
        file = self.files.get(row.name)
        return None if file is None else file.partitions

    def _outside(self, row: ComparisonRow):
        file = self.files.get(row.name)
        if file is None:
            return None
        counts = file.outside.most_common()
        return ", ".join(f"{name} {n}" for name, n in counts) or "nothing"

    def _limits(self):
        worst = self.comparison.rows[-1]
        weak = [
            name
            for name, iou in zip(self.labels.classes, worst.iou, strict=False)
            if iou < _WEAK
        ]
        lines = []
        if weak:
            lines.append(
                f"- Classes under 30 % IoU on these images: {', '.join(weak)}."
            )
        height, width = worst.input_size
        lines.append(
            f"- Measured at {width}x{height}. Smaller things are lost first, and other "
            "cameras, countries, weather and night were not measured unless the data "
            "have them."
        )
        lines.append("- Not for decisions on which someone's safety depends.")
        return _listed(lines)


def _plain(value) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value)
    return str(value)


def _listed(lines) -> str:
    return "".join(f"{line}\n" for line in lines)
