// The page: what its buttons do, and what it says.

import { Camera, cameraIds } from "./camera.js";
import { showClasses, showShares } from "./legend.js";
import { colourise, readImage, saveMask, saveOverlay, show } from "./picture.js";
import { startWorker } from "./worker_client.js";

const MOST_THREADS = 4; // more rarely help on a phone, and heat it

const element = (id) => document.getElementById(id);
const stage = element("stage");
const statusLine = element("status");
const legend = element("legend").tBodies[0];
const worker = startWorker((line) => say(line, true));

let model = null; // {bytes, name, metadata} of the file that runs
let shown = null; // {pixels, mask, name} of what is seen
let camera = null;
let isOpening = false;

function say(line, isWrong = false) {
  statusLine.textContent = line;
  statusLine.classList.toggle("wrong", isWrong);
}

/** Do what a button wants; what goes wrong is said in one line, and the page lives on. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say(error.message, true);
  }
}

// === The network ===

async function openModel(bytes, name) {
  say(`Loading ${name} …`);
  const threads = Number(element("threads").value);
  let metadata;
  try {
    ({ metadata } = await worker.open(bytes, threads));
  } catch (error) {
    throw new Error(`Cannot open ${name}: ${error.message}.`);
  }
  model = { bytes, name, metadata };
  const [height, width] = metadata.size;
  element("model-name").textContent =
    `${name}: ${metadata.precision}, ${height}x${width}`;
  showClasses(legend, metadata);
  for (const id of ["choose-image", "camera"]) element(id).disabled = false;
  say("Ready.");
  if (shown && !camera) await segment(shown.pixels, shown.name);
}

async function openSite() {
  const site = await (await fetchFile("site.json")).json();
  element("notice").textContent = site.notice;
  const { threaded } = await worker.start();
  offerThreads(threaded);
  const bytes = await (await fetchFile(site.model)).arrayBuffer();
  await openModel(new Uint8Array(bytes), site.model);
}

async function fetchFile(name) {
  const response = await fetch(encodeURIComponent(name)).catch(() => null);
  if (!response?.ok)
    throw new Error(`The server does not give ${name}: is it running?`);
  return response;
}

function offerThreads(threaded) {
  const cores = navigator.hardwareConcurrency || 1;
  const most = threaded ? Math.min(cores, MOST_THREADS) : 1;
  const options = Array.from({ length: most }, (_, i) => new Option(i + 1));
  element("threads").replaceChildren(...options);
  element("threads").value = most;
  element("threads").disabled = most === 1;
  element("choose-model").disabled = false;
  if (threaded) return;
  element("threads-note").textContent = globalThis.crossOriginIsolated
    ? "This browser lacks relaxed SIMD: one thread."
    : "The server sends no isolation headers: one thread.";
}

// === Pictures ===

async function segment(pixels, name) {
  const { mask, networkMs, totalMs } = await worker.segment(pixels);
  shown = { pixels, mask, name };
  show(element("image"), pixels);
  show(element("mask"), colourise(mask, pixels.width, model.metadata.palette));
  showShares(legend, mask);
  element("network-ms").textContent = `${networkMs.toFixed(1)} ms`;
  element("total-ms").textContent = `${totalMs.toFixed(1)} ms`;
  element("picture").hidden = false;
  element("invitation").hidden = true;
  stage.classList.add("filled");
  for (const id of ["save-mask", "save-overlay"]) element(id).disabled = false;
}

async function openImage(file) {
  await stopCamera();
  let pixels;
  try {
    pixels = await readImage(file);
  } catch {
    throw new Error(
      `Cannot open ${file.name}: it is no image that this browser reads.`,
    );
  }
  say(`Segmenting ${file.name} …`);
  element("frames").textContent = "-";
  await segment(pixels, file.name.replace(/\.\w+$/, ""));
  say(`${file.name}: ${pixels.width}x${pixels.height} pixels.`);
}

async function openFile(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const isModel = String.fromCharCode(...bytes.subarray(4, 8)) === "TFL3";
  if (isModel || file.name.endsWith(".tflite")) await openModel(bytes, file.name);
  else if (model) await openImage(file);
}

// === Camera ===

async function runCamera(deviceId) {
  isOpening = true; // while the browser asks whether it may
  try {
    camera = await Camera.open(deviceId);
  } finally {
    isOpening = false;
  }
  element("camera").setAttribute("aria-pressed", "true");
  element("other-camera").hidden = (await cameraIds()).length < 2;
  say("The camera runs.");
  try {
    await segmentFrames(camera);
  } catch (error) {
    await stopCamera();
    throw error;
  }
}

async function segmentFrames(running) {
  let before = performance.now();
  let smoothed = 0;
  while (camera === running) {
    await segment(running.frame(), "camera");
    if (camera !== running) return;
    const now = performance.now();
    smoothed = smoothed ? 0.9 * smoothed + 0.1 * (now - before) : now - before;
    before = now;
    element("frames").textContent = (1000 / smoothed).toFixed(1);
    // A hidden page waits here: it is not to compute unseen.
    await new Promise(requestAnimationFrame);
  }
}

async function stopCamera() {
  camera?.close();
  camera = null;
  element("camera").setAttribute("aria-pressed", "false");
  element("other-camera").hidden = true;
}

async function toggleCamera() {
  if (isOpening) return;
  if (!camera) {
    await runCamera();
  } else {
    await stopCamera();
    say("The camera is off.");
  }
}

async function switchCamera() {
  const ids = await cameraIds();
  const next = ids[(ids.indexOf(camera.deviceId) + 1) % ids.length];
  await stopCamera(); // phones open one at a time
  await runCamera(next);
}

// === Events ===

function onFile(input, open) {
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // the same file may be chosen again
    if (file) attempt(() => open(file));
  });
}

function onDrop() {
  const over = (isOver) => (event) => {
    event.preventDefault();
    stage.classList.toggle("dropping", isOver);
  };
  document.addEventListener("dragover", over(true));
  document.addEventListener("dragleave", over(false));
  document.addEventListener("drop", (event) => {
    over(false)(event);
    const [file] = event.dataTransfer.files;
    if (file) attempt(() => openFile(file));
  });
}

function onClick(id, action) {
  element(id).addEventListener("click", () => attempt(action));
}

const opacity = () => Number(element("opacity").value) / 100;

onFile(element("choose-image"), openImage);
onFile(element("choose-model"), openFile);
onDrop();
onClick("camera", toggleCamera);
onClick("other-camera", switchCamera);
onClick("save-mask", () =>
  saveMask(shown.mask, shown.pixels.width, model.metadata.palette, shown.name),
);
onClick("save-overlay", () =>
  saveOverlay(element("image"), element("mask"), opacity(), shown.name),
);
element("opacity").addEventListener("input", () => {
  element("mask").style.opacity = opacity();
});
element("threads").addEventListener("change", () =>
  attempt(() => openModel(model.bytes, model.name)),
);
attempt(openSite);
