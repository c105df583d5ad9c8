"""The page's modules in Node, without a browser: they give what Python gives."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from test_segmenter import about
from tflite_files import SIZE, uint8_mask

from keras_frm import Segmenter
from keras_frm.images import resize_image, resize_mask
from keras_frm.runtime.tflite.metadata_zip import attach, flatbuffer_size, read
from keras_frm.scenes import render_scene
from keras_frm.web.site import site_files, write_site
from keras_frm.weights.shipped import default_weights

SCRIPT = Path(__file__).with_name("page_in_node.mjs")
OLDEST_NODE = 20  # the first with all that the page takes from browsers

# Old size -> new size: what a page meets, and the borders of OpenCV's cases.
SIZES = {
    "smaller: whole pixels": ((720, 1080), (240, 360)),
    "smaller: halves": ((64, 96), (32, 48)),
    "smaller: odd": ((361, 487), (256, 333)),
    "smaller: one pixel less": ((65, 97), (64, 96)),
    "smaller: whole rows, cut columns": ((64, 99), (32, 48)),
    "smaller in height only": ((64, 48), (32, 48)),
    "larger": ((100, 150), (256, 512)),
    "larger: one and a half": ((240, 320), (360, 480)),
    "larger: odd": ((97, 131), (256, 333)),
    "larger and smaller": ((300, 100), (200, 160)),
    "one pixel": ((1, 1), (3, 5)),
    "to one pixel": ((7, 9), (1, 1)),
    "itself": ((12, 17), (12, 17)),
}


def version_of_node():
    node = shutil.which("node")
    if node is None:
        return 0
    done = subprocess.run([node, "--version"], capture_output=True, text=True)
    return int(done.stdout.strip().removeprefix("v").partition(".")[0] or 0)


pytestmark = [
    pytest.mark.skipif(
        version_of_node() < OLDEST_NODE, reason=f"needs Node {OLDEST_NODE} or newer"
    ),
    pytest.mark.filterwarnings("ignore::keras_frm.weights.shipped.LicenceNotice"),
]


class NodePage:
    """The page in a folder, whose modules Node runs."""

    def __init__(self, folder):
        self.folder = folder
        self.model = default_weights().device_file()
        write_site(site_files(self.model), folder)
        # Node reads .js files as modules where this says so.
        (folder / "package.json").write_text('{"type": "module"}')

    def run(self, *jobs):
        """Return the answers to jobs, each {"result": ...} or {"error": line}."""
        (self.folder / "jobs.json").write_text(json.dumps(jobs))
        command = ["node", SCRIPT, self.folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads((self.folder / "answers.json").read_text())

    def put(self, name, content):
        content = content if isinstance(content, bytes) else content.tobytes()
        (self.folder / name).write_bytes(content)
        return name

    def array(self, name, shape):
        return np.fromfile(self.folder / name, np.uint8).reshape(shape)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return NodePage(tmp_path_factory.mktemp("page"))


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# === Pixels ===


def test_images_and_masks_are_resized_to_the_same_bytes(page):
    jobs = []
    for name, (size, to) in SIZES.items():
        image = page.put(f"{name}.image", noise(*size, 3))
        mask = page.put(f"{name}.mask", noise(*size))
        given = {"size": size, "to": to}
        jobs += [
            {"action": "resizeImage", "image": image, "out": f"{name}.a", **given},
            {"action": "resizeMask", "image": mask, "out": f"{name}.b", **given},
        ]
    assert page.run(*jobs) == [{"result": None}] * len(jobs)
    for name, (size, to) in SIZES.items():
        image = page.array(f"{name}.a", (*to, 3))
        assert (image == resize_image(noise(*size, 3), to)).all(), name
        mask = page.array(f"{name}.b", to)
        assert (mask == resize_mask(noise(*size), to)).all(), name


def test_halves_round_to_even_but_those_of_two_by_two_up(page):
    columns = np.array([[0, 1], [0, 1], [2, 3], [2, 3], [0, 0], [1, 1]], np.uint8)
    image = np.repeat(columns[..., None], 3, axis=-1)
    jobs = []
    for to in ((3, 1), (6, 1)):
        name = page.put(f"half{to[0]}", image)
        given = {"image": name, "size": (6, 2), "to": to, "out": f"{name}.out"}
        jobs.append({"action": "resizeImage", **given})
    page.run(*jobs)
    assert page.array("half3.out", (3, 3))[:, 0].tolist() == [1, 3, 1]  # of 0.5, 2.5
    assert page.array("half6.out", (6, 3))[:, 0].tolist() == [0, 0, 2, 2, 0, 1]


# === Metadata ===


def test_metadata_are_those_that_python_reads(page):
    content = page.model.read_bytes()
    expected = read(content)
    (answer,) = page.run({"action": "readMetadata", "file": page.model.name})
    assert answer["result"] == {
        "classes": list(expected.labels.classes),
        "palette": [list(colour) for colour in expected.labels.palette],
        "size": list(expected.input_size),
        "output": "mask",
        "dtype": "uint8",
        "precision": "int8",
    }


def test_names_of_other_alphabets(page):
    labels = {**about().labels.get_config(), "classes": ["дорога", "空", "<b>car</b>"]}
    model = attach(
        uint8_mask(), about("mask", labels=type(about().labels).from_config(labels))
    )
    (answer,) = page.run({"action": "readMetadata", "file": page.put("names", model)})
    assert answer["result"]["classes"] == labels["classes"]


def broken_files(content):
    """Return files that cannot be used, and what is said of each."""
    place = flatbuffer_size(content)
    listed = content.rindex(b"labels.txt")
    deflated = bytearray(content)
    deflated[listed - 46 + 10] = 8
    return {
        "text": (b"just a text\n" * 9, "it is no .tflite file"),
        "empty": (b"", "it is no .tflite file"),
        "foreign": (uint8_mask(), "names no classes"),
        "cut short": (content[: len(content) // 2], "names no classes"),
        "changed flatbuffer": (flipped(content, place // 2), "changed after export"),
        "changed name": (
            flipped(content, content.index(b"labels.txt", place) + 12),
            "the checksum of 'labels.txt' differs",
        ),
        "lost member": (flipped(content, listed - 46), "a member is lost"),
        "wrong start": (
            content[:-6] + b"\xff\xff\xff\x7f" + content[-2:],
            "leave the file",
        ),
        "many members": (
            content[:-12] + b"\xff\xff" + content[-10:],
            "65535 members",
        ),
        "deflated": (bytes(deflated), "is not stored"),
        "logits": (attach(uint8_mask(), about("logits")), "it gives logits"),
    }


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_a_file_that_cannot_be_used_is_refused_in_one_line(page):
    files = broken_files(page.model.read_bytes())
    jobs = [
        {"action": "readMetadata", "file": page.put(f"{name}.tflite", content)}
        for name, (content, _) in files.items()
    ]
    answers = page.run(*jobs)
    for (name, (_, said)), answer in zip(files.items(), answers, strict=True):
        assert said in answer["error"], name
        assert "\n" not in answer["error"], name


# === PNG ===


def test_a_saved_mask_is_an_indexed_png(page):
    mask = noise(31, 47) % 3
    palette = [[128, 64, 128], [0, 0, 142], [70, 130, 180]]
    name = page.put("mask", mask)
    given = {"image": name, "size": mask.shape, "palette": palette, "out": "mask.png"}
    page.run({"action": "palettePng", **given})
    content = (page.folder / "mask.png").read_bytes()
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()  # compares checksums
        assert picture.mode == "P"
        assert (np.array(picture) == mask).all()
        assert picture.getpalette()[:9] == np.ravel(palette).tolist()
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert (decoded[..., ::-1] == np.array(palette, np.uint8)[mask]).all()


# === Masks ===


def test_the_mask_of_the_shipped_file_is_that_of_the_segmenter(page):
    sizes = {"smaller": (120, 200), "larger": (400, 720), "odd": (257, 391)}
    scenes = {name: render_scene(0, 1, size)[0] for name, size in sizes.items()}
    images = [
        {"image": page.put(name, scene), "size": sizes[name], "out": f"{name}.out"}
        for name, scene in scenes.items()
    ]
    job = {"action": "segment", "model": page.model.name, "images": images}
    assert page.run(job) == [{"result": None}]
    segmenter = Segmenter()
    for name, scene in scenes.items():
        mask = segmenter(scene)
        assert len(np.unique(mask)) > 3
        assert (page.array(f"{name}.out", mask.shape) == mask).all(), name


def test_a_file_whose_tensors_differ_from_its_metadata_is_refused(page):
    wrong = attach(uint8_mask(), about("mask", input_size=(SIZE[0], SIZE[1] + 1)))
    taken = attach(uint8_mask(), about("mask", input_dtype="int8"))
    jobs = [
        {"action": "segment", "model": page.put(name, content), "images": []}
        for name, content in (("wrong", wrong), ("taken", taken))
    ]
    size, dtype = page.run(*jobs)
    assert size["error"] == "its tensors are not what its metadata say"
    assert dtype["error"] == "it takes int8, which no browser hands over"
