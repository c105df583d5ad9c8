"""The page in a headless Chromium: what it shows is what `Segmenter` computes.

`make check-web` installs what this needs; elsewhere it skips.
"""

import functools
import importlib.util
import re
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import chromium
import numpy as np
import pytest
from tflite_files import uint8_mask

from keras_frm import Segmenter, build_model, export_tflite
from keras_frm.runtime.draw import overlay
from keras_frm.runtime.tflite.metadata_zip import flatbuffer_size
from keras_frm.scenes import render_scene
from keras_frm.web.site import site_files, write_site
from keras_frm.weights.shipped import default_weights

SIZES = {"smaller": (200, 320), "larger": (540, 960), "odd": (361, 487)}
PHONE = {"width": 360, "height": 740}


pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::keras_frm.weights.shipped.LicenceNotice"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="needs playwright"
    ),
    pytest.mark.skipif(chromium.find_chromium() is None, reason="needs Chromium"),
]


def scene(size):
    return render_scene(0, 1, size)[0]


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as started:
        yield started


@pytest.fixture(scope="module")
def server():
    files = site_files(default_weights().device_file(), "terms of the weights")
    with chromium.serving(chromium.page_server(files)) as started:
        yield started


@pytest.fixture(scope="module")
def page(browser, server):
    """The page with the shipped int8 file, for all tests: it has to live on."""
    return chromium.Page(browser, server.address)


@pytest.fixture(scope="module")
def float_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("float") / "float32.tflite"
    weights = default_weights()
    model = build_model(weights.preset, network=weights.network, weights=weights.name)
    export_tflite(model, path, input_shape=Segmenter().input_size)
    return path


# === Masks ===


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_int8_masks_are_equal_pixel_by_pixel(page, size):
    image = scene(size)
    page.open_image(image)
    expected = Segmenter()(image)
    assert len(np.unique(expected)) > 3
    assert (page.mask() == expected).all()


def test_float32_masks_are_equal_but_for_one_pixel_of_ten_thousand(
    browser, server, float_file
):
    page = chromium.Page(browser, server.address)
    page.choose("Open another .tflite", float_file.name, float_file.read_bytes())
    page.wait_for("Ready.")
    segmenter = Segmenter(float_file)
    for size in SIZES.values():
        image = scene(size)
        page.open_image(image)
        assert np.mean(page.mask() == segmenter(image)) >= 0.9999, size


def test_one_thread_gives_the_same_mask(page):
    image = scene((256, 512))
    page.open_image(image)
    expected = page.mask()
    for count in ("1", "2"):
        page.tab.get_by_label("Threads").select_option(count)
        page.wait_for("Ready.")
    page.open_image(image)
    assert (page.mask() == expected).all()


def test_a_host_without_headers_has_one_thread_and_the_same_mask(browser, tmp_path):
    write_site(site_files(default_weights().device_file()), tmp_path)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

    handler = functools.partial(Quiet, directory=tmp_path)
    host = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with chromium.serving(host):
        page = chromium.Page(browser, f"http://127.0.0.1:{host.server_port}/")
        threads = page.tab.get_by_label("Threads")
        assert threads.inner_text().split() == ["1"]
        assert "no isolation headers" in page.tab.locator("#threads-note").inner_text()
        image = scene((256, 512))
        page.open_image(image)
        assert (page.mask() == Segmenter()(image)).all()


# === What is shown and saved ===


def test_the_overlay_is_that_of_python_but_for_rounding(page):
    image = scene((256, 512))
    page.open_image(image, "my street.png")
    page.tab.get_by_label("Opacity of the mask").fill("30")
    saved, name = page.saved("Save overlay")
    segmenter = Segmenter()
    expected = overlay(image, segmenter(image), segmenter.palette, 0.3)
    difference = np.abs(np.array(saved.convert("RGB")).astype(int) - expected)
    assert difference.max() <= 2
    assert name == "my street_overlay.png"


def test_the_legend_has_names_colours_and_shares(page):
    image = scene((256, 512))
    page.open_image(image)
    segmenter = Segmenter()
    counts = np.bincount(
        segmenter(image).ravel(), minlength=segmenter.labels.num_classes
    )
    rows = page.tab.get_by_role("table", name="Classes and their shares").locator("tr")
    assert rows.count() == segmenter.labels.num_classes
    for row, name, colour, count in zip(
        rows.all(), segmenter.labels.classes, segmenter.palette, counts, strict=True
    ):
        assert row.locator("th").inner_text() == name
        share = f"{100 * count / image[..., 0].size:.1f} %"
        assert row.locator("td").last.inner_text() == share
        style = row.locator(".swatch").get_attribute("style")
        assert "rgb({}, {}, {})".format(*colour) in style


def test_nothing_is_asked_of_another_host(page, server):
    page.open_image(scene((64, 128)))
    assert len(page.requests) > 10
    for address in page.requests:
        assert address.startswith((server.address, f"blob:{server.address}")), address


# === Camera ===


@pytest.fixture
def filming(page):
    """The page while its camera runs and shows frames."""
    page.open_image(scene((64, 128)))
    page.button("Camera").click()
    page.wait_for("The camera runs.")
    page.tab.locator("#frames", has_text=re.compile(r"\d")).wait_for()
    yield page
    if page.button("Camera").get_attribute("aria-pressed") == "true":
        page.button("Camera").click()


