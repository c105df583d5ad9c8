"""COCO's instances: polygons, and runs of pixels down the columns."""

from pathlib import Path

import numpy as np

from keras_frm.data.annotations.annotated import (
    AnnotatedImage,
    Annotations,
    image_name,
    image_size,
    wrong,
)
from keras_frm.data.annotations.fields import (
    counts_of,
    field,
    filled_window,
    points_of,
    shown,
    text_of,
    whole_number,
)
from keras_frm.data.annotations.shapes import Polygon, Runs
from keras_frm.data.findings import PROBLEM, Finding

KIND = "COCO instances"
# Five bits in a character: more of them are a number beyond any image.
_LONGEST = 7


def is_coco(content: object) -> bool:
    """Tell whether a JSON file is COCO's, by its keys."""
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def read_coco(path: Path, content: dict) -> Annotations:
    """Read the instances of a COCO file.

    Classes are in the order of their ids. Within an image the larger areas come first,
    so that what lies on them stays visible. A crowd is of its class as others are.

    Args:
        path: The file, for errors.
        content: What it holds.

    Raises:
        DataError: It is not as the format says.
    """
    try:
        names = _categories(content)
        images = _images(content)
    except ValueError as error:
        raise wrong(path, KIND, error) from None
    shapes = {key: [] for key in images}
    findings = []
    for position, annotation in enumerate(content["annotations"]):
        try:
            key, category = _ids(annotation, images, names)
            name, size = images[key]
            shape = _shape(annotation, names[category], size)
        except ValueError as error:
            where = f"annotation {_id_of(annotation, position)}"
            raise wrong(path, KIND, error, where) from None
        if isinstance(shape, str):
            detail = f"'{names[category]}', annotation {_id_of(annotation, position)}"
            findings.append(Finding(PROBLEM, shape, name, detail))
        else:
            shapes[key].append(shape)
    return Annotations(
        path,
        tuple(names[number] for number in sorted(names)),
        tuple(
            AnnotatedImage(
                *(name, size),
                tuple(sorted(shapes[key], key=lambda shape: -shape.area)),
            )
            for key, (name, size) in images.items()
        ),
        tuple(findings),
    )


def _categories(content):
    """Return id -> name."""
    names = {}
    for category in field(content, "categories", list):
        name = text_of(field(category, "name", str), "the name of a category").strip()
        number = whole_number(category.get("id"), "the id of a category")
        if names.setdefault(number, name) != name:
            raise ValueError(f"categories '{names[number]}' and '{name}' have one id")
    return names


def _images(content):
    """Return id -> name and size."""
    field(content, "annotations", list)
    images = {}
    for image in field(content, "images", list):
        name = image_name(field(image, "file_name", str))
        key = _key(image.get("id"))
        if key in images:
            raise ValueError(f"two images have the id {shown(key)}")
        try:
            size = image_size(image.get("height"), image.get("width"))
        except ValueError as error:
            raise ValueError(f"image '{name}': {error}") from None
        images[key] = name, size
    return images


def _ids(annotation, images, names):
    if not isinstance(annotation, dict):
        raise ValueError(f"it is {shown(annotation)}, which is no object")
    if "segments_info" in annotation:
        raise ValueError("it is panoptic, where instances are needed")
    key, category = _key(annotation.get("image_id")), annotation.get("category_id")
    if key not in images:
        raise ValueError(f"'images' has no id {shown(key)}")
    category = whole_number(category, "its 'category_id'")
    if category not in names:
        raise ValueError(f"'categories' has no id {category}")
    return key, category


def _key(value):
    """Return the id of an image: a number, or a text in the files of some tools."""
    return (
        value if isinstance(value, str) else whole_number(value, "the id of an image")
    )


def _id_of(annotation, position):
    """Return what names an annotation: its id, or else its position."""
    number = annotation.get("id") if isinstance(annotation, dict) else None
    return shown(number) if isinstance(number, (int, str)) else f"at {position}"


def _shape(annotation, label, size):
    """Return the shape of an annotation, or in words why it has none."""
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return "no polygon, at most a box"
    if isinstance(segmentation, dict):
        return _runs(segmentation, label, size)
    if not isinstance(segmentation, list):
        raise ValueError(f"its 'segmentation' is {shown(segmentation)}")
    rings = []
    for ring in segmentation:
        if not isinstance(ring, list):
            raise ValueError("its 'segmentation' is no list of polygons")
        rings.append(points_of(ring, "its points"))
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        return "polygon of less than 3 points"
    return Polygon(label, tuple(rings))


def _runs(segmentation, label, size):
    given = counts_of(field(segmentation, "size", list), "its 'size'").tolist()
    if len(given) != 2:
        raise ValueError(f"its 'size' has {len(given)} numbers where 2 belong")
    height, width = given
    if size not in (None, (height, width)):
        raise ValueError(
            f"its runs are of {width}x{height} pixels and its image is "
            f"{size[1]}x{size[0]}"
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = uncompressed(counts)
    else:
        counts = counts_of(counts, "its 'counts'")
    window = (0, 0, height, width)
    filled_window(counts, window, "its 'counts'")
    return Runs(label, counts, window, by_column=True)


def uncompressed(text: str) -> np.ndarray:
    """Return the lengths that a compressed text of COCO holds: (n,) int64.

    A number is written in characters of five bits, the lowest first, with a sixth bit
    where more follow; from the fourth number on it is the difference from the one
    before the last.

    Args:
        text: Characters 48 to 111 of ASCII.

    Raises:
        ValueError: It is no such text.

    Example:
    >>> uncompressed("52203").tolist()
    [5, 2, 2, 2, 5]
    """
    try:
        codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        codes = np.array([-1])
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("its 'counts' are no compressed runs")
    last = np.flatnonzero(codes & 32 == 0)  # of each number
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > _LONGEST:
        raise ValueError("its 'counts' hold a number beyond any image")
    place = np.arange(len(codes)) - np.repeat(first, length)
    numbers = np.add.reduceat((codes & 31) << 5 * place, first)
    numbers -= np.where(codes[last] & 16, 1 << 5 * length, 0)  # the sign
    for start in (1, 2):
        numbers[start::2] = np.cumsum(numbers[start::2])
    return numbers
