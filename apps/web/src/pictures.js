// Pictures as networks take them, {data, height, width, channels}, from photographs and drawings, and onto a canvas.
// A group of networks says in `dtype`, `low` and `high` which values a picture's darkest and brightest are, per channel.

const FINEST = 8; // pixels of a photograph, in each direction, that are averaged to one of the input's
const FINE = 64; // pixels of a side from which a picture is shown smoothed, not pixel by pixel
const LUMA = [0.299, 0.587, 0.114]; // of red, green and blue in a grey value

/** Return the networks' picture of bytes [H,W,C]. */
export function ofBytes(bytes, group) {
  const { height, width, channels, dtype, low, high } = group;
  const spread = (byte, i) => low[i % channels] + (byte / 255) * (high[i % channels] - low[i % channels]);
  return { data: dtype === "uint8" ? bytes : Float32Array.from(bytes, spread), height, width, channels };
}

/** Tell whether pictures can be made of photographs at all: those have three channels, or one that is their grey. */
export function takesPhotos({ channels }) {
  return channels === 1 || channels === 3;
}

/**
 * Return {picture, crop}: a photograph as the networks see it, and a canvas of the same part of it. The largest part in
 * the middle that has the input's proportions is averaged down to the input's size; what is transparent becomes white.
 */
export function ofPhoto(bitmap, group) {
  const { height, width, channels } = group;
  const scale = Math.min(bitmap.width / width, bitmap.height / height); // of the photograph's pixels to the input's
  const part = [(bitmap.width - width * scale) / 2, (bitmap.height - height * scale) / 2, width * scale, height * scale];
  const cut = (times) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: width * times, height: height * times });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, ...part, 0, 0, canvas.width, canvas.height);
    return [canvas, context];
  };
  const times = Math.min(Math.max(Math.floor(scale), 1), FINEST);
  const [fine, context] = cut(times);
  const pixels = context.getImageData(0, 0, fine.width, fine.height).data;
  const bytes = new Uint8Array(height * width * channels);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const colour = mean(pixels, fine.width, row * times, column * times, times);
      const at = (row * width + column) * channels;
      if (channels === 1) bytes[at] = Math.round(LUMA.reduce((sum, share, i) => sum + share * colour[i], 0));
      else bytes.set(colour.map(Math.round), at);
    }
  }
  const shown = Math.max(1, Math.min(Math.floor(scale), Math.ceil(480 / Math.max(width, height))));
  return { picture: ofBytes(bytes, group), crop: cut(shown)[0] };
}

/** Draw a picture of a group's networks into a canvas, which takes its size; null is an empty one. */
export function paint(canvas, picture, { height, width, channels, dtype, low, high }) {
  Object.assign(canvas, { height, width });
  canvas.classList.toggle("fine", Math.max(height, width) > FINE);
  const pixels = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      const channel = channels < 3 ? 0 : colour; // two or four channels are no colours: the first ones are shown
      const value = picture?.data[pixel * channels + channel] ?? (dtype === "uint8" ? 0 : low[channel]);
      pixels.data[pixel * 4 + colour] = dtype === "uint8" ? value : ((value - low[channel]) / (high[channel] - low[channel])) * 255;
    }
    pixels.data[pixel * 4 + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function mean(pixels, stride, top, left, side) {
  const sum = [0, 0, 0];
  for (let row = top; row < top + side; row++) {
    for (let column = left; column < left + side; column++) {
      for (let colour = 0; colour < 3; colour++) sum[colour] += pixels[(row * stride + column) * 4 + colour];
    }
  }
  return sum.map((total) => total / side ** 2);
}
