"""Time and memory of exported files in a browser beside the native run.

PYTHONPATH=tests python results/web_speed.py WORK_FOLDER [--size 256x512] [--runs 21]
    [--networks frm frm:backbone=van_tiny frm_lite0] [--out FILE]

Needs what `make check-web` installs. float32 files, and int8 files of what
`quantize_aware` makes before any training, as in `latency.py`; both give masks. The
network alone, one and two threads: native and browser run in turn. Each file has a
page of its own, whose WebAssembly heap is its memory. Writes results/web/speed.csv.
"""

import argparse
import time
import zlib
from pathlib import Path

import chromium
import numpy as np
from latency import export_all
from table import write_table

from keras_frm.benchmark.machine import machine_name
from keras_frm.benchmark.peak_memory import peak_memory
from keras_frm.data.representative import scenes
from keras_frm.runtime.backends.network import open_network
from keras_frm.web.site import PAGE, site_files

THREADS = (1, 2)
WARM_UP = 3
KINDS = ("float32", "int8_trained")
NETWORKS = ("frm", "frm:backbone=van_tiny", "frm_lite0")

# In the page's worker: a segmenter of its own for each number of threads.
OPEN = """async ({model, threads, rgb}) => {
  const {Segmenter} = await import('./segmenter.js');
  const bytes = new Uint8Array(await (await fetch(model)).arrayBuffer());
  self.timed ??= {};
  self.timed[threads] = await Segmenter.open(bytes, threads);
  const [height, width] = self.timed[threads].metadata.size;
  self.image = {data: Uint8Array.from(rgb), height, width};
}"""
RUN = """async (threads) => {
  const start = performance.now();
  await self.timed[threads].run(self.image);
  return performance.now() - start;
}"""
HEAP = """async () => {
  const {getGlobalLiteRt} = await import('./litert/litert.js');
  return getGlobalLiteRt().liteRtWasm.HEAPU8.length;
}"""


def native_calls(path, image):
    """Return a call for each number of threads, which gives its milliseconds."""

    def call(network):
        start = time.perf_counter()
        network.run(image)
        return 1e3 * (time.perf_counter() - start)

    networks = {n: open_network(path, n, verify=False) for n in THREADS}
    return {n: lambda network=network: call(network) for n, network in networks.items()}


def browser_calls(worker, path, image):
    """Return the same for the page's worker."""
    for threads in THREADS:
        given = {"model": path.name, "threads": threads, "rgb": image.ravel().tolist()}
        worker.evaluate(OPEN, given)
    return {n: lambda n=n: worker.evaluate(RUN, n) for n in THREADS}


def times_in_turn(calls, runs):
    """Return (runs, len(calls)) milliseconds of calls that measure themselves."""
    rounds = [[call() for call in calls] for _ in range(WARM_UP + runs)]
    return np.array(rounds[WARM_UP:])


def measure(browser, path, size, runs):
    """Yield the columns of each number of threads."""
    image = scenes(size, 1)[0].astype(np.uint8)
    with chromium.serving(chromium.page_server(site_files(path))) as server:
        page = chromium.Page(browser, server.address)
        worker = page.worker
        heap = worker.evaluate(HEAP)  # of the page with its one file
        calls = native_calls(path, image), browser_calls(worker, path, image)
        native, wasm = (list(each.values()) for each in calls)
        times = times_in_turn([*native, *wasm], runs)
        page.tab.context.close()
    for place, threads in enumerate(THREADS):
        own, other = times[:, place], times[:, len(THREADS) + place]
        yield {
            "threads": threads,
            "ms_native": round(float(np.median(own)), 1),
            "ms_wasm": round(float(np.median(other)), 1),
            "wasm_to_native": round(float(np.median(other / own)), 2),
            "wasm_to_one_thread": round(float(np.median(other / times[:, 2])), 2),
            "runs": runs,
            "native_peak_mb": round(peak_memory(path, size, threads) / 1e6, 1),
            "wasm_heap_mb": round(heap / 1e6, 1),
            "file_mb": round(path.stat().st_size / 1e6, 2),
            "engine_mb_packed": round(engine_bytes() / 1e6, 2),
            "machine": machine_name(),
        }


def engine_bytes() -> int:
    """Return what a visitor loads beside the file, packed as most hosts send it."""
    loaded = [
        path
        for path in PAGE.rglob("*")
        if path.suffix in (".html", ".css", ".js", ".wasm")
        and "compat" not in path.name
    ]
    return sum(len(zlib.compress(path.read_bytes())) for path in loaded)


def rows(given, size):
    with chromium.browser() as browser:
        for network in given.networks:
            for kind, path in export_all(
                given.folder, size, network, KINDS, output="mask", stride=1
            ).items():
                for columns in measure(browser, path, size, given.runs):
                    yield {"network": network, "file": kind, **columns}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="256x512")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--runs", type=int, default=21)
    default = Path(__file__).with_name("web") / "speed.csv"
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    size = tuple(int(side) for side in given.size.split("x"))
    write_table(rows(given, size), given.out)


if __name__ == "__main__":
    main()
