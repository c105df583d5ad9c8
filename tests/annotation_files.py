"""Annotation files of every format in a few lines, and the masks made of them."""

import base64
import json

import numpy as np
from data_files import write_image
from PIL import Image

from keras_frm import masks_from_annotations
from keras_frm.files import write_png

SIZE = (12, 16)  # height, width of every image


def ring(left, top, right, bottom):
    """Return a rectangle as COCO writes a polygon."""
    return [left, top, right, top, right, bottom, left, bottom]


def coco(path, shapes, names=("car", "road"), files=("a.png",), **changes):
    """Write COCO instances: id n + 1 is category n, id n is image n.

    Args:
        shapes: (category id, segmentation) of image 0, or whole annotations.
    """
    content = {
        "images": [
            {"id": n, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for n, name in enumerate(files)
        ],
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate(names)],
        "annotations": [
            given
            if isinstance(given, dict)
            else {
                "id": 10 + n,
                "image_id": 0,
                "category_id": given[0],
                "segmentation": given[1],
            }
            for n, given in enumerate(shapes)
        ],
        **changes,
    }
    return written(path, json.dumps(content))


def labelme(path, shapes, image="a.png", size=SIZE, **changes):
    """Write a file of LabelMe; a shape is (label, type, points) or a whole one."""
    content = {
        "version": "5.5.0",
        "imagePath": image,
        "imageHeight": size[0],
        "imageWidth": size[1],
        "imageData": None,
        "shapes": [
            given
            if not isinstance(given, tuple)
            else dict(zip(("label", "shape_type", "points"), given, strict=True))
            for given in shapes
        ],
        **changes,
    }
    return written(path, json.dumps(content))


def labelme_mask(label, points, bitmap, folder):
    """Return a shape that was painted: a PNG file in base64."""
    write_png(folder / "shape.png", np.asarray(bitmap, np.uint8))
    data = (folder / "shape.png").read_bytes()
    (folder / "shape.png").unlink()
    text = base64.b64encode(data).decode()
    return {"label": label, "shape_type": "mask", "points": points, "mask": text}


def cvat(path, shapes, labels=("road", "car"), name="a.png", size=SIZE, start=""):
    """Write CVAT for images 1.1; the shapes are XML elements."""
    names = "".join(f"<label><name>{label}</name></label>" for label in labels)
    return written(
        path,
        f'<?xml version="1.0" encoding="utf-8"?>\n{start}<annotations>'
        f"<version>1.1</version><meta><job><labels>{names}</labels></job></meta>"
        f'<image id="0" name="{name}" width="{size[1]}" height="{size[0]}">'
        f"{''.join(shapes)}</image></annotations>",
    )


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def image(folder, name="a.png", size=SIZE, value=100):
    return write_image(folder / name, size, value)


def mask_of(out, name="a", split="train"):
    """Return a mask as it is stored."""
    with Image.open(out / f"masks/{split}/{name}.png") as stored:
        assert stored.mode == "L"
        return np.array(stored)


def box_mask(*boxes):
    """Return a mask of (left, top, right, bottom, id), a later one on top."""
    mask = np.zeros(SIZE, np.uint8)
    for left, top, right, bottom, value in boxes:
        mask[top:bottom, left:right] = value
    return mask


def converted(path, out, **options):
    return masks_from_annotations({"train": path}, out, **options)


def kinds(report):
    """Return the kinds of the problems, and of the notes."""
    notes = [row["note"] for row in report.note_rows()]
    return [row["problem"] for row in report.problem_rows()], notes
