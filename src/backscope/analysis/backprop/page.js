// The page: one step and one layer at a time, by slider, by key, by click, or by playing backpropagation.
const runs = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const steps = [...new Set(runs.flatMap((run) => run.steps))].sort((a, b) => a - b);
const deepest = Math.max(...runs.map((run) => run.depth)) + 1;
const scales = Object.fromEntries(Object.keys(SYMBOLS).filter((name) => runs.some((run) => run.layers[name]))
  .map((name) => [name, new Scale(runs, name)]));
const DWELL = 700; // milliseconds in layer 1, before the next step
const state = { step: 0, layer: 1, playing: 0 };

runs.forEach((run, i) => { run.short = runs.length > 1 && runs[0].init !== runs[1].init ? run.init : runs.length > 1 ? `${"AB"[i]}` : run.name; });
const strips = runs.map((run, i) => new Strip(part(i, "strip"), run, scales, (layer) => { stop(); show({ layer }); }));

function part(i, name) { return document.querySelector(`[data-run="${i}"] [data-part="${name}"]`); }
const moments = () => runs.map((run) => nearest(run, steps[state.step]));

/** Show a step and a layer. */
function show({ step = state.step, layer = state.layer }, aloud = true) {
  const moved = step !== state.step || !strips[0].layer;
  state.step = Math.min(Math.max(step, 0), steps.length - 1);
  state.layer = Math.min(Math.max(layer, 1), deepest);
  const now = moments();
  if (moved) {
    for (const scale of Object.values(scales)) scale.step = steps[state.step];
    runs.forEach((run, i) => { strips[i].update(now[i], state.layer); tell(run, i, now[i]); });
    if (by("numbers").open) tabulate();
  }
  strips.forEach((strip) => strip.highlight(state.layer));
  by("layer").value = state.layer;
  by("step").value = state.step;
  by("layer-said").value = `${state.layer} of ${deepest}`;
  by("step-said").value = `${steps[state.step]} of ${steps.at(-1)}`;
  by("equations-title").textContent = state.layer === deepest ? `The output, layer ${deepest}` : `Layer ${state.layer} of ${deepest}`;
  document.querySelector(".cards").replaceChildren(...cards(runs, state.layer).map((each) => card(each, runs, now, state.layer)),
    ...runs.map(beyond).filter(Boolean).map((text) => html("p", { class: "beyond" }, text)));
  if (aloud) say(now);
}

/** The few large words of a run. */
function tell(run, i, t) {
  const [big, sentence] = left(run, t);
  part(i, "left").replaceChildren(html("strong", {}, big), ` ${sentence} `, html("span", {}, symmetry(run, t)));
  const loss = run.loss[t] === null ? "" : ` · training loss ${number(run.loss[t])}`;
  const items = [html("b", {}, `step ${run.steps[t]}${loss}`)];
  if (Object.values(run.theory).some((values) => values.some((value) => value !== null))) items.push(html("span", { class: "dashed" }, "theory at initialization"));
  if (run.replicas > 1) items.push(html("span", { class: "whisker" }, `median and quartiles of ${run.replicas} replicas`));
  part(i, "legend").replaceChildren(...items);
}

let saying = 0;
function say(now) {
  clearTimeout(saying);
  saying = setTimeout(() => { by("said").textContent = runs.map((run, i) => spoken(run, now[i], state.layer)).join(" "); }, 300);
}

/** All layers at this step as a table. */
function tabulate() {
  const columns = [["δ", "delta_rms"], ["∂L/∂W", "grad_norm"], ["spread of a", "activation_std"], ["different neurons", "distinct_neurons"], ["saturated", "saturation"], ["dead", "dead_units"]];
  const tables = runs.map((run, i) => {
    const [t, known] = [moments()[i], columns.filter(([, quantity]) => run.layers[quantity])];
    const body = Array.from({ length: run.depth + 1 }, (_, index) => html("tr", {}, html("th", { scope: "row" }, index === run.depth ? "output" : `${index + 1}`),
      ...known.map(([, quantity]) => html("td", {}, html("data", { value: at(run, quantity, t, index + 1) ?? "" }, number(at(run, quantity, t, index + 1)))))));
    const head = html("tr", {}, ...["layer", ...known.map(([title]) => title)].map((title) => html("th", { scope: "col" }, title)));
    return html("table", {}, html("caption", {}, `${run.name}, step ${run.steps[t]}`), html("thead", {}, head), html("tbody", {}, ...body));
  });
  document.querySelector("#numbers .wide").replaceChildren(...tables);
}

/** Play: δ flows from the loss to layer 1, then again at the next step; one pass only where it is not asked for. */
function play(once = false) {
  if (state.playing) return stop();
  if (!once && state.step === steps.length - 1) show({ step: 0 }, false);
  let place = deepest + 1;
  let before = performance.now();
  by("play").setAttribute("aria-pressed", "true");
  by("play").querySelector("b").textContent = "Pause";
  const frame = (now) => {
    const each = by("speed").value * (calm.matches ? Math.max(200, 4000 / deepest) : Math.min(420, 3200 / deepest));
    place -= (now - before) / each;
    before = now;
    const layer = Math.max(Math.ceil(place), 1);
    if (layer <= deepest && layer !== state.layer) show({ layer }, false);
    if (place <= 1 - DWELL / each) {
      if (once || state.step === steps.length - 1) return stop();
      place = deepest + 1;
      show({ step: state.step + 1, layer: deepest }, false);
    }
    if (!calm.matches) strips.forEach((strip) => strip.reach(Math.max(place, 1)));
    state.playing = requestAnimationFrame(frame);
  };
  state.playing = requestAnimationFrame(frame);
}

function stop() {
  if (!state.playing) return;
  cancelAnimationFrame(state.playing);
  state.playing = 0;
  strips.forEach((strip) => strip.reach(null));
  by("play").setAttribute("aria-pressed", "false");
  by("play").querySelector("b").textContent = "Play";
  say(moments());
}

const KEYS = { ArrowLeft: () => ({ layer: state.layer - 1 }), ArrowRight: () => ({ layer: state.layer + 1 }),
  ArrowUp: () => ({ step: state.step + 1 }), ArrowDown: () => ({ step: state.step - 1 }) };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, button, summary, .wide")) return;
  if (event.key === " ") play();
  else if (KEYS[event.key]) { stop(); show(KEYS[event.key]()); }
  else return;
  event.preventDefault();
});
by("layer").max = deepest;
by("step").max = steps.length - 1;
by("step").disabled = steps.length === 1;
by("layer").addEventListener("input", (event) => { stop(); show({ layer: Number(event.target.value) }); });
by("step").addEventListener("input", (event) => { stop(); show({ step: Number(event.target.value) }); });
by("play").addEventListener("click", () => play());
by("controls").addEventListener("submit", (event) => event.preventDefault());
by("numbers").addEventListener("toggle", tabulate);
for (const radio of document.querySelectorAll("[name=scale]")) {
  radio.addEventListener("change", () => {
    for (const scale of Object.values(scales)) scale.linear = radio.value === "linear";
    strips.forEach((strip) => strip.update(strip.t, state.layer));
  });
}

runs.forEach((run, i) => { document.getElementById(`title-${i}`).textContent = HEADLINES[run.verdict] ?? run.name; });
strips.forEach((strip) => strip.layout());
show({}, false);
if (!calm.matches) play(true);
