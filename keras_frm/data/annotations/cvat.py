"""CVAT's own XML, "CVAT for images 1.1"."""

from pathlib import Path
from xml.parsers import expat

from keras_frm.data.annotations.annotated import (
    AnnotatedImage,
    Annotations,
    image_name,
    image_size,
    wrong,
)
from keras_frm.data.annotations.fields import (
    counts_of,
    filled_window,
    points_of,
    text_of,
    whole_number,
    written_number,
)
from keras_frm.data.annotations.shapes import (
    Polygon,
    Runs,
    ellipse,
    rectangle,
    turned,
)
from keras_frm.data.findings import NOTE, PROBLEM, Finding

KIND = "CVAT for images 1.1"
_ROOT = "annotations"
_LABEL_NAME = ["labels", "label", "name"]
_LONGEST_NAME = 1000  # a class table refuses shorter ones
_WITHOUT_AREA = ("points", "polyline", "tag", "skeleton")


def read_cvat(path: Path, data: bytes) -> Annotations:
    """Read the images of an XML file, and their shapes by `z_order`.

    Classes are in the order of the file's labels. A file with a document type, which
    alone can declare entities, is refused: CVAT writes none.

    Args:
        path: The file, for errors.
        data: Its content.

    Raises:
        DataError: It is not as the format says.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse_document_type
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        line = parser.CurrentLineNumber
        raise wrong(path, KIND, error, f"line {line}") from None
    used = sorted({s.label for image in reader.images for s in image.shapes})
    classes = dict.fromkeys([*reader.labels, *used])
    return Annotations(
        path, tuple(classes), tuple(reader.images), tuple(reader.findings)
    )


class _Reader:
    """Takes what the parser meets; nothing of the file but shapes is kept."""

    def __init__(self):
        self.labels: list[str] = []
        self.images: list[AnnotatedImage] = []
        self.findings: list[Finding] = []
        self._open: list[str] = []
        self._label = ""
        self._image: tuple[str, tuple[int, int] | None] | None = None
        self._shapes: list[tuple[int, Polygon | Runs]] = []

    def refuse_document_type(self, *_):
        raise ValueError("it declares a document type, which CVAT does not write")

    def start(self, tag: str, attributes: dict[str, str]):
        if not self._open and tag != _ROOT:
            raise ValueError(f"its root is '{tag[:40]}', not '{_ROOT}'")
        self._open.append(tag)
        if self._open == [_ROOT, "track"]:
            raise ValueError(f"it is CVAT for video; export it as {KIND}")
        if self._open == [_ROOT, "image"]:
            self._image = (
                image_name(attributes.get("name")),
                image_size(*(_whole(attributes, side) for side in ("height", "width"))),
            )
            self._shapes = []
        elif self._open == [_ROOT, "image", tag]:
            self._add(tag, attributes)

    def text(self, text: str):
        if self._open[-3:] == _LABEL_NAME and len(self._label) < _LONGEST_NAME:
            self._label += text

    def end(self, tag: str):
        if self._open[-3:] == _LABEL_NAME:
            self.labels.append(text_of(self._label, "the name of a label").strip())
            self._label = ""
        self._open.pop()
        if tag == "image" and self._open == [_ROOT]:
            self._shapes.sort(key=lambda pair: pair[0])
            shapes = tuple(shape for _, shape in self._shapes)
            self.images.append(AnnotatedImage(*self._image, shapes))

    def _add(self, tag: str, attributes: dict[str, str]):
        label = text_of(attributes.get("label"), f"the label of a {tag}").strip()
        name, _ = self._image
        if tag in _WITHOUT_AREA:
            detail = f"{tag} '{label}'"
            self.findings.append(Finding(NOTE, "shape without area", name, detail))
            return
        if tag not in _SHAPES:
            detail = f"{tag} '{label}'"
            found = Finding(PROBLEM, "unknown kind of shape", name, detail)
            self.findings.append(found)
            return
        shape = _SHAPES[tag](label, attributes)
        if isinstance(shape, Polygon) and len(shape.rings[0]) < 3:
            kind, detail = "polygon of less than 3 points", f"'{label}'"
            self.findings.append(Finding(PROBLEM, kind, name, detail))
            return
        order = whole_number(_number(attributes, "z_order", "0"), "'z_order'")
        self._shapes.append((order, shape))


def _polygon(label, attributes):
    pairs = [pair.split(",") for pair in attributes.get("points", "").split(";")]
    points = [[written_number(n, "a point's number") for n in pair] for pair in pairs]
    return Polygon(label, (points_of(points, "its points"),))


def _box(label, attributes):
    left, top, right, bottom = (
        _number(attributes, name) for name in ("xtl", "ytl", "xbr", "ybr")
    )
    centre = (left + right) / 2, (top + bottom) / 2
    degrees = _number(attributes, "rotation", "0")
    ring = rectangle(left, top, right, bottom)
    return Polygon(label, (turned(ring, centre, degrees),))


def _ellipse(label, attributes):
    x, y, width, height = (_number(attributes, n) for n in ("cx", "cy", "rx", "ry"))
    degrees = _number(attributes, "rotation", "0")
    return Polygon(label, (ellipse((x, y), (width, height), degrees),))


def _mask(label, attributes):
    window = tuple(_whole(attributes, n) for n in ("top", "left", "height", "width"))
    try:
        lengths = [int(length) for length in attributes.get("rle", "").split(",")]
    except ValueError:
        raise ValueError("the 'rle' of a mask is no list of whole numbers") from None
    counts = counts_of(lengths, "the runs of a mask")
    filled_window(counts, window, "the runs of a mask")
    return Runs(label, counts, window)


_SHAPES = {"polygon": _polygon, "box": _box, "ellipse": _ellipse, "mask": _mask}


def _number(attributes, name, default=None):
    return written_number(attributes.get(name, default), f"'{name}'")


def _whole(attributes, name):
    return whole_number(_number(attributes, name), f"'{name}'")
