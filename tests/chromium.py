"""The page of `keras-frm web` in a headless Chromium, driven by Playwright."""

import contextlib
import io
import os
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from keras_frm.web.server import PageServer

SECONDS = 120  # machines of CI are slow, and WebAssembly is compiled first
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = (
    "--no-sandbox",  # containers run as root
    "--use-fake-device-for-media-stream=device-count=2",
    "--use-fake-ui-for-media-stream",
)


def find_chromium() -> str | None:
    """Return the browser to run: $CHROMIUM, or one of the system."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *_NAMES))
    return next((path for path in found if path), None)


@contextlib.contextmanager
def browser():
    """Start a headless Chromium with a fake camera."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=find_chromium(), args=list(_OPTIONS)
        )
        yield chromium
        chromium.close()


@contextlib.contextmanager
def serving(server):
    """Let a server answer in a thread of its own."""
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def page_server(files) -> PageServer:
    """Return the server of the page at a port that is free."""
    return PageServer(files, 0)


class Page:
    """The page as a person uses it: by the names of its buttons and fields.

    Args:
        chromium: A browser.
        address: Of the page.
        options: Of Playwright's context, such as `viewport` or `color_scheme`.

    Attributes:
        requests: Addresses that the page and its worker asked for.
        tab: Playwright's page.
    """

    def __init__(self, chromium, address, **options):
        context = chromium.new_context(permissions=["camera"], **options)
        context.set_default_timeout(1000 * SECONDS)
        self.requests = []
        context.on("request", lambda request: self.requests.append(request.url))
        self.tab = context.new_page()
        self.tab.goto(address)
        self.wait_for("Ready.")

    def wait_for(self, text):
        """Wait until the page says something; raises where it says another thing."""
        from playwright.sync_api import expect

        status = self.tab.get_by_role("status")
        expect(status).to_contain_text(text, timeout=1000 * SECONDS)

    @property
    def status(self):
        return self.tab.get_by_role("status").inner_text()

    @property
    def is_wrong(self):
        return "wrong" in (self.tab.get_by_role("status").get_attribute("class") or "")

    @property
    def worker(self):
        """The worker that segments; LiteRT's threads are workers as well."""
        (found,) = (w for w in self.tab.workers if w.url.endswith("/worker.js"))
        return found

    def button(self, name):
        return self.tab.get_by_role("button", name=name, exact=True)

    def open_image(self, image, name="street.png"):
        """Choose an image, (H, W, 3) uint8 RGB, and wait for its mask."""
        height, width = image.shape[:2]
        self.choose("Choose image", name, png_of(image))
        self.wait_for(f"{name}: {width}x{height} pixels.")

    def choose(self, label, name, content):
        """Choose a file for a button."""
        kind = "application/octet-stream"
        file = {"name": name, "mimeType": kind, "buffer": content}
        self.tab.get_by_label(label).set_input_files([file])

    def saved(self, button):
        """Return the picture that a button saves, and its file's name."""
        with self.tab.expect_download() as download:
            self.button(button).click()
        content = Path(download.value.path()).read_bytes()
        return Image.open(io.BytesIO(content)), download.value.suggested_filename

    def mask(self):
        """Return the class ids, (H, W) uint8, of the mask that the page saves."""
        picture, _ = self.saved("Save mask")
        return np.array(picture)


def png_of(image) -> bytes:
    """Return an image, (H, W, 3) uint8 RGB, as a PNG file."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()
