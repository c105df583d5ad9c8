// Resizing of images and masks to the very bytes of keras_frm.images, that is OpenCV's.
//
// A browser's own resizing is another one and changes 1 to 2 % of a mask's pixels.
// An image is {data, height, width}, its data (height * width * 3) bytes of RGB.

const CHANNELS = 3;
const COEFFICIENT_SCALE = 2048; // OpenCV's bilinear weights have 11 bits
const LEAST_PART = 1e-3; // of a pixel: OpenCV leaves smaller ones out

/** Return the RGB image of RGBA pixels; alpha is left out, as OpenCV does. */
export function rgbOf({ data, height, width }) {
  const rgb = new Uint8Array(height * width * CHANNELS);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return { data: rgb, height, width };
}

/** Resize an image: area-averaged if both sides shrink, bilinear otherwise. */
export function resizeImage(image, [height, width]) {
  if (image.height === height && image.width === width) return image;
  const shrinks = height <= image.height && width <= image.width;
  if (!shrinks) return resizeBilinear(image, height, width);
  const wholeRows = image.height % height === 0;
  const wholeColumns = image.width % width === 0;
  const resize = wholeRows && wholeColumns ? averageBlocks : averageArea;
  return resize(image, height, width);
}

/** Resize a mask of class ids, (height * width) bytes: the nearest pixel counts. */
export function resizeMask(mask, [height, width], [newHeight, newWidth]) {
  if (height === newHeight && width === newWidth) return mask;
  const rows = nearest(height, newHeight);
  const columns = nearest(width, newWidth);
  const resized = new Uint8Array(newHeight * newWidth);
  for (let y = 0, to = 0; y < newHeight; y++) {
    const row = rows[y] * width;
    for (let x = 0; x < newWidth; x++) resized[to++] = mask[row + columns[x]];
  }
  return resized;
}

/** Return the old place in which the centre of each new one lies. */
function nearest(size, newSize) {
  return Int32Array.from({ length: newSize }, (_, place) =>
    Math.floor(((2 * place + 1) * size) / (2 * newSize)),
  );
}

/** Average blocks of whole pixels. */
function averageBlocks(image, height, width) {
  const down = image.height / height;
  const right = image.width / width;
  const area = down * right;
  const isTwoByTwo = down === 2 && right === 2;
  const share = Math.fround(1 / area);
  const stride = image.width * CHANNELS;
  const data = new Uint8Array(height * width * CHANNELS);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < CHANNELS; c++, to++) {
        let sum = 0;
        const corner = y * down * stride + x * right * CHANNELS + c;
        for (let i = 0; i < down; i++) {
          for (let j = 0; j < right; j++) {
            sum += image.data[corner + i * stride + j * CHANNELS];
          }
        }
        // OpenCV has a kernel of its own for halves, which rounds up.
        data[to] = isTwoByTwo ? (sum + 2) >> 2 : roundToEven(Math.fround(sum * share));
      }
    }
  }
  return { data, height, width };
}

/** Average areas whose borders cut pixels, with sums of 32 bits in OpenCV's order. */
function averageArea(image, height, width) {
  const columns = parts(image.width, width);
  const rows = parts(image.height, height);
  const data = new Uint8Array(height * width * CHANNELS);
  const line = new Float32Array(width * CHANNELS);
  const sum = new Float32Array(width * CHANNELS);
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    for (let i = rows.first[y]; i < rows.first[y + 1]; i++) {
      averageLine(image, rows.from[i], columns, line);
      const weight = rows.weight[i];
      for (let k = 0; k < sum.length; k++) sum[k] += Math.fround(weight * line[k]);
    }
    const start = y * sum.length;
    for (let k = 0; k < sum.length; k++) data[start + k] = roundToEven(sum[k]);
  }
  return { data, height, width };
}

function averageLine(image, row, columns, line) {
  const start = row * image.width * CHANNELS;
  line.fill(0);
  for (let x = 0; x < line.length / CHANNELS; x++) {
    for (let i = columns.first[x]; i < columns.first[x + 1]; i++) {
      const from = start + columns.from[i] * CHANNELS;
      const weight = columns.weight[i];
      for (let c = 0; c < CHANNELS; c++) {
        line[x * CHANNELS + c] += Math.fround(image.data[from + c] * weight);
      }
    }
  }
}

/** Return which old pixels make a new one, and their weights: i of first[new] on. */
function parts(size, newSize) {
  const scale = 1 / (newSize / size);
  const first = [];
  const from = [];
  const weight = [];
  for (let place = 0; place < newSize; place++) {
    first.push(from.length);
    const start = place * scale;
    const end = start + scale;
    const width = Math.min(scale, size - start);
    const last = Math.min(Math.floor(end), size - 1);
    const whole = Math.min(Math.ceil(start), last);
    if (whole - start > LEAST_PART) {
      from.push(whole - 1);
      weight.push((whole - start) / width);
    }
    for (let old = whole; old < last; old++) {
      from.push(old);
      weight.push(1 / width);
    }
    if (end - last > LEAST_PART) {
      from.push(last);
      weight.push(Math.min(Math.min(end - last, 1), width) / width);
    }
  }
  first.push(from.length);
  return { first, from, weight: Float32Array.from(weight) };
}

/** Resize in whole numbers, as OpenCV's INTER_LINEAR does with bytes. */
function resizeBilinear(image, height, width) {
  const columns = neighbours(image.width, width, true);
  const rows = neighbours(image.height, height, false);
  const stride = image.width * CHANNELS;
  const data = new Uint8Array(height * width * CHANNELS);
  const sumOf = (row, x, c) =>
    image.data[row * stride + columns.low[x] * CHANNELS + c] * columns.lowWeight[x] +
    image.data[row * stride + columns.high[x] * CHANNELS + c] * columns.highWeight[x];
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < CHANNELS; c++) {
        const upper = (rows.lowWeight[y] * (sumOf(rows.low[y], x, c) >> 4)) >> 16;
        const lower = (rows.highWeight[y] * (sumOf(rows.high[y], x, c) >> 4)) >> 16;
        data[to++] = (upper + lower + 2) >> 2;
      }
    }
  }
  return { data, height, width };
}

/** Return the two old places of each new one, and their weights of 11 bits. */
function neighbours(size, newSize, isColumn) {
  const scale = 1 / (newSize / size);
  const clipped = (place) => Math.min(Math.max(place, 0), size - 1);
  const found = { low: [], high: [], lowWeight: [], highWeight: [] };
  for (let place = 0; place < newSize; place++) {
    const exact = Math.fround((place + 0.5) * scale - 0.5);
    const low = Math.floor(exact);
    let part = Math.fround(exact - low);
    // Of rows beyond the border OpenCV mixes the border with itself.
    if (isColumn && (low < 0 || low >= size - 1)) part = 0;
    found.low.push(clipped(low));
    found.high.push(clipped(low + 1));
    found.lowWeight.push(roundToEven(Math.fround(1 - part) * COEFFICIENT_SCALE));
    found.highWeight.push(roundToEven(part * COEFFICIENT_SCALE));
  }
  return found;
}

/** Round as processors do: halves to the even number. */
function roundToEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
