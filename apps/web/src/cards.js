// Up to four artifacts side by side on the same picture, and where they disagree.

import { load, message } from "./artifacts.js";
import { cut, named } from "./names.js";
import { choice, odds } from "./tensors.js";

export const MOST = 4;
const UPRIGHT = 12; // at most so many upright bars, if the classes' names are short
const SHORT = 2; // characters of such a name
const LISTED = 8; // at most so many classes are listed in their own order; of more
const LIKELIEST = 5; // the most probable are listed
const FRAMEWORKS = { torch: "PyTorch", keras: "TensorFlow" };

/** Name a millisecond figure as a person reads it. */
export function duration(ms) {
  return ms < 0.95 ? `${Math.round(ms * 1000)} µs` : `${ms.toFixed(1)} ms`;
}

/** One card: an artifact to choose, and what it answers. */
export class Card {
  artifact = null; // once it is loaded
  problem = ""; // why it is not
  checked = null; // the outcome of the golden self-check
  answered = null; // {choice, odds, ms} for the current picture
  #turn = 0;

  constructor(template, entries, group, gpu) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.group = group;
    this.#bars();
    this.#part(".artifact").append(...options(entries));
    this.#part(".on").hidden = !gpu;
    this.entries = entries;
  }

  /** Take an artifact by its id, load it and let it check itself; what goes wrong stands on the card. */
  async choose(id, accelerator = "wasm") {
    const turn = ++this.#turn; // another choice may be made while this one loads
    this.artifact?.close();
    Object.assign(this, { artifact: null, problem: "", checked: null, answered: null });
    this.entry = this.entries.find((entry) => entry.id === id);
    this.accelerator = this.entry.runtime === "litertjs" ? accelerator : "wasm";
    this.#part("h3").textContent = this.entry.model.replaceAll("_", "_\u200b"); // may break there
    this.#part(".artifact").value = id;
    this.#part(".accelerator").value = this.accelerator;
    this.#part(".accelerator").disabled = this.entry.runtime !== "litertjs";
    this.#state("loading…");
    try {
      const artifact = await load(this.entry, this.accelerator);
      const checked = await artifact.check();
      if (turn !== this.#turn) return artifact.close();
      Object.assign(this, { artifact, checked });
    } catch (error) {
      if (turn !== this.#turn) return;
      this.problem = message(error);
    }
    this.#state(this.problem);
  }

  /** Remove it from the page; an artifact that still loads is closed. */
  remove() {
    this.#turn += 1;
    this.element.remove();
    this.artifact?.close();
    this.artifact = null;
  }

  /** Let it answer a picture; null is none. */
  async answer(picture) {
    this.answered = null;
    if (!picture || !this.artifact) return;
    try {
      const { logits, ms } = await this.artifact.answer(picture);
      this.answered = { choice: choice(logits), odds: odds(logits), ms };
    } catch (error) {
      this.problem = message(error);
      this.#state(this.problem);
    }
  }

  /** Show the answer, and whether it is `odd`: another one than most give. */
  show(odd) {
    const { answered } = this;
    this.element.classList.toggle("odd", odd);
    this.#part(".differs").hidden = !odd;
    const label = this.#part(".label");
    label.textContent = !answered ? "–" : answered.choice < 0 ? "no answer" : named(this.group, answered.choice);
    label.title = this.short ? "" : label.textContent; // it may be cut off
    this.#part(".odds").textContent = answered && answered.choice >= 0 ? percent(answered.odds[answered.choice]) : "";
    this.#fill();
    if (!this.problem) this.#part(".state").textContent = answered ? `inference ${duration(answered.ms)}` : "ready";
  }

  #state(text) {
    this.#part(".state").textContent = text;
    this.#part(".state").classList.toggle("bad", this.problem !== "");
    this.element.classList.toggle("failed", this.problem !== "" || this.checked?.ok === false);
    this.#part(".facts").textContent = [
      `${FRAMEWORKS[this.entry.framework] ?? this.entry.framework}, ${Math.round(this.entry.size_bytes / 1000).toLocaleString("en")} kB, checkpoint ${this.entry.checkpoint}`,
      `${this.entry.runtime.replace("_", " ")}${this.artifact ? `, loaded in ${duration(this.artifact.loadMs)}` : ""}`,
    ].join("; ");
    const line = this.#part(".check");
    const { checked } = this;
    line.classList.toggle("good", checked?.ok === true);
    line.classList.toggle("bad", checked?.ok === false);
    line.textContent = !checked ? "" : checked.ok ? `✓ self-check: ${exactness(checked.difference)}` : `✗ self-check failed: ${checked.problem}`;
  }

  /** Make the bars: upright ones of all classes where these are few and short, else lines of the most probable. */
  #bars() {
    const { labels } = this.group;
    this.short = labels.every((label) => label.length <= SHORT);
    const upright = labels.length <= UPRIGHT && this.short;
    const count = upright || labels.length <= LISTED ? labels.length : LIKELIEST;
    this.upright = upright;
    this.#part(".label").classList.toggle("long", !this.short);
    this.#part(".bars").classList.toggle("lines", !upright);
    this.#part(".bars").setAttribute("aria-label", count < labels.length ? `The ${count} most probable classes` : "Probabilities");
    this.#part(".bars").append(...Array.from({ length: count }, bar));
  }

  #fill() {
    const bars = [...this.#part(".bars").children];
    const shares = this.answered?.odds ?? [];
    let order = bars.map((_, i) => i);
    if (bars.length < this.group.labels.length) order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
    bars.forEach((item, i) => {
      const share = shares[order[i]] ?? 0;
      const name = i in order ? named(this.group, order[i]) : "–";
      item.classList.toggle("top", this.answered?.choice === order[i]);
      item.querySelector("i").style.setProperty("--share", Number.isFinite(share) ? share : 0);
      item.querySelector("b").textContent = name;
      item.querySelector("b").title = this.upright ? "" : name; // it may be cut off
      item.querySelector("span").textContent = !this.answered ? "" : this.upright ? `: ${percent(share)}` : percent(share);
    });
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}

