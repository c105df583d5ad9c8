// An exported file in LiteRT: images in, masks out. The page runs it in a worker, the
// tests in Node too.

import {
  loadAndCompile,
  loadLiteRt,
  supportsFeature,
  Tensor,
} from "./litert/litert.js";
import { ModelFileError, readMetadata } from "./metadata.js";
import { resizeImage, resizeMask } from "./pixels.js";

const ENGINE = new URL("./litert/", import.meta.url).href;
const ARRAYS = { float32: Float32Array, uint8: Uint8Array };

/**
 * Load LiteRT: the build with threads where the browser can, else the one without.
 *
 * @returns {Promise<boolean>} Whether it has threads.
 */
export async function startEngine() {
  const threaded =
    Boolean(globalThis.crossOriginIsolated) && (await supportsFeature("relaxedSimd"));
  const script = `litert_wasm_${threaded ? "threaded" : "compat"}_internal.js`;
  // In a worker it would look for its .wasm beside the worker's script, and start that
  // script as its threads.
  self.Module = {
    locateFile: (name) => ENGINE + name,
    mainScriptUrlOrBlob: ENGINE + script,
  };
  await loadLiteRt(ENGINE + script);
  return threaded;
}

/** An exported .tflite file, ready to segment images. */
export class Segmenter {
  #model;

  constructor(model, metadata) {
    this.#model = model;
    this.metadata = metadata;
  }

  /**
   * Open a file; `startEngine` comes before.
   *
   * @param {Uint8Array} bytes The file.
   * @param {number} threads Threads to compute with.
   * @throws {ModelFileError} It is damaged, or nothing that this page can run.
   */
  static async open(bytes, threads) {
    const metadata = await readMetadata(bytes);
    if (!(metadata.dtype in ARRAYS)) {
      throw new ModelFileError(
        `it takes ${metadata.dtype}, which no browser hands over`,
      );
    }
    let model;
    try {
      model = await loadAndCompile(bytes, {
        accelerator: "wasm",
        cpuOptions: { numThreads: threads },
      });
    } catch (error) {
      throw new ModelFileError(`LiteRT refuses it (${firstLine(error)})`);
    }
    const segmenter = new Segmenter(model, metadata);
    try {
      segmenter.#check();
      // WebAssembly is compiled again while it first runs: up to ten times slower.
      const [height, width] = metadata.size;
      await segmenter.run({ data: new Uint8Array(height * width * 3), height, width });
    } catch (error) {
      segmenter.delete();
      throw error;
    }
    return segmenter;
  }

  /** Refuse a file that takes or gives another thing than its metadata say. */
  #check() {
    const { size, dtype } = this.metadata;
    const wanted = { in: [1, ...size, 3], out: [1, ...size] };
    const [input, ...moreInputs] = this.#model.getInputDetails();
    const [output, ...moreOutputs] = this.#model.getOutputDetails();
    const fits =
      moreInputs.length + moreOutputs.length === 0 &&
      input.dtype === dtype &&
      String([...input.shape]) === String(wanted.in) &&
      String([...output.shape].slice(0, 3)) === String(wanted.out);
    if (!fits) throw new ModelFileError("its tensors are not what its metadata say");
  }

  /**
   * Run the network.
   *
   * @param image {data, height, width} of RGB bytes, of the network's size.
   * @returns {Promise<TypedArray>} What the network gives, such as a mask's class ids.
   */
  async run({ data, height, width }) {
    const Input = ARRAYS[this.metadata.dtype];
    const input = new Tensor(Input.from(data), [1, height, width, 3]); // (1, H, W, 3)
    try {
      const [output] = await this.#model.run(input);
      try {
        return output.toTypedArray();
      } finally {
        output.delete();
      }
    } finally {
      input.delete();
    }
  }

  /**
   * Segment an image of any size.
   *
   * @param image {data, height, width} of RGB bytes.
   * @returns {Promise<{mask: Uint8Array, networkMs: number}>} (height * width) class ids.
   */
  async segment(image) {
    const { size } = this.metadata;
    const input = resizeImage(image, size);
    const start = performance.now();
    const output = await this.run(input);
    const networkMs = performance.now() - start;
    const ids = Uint8Array.from(output); // (h * w)
    const mask = resizeMask(ids, size, [image.height, image.width]);
    return { mask, networkMs };
  }

  /** Free the memory: WebAssembly's is not collected. */
  delete() {
    this.#model.delete();
  }
}

function firstLine(error) {
  return String(error?.message ?? error)
    .trim()
    .split("\n")[0];
}