def test_a_camera_runs_until_it_is_switched_off(filming):
    camera = filming.button("Camera")
    assert camera.get_attribute("aria-pressed") == "true"
    assert float(filming.tab.locator("#frames").inner_text()) > 0
    camera.click()
    filming.wait_for("The camera is off.")
    assert camera.get_attribute("aria-pressed") == "false"


def test_the_mask_of_a_camera_belongs_to_the_frame_that_is_shown(filming):
    filming.button("Camera").click()
    filming.wait_for("The camera is off.")
    filming.tab.wait_for_timeout(3000)  # the last one is shown
    filming.tab.get_by_label("Opacity of the mask").fill("0")
    frame, name = filming.saved("Save overlay")
    frame = np.array(frame.convert("RGB"))
    assert name == "camera_overlay.png"
    assert len(np.unique(frame)) > 3
    assert (filming.mask() == Segmenter()(frame)).all()


RECORD_WHAT_IS_ASKED = """() => {
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  window.asked = [];
  devices.getUserMedia = (wanted) => {
    window.asked.push(wanted.video.deviceId?.exact);
    return open(wanted);
  };
}"""


def test_the_other_camera(filming):
    filming.tab.evaluate(RECORD_WHAT_IS_ASKED)
    for count in (1, 2):
        filming.button("Other camera").click()
        filming.tab.wait_for_timeout(1000)
        filming.wait_for("The camera runs.")
        asked = filming.tab.evaluate("() => window.asked")
        assert len(set(asked)) == count


def test_an_image_ends_the_camera(filming):
    image = scene((100, 150))
    filming.open_image(image)
    assert filming.button("Camera").get_attribute("aria-pressed") == "false"
    assert (filming.mask() == Segmenter()(image)).all()


# === Files that cannot be used ===


def wrong_files():
    """Return name, content and the line of files that cannot be used."""
    content = default_weights().device_file().read_bytes()
    place = flatbuffer_size(content) // 2
    changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    names = content.replace(b"road\nside", b"roof\nside")
    assert names != content
    return {
        "damaged": ("a.tflite", changed, "it was changed after export"),
        "wrong checksum": ("b.tflite", names, "the checksum of 'labels.txt' differs"),
        "cut short": ("c.tflite", content[:-100], "it names no classes"),
        "foreign": ("d.tflite", uint8_mask(), "it names no classes"),
        "text": ("e.tflite", b"just a text", "it is no .tflite file"),
        "empty": ("f.tflite", b"", "it is no .tflite file"),
    }


@pytest.mark.parametrize("kind", wrong_files())
def test_a_wrong_model_is_one_line_and_the_page_lives_on(page, kind):
    name, content, said = wrong_files()[kind]
    page.choose("Open another .tflite", name, content)
    page.wait_for(f"Cannot open {name}: ")
    assert said in page.status
    assert "\n" not in page.status
    assert page.is_wrong
    page.open_image(scene((64, 128)))
    assert not page.is_wrong


def test_a_text_is_no_image(page):
    page.choose("Choose image", "notes.txt", b"just a text")
    page.wait_for("Cannot open notes.txt: it is no image that this browser reads.")
    assert page.is_wrong
    page.open_image(scene((64, 128)))


def test_files_are_dropped_as_well(page):
    image = scene((100, 150))
    stage = page.tab.get_by_role("region", name="Picture")

    def drop(name, content):
        kind = "application/octet-stream"
        stage.drop({"files": [{"name": name, "mimeType": kind, "buffer": content}]})

    drop("dropped.png", chromium.png_of(image))
    page.wait_for("dropped.png: 150x100 pixels.")
    assert (page.mask() == Segmenter()(image)).all()
    drop("notes.txt", b"just a text")
    page.wait_for("Cannot open notes.txt")
    drop("foreign.tflite", uint8_mask())
    page.wait_for("Cannot open foreign.tflite")
    drop("again.tflite", default_weights().device_file().read_bytes())
    page.wait_for("Ready.")


# === Phones and keyboards ===


def test_everything_fits_on_a_phone(browser, server):
    page = chromium.Page(browser, server.address, viewport=PHONE)
    page.open_image(scene((256, 512)))
    controls = page.tab.locator("button:visible, .button, select")
    for place in [*controls.all(), *page.tab.locator("table, canvas").all()]:
        box = place.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    for place in controls.all():
        assert place.bounding_box()["height"] >= 44  # of a finger


def test_the_keyboard_reaches_all_in_their_order(page):
    page.open_image(scene((64, 128)))
    page.tab.get_by_label("Choose image").focus()
    found = []
    for _ in range(6):
        page.tab.keyboard.press("Tab")
        found.append(page.tab.locator(":focus").get_attribute("id"))
    assert found == [
        *("camera", "opacity", "save-mask", "save-overlay", "threads", "choose-model"),
    ]
    page.button("Camera").focus()
    page.tab.keyboard.press("Space")
    page.wait_for("The camera runs.")
    page.tab.keyboard.press("Space")
    page.wait_for("The camera is off.")
