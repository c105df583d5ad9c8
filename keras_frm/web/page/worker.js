// Runs the network beside the page: a run blocks its thread. It is a classic worker,
// since LiteRT loads its script by importScripts, which module workers refuse.
//
// Each message {id, action, ...} is answered by {id, result} or {id, error}.

const imported = Promise.all([import("./segmenter.js"), import("./pixels.js")]);
let engine = null;
let segmenter = null;
let queue = Promise.resolve();

const actions = {
  /** Say whether LiteRT computes with threads here. */
  async start() {
    const [{ startEngine }] = await imported;
    engine ??= startEngine();
    return { threaded: await engine };
  },

  /** Open another file; the one before stays if this one cannot be used. */
  async open({ bytes, threads }) {
    const [{ Segmenter }] = await imported;
    const opened = await Segmenter.open(bytes, threads);
    segmenter?.delete();
    segmenter = opened;
    return { metadata: segmenter.metadata };
  },

  /** Segment an image of RGBA pixels. */
  async segment({ pixels }) {
    const [, { rgbOf }] = await imported;
    const start = performance.now();
    const { mask, networkMs } = await segmenter.segment(rgbOf(pixels));
    return { mask, networkMs, totalMs: performance.now() - start };
  },
};

async function answer({ id, action, ...given }) {
  try {
    self.postMessage({ id, result: await actions[action](given) });
  } catch (error) {
    self.postMessage({ id, error: String(error.message ?? error).split("\n")[0] });
  }
}

self.onmessage = ({ data }) => {
  // One after another: a file must not be closed while it runs.
  queue = queue.then(() => answer(data));
};
