"""Label tables: class names, palettes and the ids that masks are stored with."""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

IGNORE_LABEL = 255
IGNORED_NAMES = ("ignore", "void")

Colour = tuple[int, int, int]

ONE_CLASS = (
    "With one class there is nothing to tell apart: the loss is 0 and the mean IoU 1 "
    "whatever the network says. Give the background a class of its own, not ignored."
)


@dataclass(frozen=True)
class LabelSet:
    """The classes of a dataset and how its masks name them.

    Args:
        name: Name of the dataset.
        classes: Class names; the position is the train id.
        palette: One RGB colour, 0 to 255, for each class.
        ids: Stored id -> train id, for masks that do not hold train ids; several ids
            may name one class. Every id that stands neither here nor in
            `ignored_ids` is unknown, except for `ignore_label`.
        ignored_ids: Stored ids that mean "not labelled"; they become
            `ignore_label`.
        ignore_label: Train id of pixels that count nowhere.
        colour_ids: RGB colour -> train id, for masks that hold colours; empty where
            these are the palette.
        ignored_colours: RGB colours that mean "not labelled" in such masks.
        merges: A class of the dataset and the class it became, "ignore" for none, for
            each train id of the dataset; empty where the classes are the dataset's.
            See
            `merge_classes`.

    Example:
    >>> CITYSCAPES.classes[13], CITYSCAPES.palette[13], CITYSCAPES.ids[26]
    ('car', (0, 0, 142), 13)
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: Mapping[int, int] = field(default_factory=dict)
    ignored_ids: frozenset[int] = frozenset()
    ignore_label: int = IGNORE_LABEL
    colour_ids: Mapping[Colour, int] = field(default_factory=dict)
    ignored_colours: frozenset[Colour] = frozenset()
    merges: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        if len(self.classes) != len(self.palette):
            raise ValueError(
                f"Label set '{self.name}' has {len(self.classes)} classes and "
                f"{len(self.palette)} colours; give one colour for each class."
            )

    @property
    def num_classes(self) -> int:
        """Number of classes, without the ignore label."""
        return len(self.classes)

    def get_config(self) -> dict:
        """Return the label set as JSON can hold it."""
        return {
            "name": self.name,
            "classes": list(self.classes),
            "palette": [list(colour) for colour in self.palette],
            "ids": sorted([stored, train] for stored, train in self.ids.items()),
            "ignored_ids": sorted(self.ignored_ids),
            "ignore_label": self.ignore_label,
            "colour_ids": sorted(
                [list(colour), train] for colour, train in self.colour_ids.items()
            ),
            "ignored_colours": [
                list(colour) for colour in sorted(self.ignored_colours)
            ],
            "merges": [list(pair) for pair in self.merges],
        }

    @classmethod
    def from_config(cls, config: Mapping) -> "LabelSet":
        """Return the label set that `get_config` described.

        What masks store (ids, colours, merges) may be missing.

        Raises:
            KeyError, TypeError, ValueError: It is no configuration of a label set.
        """
        return cls(
            name=str(config["name"]),
            classes=tuple(str(name) for name in config["classes"]),
            palette=tuple(_colour(colour) for colour in config["palette"]),
            ids={int(stored): int(train) for stored, train in config.get("ids", ())},
            ignored_ids=frozenset(int(i) for i in config.get("ignored_ids", ())),
            ignore_label=int(config["ignore_label"]),
            colour_ids={_colour(c): int(i) for c, i in config.get("colour_ids", ())},
            ignored_colours=frozenset(map(_colour, config.get("ignored_colours", ()))),
            merges=tuple((str(a), str(b)) for a, b in config.get("merges", ())),
        )

    def stored_ids(self, *, train_ids: bool = False) -> dict[int, int]:
        """Return id in a mask -> train id, ignored ones included.

        `ignore_label` is ignored wherever it is no class.

        Args:
            train_ids: The mask holds the dataset's train ids, whatever `ids` says.

        Example:
        >>> CAMVID.stored_ids()[11]
        255
        """
        ids, ignored = self.ids, self.ignored_ids
        if train_ids or not ids:
            numbers = {name: number for number, name in enumerate(self.classes)}
            became = [own for _, own in self.merges] or self.classes
            ids = {
                n: numbers.get(own, self.ignore_label) for n, own in enumerate(became)
            }
        if train_ids:
            ignored = ()
        return {
            **dict.fromkeys((self.ignore_label, *ignored), self.ignore_label),
            **ids,
        }

    def stored_colours(self) -> dict[Colour, int]:
        """Return RGB colour in a mask -> train id, ignored ones included.

        Example:
        >>> CAMVID.stored_colours()[128, 64, 128]
        3
        """
        ignored = dict.fromkeys(self.ignored_colours, self.ignore_label)
        own = {colour: train_id for train_id, colour in enumerate(self.palette)}
        return {**ignored, **(self.colour_ids or own)}

    def colours(self) -> np.ndarray:
        """Return the colour of every uint8 value: (256, 3) uint8, black if no class."""
        table = np.zeros((256, 3), np.uint8)
        table[: self.num_classes] = self.palette
        return table


def _colour(colour):
    """Return an RGB colour from JSON."""
    red, green, blue = (int(value) for value in colour)
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise ValueError(f"a colour is {red}, {green}, {blue}")
    return red, green, blue


_CITYSCAPES_TABLE = (
    # name, Cityscapes id, colour
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)

CITYSCAPES = LabelSet(
    name="cityscapes",
    classes=tuple(row[0] for row in _CITYSCAPES_TABLE),
    palette=tuple(row[2] for row in _CITYSCAPES_TABLE),
    ids={row[1]: train_id for train_id, row in enumerate(_CITYSCAPES_TABLE)},
    # 0..6, 9, 10, 14..16, 18, 29, 30 and the licence plate (-1, stored as 255).
    ignored_ids=frozenset({*range(7), 9, 10, 14, 15, 16, 18, 29, 30, 255}),
)

# BDD100K's segmentation masks ship as Cityscapes train ids.
BDD100K = LabelSet(
    name="bdd100k", classes=CITYSCAPES.classes, palette=CITYSCAPES.palette
)

# The 11 classes and the order of the SegNet split; 11 is void.
CAMVID = LabelSet(
    name="camvid",
    classes=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    palette=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    ids={train_id: train_id for train_id in range(11)},
    ignored_ids=frozenset({11, 255}),
)


def numbered_labels(count: int) -> LabelSet:
    """Return numbers for names, and colours told apart, for classes without names.

    Args:
        count: Number of classes.

    Example:
    >>> numbered_labels(2).classes
    ('class 0', 'class 1')
    """
    hues = (index * 0.618034 % 1.0 for index in range(count))
    colours = (colorsys.hsv_to_rgb(hue, 0.7, 0.95) for hue in hues)
    return LabelSet(
        name="numbered",
        classes=tuple(f"class {index}" for index in range(count)),
        palette=tuple(tuple(round(255 * part) for part in rgb) for rgb in colours),
    )


def known_class_count(labels: LabelSet | None) -> int | None:
    """Return the number of classes that a callable's label set tells.

    Args:
        labels: The label set, None where there is none.

    Returns:
        The number; None for the numbered classes of a mask file without metadata,
        which has one for each id that is not ignored.

    Example:
    >>> known_class_count(CAMVID)
    11
    """
    if labels is None or labels.num_classes == IGNORE_LABEL:
        return None
    return labels.num_classes
