"""Screenshots of the page of `keras-frm web` for docs/web.md.

PYTHONPATH=tests python results/web_pictures.py CAMVID_FOLDER [--out docs]

Needs what `make check-web` installs. One CamVid test image that docs/camvid.jpg shows,
by the weights `camvid`: wide and phone, light and dark.
"""

import argparse
import itertools
from pathlib import Path

import chromium
import cv2
import numpy as np
from pictures import IMAGES

from keras_frm.images.finding import find_files
from keras_frm.images.reading import IMAGE_SUFFIXES, read_image
from keras_frm.runtime.draw import grid
from keras_frm.web.site import site_files
from keras_frm.weights.shipped import find_shipped

VIEWS = {
    "wide": {"width": 1280, "height": 1000},
    "phone": {"width": 390, "height": 844},
}
SCHEMES = ("light", "dark")
QUALITY = 85


def screenshot(browser, address, image, view, scheme):
    """Return the page with an image and its mask, (H, W, 3) uint8 RGB."""
    options = {"viewport": VIEWS[view], "color_scheme": scheme}
    page = chromium.Page(browser, address, **options)
    page.open_image(image)
    png = page.tab.screenshot(full_page=view == "phone")
    page.tab.context.close()
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camvid", type=Path)
    default = Path(__file__).parents[1] / "docs"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    files = find_files(given.camvid / "test", IMAGE_SUFFIXES)
    image = read_image(files[IMAGES[1]])
    weights = find_shipped("camvid")
    notice = f"Weights '{weights.name}': {weights.licence}"
    site = site_files(weights.device_file(), notice)
    with (
        chromium.browser() as browser,
        chromium.serving(chromium.page_server(site)) as server,
    ):
        seen = {
            (view, scheme): screenshot(browser, server.address, image, view, scheme)
            for view, scheme in itertools.product(VIEWS, SCHEMES)
        }
    phones = [np.ascontiguousarray(seen["phone", scheme]) for scheme in SCHEMES]
    pictures = {f"web_{scheme}": seen["wide", scheme] for scheme in SCHEMES}
    pictures["web_phone"] = grid(phones, columns=2)
    for name, picture in pictures.items():
        path = given.out / f"{name}.jpg"
        cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
