// LiteRT on WebAssembly, or on WebGPU where it takes the whole artifact.

import { Tensor, loadAndCompile, loadLiteRt } from "@litertjs/core";

const WASM = new URL("../packages/@litertjs/core/wasm/", import.meta.url).href;

let started;

/** Start the runtime, once. */
export async function start() {
  started ??= loadLiteRt(WASM);
  try {
    await started;
  } catch (error) {
    started = undefined; // so that the next attempt fetches again
    throw error;
  }
}

/**
 * Load an artifact's bytes, which takes [shape] of one image on an accelerator, "wasm" or "webgpu".
 * Returns {run(values) -> values, close()}; raises LiteRT's own errors, and an Error if WebGPU leaves a part out.
 */
export async function load(bytes, shape, accelerator) {
  const model = await loadAndCompile(bytes, { accelerator, cpuOptions: { numThreads: 1 } });
  // LiteRT goes back to the CPU in silence where WebGPU does not take everything
  if (model.options.accelerator !== accelerator || (accelerator === "webgpu" && !model.isFullyAccelerated)) {
    model.delete();
    throw new Error("WebGPU does not take every operator of this artifact. Run it on the CPU.");
  }
  return {
    async run(values) {
      const input = new Tensor(values, shape);
      const [output] = await model.run(input);
      const result = (await output.data()).slice();
      input.delete();
      output.delete();
      return result;
    },
    close: () => model.delete(),
  };
}
