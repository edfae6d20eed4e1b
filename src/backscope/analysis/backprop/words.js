// Numbers and sentences: what is said of a run at a step.
const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const LARGE = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];
const HEADLINES = {
  vanishing: "Gradients vanish on their way to layer 1.",
  exploding: "Gradients explode on their way to layer 1.",
  healthy: "Gradients arrive in layer 1.",
  symmetric: "All neurons of a layer learn the same.",
  dead: "Dead units let no gradient through.",
  saturated: "Units are saturated, where f is flat.",
  diverged: "Training diverged.",
};
const SYMBOLS = { delta_rms: "δ", grad_norm: "∂L/∂W" };

const raised = (exponent) => [...String(exponent)].map((digit) => RAISED[digit]).join("");
const upper = (layer) => `⁽${raised(layer)}⁾`;

/** A number to three digits, or as 1.2 × 10⁻⁸ where it is small or large; a dash where there is none. */
function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  if (Math.abs(value) >= 0.01 && Math.abs(value) < 1e4) return String(Number(value.toPrecision(digits)));
  const [mantissa, exponent] = value.toExponential(1).split("e");
  return `${mantissa} × 10${raised(Number(exponent))}`;
}

/** 48 million, or 1.2 × 10²¹. */
function count(value) {
  if (value >= 1e15) return number(value);
  const [unit, name] = LARGE.find(([size]) => value >= size) ?? [1, ""];
  const rounded = Number((value / unit).toPrecision(2));
  return name ? `${rounded} ${name}` : rounded.toLocaleString("en");
}

/** Layers in ascending order, runs of them shortened: layers 1–3, 5. */
function range(layers) {
  const runs = [];
  for (const layer of layers) {
    if (runs.length && runs.at(-1)[1] === layer - 1) runs.at(-1)[1] = layer;
    else runs.push([layer, layer]);
  }
  const text = runs.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
  return `layer${layers.length > 1 ? "s" : ""} ${text}`;
}

const flow = (run) => (run.layers.delta_rms ? "delta_rms" : "grad_norm");

/** The measured step nearest to one of the slider's. */
function nearest(run, step) {
  let best = 0;
  run.steps.forEach((each, t) => { if (Math.abs(each - step) < Math.abs(run.steps[best] - step)) best = t; });
  return best;
}

const at = (run, quantity, t, layer) => run.layers[quantity]?.[t]?.[layer - 1] ?? null;

/** How much of what layer l + 1 had is left in layer l; null where that is not known. */
function factor(run, t, layer) {
  const [here, above] = [at(run, flow(run), t, layer), at(run, flow(run), t, layer + 1)];
  return here === null || !above ? null : here / above;
}

/** What became of δ between the last hidden layer and layer 1: a few large words, and a sentence. */
function left(run, t) {
  const name = SYMBOLS[flow(run)];
  const values = run.layers[flow(run)][t];
  if (values.every((value) => value === null)) return ["–", "Nothing could be measured any more: it was not finite."];
  const zero = values.flatMap((value, index) => (value === 0 ? [index + 1] : []));
  if (zero.length === values.length) return ["0", `${name} is exactly 0 everywhere, in the output as well.`];
  if (zero.length === run.depth) return ["0", `Nothing arrives: ${name} is exactly 0 in every hidden layer.`];
  if (zero.length) return ["0", `${name} is exactly 0 in ${range(zero)}.`];
  const from = run.depth > 1 ? run.depth : 2;
  const [source, where] = [values[from - 1], run.depth > 1 ? `layer ${from}` : "the output"];
  if (values[0] === null || !source) return ["–", `${name} is not known in layer 1.`];
  const ratio = values[0] / source;
  const times = from - 1;
  const each = times > 1 ? `: a factor of ${number(ratio ** (1 / times), 2)} a layer, ${times} times over` : "";
  if (ratio < 0.01) return [`1 part in ${count(1 / ratio)}`, `of the ${name} of ${where} is left in layer 1${each}.`];
  if (ratio < 1) return [`${number(100 * ratio, 2)} %`, `of the ${name} of ${where} is left in layer 1${each}.`];
  return [`${count(ratio)} times`, `the ${name} of ${where} arrives in layer 1${each}.`];
}

/** Layers whose neurons are all copies of one, in words. */
function symmetry(run, t) {
  const width = run.sizes[1];
  const layers = (run.layers.distinct_neurons?.[t] ?? []).slice(0, run.depth);
  const same = layers.flatMap((value, index) => (value === 1 ? [index + 1] : []));
  if (!same.length || width === 1) return "";
  const reason = ["zeros", "constant"].includes(run.init) ? `init=${run.init} fails to break their symmetry` : "nothing has broken their symmetry";
  return `The ${width} neurons of ${range(same)} are one neuron, ${width} times: ${reason}.`;
}

/** A step and a layer in one sentence, for those who do not see them. */
function spoken(run, t, layer) {
  const loss = run.loss[t] === null ? "" : `, training loss ${number(run.loss[t])}`;
  if (layer > run.depth + 1) return `${run.name}: step ${run.steps[t]}${loss}, no layer ${layer}.`;
  const passed = factor(run, t, layer);
  const parts = Object.keys(SYMBOLS).filter((name) => run.layers[name])
    .map((name) => `${SYMBOLS[name]} ${at(run, name, t, layer) === 0 ? "exactly 0" : number(at(run, name, t, layer))}`);
  if (passed !== null) parts.splice(1, 0, `${number(passed)} of the layer above`);
  return `${run.name}: step ${run.steps[t]}${loss}, layer ${layer} of ${run.depth + 1}: ${parts.join(", ")}.`;
}
