// Images of the reference to tap, among them those that quantization flips.

import { named } from "./names.js";
import { paint } from "./pictures.js";
import { stored } from "./tensors.js";

/** Fill the list with a group's examples; `tapped` is called with the example, its picture and a canvas of it. */
export function list(element, examples, group, tapped) {
  element.replaceChildren();
  for (const example of examples) {
    const picture = stored(example, group);
    const canvas = document.createElement("canvas");
    paint(canvas, picture, group);
    const button = Object.assign(document.createElement("button"), { type: "button", title: named(group, example.label) });
    button.classList.toggle("flips", example.flips.length > 0);
    button.setAttribute("aria-label", `Example of a ${named(group, example.label)}${example.flips.length ? ", which quantization flips" : ""}`);
    button.append(canvas);
    button.addEventListener("click", () => tapped(example, picture, canvas));
    const item = document.createElement("li");
    item.append(button);
    element.append(item);
  }
}

/** Say an example's label and who answered what on the desktop. */
export function describe(example, group) {
  const start = `Reference image ${example.index}, labelled ${named(group, example.label)}.`;
  if (!example.flips.length) return start;
  const by = example.flips.map(({ artifact, answer, source }) => `${artifact} says ${named(group, answer)}, its float source ${named(group, source)}`);
  return `${start} On the desktop: ${by.join("; ")}.`;
}
