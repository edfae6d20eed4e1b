// The picture of one run: its layers from the input to the loss, δ rising above them and ∂L/∂W hanging below.
const SVG = "http://www.w3.org/2000/svg";
const DECADES = 6; // shown at least, so that a healthy run looks flat
const LARGEST = 4; // decades above 1 that are shown, whatever is measured
const DOTS = 5; // neurons drawn of a layer that has many different ones
const TITLES = { delta_rms: "δ⁽ˡ⁾, the error signal", grad_norm: "∂L/∂W⁽ˡ⁾, what the weights get" };

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const greatest = (values, least) => values.reduce((a, b) => Math.max(a, b), least);

/** Where values of a quantity lie between 0 and 1, the same for all runs and steps. */
class Scale {
  constructor(runs, quantity) {
    const logs = (each) => each.flat().filter((value) => value > 0).map(Math.log10);
    const all = logs(runs.flatMap((run) => [...(run.layers[quantity] ?? []), run.theory[quantity] ?? []]));
    const start = logs(runs.flatMap((run) => [run.layers[quantity]?.[0] ?? [], run.theory[quantity] ?? []]));
    const most = Math.max(LARGEST, greatest(start, -Infinity) + DECADES); // a run that diverges would leave room for nothing else
    this.top = all.length ? Math.ceil(Math.min(greatest(all, -Infinity), most)) : 0;
    this.bottom = Math.min(all.length ? Math.floor(-greatest(all.map((each) => -each), -Infinity)) : 0, this.top - DECADES);
    this.linear = false;
    this.largest = (t) => greatest(runs.flatMap((run) => run.layers[quantity]?.[nearest(run, t)] ?? []), 0) || 1;
    this.step = 0;
  }

  of(value) {
    if (!value) return 0;
    if (this.linear) return Math.min(1, value / this.largest(this.step));
    return Math.min(1, Math.max(0.012, (Math.log10(value) - this.bottom) / (this.top - this.bottom)));
  }

  exceeded(value) { return !this.linear && value > 10 ** this.top; }

  /** Where to draw lines, and what they say. */
  ticks(most) {
    if (this.linear) return [0.5, 1].map((share) => [share, number(share * this.largest(this.step), 2)]);
    const every = [1, 2, 3, 5, 10, 20, 50, 100].find((each) => (this.top - this.bottom) / each <= most) ?? 200;
    const exponents = [];
    for (let each = this.top; each >= this.bottom; each -= every) exponents.push(each);
    return exponents.map((each) => [(each - this.bottom) / (this.top - this.bottom), `10${raised(each)}`]);
  }
}

class Strip {
  constructor(place, run, scales, choose) {
    Object.assign(this, { place, run, scales, choose, quantities: Object.keys(scales).filter((name) => run.layers[name]) });
    new ResizeObserver(() => this.layout()).observe(place);
  }

  /** Everything that depends on the width alone; then what depends on the step. */
  layout() {
    const width = Math.max(this.place.clientWidth, 260);
    if (width === this.width) return;
    this.width = width;
    const narrow = width < 520;
    this.margin = { left: narrow ? 34 : 46, right: narrow ? 40 : 58 };
    this.column = (width - this.margin.left - this.margin.right) / (this.run.depth + 2);
    const heights = { delta_rms: narrow ? 150 : 190, grad_norm: narrow ? 84 : 104 };
    const spine = narrow ? 70 : 86;
    let y = 38;
    this.bases = {};
    if (this.quantities.includes("delta_rms")) this.bases.delta_rms = [y += heights.delta_rms, -heights.delta_rms];
    this.middle = (y += 10) + spine / 2;
    y += spine + 10;
    if (this.quantities.includes("grad_norm")) {
      this.bases.grad_norm = [y, heights.grad_norm];
      y += heights.grad_norm + 16;
    }
    this.numbers = y + 14;
    const height = y + 40;
    this.svg = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
    this.spine = spine;
    this.parts = { back: svg("g"), bars: svg("g"), net: svg("g"), front: svg("g", { class: "front" }), pulse: svg("g", { class: "pulse" }), hits: svg("g") };
    this.svg.append(...Object.values(this.parts));
    this.place.replaceChildren(this.svg);
    this.drawFrame();
    this.drawHits();
    if (this.t !== undefined) this.update(this.t, this.layer);
  }