/**
 * Compare the predictions of a group's cards. Returns {text, disagree, odd}: `text` is a sentence, `idle` before the
 * first prediction; `odd` are the cards that differ from the most common prediction.
 */
export function verdict(cards, group, idle) {
  const answering = cards.filter((card) => card.answered?.choice >= 0);
  if (!answering.length) return { text: idle, disagree: false, odd: [] };
  const name = (index) => cut(named(group, index));
  const votes = new Map();
  for (const { answered } of answering) votes.set(answered.choice, (votes.get(answered.choice) ?? 0) + 1);
  const [[common, most], ...others] = [...votes].sort((a, b) => b[1] - a[1]);
  if (!others.length) {
    const [{ answered }] = answering;
    const text = answering.length > 1 ? `All ${answering.length} answer ${name(common)}` : `It answers ${name(common)}, ${percent(answered.odds[common])} sure`;
    return { text: ended(text), disagree: false, odd: [] };
  }
  const tied = others.some(([, count]) => count === most);
  const list = answering.map((card) => `${card.entry.id} says ${name(card.answered.choice)}`).join(", ");
  return { text: ended(`They disagree: ${list}`), disagree: true, odd: answering.filter((card) => tied || card.answered.choice !== common) };
}

function ended(sentence) {
  return sentence.endsWith("…") ? sentence : `${sentence}.`;
}

function percent(share) {
  return share > 0.9995 && share < 1 ? "over 99.9 %" : `${(share * 100).toFixed(1)} %`;
}

function exactness(difference) {
  return difference === 0 ? "the exporter's logits to the last bit" : `logits within ${difference.toPrecision(2)} of the exporter's`;
}

function bar() {
  const item = document.createElement("li");
  item.append(...["i", "b", "span"].map((name) => document.createElement(name)));
  return item;
}

function options(entries) {
  const models = [...new Set(entries.map((entry) => entry.model))];
  return models.map((model) => {
    const group = Object.assign(document.createElement("optgroup"), { label: model });
    const own = entries.filter((entry) => entry.model === model);
    group.append(...own.map((entry) => new Option(`${entry.format} ${entry.scheme}`, entry.id)));
    return group;
  });
}
