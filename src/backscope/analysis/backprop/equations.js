// The four equations, with the current layer's numbers and shapes in them.
const MATHML = "http://www.w3.org/1998/Math/MathML";
const NAMES = { identity: "id", sigmoid: "σ" };
const LONGEST = 4; // a longer name stands beside its equation as f
const BEYOND = { normalization: { batch_norm: "batch normalization", layer_norm: "layer normalization" } };

function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function m(name, ...children) {
  const element = document.createElementNS(MATHML, name);
  element.append(...children.map((child) => (typeof child === "number" ? String(child) : child)));
  return element;
}

const [mi, mn, mo] = ["mi", "mn", "mo"].map((name) => (text) => m(name, text));
const row = (...children) => m("mrow", ...children);
const index = (layer) => row(mo("("), typeof layer === "number" ? mn(layer) : mi(layer), mo(")"));
const of = (symbol, layer) => m("msup", typeof symbol === "string" ? mi(symbol) : symbol, index(layer));
const vector = (symbol) => { const element = mi(symbol); element.setAttribute("class", "vector"); return element; };
const transposed = (base) => m("msup", row(mo("("), base, mo(")")), mi("T"));
const partial = (above, below) => m("mfrac", row(mo("∂"), above), row(mo("∂"), below));

function math(label, ...children) {
  const element = m("math", ...children);
  element.setAttribute("display", "block");
  element.setAttribute("aria-label", label);
  return element;
}

const size = (run, layer) => run.sizes[layer === 0 ? 0 : layer > run.depth ? 2 : 1];
const shape = (run, layer) => `${size(run, layer) ?? "n"} × ${size(run, layer - 1) ?? "n"}`;
const percent = (value) => (value === null ? null : `${number(100 * value, 2)} %`);

/** Where δ starts: the loss's derivative in the outputs of layer L. */
const STARTS = {
  cross_entropy: (last) => [mo("("), mi("softmax"), mo("("), of("z", last), mo(")"), mo("−"), vector("y"), mo(")"), mo("/"), mi("B")],
  squared_error: (last) => [mo("("), of("z", last), mo("−"), vector("y"), mo(")"), mo("/"), mi("B")],
  linear: () => [vector("y"), mo("/"), mi("B")],
};

