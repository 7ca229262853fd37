// What the networks are shown: a drawing where they read digits, else a photograph; and the preview of what they see.

import { duration } from "./cards.js";
import { fits, see } from "./ink.js";
import { described } from "./names.js";
import { Pad } from "./pad.js";
import { Photo } from "./photo.js";
import { ofBytes, ofPhoto, paint, takesPhotos } from "./pictures.js";

const part = (id) => document.getElementById(id);
const DRAWING = { shows: "drawing", title: "Draw a digit", idle: "Draw, and every artifact answers after each stroke.", examples: "Or tap an example" };
const PHOTO = { shows: "photo", title: "Show a picture", idle: "Choose a picture, and every artifact answers.", examples: "Or tap an example" };
const EXAMPLES = { shows: "nothing", title: "Show a picture", idle: "Tap an example, and every artifact answers.", examples: "Tap an example" };

/** The part of the page that gives pictures. `changed` is called for each new one, with the time at which it was begun. */
export class Input {
  picture = null; // what the networks see now
  way = DRAWING; // in which pictures are given
  #group = null;
  #pad = new Pad(part("pad"), () => this.#drawn());
  #photo;
  #changed;

  constructor(changed) {
    this.#changed = changed;
    // a tap right after a stroke often yields no click on a touch screen; a click without a pointer is the keyboard's
    for (const name of ["undo", "clear"]) {
      part(name).addEventListener("pointerdown", (event) => event.button === 0 && this.#pad[name]());
      part(name).addEventListener("click", (event) => event.detail === 0 && this.#pad[name]());
    }
    part("brush").addEventListener("input", (event) => (this.#pad.width = Number(event.target.value)));
    const places = { inputs: [part("file"), part("camera")], target: part("drop"), open: () => this.way === PHOTO };
    this.#photo = new Photo(places, (bitmap, name) => this.#chosen(bitmap, name), (why) => (part("photo-note").textContent = why));
    part("drop").addEventListener("click", () => part("file").click());
  }

  /** Take pictures for a group of networks from now on; there is none at first. */
  use(group) {
    this.#group = group;
    this.way = fits(group) ? DRAWING : takesPhotos(group) ? PHOTO : EXAMPLES;
    for (const element of document.querySelectorAll("[data-input]")) element.hidden = element.dataset.input !== this.way.shows;
    part("input-title").textContent = this.way.title;
    part("examples-title").textContent = this.way.examples;
    document.title = `Edgewise: ${this.way.title.toLowerCase()}`;
    part("size").textContent = described(group);
    part("photo-note").textContent = "";
    this.#photo.forget();
    this.#pad.show(null);
    this.#surface(null, "none yet");
    this.#look(null);
  }

  /** Show a picture of the reference, which lies in a canvas too. */
  show(picture, canvas) {
    this.#photo.forget();
    this.#pad.show(canvas);
    this.#surface(canvas, "an example");
    part("preparation").textContent = part("photo-note").textContent = "";
    this.#look(picture, "an example");
    this.#changed();
  }

  #drawn() {
    const began = performance.now();
    const seen = see(this.#pad.strokes);
    this.#look(seen && ofBytes(seen, this.#group), "your drawing");
    this.#prepared(began);
  }

  #chosen(bitmap, name) {
    const began = performance.now();
    const { picture, crop } = ofPhoto(bitmap, this.#group);
    this.#surface(crop, name);
    part("photo-note").textContent = `${name}, ${bitmap.width}×${bitmap.height}: its middle is resized to ${described(this.#group)}.`;
    this.#look(picture, "your picture");
    this.#prepared(began);
  }

  #prepared(began) {
    part("preparation").textContent = this.picture ? `prepared in ${duration(performance.now() - began)}` : "";
    this.#changed(began);
  }

  #look(picture, what) {
    const { width, height } = this.#group;
    this.picture = picture;
    paint(part("seen"), picture, this.#group);
    part("seen").setAttribute("aria-label", `What the networks see: ${picture ? `${what}, ${width} by ${height} pixels` : "nothing yet"}`);
  }

  #surface(source, what) {
    const canvas = part("photo");
    canvas.hidden = source === null;
    part("hint").hidden = source !== null;
    canvas.setAttribute("aria-label", `The picture: ${what}`);
    if (!source) return;
    Object.assign(canvas, { width: source.width, height: source.height, className: source.className });
    canvas.getContext("2d").drawImage(source, 0, 0);
  }
}
