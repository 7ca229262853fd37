// The drawing surface: strokes of finger, pen, mouse and keyboard, in shares of its side.

const STEP = 0.03; // of the keyboard's cursor
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

/** A canvas to draw on. `strokes` are {points: [[x, y], ...], width}; `changed` is called after each one. */
export class Pad {
  strokes = [];
  width = 0.09;
  #canvas;
  #changed;
  #picture = null; // an image of the reference in place of strokes
  #pointer = null;
  #cursor = [0.5, 0.25];
  #down = false;
  #keyed = false; // the keyboard was used last: its cursor is shown

  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#draw(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#end(event));
    canvas.addEventListener("keydown", (event) => this.#press(event));
    for (const turn of ["focus", "blur"]) canvas.addEventListener(turn, () => this.#paint());
    new ResizeObserver(() => this.#paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  /** Take away the last stroke. */
  undo() {
    this.#picture = null;
    this.strokes.pop();
    this.#down = false;
    this.#end();
  }

  /** Take away everything. */
  clear() {
    this.strokes = [];
    this.undo();
  }

  /** Show an image of the reference, a canvas, in place of strokes. */
  show(picture) {
    this.strokes = [];
    this.#pointer = null; // a finger that still draws has nothing to add to
    this.#down = false;
    this.#picture = picture;
    this.#paint();
  }

  #at(event) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  #begin(event) {
    if (this.#pointer !== null || event.button > 0) return;
    this.#keyed = false;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#down = false;
    this.#open(this.#at(event));
  }

  #open(point) {
    this.#picture = null;
    this.strokes.push({ points: [point], width: this.width });
    this.#paint();
  }

  #draw(event) {
    if (event.pointerId !== this.#pointer) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    this.strokes.at(-1).points.push(...(moves.length ? moves : [event]).map((move) => this.#at(move)));
    this.#paint();
  }

  #end(event) {
    if (event && event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#paint();
    this.#changed();
  }

  #press(event) {
    const key = event.key.toLowerCase();
    this.#keyed = true;
    if (event.key in ARROWS) {
      this.#cursor = this.#cursor.map((at, i) => Math.min(Math.max(at + ARROWS[event.key][i], 0), 1));
      if (this.#down) this.strokes.at(-1).points.push(this.#cursor);
      this.#paint();
    } else if (key === " ") {
      this.#down = !this.#down;
      if (this.#down) this.#open(this.#cursor);
      else this.#end();
    } else if (key === "u" || (key === "z" && (event.ctrlKey || event.metaKey))) this.undo();
    else if (key === "c" && !event.ctrlKey && !event.metaKey) this.clear();
    else return;
    event.preventDefault();
  }

  #paint() {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.width = canvas.height = side; // also empties it
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    if (this.#picture) {
      context.imageSmoothingEnabled = false;
      context.drawImage(this.#picture, 0, 0, side, side);
      return;
    }
    context.strokeStyle = style.color;
    context.lineCap = context.lineJoin = "round";
    for (const { points, width } of this.strokes) {
      context.lineWidth = width * side;
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x * side, y * side) : context.moveTo(x * side, y * side)));
      if (points.length === 1) context.lineTo(points[0][0] * side, points[0][1] * side);
      context.stroke();
    }
    if (this.#keyed && document.activeElement === canvas) {
      context.lineWidth = Math.max(2, side / 200);
      context.setLineDash(this.#down ? [] : [side / 60, side / 60]);
      context.beginPath();
      context.arc(this.#cursor[0] * side, this.#cursor[1] * side, side / 40, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
