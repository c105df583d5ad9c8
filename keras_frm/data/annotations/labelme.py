"""LabelMe: a JSON file beside each image."""

from pathlib import Path, PureWindowsPath

from keras_frm.data.annotations.annotated import (
    AnnotatedImage,
    Annotations,
    image_size,
    wrong,
)
from keras_frm.data.annotations.fields import (
    bitmap_of,
    field,
    points_of,
    shown,
    text_of,
)
from keras_frm.data.annotations.shapes import (
    Polygon,
    Runs,
    ellipse,
    rectangle,
    runs_of,
)
from keras_frm.data.findings import NOTE, PROBLEM, Finding

KIND = "LabelMe"
_WITHOUT_AREA = ("point", "points", "line", "linestrip")
# LabelMe writes polygons; the other names are those of tools that write its format.
_POLYGONS = ("polygon", "oriented_rectangle", "rotation")


def is_labelme(content: object) -> bool:
    """Tell whether a JSON file is LabelMe's, by its keys."""
    return isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys()


def read_labelme(path: Path, folder: Path, content: dict) -> Annotations:
    """Read the shapes of an image, in the order of the file.

    Args:
        path: The file.
        folder: Where it and others are: a mask is named as its file is below that.
        content: What it holds.

    Raises:
        DataError: It is not as the format says.
    """
    try:
        given = _image_path(content["imagePath"])
        size = image_size(content.get("imageHeight"), content.get("imageWidth"))
        described = field(content, "shapes", list)
    except ValueError as error:
        raise wrong(path, KIND, error) from None
    name = path.relative_to(folder).with_suffix(given.suffix).as_posix()
    shapes, labels, findings = [], set(), []
    for position, shape in enumerate(described):
        try:
            label = text_of(field(shape, "label", str), "its 'label'").strip()
            made = _shape(shape, label)
        except ValueError as error:
            raise wrong(path, KIND, error, f"shape {position}") from None
        if isinstance(made, Finding):
            findings.append(made._replace(file=str(path)))
        else:
            shapes.append(made)
            labels.add(label)
    image = AnnotatedImage(name, size, tuple(shapes), given=path.parent / given)
    return Annotations(path, tuple(sorted(labels)), (image,), tuple(findings))


def _image_path(value: object) -> Path:
    """Return where the image is, seen from its JSON file."""
    name = text_of(value, "'imagePath'")
    path = PureWindowsPath(name)  # / and \\ both part folders there
    if path.anchor or not path.name:
        raise ValueError(f"'imagePath' is '{name}', which is no relative path")
    return Path(path.as_posix())


def _shape(shape: dict, label: str) -> Polygon | Runs | Finding:
    """Return a shape, or the finding why it is left out."""
    kind = shape.get("shape_type") or "polygon"
    if kind in _WITHOUT_AREA:
        return Finding(NOTE, "shape without area", "", f"{kind} '{label}'")
    points = points_of(shape.get("points"), "its points")
    if kind == "mask":
        return _mask(shape, points, label)
    if kind == "circle" and len(points) == 2:
        centre, edge = points
        radius = float(((edge - centre) ** 2).sum() ** 0.5)
        return Polygon(label, (ellipse(tuple(centre), (radius, radius)),))
    if kind == "rectangle" and len(points) == 2:
        return Polygon(label, (rectangle(*points.min(axis=0), *points.max(axis=0)),))
    if kind not in (*_POLYGONS, "rectangle", "circle"):
        detail = f"{shown(kind)} of '{label}'"
        return Finding(PROBLEM, "unknown kind of shape", "", detail)
    if kind == "circle" or len(points) < 3:
        detail = f"'{label}' has {len(points)}"
        return Finding(PROBLEM, f"{kind} of too few or too many points", "", detail)
    return Polygon(label, (points,))


def _mask(shape, points, label):
    """Return a painted mask: a bitmap between two corners, both of them inside."""
    if len(points) != 2:
        raise ValueError(f"its mask has {len(points)} points where 2 belong")
    (left, top), (right, bottom) = points.astype(int).tolist()
    height, width = bottom - top + 1, right - left + 1
    bitmap = bitmap_of(field(shape, "mask", str), (height, width))
    return Runs(label, runs_of(bitmap), (top, left, height, width))
