// The page at work: one filter for everything on it, charts that show what it lets through, a table that sorts.
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const form = document.getElementById("filter");
const words = document.getElementById("words");
const selects = all("select", form);
const chips = all("[data-verdict]", form);
const buttons = all("[data-configuration]");
const rows = all(".runs tbody tr");
const texts = rows.map((row) => row.textContent.toLowerCase());
const configurationOf = [];
data.configurations.forEach((each, index) => each.rows.forEach((row) => (configurationOf[row] = index)));
const charts = []; // functions that draw what is shown
let shown = new Set(data.configurations.keys());

// The filter.

function passes(row) {
  const { at } = data.configurations[configurationOf[row]];
  const pressed = chips.filter((chip) => chip.ariaPressed === "true").map((chip) => chip.dataset.verdict);
  const wanted = words.value.toLowerCase().split(/\s+/);
  return (
    selects.every((select, axis) => select.value === "" || Number(select.value) === at[axis]) &&
    (pressed.length === 0 || pressed.includes(data.verdicts[row])) &&
    wanted.every((word) => texts[row].includes(word))
  );
}

function filter() {
  const passing = rows.map((_, row) => passes(row));
  shown = new Set(configurationOf.filter((_, row) => passing[row]));
  rows.forEach((row, index) => (row.hidden = !passing[index]));
  buttons.forEach((button) => button.classList.toggle("off", !shown.has(Number(button.dataset.configuration))));
  const count = passing.filter(Boolean).length;
  document.getElementById("count").textContent = `${count} of ${rows.length} runs`;
  form.classList.toggle("active", count < rows.length);
  charts.forEach((draw) => draw());
}

function choose(configuration) {
  const { at } = data.configurations[configuration];
  const same = selects.every((select, axis) => select.value === String(at[axis]));
  selects.forEach((select, axis) => (select.value = same ? "" : at[axis]));
  filter();
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", filter);
form.addEventListener("reset", () => {
  chips.forEach((chip) => (chip.ariaPressed = "false"));
  setTimeout(filter); // after the form is reset
});
chips.forEach((chip) =>
  chip.addEventListener("click", () => {
    chip.ariaPressed = String(chip.ariaPressed !== "true");
    filter();
  }),
);
buttons.forEach((button) => button.addEventListener("click", () => choose(Number(button.dataset.configuration))));

// What a link leads to must not lie under the filter, which stays at the top and may be several lines high.
new ResizeObserver(() => {
  const covered = getComputedStyle(form).position === "sticky" ? form.offsetHeight + 12 : 12;
  document.documentElement.style.scrollPaddingTop = `${covered}px`;
}).observe(form);

// The table.

all(".runs thead button").forEach((button) =>
  button.addEventListener("click", () => {
    const header = button.closest("th");
    const down = header.ariaSort === "ascending";
    all(".runs thead th").forEach((each) => (each.ariaSort = null));
    header.ariaSort = down ? "descending" : "ascending";
    const order = data.columns[button.dataset.column];
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    const sorted = [...rows.keys()].sort((i, j) => {
      const [a, b] = [order[i], order[j]];
      if (a === null || b === null) return (a === null) - (b === null) || i - j; // what is not known comes last
      return (down ? -compare(a, b) : compare(a, b)) || i - j;
    });
    document.querySelector(".runs tbody").append(...sorted.map((row) => rows[row]));
  }),
);

// The charts. One specification serves all panels of a kind; Vega-Lite translates it once.

// In an element of its own, since Vega puts its own words for screen readers over those of the page.
const embed = (element, spec) =>
  vegaEmbed(element.appendChild(document.createElement("div")), spec, { renderer: "svg", actions: false });
const named = (index) =>
  Object.fromEntries(data.configurations[index].labels.map((label, axis) => [`axis${axis}`, label]));

async function drawMap(element) {
  const { map } = element.dataset;
  const values = () =>
    data.cells
      .filter(([index]) => data.maps[map][index])
      .map(([index, row, column]) => ({
        ...data.maps[map][index],
        ...named(index),
        configuration: index,
        y: data.names[0][row],
        x: data.names[1][column],
        verdict: data.configurations[index].said,
        on: shown.has(index),
      }));
  const { view } = await embed(element, filled(data.specs[map], "cells", values()));
  view.addEventListener("click", (_, item) => item?.datum?.configuration >= 0 && choose(item.datum.configuration));
  charts.push(() => view.data("cells", values()).runAsync());
}

function points(kind, row, index) {
  const [color, dash] = data.looks[index];
  return (data.lines[kind][index] ?? []).flatMap((line) =>
    line.x.map((x, i) => ({
      ...named(index),
      configuration: index,
      x,
      y: line.y[i],
      low: line.low?.[i],
      high: line.high?.[i],
      zero: line.zeros?.includes(x) ? data.zeros[kind][row] : null,
      moment: line.moment,
      color,
      dash: line.theory ? -1 : dash,
      tip: line.tip,
    })),
  );
}

const translated = {};

async function drawPanel(panel) {
  const element = panel.querySelector(".chart");
  const { kind } = element.dataset;
  const row = data.rows[panel.dataset.panel];
  const inside = data.panels[panel.dataset.panel];
  const values = (indices) => indices.flatMap((index) => points(kind, row, index));
  const spec = translated[kind + row] ?? data.specs[kind][row];
  const { view, vgSpec } = await embed(element, filled(spec, "points", values(inside)));
  translated[kind + row] ??= vgSpec;
  let before = String(inside);
  const draw = () => {
    const now = inside.filter((index) => shown.has(index));
    panel.hidden = now.length === 0;
    if (panel.hidden || String(now) === before) return;
    before = String(now);
    view.data("points", values(now)).runAsync();
  };
  charts.push(draw);
  draw(); // the filter may have been used meanwhile
}

// The specification with its data: as Vega-Lite has them, or as Vega does.
function filled(spec, name, values) {
  const into = Array.isArray(spec.data) ? spec.data.map((each) => (each.name === name ? { name, values } : each)) : { name, values };
  return { ...spec, data: into };
}

// Drawn a panel at a time, so that the page answers meanwhile. Before a print nothing waits: what is left is drawn in
// microtasks, which all run between the event and the print.
const printing = new Promise((resolve) => addEventListener("beforeprint", resolve));
for (const element of all("[data-map]")) await drawMap(element);
for (const panel of all("[data-panel]")) {
  await drawPanel(panel);
  await Promise.race([new Promise((resolve) => setTimeout(resolve)), printing]);
}

// MLflow's viewer shows the file in a sandbox: no link opens there, not even one to a place in this page.
const sandboxed = window !== top && window.origin === "null";
document.querySelector(".sandboxed").hidden = !sandboxed;
all('a[href^="#"]').forEach((link) =>
  link.addEventListener("click", (event) => {
    if (!sandboxed) return;
    event.preventDefault();
    document.querySelector(link.getAttribute("href")).scrollIntoView();
  }),
);
document.body.dataset.drawn = "true";
