// Pictures from this device: a file, the camera, or what is dropped on the page.

/** Let a person choose pictures. `chosen` is called with each one's ImageBitmap and name, `failed` with why one is none. */
export class Photo {
  #turn = 0; // another picture may be chosen while one is being read

  constructor({ inputs, target, open }, chosen, failed) {
    Object.assign(this, { target, open, chosen, failed });
    for (const input of inputs) {
      input.addEventListener("change", () => {
        this.#read(input.files[0]);
        input.value = ""; // so that the same file can be chosen again
      });
    }
    document.addEventListener("dragover", (event) => this.#hover(event, true));
    document.addEventListener("dragleave", (event) => event.relatedTarget === null && this.#hover(event, false));
    document.addEventListener("drop", (event) => {
      if (!holdsFiles(event) || !this.open()) return;
      this.#hover(event, false);
      this.#read(event.dataTransfer.files[0]);
    });
  }

  /** Forget a picture that is still being read: another one takes its place. */
  forget() {
    this.#turn += 1;
  }

  #hover(event, over) {
    if (!holdsFiles(event) || !this.open()) return;
    event.preventDefault(); // else the browser leaves this page for the file
    this.target.classList.toggle("over", over);
  }

  async #read(file) {
    if (!file) return;
    const turn = ++this.#turn;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    } catch {
      if (turn === this.#turn) this.failed(`${file.name} is no picture that this browser can read. JPEG, PNG and WebP are.`);
      return;
    }
    if (turn === this.#turn) this.chosen(bitmap, file.name);
    bitmap.close();
  }
}

function holdsFiles({ dataTransfer }) {
  return dataTransfer?.types.includes("Files");
}
