/** KL geometry: two normals to drag and stretch, their divergence both ways, as an area and as a formula. */

import { bitsPerDim, klDivergence, normalLogDensity } from "./engine.js";
import {
  announcer,
  button,
  choice,
  draggable,
  element,
  everyFrame,
  format,
  plot,
  readouts,
  save,
  slider,
  svg,
  ticks,
} from "./ui.js";

/** @typedef {"q" | "p"} Name */
/** @typedef {"mean" | "scale"} Part */
/** @typedef {{mean: number, scale: number}} Bell */

const LIMITS = { mean: [-2, 10], scale: [0.1, 3] };
const STEP = 0.05;
const AXIS = { x: /** @type {[number, number]} */ ([-7, 15]), xticks: [-4, 0, 4, 8, 12], width: 360 };
const NAMES = /** @type {Name[]} */ (["q", "p"]);
const STYLES = { q: "ns-first", p: "ns-second" };
const PRIOR = { p_mean: 0, p_scale: 1 };
const NEGATIVE_PRIOR = { p_mean: 8, p_scale: 1 };
/** Of the images of the book's grey sets. */
const PIXELS = 28 * 28;

/**
 * @param {import("./ui.js").Context} context
 */
export function render({ model, el }) {
  const get = (/** @type {Name} */ name) =>
    /** @type {Bell} */ ({ mean: model.get(`${name}_mean`), scale: model.get(`${name}_scale`) });

  // --- the two densities, dragged at the top and stretched at the side

  const chart = plot({ ...AXIS, label: "Densities of q and p", y: [0, 1.2], xlabel: "z", ylabel: "density" });
  const bells = NAMES.map((name) => {
    const curve = chart.curve([], STYLES[name]);
    const top = svg("circle", { r: 6, class: "ns-grip" });
    const side = svg("path", { class: "ns-grip" });
    const letter = svg("text", { "text-anchor": "middle", "font-style": "italic" }, name);
    chart.curves.append(curve);
    chart.marks.append(top, side, letter);
    return { name, curve, top, side, letter };
  });
  /** Where the grips are, in the plot's units. @type {{name: Name, part: Part, x: number, y: number}[]} */
  let grips = [];
  let held = grips[0];
  draggable(chart, (at, first) => {
    const distance = (/** @type {typeof held} */ grip) =>
      Math.hypot(chart.toX(at.x) - grip.x, chart.toY(at.y) - grip.y);
    if (first) held = grips.reduce((best, grip) => (distance(grip) < distance(best) ? grip : best));
    const { name, part } = held;
    set(name, part, part === "mean" ? at.x : at.x - get(name).mean);
  });

  /**
   * @param {Name} name
   * @param {Part} part
   * @param {number} value
   */
  function set(name, part, value) {
    const [low, high] = LIMITS[part];
    const nearest = Number((Math.round(value / STEP) * STEP).toFixed(2));
    save(model, { [`${name}_${part}`]: Math.min(high, Math.max(low, nearest)) });
  }

  // --- the area, the numbers, the formula

  const holder = element("div");
  const numbers = readouts({
    forwards: "KL(<i>q</i> ‖ <i>p</i>)",
    backwards: "KL(<i>p</i> ‖ <i>q</i>)",
    bits: "KL(<i>q</i> ‖ <i>p</i>) as BPD, 28 × 28 pixels",
  });
  const formula = element("div", { class: "ns-formula" });
  const speaker = announcer();

  // --- what readers do

  const sliders = NAMES.flatMap((name) =>
    /** @type {Part[]} */ (["mean", "scale"]).map((part) => {
      const [min, max] = LIMITS[part];
      const onInput = (/** @type {number} */ value) => set(name, part, value);
      const label = element("span", {}, `${part} of `, element("i", {}, name));
      return { name, part, ...slider({ label, min, max, step: STEP, value: get(name)[part], onInput }) };
    }),
  );
  const dims = choice({
    label: "Dimensions D, all alike",
    options: [1, 2, 10, 100].map((value) => ({ value, content: String(value) })),
    value: model.get("dims"),
    onChange: (value) => save(model, { dims: value }),
  });
  const way = choice({
    label: "Area and formula of",
    options: [
      { value: "forwards", content: "KL(q ‖ p)" },
      { value: "backwards", content: "KL(p ‖ q)" },
    ],
    value: "forwards",
    onChange: (value) => save(model, { backwards: value === "backwards" }),
  });
  const buttons = [
    button("p = prior", () => save(model, PRIOR)),
    button("p = negative prior", () => save(model, NEGATIVE_PRIOR)),
    button("q = p", () => save(model, { q_mean: get("p").mean, q_scale: get("p").scale })),
    button("swap q and p", () => {
      const { q, p } = { q: get("q"), p: get("p") };
      save(model, { q_mean: p.mean, q_scale: p.scale, p_mean: q.mean, p_scale: q.scale });
    }),
  ];

  const draw = everyFrame(() => {
    const [q, p] = [get("q"), get("p")];
    const D = /** @type {number} */ (model.get("dims"));
    const backwards = /** @type {boolean} */ (model.get("backwards"));
    const z = grid(q, p);
    const highest = Math.max(...[q, p].map(({ scale }) => 1 / scale));
    grips = bells.flatMap(({ name, curve, top, side, letter }) => {
      const { mean, scale } = get(name);
      const height = 1 / scale / highest;
      const y = (/** @type {number} */ v) => chart.toY(height * Math.exp(-0.5 * ((v - mean) / scale) ** 2));
      curve.setAttribute("d", chart.path(z.map((v) => [v, height * Math.exp(-0.5 * ((v - mean) / scale) ** 2)])));
      const [peak, edge] = [mean, mean + scale].map((v) => ({ x: chart.toX(v), y: y(v) }));
      top.setAttribute("cx", String(peak.x));
      top.setAttribute("cy", String(peak.y));
      side.setAttribute("d", `M${edge.x - 5} ${edge.y - 6}l-5 6l5 6zm10 0l5 6l-5 6z`);
      letter.setAttribute("x", String(peak.x));
      letter.setAttribute("y", String(peak.y - 10));
      if (name === "p") letter.textContent = `p${role(p)}`;
      return [
        { name, part: /** @type {Part} */ ("mean"), ...peak },
        { name, part: /** @type {Part} */ ("scale"), ...edge },
      ];
    });
    const [first, second, kl] = backwards ? [p, q, "KL(p‖q)"] : [q, p, "KL(q‖p)"];
    holder.replaceChildren(area(z, first, second, kl));
    const [forward, back] = [divergence(q, p, D), divergence(p, q, D)];
    numbers.set({
      forwards: `${format(forward, 4)} nats`,
      backwards: `${format(back, 4)} nats`,
      bits: format(bitsPerDim(-forward, PIXELS), 4),
    });
    formula.innerHTML = filled(first, second, backwards ? ["p", "q"] : ["q", "p"], D);
    for (const { name, part, set: show } of sliders) show(get(name)[part]);
    dims.set(D);
    way.set(backwards ? "backwards" : "forwards");
    speaker.say(`KL of q from p ${format(forward, 1)} nats, KL of p from q ${format(back, 1)} nats`);
  });

  el.replaceChildren(
    element(
      "div",
      { class: "nsvae" },
      element("div", { class: "ns-plots" }, chart.root, holder),
      numbers.root,
      element("div", { class: "ns-sliders" }, ...sliders.map(({ root }) => root)),
      element("div", { class: "ns-buttons" }, ...buttons),
      element("div", { class: "ns-beside" }, dims.root, way.root),
      formula,
      speaker.root,
    ),
  );
  const names = ["q_mean", "q_scale", "p_mean", "p_scale", "dims", "backwards"];
  for (const name of names) model.on(`change:${name}`, draw);
  draw();
  return () => names.forEach((name) => model.off(`change:${name}`, draw));
}

