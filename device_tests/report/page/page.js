// Everything that moves on the page. The content is in the HTML; figures come from the JSON block.

const data = JSON.parse(document.getElementById("data").textContent);
const find = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const make = (tag, text, attributes = {}) => Object.assign(document.createElement(tag), {textContent: text}, attributes);
const count = (value, digits = 0) => value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});

const FORMS = {
  shipped_bytes: (v) => (v === null ? "not measured" : FORMS.size_bytes(v)),
  size_bytes: (v) => (v >= 1e6 ? `${count(v / 1e6, 2)} MB` : `${count(v / 1e3, 1)} KB`),
  p50_ns: (v) => (v === null ? "emulated" : `${count(v / 1e3, v < 1e5 ? 1 : 0)} µs`),
  top1_loss: (v) => `${(v * 100).toFixed(2)} points`,
  top1: (v) => `${(v * 100).toFixed(2)} %`,
};
const TITLES = {size_bytes: "file size, bytes", p50_ns: "median latency, µs", top1: "top-1, %"};
const fine = data.rows.filter((row) => row.outcome === "ok" && !row.eager);

// -- which one to ship

// Smaller comes first, as in advice.py: of equals the one with the lighter runtime.
const lighter = (r) => [r.runtime_bytes ?? Infinity, r.size_bytes, r.p50_ns];
const GOALS = {
  top1: (r) => [-r.top1, ...lighter(r)],
  size: (r) => [r.size_bytes, ...lighter(r)],
  ship: (r) => [r.shipped_bytes, r.p50_ns],
  p50: lighter,
  faithful: (r) => [-r.agree, r.max_abs_error, ...lighter(r)],
};
const limits = find("#limits").elements;
// A goal, what must have been measured for it, and what is said where it was not.
const NEEDS = {ship: "shipped_bytes", p50: "p50_ns"};
const UNMEASURED = {ship: "What ships beside a model was not measured for this device.", p50: "This device is emulated: no times are taken there."};
const LOSS_STEP = 1e-4; // of the slider: 0.01 points; its end is no limit

function limit(name) {
  const step = Number(limits[name].value);
  if (step === 100) return Infinity;
  if (name === "top1_loss") return step * LOSS_STEP;
  const values = fine.map((row) => row[name]).filter((value) => value !== null);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low * (high / low) ** (step / 100) * (1 + 1e-9);
}

const here = (row) => row.place === limits.place.value && (!limits.model.value || row.model === limits.model.value);

const timed = () => fine.some((row) => here(row) && row.p50_ns !== null);

const within = (row) => here(row) && ["size_bytes", "top1_loss", "p50_ns"].every((name) => row[name] <= limit(name) + 1e-12);

function before(a, b) {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && a[at] < b[at];
}

function recommend() {
  for (const name of ["size_bytes", "top1_loss", "p50_ns"]) {
    const text = name === "p50_ns" && !timed() ? "emulated" : limit(name) === Infinity ? "no limit" : FORMS[name](limit(name));
    limits[`${name}_text`].value = text;
    limits[name].setAttribute("aria-valuetext", text);
  }
  const goal = limits.goal.value;
  let fit = fine.filter((row) => row.ships && within(row)); // desktop frameworks are compared with, never recommended
  const qualify = fit.length;
  fit = fit.filter((row) => row[NEEDS[goal]] !== null);
  if (goal === "faithful") { // counts of equal answers compare on the same images only
    const most = Math.max(...fit.map((row) => row.total));
    fit = fit.filter((row) => row.total === most);
  }
  find("#best").replaceChildren(...(fit.length ? answer(fit, goal, qualify) : [make("p", (qualify && UNMEASURED[goal]) || "Nothing stays within these limits. Loosen one of them.")]));
}

function answer(fit, goal, qualify) {
  const least = Math.min(...fit.map((row) => row.p50_ns));
  const first = goal === "p50" ? fit.filter((row) => row.p50_ns <= least * data.tie) : fit;
  const best = first.reduce((a, b) => (before(GOALS[goal](b), GOALS[goal](a)) ? b : a));
  const equal = goal === "p50" ? first.filter((row) => row !== best) : [];
  const figures = make("dl", "", {className: "figures"});
  for (const [title, text] of [
    ["size", FORMS.size_bytes(best.size_bytes)],
    ["top-1", FORMS.top1(best.top1)],
    ["lost against float", FORMS.top1_loss(best.top1_loss)],
    ["median latency", FORMS.p50_ns(best.p50_ns)],
    ["with its runtime", FORMS.shipped_bytes(best.shipped_bytes)],
  ]) {
    const pair = make("div", "");
    pair.append(make("dt", title), make("dd", text));
    figures.append(pair);
  }
  const said = [
    `${qualify} of ${fine.filter((row) => row.ships && here(row)).length} runs there that can ship stay within your limits.`,
    ...(equal.length ? [`Equal within ${Math.round((data.tie - 1) * 100)} %, but not lighter: ${equal.map((r) => `${r.artifact} on ${r.runtime}`).join(", ")}.`] : []),
  ];
  const title = make("p", "Ship ", {className: "ship"});
  title.append(make("a", best.artifact, {href: `#${best.artifact}`, className: "open"}), ` on ${best.runtime}`);
  return [title, figures, make("p", said.join(" "), {className: "none"})];
}

