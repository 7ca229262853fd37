"""What a test asks the page: an artifact's logits on its reference images, packed as the page packs them."""

from __future__ import annotations

ANSWER = """async (id) => {
  const { load } = await import("./artifacts.js");
  const { judge, packed, reference } = await import("./benchmark.js");
  const { artifacts, groups } = await (await fetch("catalogue.json")).json();
  const entry = artifacts.find((entry) => entry.id === id);
  const artifact = await load(entry, "wasm");
  const dataset = await reference(entry.model, groups[entry.group]);
  const { logits, correct, agree } = await judge(artifact, dataset, () => {});
  artifact.close();
  return { logits: await packed(logits.buffer), correct, agree };
}"""
