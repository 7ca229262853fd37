// The benchmark's panel: runs it over the cards' artifacts, shows the figures beside the desktop's, saves them.

import { message } from "./artifacts.js";
import { file, judge, packed, quantile, reference, time } from "./benchmark.js";
import { environment, suggestedName } from "./device.js";

const part = (id) => document.getElementById(id);

/**
 * Set up the panel. `cards` gives what is loaded, of one group of networks; `alone` runs a function while nothing else
 * is inferred.
 */
export function panel(catalogue, cards, alone) {
  part("device").value = suggestedName();
  const progress = (text) => (part("progress").textContent = text);
  part("measure").addEventListener("click", async () => {
    if (!part("device").reportValidity()) return;
    if ([...cards()].some((card) => !card.artifact && !card.problem)) return progress("An artifact is still loading: try again in a moment.");
    const device = part("device").value;
    part("save").hidden = true;
    busy(true);
    try {
      const rows = await alone(() => run(catalogue, [...cards()], progress));
      show(rows);
      offer(rows, device);
      const failed = rows.filter((row) => row.outcome === "run_failed").map((row) => `${row.artifact} was not measured: ${row.reason}.`);
      progress([...failed, rows.length ? "Done. Save the figures, and add them to the report: python -m device_tests add FILE" : "No artifact is loaded."].join(" "));
    } catch (error) {
      progress(`The benchmark ended: ${message(error)}`);
    }
    busy(false);
  });
}

/** Say how many images a group's networks are judged on. */
export function announce(group) {
  const [{ count }] = Object.values(group.references);
  part("images").textContent = count.toLocaleString("en");
}

/** Keep the cards as they are while they are timed: what loads or goes away then would be measured as well. */
function busy(now) {
  for (const id of ["cards", "add", "networks"]) part(id).inert = now;
  part("measure").disabled = now;
}

/** Return a row per card, as a result of the project is; its logits are called `answers`, as in all saved results. */
async function run(catalogue, cards, progress) {
  progress("Fetching the reference images…");
  const seen = new Set();
  const first = (card) => !seen.has(name(card)) && seen.add(name(card)); // two cards may show the same
  const able = cards.filter((card) => card.artifact && first(card));
  const references = {};
  for (const { entry } of able) references[entry.model] ??= await reference(entry.model, catalogue.groups[entry.group]);
  const timed = able.length ? await timedInFront(able.map((card) => card.artifact), references[able[0].entry.model].images, progress) : [];
  const rows = [];
  for (const [i, card] of able.entries()) {
    const measured = timed[i].problem ? failure("run_failed", timed[i].problem) : await judged(card, timed[i], references[card.entry.model], progress);
    rows.push({ ...(await start(catalogue, card)), ...measured });
  }
  for (const card of cards.filter((card) => card.problem && first(card))) {
    rows.push({ ...(await start(catalogue, card)), ...failure("load_failed", card.problem) });
  }
  return rows;
}

/** Time artifacts; browsers slow down or stop a page that nobody sees, and then nothing that was timed counts. */
async function timedInFront(artifacts, images, progress) {
  let hidden = document.hidden;
  const watch = () => (hidden ||= document.hidden);
  document.addEventListener("visibilitychange", watch);
  try {
    return await time(artifacts, images, progress, () => (hidden ? "the benchmark was interrupted: the page was not in front all the time" : ""));
  } finally {
    document.removeEventListener("visibilitychange", watch);
  }
}

async function judged({ artifact, checked }, { samplesNs, notes }, dataset, progress) {
  let result;
  try {
    result = await judge(artifact, dataset, progress);
  } catch (error) {
    return failure("run_failed", message(error));
  }
  return {
    outcome: "ok",
    reason: "",
    artifact_sha256: artifact.sidecar.sha256,
    total: dataset.images.length,
    correct: result.correct,
    agree: result.agree,
    load_ns: Math.round(artifact.loadMs * 1e6),
    first_ns: Math.round(artifact.firstMs * 1e6),
    latencies_ns: samplesNs,
    answers: await packed(result.logits.buffer),
    notes: [...notes, ...(checked.ok ? [] : [`the golden self-check failed: ${checked.problem}`])],
  };
}

function failure(outcome, reason) {
  return { outcome, reason, notes: [] };
}

async function start(catalogue, { entry, accelerator }) {
  const where = await environment(catalogue.runtimes[entry.runtime]);
  const runtime = accelerator === "webgpu" ? `${entry.runtime}_webgpu` : entry.runtime;
  return { artifact: entry.id, runtime, threads: 1, environment: where, desktop: entry.desktop };
}

function name({ entry, accelerator }) {
  return `${entry.id} on ${accelerator}`;
}

function show(rows) {
  const micros = (ns) => (ns / 1000).toLocaleString("en", { maximumFractionDigits: ns < 1e5 ? 1 : 0 });
  const share = (count, total) => `${((100 * count) / total).toFixed(2)} %`;
  part("figures").tBodies[0].replaceChildren(
    ...rows.map(({ artifact, runtime, outcome, latencies_ns, correct, agree, total, reason, desktop }) => {
      const row = document.createElement("tr");
      row.append(Object.assign(document.createElement("th"), { scope: "row", textContent: `${artifact} on ${runtime.replaceAll("_", " ")}` }));
      const ours = outcome === "ok" ? [micros(quantile(latencies_ns, 0.5)), micros(quantile(latencies_ns, 0.9)), share(correct, total), share(agree, total)] : [outcome, "", "", ""];
      const theirs = desktop ? [`${micros(desktop.p50_ns)} / ${micros(desktop.p90_ns)}`, `${share(desktop.correct, desktop.total)} of ${desktop.total.toLocaleString("en")}`] : ["not measured", ""];
      row.append(...[...ours, ...theirs].map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      row.title = reason;
      return row;
    }),
  );
  document.querySelector(".scroll").hidden = false;
  const cpus = [...new Set(rows.filter((row) => row.desktop).map((row) => `${row.desktop.runtime} on ${row.desktop.cpu}`))];
  part("footnote").textContent = [
    "One thread, one image at a time.",
    cpus.length ? `The desktop's figures: ${cpus.join("; ")}.` : "",
    crossOriginIsolated ? "" : "This address gives coarse timers, so that each sample is a mean of several inferences.",
  ].join(" ");
}

function offer(rows, name) {
  const results = rows.map(({ desktop, ...row }) => ({ ...row, device: `browser:${name}` }));
  const link = part("save");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([file(results)], { type: "application/json" }));
  link.download = `edgewise-${name}.json`;
  link.hidden = results.length === 0;
}
