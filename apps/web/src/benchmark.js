// Times artifacts in interleaved rounds and runs them on reference images, as the project's own worker does.

import { fetched, message } from "./artifacts.js";
import { choice } from "./tensors.js";

const WARM_UP = 64; // inferences of each artifact, or
const WARM_UP_MS = 1_000; // this long, whichever ends first
const ROUNDS = 200;
const LIMIT_MS = 20_000; // for all rounds
const TICKS = 20; // of the timer that a sample must last at least
const BREATH_MS = 50; // after which the page may react to a tap
const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

/** Fetch a model's reference: {images: pictures, labels, classes, expected: the float source's predictions}. */
export async function reference(model, group) {
  const { height, width, channels, dtype } = group;
  const { count, labels: labelled, classes } = group.references[model];
  const one = height * width * channels;
  const content = await fetched(`reference/${model}.bin`);
  let at = 0;
  const next = (kind, length) => {
    const bytes = length * ARRAYS[kind].BYTES_PER_ELEMENT;
    return new ARRAYS[kind](content.slice(at, (at += bytes)).buffer); // a copy, because an array must begin at a multiple of its element's size
  };
  const sizes = [[dtype, count * one], [labelled, count], ["float32", count * classes]];
  const whole = sizes.reduce((sum, [kind, length]) => sum + length * ARRAYS[kind].BYTES_PER_ELEMENT, 0);
  if (content.length !== whole) throw new Error(`reference/${model}.bin is cut off. Reload the page.`);
  const [pixels, labels, scores] = sizes.map(([kind, length]) => next(kind, length));
  const row = (array, length, i) => array.subarray(i * length, (i + 1) * length);
  const images = Array.from({ length: count }, (_, i) => ({ data: row(pixels, one, i), height, width, channels }));
  const expected = Array.from({ length: count }, (_, i) => choice(Array.from(row(scores, classes, i))));
  return { images, labels, classes, expected };
}

/**
 * Time artifacts on images, in rounds over all of them in random order. Returns {samplesNs, notes, problem} for each:
 * `problem` says why an artifact could not be timed to the end, and is "" where it was. `interrupted` returns why no
 * time counts any more, or "". A sample is the mean of as many inferences as the timer needs to be exact, which a note says.
 */
export async function time(artifacts, images, progress, interrupted) {
  const tick = resolution();
  const runs = [];
  for (const artifact of artifacts) {
    runs.push(await warmed(artifact, images, tick));
    await breath();
  }
  const end = performance.now() + LIMIT_MS;
  for (let round = 0; round < ROUNDS && performance.now() < end && !interrupted(); round++) {
    for (const one of shuffled(runs.filter(({ problem }) => !problem))) await sample(one, round, tick);
    if (round % 10 === 0) {
      progress(`Round ${round + 1} of ${ROUNDS}`);
      await breath();
    }
  }
  return runs.map(({ samplesNs, repeats, problem }) => {
    const notes = [];
    if (repeats > 1) notes.push(`a latency sample is the mean of up to ${repeats} inferences: the timer ticks at ${Math.round(tick * 1000)} µs`);
    if (samplesNs.length < ROUNDS) notes.push(`${samplesNs.length} latency samples in ${LIMIT_MS / 1000} s, not ${ROUNDS}`);
    return { samplesNs, notes, problem: problem || interrupted() };
  });
}

async function warmed(artifact, images, tick) {
  const one = { run: null, repeats: 1, samplesNs: [], problem: "" };
  try {
    const inputs = images.slice(0, WARM_UP).map((image) => artifact.native(image));
    one.run = (i) => artifact.loaded.run(inputs[i % inputs.length]);
    const began = performance.now();
    let count = 0;
    while (count < WARM_UP && performance.now() - began < WARM_UP_MS) await one.run(count++);
    const each = Math.max(performance.now() - began, tick) / count; // browsers that hide from fingerprinting tick at 100 ms
    one.repeats = Math.max(1, Math.ceil((TICKS * tick) / each));
  } catch (error) {
    one.problem = message(error);
  }
  return one;
}

/** Add a sample; if it is shorter than a tick of the timer, it is taken again with more inferences. */
async function sample(one, round, tick) {
  try {
    for (;;) {
      const began = performance.now();
      for (let i = 0; i < one.repeats; i++) await one.run(round + i);
      const passed = performance.now() - began;
      if (passed >= tick) return void one.samplesNs.push(Math.max(1, Math.round((passed / one.repeats) * 1e6)));
      one.repeats *= 2;
    }
  } catch (error) {
    one.problem = message(error);
  }
}

/** Run an artifact on the images of a reference. Returns {logits: Float32Array [N*K], correct, agree}; raises what it raises. */
export async function judge(artifact, { images, labels, classes, expected }, progress) {
  const all = new Float32Array(images.length * classes);
  let [correct, agree] = [0, 0];
  let rested = performance.now();
  for (const [i, image] of images.entries()) {
    const { logits } = await artifact.answer(image);
    all.set(logits, i * classes);
    const prediction = choice(logits);
    correct += prediction === labels[i];
    agree += prediction === expected[i];
    if (performance.now() - rested > BREATH_MS) {
      progress(`${artifact.entry.id}: image ${i + 1} of ${images.length}`);
      await breath();
      rested = performance.now();
    }
  }
  return { logits: all, correct, agree };
}

/** Return a quantile of the samples, interpolated between two of them. */
export function quantile(samples, share) {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

/** Return bytes zlib-compressed in base64, as the project's worker hands logits over. */
export async function packed(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  const compressed = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(Array.from(compressed, (byte) => String.fromCharCode(byte)).join(""));
}

/** Return the smallest step of performance.now(), in milliseconds: browsers make it coarse. */
function resolution() {
  let least = Infinity;
  for (let i = 0; i < 20; i++) {
    const began = performance.now();
    let now = began;
    while (now === began) now = performance.now();
    least = Math.min(least, now - began);
  }
  return least;
}

function shuffled(items) {
  const mixed = [...items];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
  }
  return mixed;
}

function breath() {
  return new Promise((resume) => setTimeout(resume));
}

/** Return the text of the saved file; raises an Error for a value that JSON cannot hold and would leave out. */
export function file(results) {
  const strict = (key, value) => {
    if (value === undefined || (typeof value === "number" && !Number.isFinite(value))) throw new Error(`${key} is ${value}, which no file can hold.`);
    return value;
  };
  return JSON.stringify(results, strict, 1);
}
