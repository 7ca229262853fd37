// ONNX Runtime on WebAssembly.

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";

env.wasm.wasmPaths = {
  wasm: new URL("../packages/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", import.meta.url).href,
};
env.wasm.numThreads = 1; // as every other runtime of the matrix
env.logLevel = "error";

/** Do nothing: ONNX Runtime starts with the first artifact, whose time to load includes it. */
export async function start() {}

/** Load an artifact's bytes, which takes [shape] of one image. Returns {run(values) -> values, close()}. */
export async function load(bytes, shape) {
  const session = await InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const [input] = session.inputNames;
  const [output] = session.outputNames;
  return {
    async run(values) {
      const type = values instanceof Float32Array ? "float32" : "uint8";
      const outputs = await session.run({ [input]: new Tensor(type, values, shape) });
      return outputs[output].data.slice();
    },
    close: () => session.release(),
  };
}
