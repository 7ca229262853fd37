// Images of the reference to tap, among them those that quantization flips.

import { SIDE } from "./ink.js";
import { bytes } from "./tensors.js";

/** Draw grey bytes (784) into a 28x28 canvas, white on black as the networks see them. */
export function paint(canvas, image) {
  const pixels = new ImageData(SIDE, SIDE);
  image.forEach((grey, i) => pixels.data.set([grey, grey, grey, 255], i * 4));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Fill the list; `tapped` is called with the example, its image and a canvas of it. */
export function list(element, examples, tapped) {
  for (const example of examples) {
    const image = bytes(example.image_u8);
    const canvas = Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE });
    paint(canvas, image);
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.classList.toggle("flips", example.flips.length > 0);
    button.setAttribute("aria-label", `Example of a ${example.label}${example.flips.length ? ", which quantization flips" : ""}`);
    button.append(canvas);
    button.addEventListener("click", () => tapped(example, image, canvas));
    const item = document.createElement("li");
    item.append(button);
    element.append(item);
  }
}

/** Say an example's label and who answered what on the desktop. */
export function describe(example) {
  const start = `Reference image ${example.index}, labelled ${example.label}.`;
  if (!example.flips.length) return start;
  const by = example.flips.map(({ artifact, answer, source }) => `${artifact} says ${answer}, its float source ${source}`);
  return `${start} On the desktop: ${by.join("; ")}.`;
}
