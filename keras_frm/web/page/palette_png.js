// A mask as an indexed PNG: pixels are class ids, the palette the classes' colours.

import { crc32 } from "./crc32.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const INDEXED = 3;

/**
 * Write a mask as a PNG file.
 *
 * @param {Uint8Array} mask (height * width) class ids.
 * @param {number} width Pixels in a row.
 * @param {number[][]} palette RGB, 0 to 255, of each class.
 * @returns {Promise<Blob>} The file.
 */
export async function palettePng(mask, width, palette) {
  const height = mask.length / width;
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits
  header.setUint8(9, INDEXED);
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("PLTE", Uint8Array.from(palette.flat())),
    chunk("IDAT", await deflated(lines(mask, width))),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Blob(parts, { type: "image/png" });
}

/** Return the rows, each behind a byte that says that it is not filtered. */
function lines(mask, width) {
  const height = mask.length / width;
  const filtered = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    filtered.set(mask.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  return filtered;
}

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

async function deflated(bytes) {
  const stream = new Blob([bytes])
    .stream()
    .pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