/**
 * What a normal is in the book, if it is one of the two priors.
 * @param {Bell} p
 */
function role({ mean, scale }) {
  if (scale !== 1 || mean < 0) return "";
  return mean ? `: negative prior, s = ${format(mean)}` : ": prior";
}

/**
 * Where curves are computed: over the whole axis, and closer together where a bell may be narrow.
 * @param {...Bell} bells
 */
function grid(...bells) {
  const [low, high] = AXIS.x;
  const even = Array.from({ length: 101 }, (_, i) => low + ((high - low) * i) / 100);
  const close = bells.flatMap(({ mean, scale }) =>
    Array.from({ length: 81 }, (_, i) => mean + (scale * (i - 40)) / 10),
  );
  return [...even, ...close].filter((z) => z >= low && z <= high).sort((a, b) => a - b);
}

/**
 * KL(q || p) in D dimensions, all alike, in nats.
 * @param {Bell} q
 * @param {Bell} p
 * @param {number} D
 */
function divergence(q, p, D) {
  const all = ({ mean, scale } = q) => ({ mean: Array(D).fill(mean), scale: Array(D).fill(scale) });
  return klDivergence(all(q), all(p));
}

/**
 * The curve first(z) log(first(z) / second(z)), whose area is the divergence in one dimension.
 * @param {number[]} z
 * @param {Bell} first
 * @param {Bell} second
 * @param {string} name of the divergence
 */
