// The page: the artifact of every card runs on the picture that is shown.

import { message, obstacle, read } from "./artifacts.js";
import { Card, MOST, verdict } from "./cards.js";
import { describe, list } from "./examples.js";
import { announce, panel } from "./figures.js";
import { Input } from "./input.js";
import { described } from "./names.js";
import * as offline from "./offline.js";

const PICKS = "edgewise.picks"; // what was chosen, for the next visit
const ABOUT_EXAMPLES = "From the reference images.";
const ABOUT_FLIPS = " At least one artifact answers the dashed ones unlike the float network, on the desktop.";
const part = (id) => document.getElementById(id);
const cards = [];
let group = null; // of networks that can answer one picture: those of the cards
let answering = Promise.resolve();
let keep = async () => {};

addEventListener("unhandledrejection", (event) => complain(message(event.reason)));
addEventListener("error", (event) => complain(message(event.error ?? event.message)));

const input = new Input((began) => answer(began));
if (obstacle()) complain(obstacle());
try {
  const catalogue = await read("catalogue.json");
  await open(catalogue);
} catch (error) {
  complain(message(error));
}
document.documentElement.dataset.ready = "";

async function open(catalogue) {
  const entries = catalogue.artifacts.filter((entry) => entry.runtime);
  keep = offline.start(catalogue.version, (text) => (part("offline").textContent = text), (take) => {
    part("update").hidden = false;
    part("reload").addEventListener("click", take);
  });
  const gpu = Boolean(await navigator.gpu?.requestAdapter());
  const own = () => entries.filter((entry) => catalogue.groups[entry.group] === group);
  const add = (id, accelerator) => addCard(own(), gpu, id, accelerator);
  part("add").addEventListener("click", () => add(suggestion(own())));
  panel(catalogue, () => cards, alone);
  refuse(catalogue.artifacts.filter((entry) => !entry.runtime));
  const examples = read("examples.json").catch((error) => complain(message(error)));
  /** Let the networks of a group answer from now on, in place of the others; begins with these picks. */
  const use = (number, picks) => {
    group = catalogue.groups[number];
    for (const card of cards.splice(0)) card.remove();
    part("networks").value = number;
    input.use(group);
    announce(group);
    const current = group;
    examples.then((all) => all && current === group && introduce(all[number]));
    return Promise.all(picks.map(({ id, accelerator }) => add(id, accelerator)));
  };
  offer(catalogue.groups, (number) => use(number, [{ id: catalogue.groups[number].first }]));
  const restored = remembered().filter(({ id }) => entries.some((entry) => entry.id === id));
  const picks = restored.length ? restored : [{ id: catalogue.first }];
  const groupOf = ({ id }) => entries.find((entry) => entry.id === id).group;
  await use(groupOf(picks[0]), picks.filter((pick) => groupOf(pick) === groupOf(picks[0])));
}

/** Let a person choose between groups of networks, where there are several. */
function offer(groups, chosen) {
  part("networks-choice").hidden = groups.length === 1;
  const named = (one) => `${Object.keys(one.references).join(", ")}: ${described(one)}, ${one.labels.length} classes`;
  part("networks").append(...groups.map((one, number) => new Option(named(one), number)));
  part("networks").addEventListener("change", (event) => chosen(Number(event.target.value)));
}

function introduce(examples) {
  list(part("examples-list"), examples, group, tap);
  part("example-note").textContent = ABOUT_EXAMPLES + (examples.some(({ flips }) => flips.length) ? ABOUT_FLIPS : "");
}

/** Let every card answer the present picture, one after the other; `began` is when the stroke ended. */
function answer(began) {
  const { picture } = input;
  answering = answering.then(async () => {
    if (picture !== input.picture) return; // another picture came since
    for (const card of [...cards]) await card.answer(picture);
    showAll();
    if (began && picture) performance.measure("answer", { start: began });
  });
  return answering;
}

/** Run something while no card answers; pictures that are shown meanwhile are answered after it. */
function alone(work) {
  const done = answering.then(work);
  answering = done.catch(() => {}); // the caller gets the error
  return done;
}

function showAll() {
  const { text, disagree, odd } = verdict(cards, group, input.way.idle);
  part("verdict").textContent = text;
  part("verdict").classList.toggle("disagree", disagree);
  for (const card of cards) card.show(odd.includes(card));
  part("add").hidden = cards.length >= MOST;
  for (const card of cards) card.element.querySelector(".remove").hidden = cards.length === 1;
}

function tap(example, picture, canvas) {
  part("example-note").textContent = describe(example, group);
  input.show(picture, canvas);
}

async function addCard(entries, gpu, id, accelerator) {
  const card = new Card(part("card"), entries, group, gpu);
  cards.push(card);
  part("cards").append(card.element);
  const find = (selector) => card.element.querySelector(selector);
  find(".remove").addEventListener("click", () => {
    cards.splice(cards.indexOf(card), 1);
    card.remove();
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
  const answered = chosen.then(() => answer());
  const cached = keep(answered);
  await answered;
  await cached;
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

function complain(text) {
  const line = Object.assign(document.createElement("p"), { className: "problem", textContent: text });
  part("problems").append(line);
}
