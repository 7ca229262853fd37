// Strokes to what the networks see: MNIST's own preparation. The drawing is scaled so that its longer side fills 20
// pixels, then moved by whole pixels until its centre of mass lies on pixel (14, 14) of 28x28.
//
// It goes by the strokes' own lines and not by the canvas' pixels, which some browsers falsify against fingerprinting.

const SIDE = 28;
const BOX = 20;
const CENTRE = 14; // where the mass of MNIST's digits lies: 14.0 on average in both directions

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));

/** Tell whether a group's networks read digits prepared like this. */
export function fits({ height, width, channels, labels }) {
  return height === SIDE && width === SIDE && channels === 1 && DIGITS.length === labels.length && DIGITS.every((digit, i) => digit === labels[i]);
}

/**
 * Return the 28x28 grey values of strokes, Uint8Array of 784, or null where nothing is drawn.
 * A stroke is {points: [[x, y], ...], width}, in any unit.
 */
export function see(strokes) {
  const edges = bounds(strokes);
  if (!edges) return null;
  const [left, top, right, bottom] = edges;
  const scale = BOX / Math.max(right - left, bottom - top);
  const width = (right - left) * scale;
  const height = (bottom - top) * scale;
  const x0 = (SIDE - width) / 2;
  const y0 = (SIDE - height) / 2;
  const boxed = new Float32Array(SIDE * SIDE);
  for (const stroke of strokes) {
    const points = stroke.points.map(([x, y]) => [(x - left) * scale + x0, (y - top) * scale + y0]);
    const radius = (stroke.width * scale) / 2;
    points.forEach((point, i) => rub(boxed, points[Math.max(i - 1, 0)], point, radius));
  }
  const [x, y] = centreOfMass(boxed);
  // never so far that ink would leave the picture
  const dx = clamp(Math.round(CENTRE - x), -Math.floor(x0), Math.floor(SIDE - x0 - width));
  const dy = clamp(Math.round(CENTRE - y), -Math.floor(y0), Math.floor(SIDE - y0 - height));
  const seen = new Uint8Array(SIDE * SIDE);
  boxed.forEach((grey, i) => {
    if (grey > 0) seen[i + dy * SIDE + dx] = Math.round(grey * 255);
  });
  return seen;
}

function bounds(strokes) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { points, width } of strokes) {
    for (const [x, y] of points) {
      left = Math.min(left, x - width / 2);
      right = Math.max(right, x + width / 2);
      top = Math.min(top, y - width / 2);
      bottom = Math.max(bottom, y + width / 2);
    }
  }
  return right > left ? [left, top, right, bottom] : null;
}

/** Ink the pixels that lie within `radius` of a line; at its edge by the share of the pixel that it covers. */
function rub(grey, [ax, ay], [bx, by], radius) {
  const reach = radius + 0.5;
  const [dx, dy] = [bx - ax, by - ay];
  const length2 = dx * dx + dy * dy;
  const from = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
  const to = (a, b) => Math.min(SIDE - 1, Math.floor(Math.max(a, b) + reach));
  for (let row = from(ay, by); row <= to(ay, by); row++) {
    for (let column = from(ax, bx); column <= to(ax, bx); column++) {
      const [px, py] = [column + 0.5 - ax, row + 0.5 - ay];
      const along = length2 ? clamp((px * dx + py * dy) / length2, 0, 1) : 0;
      const covered = clamp(reach - Math.hypot(px - along * dx, py - along * dy), 0, 1);
      const i = row * SIDE + column;
      grey[i] = Math.max(grey[i], covered);
    }
  }
}

function centreOfMass(grey) {
  let [mass, x, y] = [0, 0, 0];
  grey.forEach((value, i) => {
    mass += value;
    x += value * (i % SIDE);
    y += value * Math.floor(i / SIDE);
  });
  return [x / mass, y / mass];
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