function area(z, first, second, name) {
  const values = z.map((v) => {
    const log = normalLogDensity(v, first.mean, first.scale);
    return Math.exp(log) * (log - normalLogDensity(v, second.mean, second.scale));
  });
  const top = Math.max(0.2, ...values);
  const y = /** @type {[number, number]} */ ([Math.min(-0.03 * top, ...values), 1.05 * top]);
  const yticks = ticks(y[0], y[1], 4).filter((tick) => tick >= y[0] && tick <= y[1]);
  const label = `The curve whose area is ${name} in one dimension`;
  const chart = plot({ ...AXIS, label, y, yticks, xlabel: `z; area: ${name} in one dimension` });
  for (const [style, part] of /** @type {[string, (v: number) => number][]} */ ([
    ["ns-gain", (v) => Math.max(v, 0)],
    ["ns-loss", (v) => Math.min(v, 0)],
  ])) {
    const [start, end] = AXIS.x;
    const outline = chart.path([
      [start, 0],
      ...z.map((v, i) => /** @type {[number, number]} */ ([v, part(values[i])])),
      [end, 0],
    ]);
    chart.curves.append(svg("path", { d: `${outline}Z`, class: style }));
  }
  chart.curves.append(
    svg("path", {
      d: chart.path([
        [AXIS.x[0], 0],
        [AXIS.x[1], 0],
      ]),
      class: "ns-floor",
    }),
  );
  return chart.root;
}

/**
 * The closed form in symbols, with numbers, and term by term, as HTML.
 * @param {Bell} first
 * @param {Bell} second
 * @param {Name[]} names
 * @param {number} D
 */
function filled(first, second, [a, b], D) {
  const n = (/** @type {number} */ v, digits = 2) => format(v, digits);
  const symbol = (/** @type {string} */ letter, /** @type {string} */ name) => `<i>${letter}<sub>${name}</sub></i>`;
  const [ma, sa, mb, sb] = [symbol("μ", a), symbol("σ", a), symbol("μ", b), symbol("σ", b)];
  const [one, two] = [
    Math.log(second.scale / first.scale),
    (first.scale ** 2 + (first.mean - second.mean) ** 2) / (2 * second.scale ** 2),
  ];
  const minus = second.mean < 0 ? `(${n(second.mean)})` : n(second.mean);
  return [
    `KL(<i>${a}</i> ‖ <i>${b}</i>) = <i>D</i> [ log(${sb} / ${sa}) + (${sa}² + (${ma} − ${mb})²) / (2 ${sb}²) − ½ ]`,
    `= ${D} [ log(${n(second.scale)} / ${n(first.scale)}) + (${n(first.scale)}² + (${n(first.mean)} − ${minus})²) / (2 · ${n(second.scale)}²) − ½ ]`,
    `= ${D} [ ${n(one, 4)} + ${n(two, 4)} − 0.5 ] = <b>${n(divergence(first, second, D), 4)} nats</b>`,
  ]
    .map((line) => `<p>${line}</p>`)
    .join("");
}