// -- the scatter

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const models = [...new Set(data.rows.map((row) => row.model))];

function look() {
  const text = {labelColor: css("--ink"), titleColor: css("--ink"), labelFontSize: 12, titleFontSize: 12};
  const axis = {...text, gridColor: css("--line"), domainColor: css("--line"), tickColor: css("--line")};
  return {background: null, view: {stroke: null}, axis, legend: text, font: "system-ui, sans-serif"};
}

const embed = (place, spec) => vegaEmbed(place, {width: "container", autosize: {type: "fit", contains: "padding"}, config: look(), ...spec}, {renderer: "svg", actions: false});

// What is better lies lower, but for top-1.
const cost = (row, name) => (name === "top1" ? -row.top1 : row[name]);

function front(rows, x, y) {
  let least = Infinity;
  const sorted = [...rows].sort((a, b) => cost(a, x) - cost(b, x) || cost(a, y) - cost(b, y));
  return sorted.filter((row) => cost(row, y) < least && ((least = cost(row, y)), true));
}

async function scatter() {
  const [x, y, size] = find("#axes input:checked").value.split(" ");
  // what stands for another device has no times, and bubbles without would be all of one size
  const rows = fine.filter((row) => here(row) && row[x] !== null && row[y] !== null && (row.p50_ns !== null || !timed()));
  const line = front(rows.filter(within), x, y);
  const shown = (row) => ({...row, p50_ns: row.p50_ns / 1e3, top1: row.top1 * 100});
  const points = rows.map((row) => ({...shown(row), inside: within(row), front: line.includes(row), text: [FORMS.size_bytes(row.size_bytes), FORMS.top1(row.top1), FORMS.p50_ns(row.p50_ns)].join(", ")}));
  const encode = (name) => ({field: name, type: "quantitative", title: TITLES[name], scale: name === "top1" ? {zero: false, padding: 12} : {type: "log", padding: 12},
    axis: {tickCount: 6, format: name === "top1" ? ".2f" : "~s"}});
  if (!rows.length) {
    find("#scatter").replaceChildren(make("p", UNMEASURED.p50, {className: "none"}));
    find("#front").replaceChildren();
    return;
  }
  const narrow = innerWidth < 700;
  const spec = {
    description: `${TITLES[y]} over ${TITLES[x]} of ${rows.length} runs; the list below has the front`,
    height: narrow ? 340 : 420,
    encoding: {x: encode(x), y: encode(y)},
    layer: [
      ...(line.length ? [{data: {values: line.map(shown)}, mark: {type: "line", interpolate: "step-after", color: css("--ink"), opacity: 0.6, tooltip: null}}] : []),
      {
        data: {values: points},
        mark: {type: "circle", cursor: "pointer"},
        encoding: {
          color: {field: "model", type: "nominal", title: null, scale: {domain: models, range: models.map((_, i) => css(`--model-${i % 3}`))}, legend: {orient: "top", columns: narrow ? 1 : 3, symbolOpacity: 1}},
          size: rows.some((row) => row[size] === null) ? {value: 120} : {field: size, type: "quantitative", title: TITLES[size], scale: {...(size === "top1" ? {zero: false} : {type: "log"}), range: [30, 420]}, legend: narrow ? null : {tickCount: 4, format: size === "top1" ? ".2f" : "~s", orient: "right", symbolFillColor: css("--line")}},
          stroke: {condition: {test: "datum.front", value: css("--ink")}, value: css("--paper")},
          strokeWidth: {condition: {test: "datum.front", value: 2}, value: 0.7},
          opacity: {condition: {test: "datum.inside", value: 0.85}, value: 0.12},
          tooltip: [{field: "artifact"}, {field: "runtime"}, {field: "text", title: "figures"}],
        },
      },
    ],
  };
  const drawn = await embed("#scatter", spec);
  drawn.view.addEventListener("click", (event, item) => item?.datum?.artifact && show(item.datum.artifact));
  find("#front").replaceChildren(...line.map((row) => {
    const entry = make("li", "");
    entry.append(make("a", `${row.artifact}@${row.runtime}`, {href: `#${row.artifact}`, className: "open"}), ` ${FORMS[x](row[x])}, ${FORMS[y](row[y])}`);
    return entry;
  }));
}

// -- the table