/** The cards: a title, an equation, and rows of numbers, each a label and a function of a run and its step. */
function cards(runs, layer) {
  const [first] = runs;
  const last = runs.every((run) => run.depth === first.depth) ? first.depth + 1 : "L";
  const known = NAMES[first.activation] ?? first.activation;
  const name = known.length <= LONGEST && runs.every((run) => run.activation === first.activation) ? known : "f";
  const isHead = runs.every((run) => layer > run.depth); // nothing above it, in either network
  const d = (quantity, l = layer) => (run, t) => at(run, quantity, t, l);
  const through = (run, t) => run.normalization === "none" && run.residual === "none" && !run.dropout && at(run, "input_grad_rms", t, layer + 1);
  const split = runs.some((run) => run.layers.input_grad_rms) || runs.every(beyond);
  const f = (argument) => [mi(name), mo("("), argument, mo(")")];
  return [
    {
      title: "Forward pass",
      equations: [
        math(`z ${layer} = W ${layer} a ${layer - 1} + b ${layer}`, of("z", layer), mo("="), of("W", layer), of("a", layer - 1), mo("+"), of("b", layer)),
        isHead ? null : math(`a ${layer} = ${name} of z ${layer}`, of("a", layer), mo("="), ...f(of("z", layer))),
      ],
      rows: [
        [`W${upper(layer)}`, (run) => shape(run, layer)],
        ["f", name === "f" && !isHead ? (run) => run.activation : () => null],
        [`spread of z${upper(layer)}`, d("pre_activation_std")],
        [`spread of a${upper(layer)}`, isHead ? () => null : d("activation_std")],
        ["different neurons", (run, t) => (at(run, "distinct_neurons", t, layer) === null ? null : `${at(run, "distinct_neurons", t, layer)} of ${size(run, layer) ?? "n"}`)],
        [`saturated, ${name} flat`, (run, t) => percent(at(run, "saturation", t, layer))],
        [`dead, ${name}′ = 0`, (run, t) => percent(at(run, "dead_units", t, layer))],
      ],
    },
    {
      title: "δ starts at the output",
      current: isHead,
      equations: [math("delta of the output is the derivative of the loss", of("δ", last), mo("="), partial(mi("L"), of("z", last)),
        ...(STARTS[first.criterion] && runs.every((run) => run.criterion === first.criterion) ? [mo("="), ...STARTS[first.criterion](last)] : []))],
      rows: [
        ["training loss L", (run, t) => run.loss[t]],
        [`size of δ${last === "L" ? "⁽ᴸ⁾" : upper(last)}`, (run, t) => at(run, "delta_rms", t, run.depth + 1)],
      ],
    },
    {
      title: "δ flows back a layer",
      current: !isHead,
      equations: isHead ? [] : [math(`delta ${layer} = W ${layer + 1} transposed times delta ${layer + 1}, times the derivative of ${name} at z ${layer}`,
        of("δ", layer), mo("="), transposed(of("W", layer + 1)), of("δ", layer + 1), mo("⊙"), m("msup", mi(name), mo("′")), mo("("), of("z", layer), mo(")"))],
      note: isHead ? "Nothing is above the output: its δ comes from the loss, and backpropagation starts here." : split ? "" : "With probes=full it says how much W does, and how much f′.",
      rows: isHead ? [] : [
        [`W${upper(layer + 1)}`, (run) => shape(run, layer + 1)],
        [`size of δ${upper(layer + 1)}`, d("delta_rms", layer + 1)],
        [`through (W${upper(layer + 1)})ᵀ`, (run, t) => through(run, t) && at(run, "delta_rms", t, layer + 1) ? through(run, t) / at(run, "delta_rms", t, layer + 1) : null, "part"],
        [`through ⊙ ${name}′(z${upper(layer)})`, (run, t) => through(run, t) ? at(run, "delta_rms", t, layer) / through(run, t) : null, "part"],
        [`size of δ${upper(layer)}`, d("delta_rms")],
        [`δ${upper(layer)} / δ${upper(layer + 1)}`, (run, t) => (run.layers.delta_rms ? factor(run, t, layer) : null), "factor"],
      ],
    },
    {
      title: "Gradient of the weights",
      note: "Summed over the samples of the batch.",
      equations: [math(`derivative of L in W ${layer} = delta ${layer} times a ${layer - 1} transposed`, partial(mi("L"), of("W", layer)), mo("="), of("δ", layer), transposed(of("a", layer - 1))),
        math(`derivative of L in b ${layer} = delta ${layer}`, partial(mi("L"), of("b", layer)), mo("="), of("δ", layer))],
      rows: [
        [`norm of ∂L/∂W${upper(layer)}`, d("grad_norm")],
        [`norm of ∂L/∂b${upper(layer)}`, d("bias_grad_norm")],
        ["update moves W by", d("update_ratio")],
      ],
    },
  ];
}

function card({ title, equations, rows, note, current }, runs, moments, layer) {
  const element = html("article", { class: current ? "card active" : "card" }, html("h3", {}, title), ...equations.filter(Boolean));
  const body = html("tbody");
  for (const [label, value, kind] of rows) {
    const values = runs.map((run, i) => (layer <= run.depth + 1 ? value(run, moments[i]) : null));
    if (values.every((each) => each === null || each === undefined)) continue;
    const cells = values.map((each) => html("td", {}, typeof each === "number" ? html("data", { value: each }, number(each)) : each ?? "–"));
    body.append(html("tr", { class: kind ?? "" }, html("th", { scope: "row" }, label), ...cells));
  }
  const said = note ? [html("p", { class: "note" }, note)] : [];
  if (!body.children.length) { element.append(...said); return element; }
  const table = html("table", {}, body);
  if (runs.length > 1) table.prepend(html("thead", {}, html("tr", {}, html("td"), ...runs.map((run) => html("th", { scope: "col" }, run.short)))));
  element.append(table, ...said);
  return element;
}

/** What the four equations leave out, though the numbers do not. */
function beyond(run) {
  const parts = [BEYOND.normalization[run.normalization], run.residual !== "none" ? "residual connections" : "", run.dropout ? "dropout" : ""].filter(Boolean);
  return parts.length ? `${run.name} also has ${parts.join(" and ")}: δ passes through that, too. The equations leave it out, the numbers do not.` : "";
}