  x(layer) { return this.margin.left + (layer + 0.5) * this.column; }

  drawFrame() {
    const { run, column, numbers } = this;
    this.current = svg("rect", { class: "current", y: 21, height: numbers - 15, width: Math.max(column, 5), rx: 4 });
    this.parts.back.append(this.current);
    this.axes = svg("g");
    this.parts.back.append(this.axes);
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((each) => each * column >= 24) ?? 1000;
    for (let layer = 1; layer <= run.depth; layer++) {
      const free = Math.min(layer - 1, run.depth - layer) * column >= 20;
      if (layer === 1 || layer === run.depth || (layer % every === 0 && free)) this.write(this.x(layer), numbers, layer, "tick");
    }
    const beside = column < 24 ? Math.max(column / 2 + 1, 14 - column) : 0; // too little room below
    this.write(this.x(0) - beside, numbers, column < 44 ? "in" : "input", "tick", beside ? "end" : "middle");
    this.write(this.x(run.depth + 1) + beside, numbers, column < 44 ? "out" : "output", "tick", beside ? "start" : "middle");
    this.loss = this.width - this.margin.right + (this.margin.right > 50 ? 34 : 20);
    this.parts.back.append(svg("circle", { class: "target", cx: this.loss, cy: this.middle, r: 17 }));
    this.write(this.loss, this.middle + 4, "loss", "loss");
    this.write(this.width - 2, 13, "◀ δ flows back", "way", "end");
    this.quantities.forEach((name) => this.write(this.margin.left, name === "delta_rms" ? 13 : numbers + 20, TITLES[name], "way", "start"));
  }

  write(x, y, text, kind, anchor = "middle", place = this.parts.back) {
    const label = svg("text", { x, y, class: kind, "text-anchor": anchor }, String(text));
    place.append(label);
    return label;
  }

  drawHits() {
    for (let layer = 1; layer <= this.run.depth + 1; layer++) {
      const hit = svg("rect", { x: this.x(layer) - this.column / 2, y: 0, width: this.column, height: this.numbers + 8, class: "hit" });
      hit.addEventListener("click", () => this.choose(layer));
      this.parts.hits.append(hit);
    }
  }

  /** Draw a measured step. */
  update(t, layer) {
    Object.assign(this, { t, layer });
    if (!this.svg) return;
    for (const name of ["bars", "net", "front"]) this.parts[name].replaceChildren();
    this.axes.replaceChildren();
    for (const name of this.quantities) this.drawQuantity(name);
    this.drawNetwork();
    this.highlight(layer);
    const [big, sentence] = left(this.run, t);
    this.svg.setAttribute("aria-label", `Layers of ${this.run.name} at step ${this.run.steps[t]}. ${big} ${sentence} ${symmetry(this.run, t)} The table below has all numbers.`);
  }