const body = find("#table tbody");
const lines = all("tr", body).map((line, i) => ({line, row: data.rows[i], text: line.textContent.toLowerCase(), first: i}));
const filter = find("#filter").elements;
const NAMES = ["model", "format", "scheme", "runtime", "place", "outcome"];

function narrow() {
  const words = filter.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const {line, row, text} of lines) {
    line.hidden = !(NAMES.every((name) => !filter[name].value || row[name] === filter[name].value) && words.every((word) => text.includes(word)));
    shown += !line.hidden;
  }
  find("#count").textContent = `${shown} of ${lines.length} rows`;
}

function sort(heading) {
  const up = heading.getAttribute("aria-sort") !== "ascending";
  all("#table th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const numeric = heading.classList.contains("number");
  const value = ({line}) => {
    const cell = line.cells[heading.cellIndex];
    return cell?.colSpan === 1 ? cell.textContent.trim() : ""; // where it failed, the reason stands over the figures
  };
  const keyed = lines.map((entry) => ({...entry, key: numeric ? parseFloat(value(entry).replaceAll(",", "")) : value(entry)}));
  keyed.sort((a, b) => {
    const missing = Number(Number.isNaN(a.key)) - Number(Number.isNaN(b.key)); // which come last, both ways
    if (missing || Number.isNaN(a.key)) return missing || a.first - b.first;
    const order = numeric ? a.key - b.key : a.key.localeCompare(b.key);
    return (up ? order : -order) || a.first - b.first;
  });
  body.append(...keyed.map((entry) => entry.line));
}

// -- details of an artifact

function show(artifact) {
  const dialog = document.getElementById(artifact);
  if (dialog.open) return;
  all("dialog[open]").forEach((other) => other.close());
  dialog.showModal();
  dialog.scrollTop = 0;
  history.replaceState(null, "", `#${artifact}`);
  all("canvas", dialog).forEach(draw);
  all("[data-histogram]", dialog).forEach(histogram);
}

function draw(canvas) {
  const picture = data.pictures[canvas.dataset.model][canvas.dataset.index];
  if (!picture) return; // its sidecar holds no image that can be read
  const bytes = Uint8Array.from(atob(picture.bytes), (c) => c.charCodeAt(0));
  const {width, height, channels} = picture;
  Object.assign(canvas, {width, height});
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    image.data.set(channels === 1 ? [255, 255, 255, bytes[i]] : [...bytes.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

function histogram(place) {
  const bars = data.rows.find((row) => row.id === place.dataset.histogram).histogram;
  embed(place, {
    description: `How ${place.dataset.histogram}'s latencies are spread, up to the 99th percentile`,
    height: 90,
    data: {values: bars}, mark: {type: "bar", color: css("--accent"), tooltip: null},
    encoding: {
      x: {field: "low", type: "quantitative", bin: "binned", title: "latency up to p99, µs", scale: {zero: false}, axis: {tickCount: 6, grid: false}},
      x2: {field: "high"},
      y: {field: "count", type: "quantitative", title: "samples", axis: {tickCount: 3}},
    },
  });
}

function showFromAddress() {
  const dialog = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (dialog instanceof HTMLDialogElement) show(dialog.id);
}

// -- light and dark

const system = matchMedia("(prefers-color-scheme: dark)");

function redraw() {
  scatter();
  all("dialog[open] [data-histogram]").forEach(histogram);
}

find("#theme").addEventListener("click", () => {
  const dark = (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  redraw();
});
system.addEventListener("change", redraw);

// -- begin

for (const name of NAMES) {
  filter[name].append(...[...new Set(data.rows.map((row) => row[name]))].map((value) => make("option", value)));
}
limits.top1_loss.value = Math.round(data.margin_points / 100 / LOSS_STEP);
limits.top1_loss.defaultValue = limits.top1_loss.value; // what "reset" goes back to
find("#limits").addEventListener("input", () => (recommend(), scatter()));
find("#limits").addEventListener("reset", () => setTimeout(() => (recommend(), scatter())));
find("#axes").addEventListener("change", scatter);
find("#filter").addEventListener("input", narrow);
find("#filter").addEventListener("reset", () => setTimeout(narrow));
all("form:not(dialog form)").forEach((form) => form.addEventListener("submit", (event) => event.preventDefault()));
all("#table th[aria-sort]").forEach((heading) => find("button", heading).addEventListener("click", () => sort(heading)));
all("dialog").forEach((dialog) => {
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.open");
  if (link) {
    event.preventDefault();
    show(decodeURIComponent(link.hash.slice(1)));
  }
  if (event.target.matches?.(".copy")) {
    const code = find("code", event.target.parentElement).textContent;
    navigator.clipboard.writeText(code).then(() => (event.target.textContent = "Copied"), () => (event.target.textContent = "Select it and copy"));
  }
});
addEventListener("hashchange", showFromAddress);
recommend();
scatter().then(() => (document.documentElement.dataset.ready = "yes"));
showFromAddress();
