// Runs modules of the page in Node, without a browser, for tests/test_web_modules.py.
//
// node page_in_node.mjs FOLDER: the folder holds the page, and jobs.json, a list of
// {action, ...}; the answers go to answers.json beside it, arrays to files.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";

const folder = path.resolve(process.argv[2]);
const load = (name) => import(pathToFileURL(path.join(folder, name)).href);

// What LiteRT's scripts expect of a worker.
globalThis.self = globalThis;
globalThis.require = createRequire(import.meta.url);
globalThis.__filename = path.join(folder, "litert", "litert.js");
globalThis.__dirname = path.dirname(globalThis.__filename);
globalThis.importScripts = (address) => {
  const file = fileURLToPath(address);
  vm.runInThisContext(fs.readFileSync(file, "utf8"), { filename: file });
};

const bytesOf = (name) => new Uint8Array(fs.readFileSync(path.join(folder, name)));
const write = (name, bytes) => fs.writeFileSync(path.join(folder, name), bytes);
const imageOf = ({ image, size }) => ({
  data: bytesOf(image),
  height: size[0],
  width: size[1],
});
let engine = null;

const actions = {
  async resizeImage(job) {
    const { resizeImage } = await load("pixels.js");
    write(job.out, resizeImage(imageOf(job), job.to).data);
  },
  async resizeMask(job) {
    const { resizeMask } = await load("pixels.js");
    write(job.out, resizeMask(bytesOf(job.image), job.size, job.to));
  },
  async readMetadata({ file }) {
    const { readMetadata } = await load("metadata.js");
    return readMetadata(bytesOf(file));
  },
  async palettePng({ image, size, palette, out }) {
    const { palettePng } = await load("palette_png.js");
    const png = await palettePng(bytesOf(image), size[1], palette);
    write(out, new Uint8Array(await png.arrayBuffer()));
  },
  async segment({ model, images }) {
    const { Segmenter, startEngine } = await load("segmenter.js");
    engine ??= startEngine();
    await engine;
    const segmenter = await Segmenter.open(bytesOf(model), 1);
    for (const image of images) {
      write(image.out, (await segmenter.segment(imageOf(image))).mask);
    }
    segmenter.delete();
  },
};

const answers = [];
const jobs = JSON.parse(fs.readFileSync(path.join(folder, "jobs.json"), "utf8"));
for (const { action, ...job } of jobs) {
  try {
    answers.push({ result: (await actions[action](job)) ?? null });
  } catch (error) {
    answers.push({ error: error.message });
  }
}
write("answers.json", JSON.stringify(answers));
