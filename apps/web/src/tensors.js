// What an artifact takes and gives, as its sidecar's `inputs`, `layout` and `outputs` say.

const ARRAYS = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array };
const BOUNDS = { uint8: [0, 255], int8: [-128, 127] };

/** Return a shape for one image; an artifact may take batches of any size, which is -1 in its sidecar. */
export function single(tensor) {
  return [1, ...tensor.shape.slice(1)];
}

/** Return {height, width, channels} of the pictures that a sidecar's artifact takes. */
export function size({ inputs: [tensor], layout }) {
  const axes = tensor.shape.slice(1);
  const [height, width, channels] = layout === "chw" ? [axes[1], axes[2], axes[0]] : [axes[0], axes[1], axes[2] ?? 1];
  return { height, width, channels };
}

/**
 * Return a picture as a sidecar's artifact takes it: bytes as 0..1, floats as they are, quantized where its input is,
 * its axes in the input's order. A picture is {data, height, width, channels}: bytes or floats [height, width, channels].
 */
export function native({ data, channels }, { inputs: [tensor], layout }) {
  if (!(tensor.dtype in ARRAYS)) throw new Error(`It takes ${tensor.dtype}, which this page cannot make of a picture.`);
  const values = new ARRAYS[tensor.dtype](data.length);
  if (data.length !== product(single(tensor))) {
    throw new Error(`The picture has ${data.length} values, the artifact takes ${tensor.shape.slice(1).join("×")}.`);
  }
  const area = data.length / channels;
  const planes = layout === "chw"; // one channel after the other
  const bytes = data instanceof Uint8Array;
  for (let i = 0; i < data.length; i++) {
    const value = bytes ? Math.fround(data[i] / 255) : data[i];
    const to = planes ? (i % channels) * area + Math.floor(i / channels) : i;
    values[to] = tensor.scale === null ? value : clamp(evenly(value / tensor.scale) + tensor.zero_point, BOUNDS[tensor.dtype]);
  }
  return values;
}

/** Return an answer's logits, one for each class; raises an Error where it is not what the sidecar promises. */
export function logits(values, tensor) {
  const count = product(tensor.shape.slice(1));
  if (!(values instanceof ARRAYS[tensor.dtype]) || values.length !== count) {
    throw new Error(`The answer is ${values.constructor.name} of ${values.length}, the sidecar says ${tensor.dtype} of ${count}.`);
  }
  return Array.from(values, (v) => (tensor.scale === null ? v : (v - tensor.zero_point) * tensor.scale));
}

/** Return the index of the largest logit; -1 where one is not a number, which is no answer. */
export function choice(scores) {
  return scores.every(Number.isFinite) ? scores.indexOf(Math.max(...scores)) : -1;
}

/** Return how likely each answer is, by softmax. */
export function odds(scores) {
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/** Return a stored picture of a size: base64 of bytes in `image_u8`, or of little-endian floats in `image_f32`. */
export function stored({ image_u8, image_f32 }, { height, width, channels }) {
  const bytes = Uint8Array.from(atob(image_u8 || image_f32 || ""), (character) => character.charCodeAt(0));
  const data = image_u8 || !image_f32 ? bytes : new Float32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
  return { data, height, width, channels };
}

// halves go to the even neighbour, as numpy's rint does
function evenly(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

function clamp(value, [low, high]) {
  return Math.min(Math.max(value, low), high);
}

function product(sizes) {
  return sizes.reduce((a, b) => a * b, 1);
}