  drawQuantity(name) {
    const { run, t, column, margin } = this;
    const [base, height] = this.bases[name];
    const scale = this.scales[name];
    for (const [share, text] of scale.ticks(Math.abs(height) / 26)) {
      const y = base + share * height;
      this.axes.append(svg("line", { class: "grid", x1: margin.left, x2: this.width - margin.right, y1: y, y2: y }));
      this.write(margin.left - 5, y + 3.5, text, "tick", "end", this.axes);
    }
    this.axes.append(svg("line", { class: "base", x1: margin.left, x2: this.width - margin.right, y1: base, y2: base }));
    const thick = Math.max(1.5, Math.min(column * 0.72, 52));
    run.layers[name][t].forEach((value, index) => {
      const x = this.x(index + 1);
      const share = scale.of(value);
      const kind = value === null ? "none" : value === 0 ? "zero" : "bar";
      const bar = svg("rect", { class: kind, x: x - thick / 2, y: base + Math.min(0, share * height), width: thick,
        height: kind === "bar" ? Math.abs(share * height) : 0, rx: Math.min(2, thick / 4), "data-quantity": name, "data-layer": index + 1 });
      if (value !== null) bar.dataset.value = value;
      bar.style.setProperty("--share", share);
      this.parts.bars.append(bar);
      if (kind !== "bar") this.drawNothing(kind, x, base, height, thick);
      if (scale.exceeded(value)) this.write(x, base + height + (height < 0 ? -3 : 11), "↑", "tick", "middle", this.parts.bars);
      this.drawSpread(name, index, x, base, height);
    });
    this.drawTheory(name, base, height);
  }

  /** A zero is a zero, not a gap; what was not measured is a dash. */
  drawNothing(kind, x, base, height, thick) {
    const y = base + Math.sign(height) * (this.column > 8 ? 9 : 4);
    if (this.column > 8) this.write(x, y + 4, kind === "zero" ? "0" : "–", kind === "zero" ? "nought" : "tick", "middle", this.parts.bars);
    else this.parts.bars.append(svg("circle", { cx: x, cy: y, r: Math.max(0.8, thick / 3), class: kind === "zero" ? "ring" : "dash" }));
  }

  drawSpread(name, index, x, base, height) {
    const [low, high] = [this.run.low, this.run.high].map((each) => each[name]?.[this.t][index]);
    if (!low || !high || low === high) return;
    const [y1, y2] = [low, high].map((value) => base + this.scales[name].of(value) * height);
    this.parts.bars.append(svg("line", { class: "spread", x1: x, x2: x, y1, y2 }));
  }

  drawTheory(name, base, height) {
    const known = (this.run.theory[name] ?? []).map((value, index) => [index + 1, value]).filter(([, value]) => value > 0);
    if (!known.length) return;
    const points = known.map(([layer, value]) => `${this.x(layer)},${base + this.scales[name].of(value) * height}`);
    const tip = svg("title", {}, "theory's prediction for the initialization");
    this.parts.bars.append(svg("polyline", { class: this.run.steps[this.t] ? "theory past" : "theory", points: points.join(" ") }, tip));
  }

  /** As many neurons as are different, in the colour of what reaches them. */
  drawNetwork() {
    const { run, t, column, spine, middle } = this;
    const radius = Math.max(1, Math.min(spine / 14, column * 0.2));
    const layers = Array.from({ length: run.depth + 2 }, (_, layer) => this.dots(layer).map((share) => middle + share * (spine - 4 * radius)));
    const heat = (layer) => this.scales[flow(run)].of(layer ? at(run, flow(run), t, layer) : null);
    for (let layer = 0; column >= 15 && layer <= run.depth; layer++) this.link(layer, layers[layer], layers[layer + 1], heat(layer + 1));
    const ending = layers.at(-1).map((y) => `M${this.x(run.depth + 1)} ${y}L${this.loss - 17} ${middle}`).join("");
    this.parts.net.append(svg("path", { class: "links", d: ending }));
    layers.forEach((dots, layer) => {
      const value = layer ? at(run, flow(run), t, layer) : null;
      for (const y of dots) {
        const neuron = layer ? svg("circle", { cx: this.x(layer), cy: y, r: radius, class: `neuron${value === 0 ? " silent" : ""}${radius < 2 ? " small" : ""}` })
          : svg("rect", { x: this.x(0) - radius, y: y - radius, width: 2 * radius, height: 2 * radius, class: "input" });
        neuron.style.setProperty("--share", heat(layer));
        neuron.dataset.layer = layer;
        this.parts.net.append(neuron);
      }
      if (dots.length === 1 && layer && layer <= run.depth && run.sizes[1] > 1 && column > 26) this.write(this.x(layer), middle + radius + 15, `${run.sizes[1]} ×`, "tick", "middle", this.parts.net);
    });
  }

