// What an artifact takes and gives, as its sidecar's `inputs` and `outputs` say.

const ARRAYS = { float32: Float32Array, uint8: Uint8Array };

/** Return a shape for one image; an artifact may take batches of any size, which is -1 in its sidecar. */
export function single(tensor) {
  return [1, ...tensor.shape.slice(1)];
}

/** Return grey bytes (784) as the artifact takes them: 0..1, quantized where its input is. */
export function native(image, tensor) {
  const values = new ARRAYS[tensor.dtype](image.length);
  image.forEach((byte, i) => {
    const grey = Math.fround(byte / 255);
    values[i] = tensor.scale === null ? grey : clampByte(evenly(grey / tensor.scale) + tensor.zero_point);
  });
  return values;
}

/** Return an answer's ten logits; raises an Error where it is not what the sidecar promises. */
export function logits(values, tensor) {
  if (!(values instanceof ARRAYS[tensor.dtype]) || values.length !== 10) {
    throw new Error(`The answer is ${values.constructor.name} of ${values.length}, the sidecar says ${tensor.dtype} of 10.`);
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

/** Return base64 as bytes. */
export function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

// halves go to the even neighbour, as numpy's rint does
function evenly(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

function clampByte(value) {
  return Math.min(Math.max(value, 0), 255);
}
