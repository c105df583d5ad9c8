"""Masks and logits of CamVid's test images in a browser beside those of the native run.

PYTHONPATH=tests python results/web_agreement.py CAMVID_FOLDER WORK_FOLDER [--every 1]
    [--threads 1 2] [--out FILE]

Needs what `make check-web` installs. The shipped int8 file `camvid`, and float32 files
of its weights, which are written to WORK_FOLDER. Masks are those of the page's worker,
logits those of LiteRT in it: of the int8 file the integers before the argmax
(`logits_of_mask_file.py`), of float32 those of a file with logits. Writes
results/web/agreement.csv.
"""

import argparse
import base64
import hashlib
from pathlib import Path

import chromium
import numpy as np
from logits_of_mask_file import logits_of_mask_file
from table import write_table

from keras_frm import Segmenter, build_model, export_tflite, load_dataset
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.web.site import site_files
from keras_frm.weights.shipped import find_shipped

SIZE = (360, 480)

# In the page's worker, where `actions` are those that the page calls.
OPEN = """async ({model, logits, threads}) => {
  const bytes = async (name) =>
    new Uint8Array(await (await fetch(name)).arrayBuffer());
  await actions.open({bytes: await bytes(model), threads});
  const litert = await import('./litert/litert.js');
  self.litert = litert;
  self.logits?.delete();
  self.logits = await litert.loadAndCompile(
    await bytes(logits), {accelerator: 'wasm', cpuOptions: {numThreads: threads}});
}"""
RUN = """async ({rgba, height, width}) => {
  const data = Uint8ClampedArray.from(atob(rgba), (c) => c.charCodeAt(0));
  const {mask} = await actions.segment({pixels: {data, height, width}});
  const rgb = data.filter((_, place) => place % 4 < 3);
  const [{dtype, shape}] = self.logits.getInputDetails();
  const values = dtype === 'uint8' ? Uint8Array.from(rgb) : Float32Array.from(rgb);
  const input = new self.litert.Tensor(values, [...shape]);
  const [output] = await self.logits.run(input);
  const logits = new Uint8Array(output.toTypedArray().buffer);
  input.delete();
  output.delete();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', logits));
  return {
    mask: btoa(Array.from(mask, (id) => String.fromCharCode(id)).join('')),
    logits: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''),
  };
}"""


def files_to_compare(work):
    """Return the files of masks and those of logits, by precision."""
    shipped = find_shipped("camvid")
    int8 = work / "camvid_int8_logits.tflite"
    int8.write_bytes(logits_of_mask_file(shipped.device_file().read_bytes()))
    float32 = {
        output: work / f"camvid_{output}.tflite" for output in ("mask", "logits")
    }
    for output, path in float32.items():
        if not path.exists():
            model = build_model("camvid", network=shipped.network, weights="camvid")
            export_tflite(model, path, input_shape=SIZE, output=output)
    return {
        "int8": (shipped.device_file(), int8),
        "float32": (float32["mask"], float32["logits"]),
    }


def native(files, threads):
    """Return a function from an image to its mask and its logits, by LiteRT here."""
    masks, logits = files
    segmenter = Segmenter(masks, num_threads=threads, verify=False)
    interpreter = load_interpreter(logits.read_bytes(), threads)
    (taken,), (given,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )

    def run(image):
        interpreter.set_tensor(taken["index"], image[None].astype(taken["dtype"]))
        interpreter.invoke()
        return segmenter(image), interpreter.get_tensor(given["index"])

    return run


def in_browser(browser, server, files, threads):
    """Return the same by the page's worker, with the digest of the logits."""
    masks, logits = files
    worker = chromium.Page(browser, server.address).worker
    worker.evaluate(
        OPEN, {"model": masks.name, "logits": logits.name, "threads": threads}
    )

    def run(image):
        height, width = image.shape[:2]
        rgba = np.dstack([image, np.full_like(image[..., :1], 255)])  # (H, W, 4)
        text = base64.b64encode(rgba.tobytes()).decode()
        answer = worker.evaluate(RUN, {"rgba": text, "height": height, "width": width})
        ids = np.frombuffer(base64.b64decode(answer["mask"]), np.uint8)
        return ids.reshape(height, width), answer["logits"]

    return run


def compare(images, here, there):
    """Return how many masks, logits and pixels are equal, as columns."""
    masks, logits, pixels = [], [], []
    for image in images:
        mask, numbers = here(image)
        other, digest = there(image)
        pixels.append(np.mean(mask == other))
        masks.append((mask == other).all())
        logits.append(hashlib.sha256(numbers.tobytes()).hexdigest() == digest)
    return {
        "images": len(images),
        "masks_equal": f"{np.mean(masks):.4f}",
        "logits_equal": f"{np.mean(logits):.4f}",
        "same_pixels": f"{np.mean(pixels):.6f}",
        "least_same_pixels": f"{np.min(pixels):.6f}",
    }


def rows(browser, files, images, counts):
    """Yield a row for each file and number of threads."""
    site = site_files(find_shipped("camvid").device_file())
    served = [path for pair in files.values() for path in pair]
    site |= {path.name: path.read_bytes() for path in served}
    with chromium.serving(chromium.page_server(site)) as server:
        for precision, pair in files.items():
            for threads in counts:
                there = in_browser(browser, server, pair, threads)
                row = compare(images, native(pair, threads), there)
                yield {"file": precision, "threads": threads, **row}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camvid", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    default = Path(__file__).with_name("web") / "agreement.csv"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    data = load_dataset("camvid", given.camvid, "test", batch_size=1, resize=SIZE)
    chosen = data.shard(given.every, 0)
    images = [image[0].numpy().astype(np.uint8) for image, _ in chosen]
    files = files_to_compare(given.work)
    with chromium.browser() as browser:
        write_table(rows(browser, files, images, given.threads), given.out)


if __name__ == "__main__":
    main()
