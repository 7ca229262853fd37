// The page: a drawing goes through the preparation to every card's artifact after each stroke.

import { obstacle, read, told } from "./artifacts.js";
import { Card, MOST, duration, verdict } from "./cards.js";
import { describe, list, paint } from "./examples.js";
import { panel } from "./figures.js";
import { see } from "./ink.js";
import * as offline from "./offline.js";
import { Pad } from "./pad.js";

const PICKS = "edgewise.picks"; // what was chosen, for the next visit
const part = (id) => document.getElementById(id);
const cards = [];
let image = null; // what the networks see now
let answering = Promise.resolve();
let keep = async () => {};

addEventListener("unhandledrejection", (event) => complain(told(event.reason)));
addEventListener("error", (event) => complain(told(event.error ?? event.message)));

const pad = new Pad(part("pad"), () => {
  const began = performance.now();
  look(see(pad.strokes));
  part("preparation").textContent = image ? `prepared in ${duration(performance.now() - began)}` : "";
  answer(began);
});
// a tap right after a stroke often yields no click on a touch screen; a click without a pointer is the keyboard's
for (const name of ["undo", "clear"]) {
  part(name).addEventListener("pointerdown", (event) => event.button === 0 && pad[name]());
  part(name).addEventListener("click", (event) => event.detail === 0 && pad[name]());
}
part("brush").addEventListener("input", (event) => (pad.width = Number(event.target.value)));
look(null);

if (obstacle()) complain(obstacle());
try {
  const catalogue = await read("catalogue.json");
  await open(catalogue);
} catch (error) {
  complain(told(error));
}
document.documentElement.dataset.ready = "";

async function open(catalogue) {
  const entries = catalogue.artifacts.filter((entry) => entry.runtime);
  keep = offline.start(catalogue.version, (says) => (part("offline").textContent = says), offerUpdate);
  const gpu = Boolean(await navigator.gpu?.requestAdapter());
  const add = (id, accelerator) => addCard(entries, gpu, id, accelerator);
  part("add").addEventListener("click", () => add(suggestion(entries)));
  panel(catalogue, () => cards, alone);
  refuse(catalogue.artifacts.filter((entry) => !entry.runtime));
  const picks = remembered().filter(({ id }) => entries.some((entry) => entry.id === id));
  const loading = (picks.length ? picks : [{ id: catalogue.first }]).map(({ id, accelerator }) => add(id, accelerator));
  read("examples.json").then((examples) => list(part("examples-list"), examples, tap), (error) => complain(told(error)));
  await Promise.all(loading);
}

/** Show what the networks see. */
function look(seen) {
  image = seen;
  paint(part("seen"), seen ?? new Uint8Array(784));
  part("seen").setAttribute("aria-label", `What the networks see: ${seen ? "your drawing, 28 by 28 pixels" : "nothing yet"}`);
}

/** Let every card answer what is seen now, one after the other; `began` is when the stroke ended. */
function answer(began) {
  const asked = image;
  answering = answering.then(async () => {
    if (asked !== image) return; // another stroke came since
    for (const card of cards) await card.answer(image);
    showAll();
    if (began && image) performance.measure("answer", { start: began });
  });
  return answering;
}

/** Run something while no drawing is answered; what is drawn meanwhile is answered after it. */
function alone(work) {
  const done = answering.then(work);
  answering = done.catch(() => {}); // whoever asked for it hears of the error
  return done;
}

function showAll() {
  const { says, disagree, odd } = verdict(cards);
  part("verdict").textContent = says;
  part("verdict").classList.toggle("disagree", disagree);
  for (const card of cards) card.show(odd.includes(card));
  part("add").hidden = cards.length >= MOST;
  for (const card of cards) card.element.querySelector(".remove").hidden = cards.length === 1;
}

function tap(example, seen, canvas) {
  pad.show(canvas);
  look(seen);
  part("preparation").textContent = "";
  part("example-says").textContent = describe(example);
  answer();
}

async function addCard(entries, gpu, id, accelerator) {
  const card = new Card(part("card"), entries, gpu);
  cards.push(card);
  part("cards").append(card.element);
  const find = (selector) => card.element.querySelector(selector);
  find(".remove").addEventListener("click", () => {
    cards.splice(cards.indexOf(card), 1);
    card.element.remove();
    card.artifact?.close();
    remember();
    showAll();
    part("add").focus();
  });
  for (const name of [".artifact", ".accelerator"]) {
    find(name).addEventListener("change", () => choose(card, find(".artifact").value, find(".accelerator").value));
  }
  await choose(card, id, accelerator);
}

async function choose(card, id, accelerator) {
  const chosen = card.choose(id, accelerator);
  showAll();
  remember();
  const answered = chosen.then(answer);
  const kept = keep(answered);
  await answered;
  await kept;
}

/** Return an artifact that is not shown yet and differs in one thing: the other framework's, else another scheme. */
function suggestion(entries) {
  const shown = cards.map((card) => card.entry);
  const fresh = entries.filter((entry) => !shown.includes(entry));
  const last = shown.at(-1) ?? entries[0];
  const alike = (entry) => entry.runtime === last.runtime && entry.scheme === last.scheme && entry.framework !== last.framework;
  return (fresh.find(alike) ?? fresh.find((entry) => entry.runtime === last.runtime && entry.scheme === "float32") ?? fresh[0] ?? last).id;
}

function refuse(entries) {
  part("refused").hidden = entries.length === 0;
  const lines = entries.flatMap(({ id, reason }) => [
    Object.assign(document.createElement("dt"), { textContent: id }),
    Object.assign(document.createElement("dd"), { textContent: reason }),
  ]);
  part("refused").querySelector("dl").replaceChildren(...lines);
}

function remember() {
  const picks = cards.map(({ entry, accelerator }) => ({ id: entry.id, accelerator }));
  try {
    localStorage.setItem(PICKS, JSON.stringify(picks));
  } catch {
    // the browser keeps nothing for sites: the next visit starts with the default
  }
}

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(PICKS) ?? "[]").filter((pick) => typeof pick?.id === "string").slice(0, MOST);
  } catch {
    return []; // not ours: the default is shown
  }
}

function offerUpdate(take) {
  part("update").hidden = false;
  part("reload").addEventListener("click", take);
}

function complain(text) {
  const line = Object.assign(document.createElement("p"), { className: "problem", textContent: text });
  part("problems").append(line);
}
