// What an exported .tflite file says about itself: a zip behind the flatbuffer.
//
// The Python side is keras_frm.runtime.tflite.metadata_zip. Members of our files are
// stored, never deflated; every checksum is compared.

import { crc32 } from "./crc32.js";

const JSON_NAME = "keras_frm.json";
const LABELS_NAME = "labels.txt";
const END_RECORD = 0x06054b50;
const LISTED_FILE = 0x02014b50;
const LOCAL_FILE = 0x04034b50;
const END_BYTES = 22;
const MOST_MEMBERS = 16;
const MOST_CLASSES = 255;

/** A file that cannot be used, with one line that says why and what to do. */
export class ModelFileError extends Error {}

const damaged = (what) =>
  new ModelFileError(`it is damaged (${what}); copy or export it again`);

/**
 * Read what the page needs to know about a model.
 *
 * @param {Uint8Array} bytes The file.
 * @returns {Promise<{classes: string[], palette: number[][], size: number[],
 *   output: string, dtype: string, precision: string}>} Size is height and width.
 * @throws {ModelFileError} It is no such file, is damaged, or was changed.
 */
export async function readMetadata(bytes) {
  if (String.fromCharCode(...bytes.subarray(4, 8)) !== "TFL3") {
    throw new ModelFileError("it is no .tflite file");
  }
  const members = readMembers(bytes);
  if (!members?.has(JSON_NAME) || !members.has(LABELS_NAME)) {
    throw new ModelFileError(
      "it names no classes: it is cut short, or keras_frm did not export it",
    );
  }
  const entry = parsed(textOf(members.get(JSON_NAME).data));
  const start = Math.min(...[...members.values()].map((member) => member.start));
  await checkDigest(bytes.subarray(0, start), entry.sha256);
  const names = textOf(members.get(LABELS_NAME).data).split("\n").slice(0, -1);
  return checked(entry, names);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged("its metadata is no JSON");
  }
}

function checked(entry, classes) {
  const { labels, input, output, precision } = entry;
  const palette = labels?.palette;
  const isColour = (colour) =>
    colour?.length === 3 && colour.every((value) => value >= 0 && value <= 255);
  if (
    !(classes.length >= 1 && classes.length <= MOST_CLASSES) ||
    palette?.length !== classes.length ||
    !palette.every(isColour)
  ) {
    throw damaged("its classes and colours do not fit");
  }
  const size = input?.size;
  const isSide = (side) => Number.isInteger(side) && side > 0;
  if (size?.length !== 2 || !size.every(isSide)) throw damaged("it has no size");
  if (output !== "mask") {
    throw new ModelFileError(
      `it gives ${output}, and this page shows masks: export it with output mask`,
    );
  }
  return { classes, palette, size, output, dtype: input.dtype, precision };
}

/** Compare the flatbuffer with the one that the metadata were written for. */
async function checkDigest(flatbuffer, expected) {
  // Browsers offer digests to https and localhost only.
  if (!globalThis.crypto?.subtle) return;
  const digest = await crypto.subtle.digest("SHA-256", flatbuffer);
  const hex = (byte) => byte.toString(16).padStart(2, "0");
  if ([...new Uint8Array(digest)].map(hex).join("") !== expected) {
    throw new ModelFileError("it was changed after export; copy or export it again");
  }
}

/** Return the members of a zip at the end of a file by name; null where there is none. */
function readMembers(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - END_BYTES;
  if (end < 0 || view.getUint32(end, true) !== END_RECORD) return null;
  const count = view.getUint16(end + 10, true);
  if (count > MOST_MEMBERS) throw damaged(`its metadata have ${count} members`);
  const members = new Map();
  try {
    let at = view.getUint32(end + 16, true);
    for (let index = 0; index < count; index++) {
      const listed = readListed(bytes, view, at);
      members.set(listed.name, readStored(bytes, view, listed));
      at = listed.next;
    }
  } catch (error) {
    if (error instanceof RangeError) throw damaged("its metadata leave the file");
    throw error;
  }
  return members;
}

/** Read an entry of the central directory. */
function readListed(bytes, view, at) {
  if (view.getUint32(at, true) !== LISTED_FILE) throw damaged("a member is lost");
  const nameStart = at + 46;
  const nameEnd = nameStart + view.getUint16(at + 28, true);
  const rest = view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  return {
    name: textOf(bytes.subarray(nameStart, nameEnd)),
    isStored: view.getUint16(at + 10, true) === 0,
    crc: view.getUint32(at + 16, true),
    size: view.getUint32(at + 24, true),
    start: view.getUint32(at + 42, true),
    next: nameEnd + rest,
  };
}

function readStored(bytes, view, { name, isStored, crc, size, start }) {
  if (!isStored || view.getUint32(start, true) !== LOCAL_FILE) {
    throw damaged(`'${name}' is not stored as keras_frm does`);
  }
  const names = view.getUint16(start + 26, true) + view.getUint16(start + 28, true);
  const data = bytes.subarray(start + 30 + names, start + 30 + names + size);
  if (data.length !== size || crc32(data) !== crc) {
    throw damaged(`the checksum of '${name}' differs`);
  }
  return { data, start };
}

function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw damaged("its metadata are no text");
  }
}
