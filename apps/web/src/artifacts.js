// Artifacts as the page uses them: fetched, verified by their sidecar's checksum, loaded into their runtime.

import { sha256 } from "@noble/hashes/sha2.js"; // crypto.subtle is missing on plain http, as in one's own network
import { cut } from "./names.js";
import { choice, logits, native, single, size, stored } from "./tensors.js";

// A logit may differ from the exporter's by this share of the golden logits' span: kernels of other CPUs round differently.
const TOLERANCE = 0.01;

// The smallest module with a SIMD instruction: (func (result v128) (i32x4.splat (i32.const 0)))
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 17, 11,
]);

let loading = Promise.resolve();

/** Return why nothing can run in this browser, "" if it can. */
export function obstacle() {
  if (typeof WebAssembly !== "object") return "This browser has no WebAssembly, which every runtime needs.";
  if (!WebAssembly.validate(SIMD)) {
    return "This browser's WebAssembly has no SIMD instructions, which every runtime needs. A newer browser has them.";
  }
  return "";
}

/** Fetch a file of this site; raises an Error for people. */
export async function fetched(path) {
  let response;
  try {
    response = await fetch(path);
  } catch {
    throw new Error(`${path} cannot be fetched: no network, and it is not kept for offline use.`);
  }
  if (!response.ok) throw new Error(`${path} cannot be fetched: the server says ${response.status}.`);
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new Error(`${path} broke off while it was fetched.`);
  }
}

/** Fetch a JSON file of this site; raises an Error for people. */
export async function read(path) {
  const content = new TextDecoder().decode(await fetched(path));
  try {
    return JSON.parse(content);
  } catch {
    throw new Error(`${path} is not JSON. Build the site again, and clear this site's data where that does not help.`);
  }
}

/** Fetch and load an artifact on an accelerator, "wasm" or "webgpu"; raises an Error for people. */
export async function load(entry, accelerator) {
  const reason = obstacle();
  if (reason) throw new Error(reason);
  const path = `artifacts/${entry.id}.json`;
  const sidecar = await read(path);
  if (sidecar.id !== entry.id) throw new Error(`${path} is the sidecar of ${sidecar.id}.`);
  const bytes = await verified(sidecar);
  const runtime = await import(`./runtimes/${entry.runtime}.js`).catch((error) => {
    throw new Error(`The runtime ${entry.runtime} cannot be loaded: ${message(error)}`);
  });
  const make = async () => {
    const began = performance.now();
    const loaded = await runtime.load(bytes, single(sidecar.inputs[0]), accelerator);
    return new Artifact(entry, accelerator, sidecar, loaded, performance.now() - began);
  };
  // one after the other, so that each load is timed alone
  const artifact = runtime.start().then(() => (loading = loading.then(make, make)));
  return artifact.catch((error) => {
    throw new Error(`${entry.runtime} does not load it: ${message(error)}`);
  });
}

/** Return the message of an error; runtimes throw values of any type. */
export function message(error) {
  return String(error?.message ?? error).split("\n")[0].slice(0, 300);
}

async function verified(sidecar) {
  const bytes = await fetched(`artifacts/${sidecar.file}`);
  if (bytes.length !== sidecar.size_bytes) {
    throw new Error(`It has ${bytes.length} bytes of ${sidecar.size_bytes}: cut off, or of another export. Reload the page.`);
  }
  const sum = Array.from(sha256(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (sum !== sidecar.sha256) {
    throw new Error(`Its checksum is ${sum.slice(0, 12)}…, the sidecar says ${sidecar.sha256.slice(0, 12)}…: it is damaged, or of another export. Reload the page.`);
  }
  return bytes;
}

/** An artifact that is loaded in its runtime. */
class Artifact {
  constructor(entry, accelerator, sidecar, loaded, loadMs) {
    Object.assign(this, { entry, accelerator, sidecar, loaded, loadMs });
  }

  /** Return a picture as the runtime takes it. */
  native(picture) {
    return native(picture, this.sidecar);
  }

  /** Return {logits, ms} for a picture; ms is the inference alone. */
  async answer(picture) {
    const values = this.native(picture);
    const began = performance.now();
    const output = await this.loaded.run(values);
    const ms = performance.now() - began;
    return { logits: logits(output, this.sidecar.outputs[0]), ms };
  }

  /**
   * Answer the sidecar's golden vectors. Returns {ok, difference, problem}: the largest difference of a logit, and what
   * is wrong where not ok: another prediction, or a difference of more than TOLERANCE of the golden logits' span.
   */
  async check() {
    const { length } = this.sidecar.golden;
    if (!length) {
      const { height, width, channels } = size(this.sidecar);
      const data = new Uint8Array(height * width * channels);
      this.firstMs = (await this.answer({ data, height, width, channels })).ms;
      return { ok: false, difference: 0, problem: "its sidecar holds no golden vectors to check it by" };
    }
    let difference = 0;
    const wrong = [];
    const name = (index) => cut(this.sidecar.labels[index] ?? String(index));
    for (const vector of this.sidecar.golden) {
      const { logits: golden, label } = vector;
      const { logits: ours, ms } = await this.answer(stored(vector, size(this.sidecar)));
      this.firstMs ??= ms;
      const off = Math.max(...ours.map((score, i) => (Number.isFinite(score) ? Math.abs(score - golden[i]) : Infinity)));
      difference = Math.max(difference, off);
      const span = Math.max(...golden) - Math.min(...golden);
      if (choice(ours) !== choice(golden)) {
        wrong.push(`the exporter's machine says ${name(choice(golden))} to a ${name(label)}, this browser ${choice(ours) < 0 ? "nothing" : name(choice(ours))}`);
      } else if (off > TOLERANCE * span) wrong.push(`a logit of a ${name(label)} is off by ${off.toPrecision(3)}`);
    }
    const problem = wrong.length ? `${wrong.length} of ${length} golden vectors differ: ${wrong[0]}` : "";
    return { ok: !wrong.length, difference, problem };
  }

  close() {
    this.loaded.close();
  }
}