  /** Connections between two layers, warm where δ is large above them. */
  link(layer, below, above, share) {
    const d = below.flatMap((a) => above.map((b) => `M${this.x(layer)} ${a}L${this.x(layer + 1)} ${b}`)).join("");
    const path = svg("path", { class: "links", d });
    path.style.setProperty("--share", share);
    path.dataset.layer = layer;
    this.parts.net.append(path);
  }

  /** Places from −½ to ½ of a layer's neurons: as many, in proportion, as are different. */
  dots(layer) {
    const size = layer === 0 ? this.run.sizes[0] : layer > this.run.depth ? this.run.sizes[2] : this.run.sizes[1];
    const different = at(this.run, "distinct_neurons", this.t, layer) ?? size ?? DOTS;
    const most = Math.min(DOTS, size ?? DOTS);
    const shown = different <= 1 ? 1 : Math.max(2, Math.min(most, Math.round(1 + (most - 1) * Math.log(different) / Math.log(size ?? DOTS))));
    return Array.from({ length: shown }, (_, i) => (shown === 1 ? 0 : i / (shown - 1) - 0.5));
  }

  /** Mark the current layer, and write its numbers and those at both ends. */
  highlight(layer) {
    this.layer = layer;
    if (!this.svg) return;
    const here = Math.min(layer, this.run.depth + 1);
    this.current.setAttribute("x", this.x(here) - this.current.getAttribute("width") / 2);
    this.current.classList.toggle("off", layer > this.run.depth + 1);
    this.parts.front.replaceChildren();
    for (const name of this.quantities) this.label(name, here);
  }

  label(name, here) {
    const [base, height] = this.bases[name];
    const room = 74;
    const ends = [1, this.run.depth].filter((layer) => Math.abs(this.x(layer) - this.x(here)) > room);
    if (ends.length === 2 && this.x(ends[1]) - this.x(ends[0]) < room) ends.pop();
    for (const layer of [...ends, here]) {
      const value = at(this.run, name, this.t, layer);
      if (!value) continue;
      const y = base + this.scales[name].of(value) * height + (height < 0 ? -6 : 13);
      const atLeft = this.x(layer) < this.margin.left + 30;
      const x = atLeft ? this.margin.left + 3 : Math.min(this.x(layer), this.width - 30);
      this.write(x, y, number(value, 2), layer === here ? "value here" : "value", atLeft ? "start" : "middle", this.parts.front);
    }
  }

  /** δ on its way: a pulse at this place (layers, from the loss down to 1), and pale what it has not reached yet. */
  reach(place) {
    this.parts.pulse.replaceChildren();
    const parts = this.svg.querySelectorAll("[data-layer]");
    for (const part of parts) part.classList.remove("ahead");
    if (place === null || place > this.run.depth + 2) return;
    for (const part of parts) if (part.dataset.layer < Math.floor(place)) part.classList.add("ahead");
    const [below, above] = [Math.floor(place), Math.ceil(place)].map((layer) => Math.min(layer, this.run.depth + 1))
      .map((layer) => this.scales[flow(this.run)].of(at(this.run, flow(this.run), this.t, layer)));
    const share = below + (above - below) * (place - Math.floor(place));
    const x = place <= this.run.depth + 1 ? this.x(place) : this.x(this.run.depth + 1) + (place - this.run.depth - 1) * (this.loss - this.x(this.run.depth + 1));
    const pulse = svg("circle", { cx: x, cy: this.middle, r: 3 + share * this.spine * 0.42, opacity: share ? 0.25 + 0.7 * share : 0 });
    pulse.style.setProperty("--share", share);
    this.parts.pulse.append(pulse);
  }
}
