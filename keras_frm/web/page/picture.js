// The image and its mask on the page, and the files that are saved of them.

import { palettePng } from "./palette_png.js";

const OPAQUE = 255;

/** Read an image file as a browser shows it: upright, its colours as they are stored. */
export async function readImage(blob) {
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: "none",
    imageOrientation: "from-image",
    premultiplyAlpha: "none",
  });
  try {
    return pixelsOf(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

/** Return the RGBA pixels of a bitmap or a video's frame. */
export function pixelsOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** Paint a mask in its classes' colours. */
export function colourise(mask, width, palette) {
  const colours = new Uint8ClampedArray(4 * 256);
  palette.forEach((colour, id) => colours.set([...colour, OPAQUE], 4 * id));
  const table = new Uint32Array(colours.buffer); // a colour at once: masks are large
  const pixels = new ImageData(width, mask.length / width);
  const painted = new Uint32Array(pixels.data.buffer);
  for (let place = 0; place < mask.length; place++) painted[place] = table[mask[place]];
  return pixels;
}

/** Show pixels on a canvas of their size. */
export function show(canvas, pixels) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Save a mask as an indexed PNG. */
export async function saveMask(mask, width, palette, name) {
  saveBlob(await palettePng(mask, width, palette), `${name}_mask.png`);
}

/** Save the image with its mask over it, as they are shown. */
export async function saveOverlay(imageCanvas, maskCanvas, opacity, name) {
  const canvas = new OffscreenCanvas(imageCanvas.width, imageCanvas.height);
  const context = canvas.getContext("2d");
  context.drawImage(imageCanvas, 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(maskCanvas, 0, 0);
  saveBlob(await canvas.convertToBlob({ type: "image/png" }), `${name}_overlay.png`);
}

function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download reads the address after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
