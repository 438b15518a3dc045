/** Bounds sandwich: q moves in a model with one latent dimension, and the bounds of log p(x) move on a line. */

import { klDivergence, normalLogDensity, normalSampler } from "./engine.js";
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
} from "./ui.js";

/** @typedef {{mean: number, scale: number}} Gaussian */
/** @typedef {{mean: number, low: number, high: number}} Spread of estimates; 8 of 10 lie between low and high */
/** @typedef {"CUBO" | "CUBO_K" | "EUBO" | "EUBO_K" | "IWAE_K" | "ELBO"} Name */

/** @type {Name[]} */
const NAMES = ["CUBO", "CUBO_K", "EUBO", "EUBO_K", "IWAE_K", "ELBO"];
/** How far the line reaches to both sides of log p(x), in nats. */
const NATS = 3;
const LATENT = /** @type {[number, number]} */ ([-3, 4]);
const SCALE = { min: 0.1, max: 2 };
const HIGHEST = 1.65;

/**
 * @param {import("./ui.js").Context} context
 */
export function render({ model, el }) {
  const { weight, bias, sigma, x } = /** @type {Record<string, number>} */ (
    Object.fromEntries(["weight", "bias", "sigma", "x"].map((name) => [name, model.get(name)]))
  );
  const precision = 1 + (weight / sigma) ** 2;
  const posterior = { mean: (weight * (x - bias)) / sigma ** 2 / precision, scale: precision ** -0.5 };
  const evidence = normalLogDensity(x, bias, Math.hypot(weight, sigma));
  const q = () => /** @type {Gaussian} */ ({ mean: model.get("mean"), scale: model.get("scale") });
  const size = () => /** @type {number} */ (model.get("samples"));

  /** Standard normal numbers, made anew for another seed. */
  let noise = new Float64Array(0);
  function drawNoise() {
    const normal = normalSampler(model.get("seed"));
    noise = Float64Array.from({ length: model.get("draws") }, normal);
  }

  // --- q, to be dragged

  const densities = plot({
    label: "densities of the prior, the posterior and q",
    x: LATENT,
    y: [0, HIGHEST],
    xticks: [-2, 0, 2, 4],
    xlabel: "z",
    width: 360,
    height: 220,
  });
  const curves = {
    q: svg("path", { class: "ns-posterior" }),
    grips: svg("g"),
    draws: svg("path", { class: "ns-dot" }),
  };
  densities.curves.append(
    curves.q,
    densities.curve(bell({ mean: 0, scale: 1 }), "ns-threshold"),
    densities.curve(bell(posterior), "ns-second"),
  );
  densities.marks.append(curves.draws, curves.grips);
  let held = "mean";
  draggable(densities, (point, first) => {
    const { mean, scale } = q();
    if (first) held = Math.abs(point.x - mean) < 0.6 * scale ? "mean" : "scale";
    if (held === "mean") save(model, { mean: within(point.x, { min: LATENT[0], max: LATENT[1] }) });
    else save(model, { scale: within(Math.abs(point.x - mean), SCALE) });
  });

  const mean = slider({
    label: "mean of q",
    min: LATENT[0],
    max: LATENT[1],
    step: 0.01,
    value: 0,
    onInput: (value) => save(model, { mean: value }),
  });
  const scale = slider({
    label: "width of q",
    ...SCALE,
    step: 0.01,
    value: 1,
    onInput: (value) => save(model, { scale: value }),
  });
  const samples = slider({
    label: "samples K",
    min: 0,
    max: 8,
    step: 1,
    value: 0,
    text: (value) => String(2 ** value),
    onInput: (value) => save(model, { samples: 2 ** value }),
  });
  const { mean: centre, scale: width } = posterior;
  /** @type {Record<string, Gaussian>} */
  const presets = {
    "the posterior": posterior,
    "half as wide": { mean: centre, scale: width / 2 },
    "twice as wide": { mean: centre, scale: 2 * width },
    "beside it": { mean: centre - 2 * width, scale: width },
    "the prior": { mean: 0, scale: 1 },
  };
  const picks = choice({
    label: "q is",
    options: Object.keys(presets).map((name) => ({ value: name, content: name })),
    value: null,
    onChange: (name) => save(model, presets[name]),
  });

  // --- the bounds, each on a line of its own

  const rungs = NAMES.map((name) => rung(name));
  const table = element(
    "table",
    { class: "ns-table ns-rungs" },
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        element("th", { scope: "col" }, "bound"),
        element(
          "th",
          { scope: "col" },
          "nats above log ",
          element("i", {}, "p"),
          "(",
          element("i", {}, "x"),
          ")",
          scaleBar(),
        ),
        element("th", { scope: "col" }, element("span", { class: "ns-hidden" }, "its value")),
      ),
    ),
    element("tbody", {}, ...rungs.map((row) => row.root)),
  );
  const numbers = readouts({
    evidence: "log <i>p</i>(<i>x</i>)",
    ess: "effective sample size",
    width: "width of <i>q</i> / of the posterior",
  });
  const speaker = announcer();

  const draw = everyFrame(() => {
    const at = q();
    const K = size();
    const found = estimates(noise, K, logWeight(at, posterior));
    const [p, own] = [posterior, at].map((n) => ({ mean: [n.mean], scale: [n.scale] }));
    /** @type {Record<Name, number | Spread>} */
    const gaps = { ...found, CUBO: cuboGap(at, posterior), EUBO: klDivergence(p, own), ELBO: -klDivergence(own, p) };
    const said = rungs.map(({ name, set }) => set(gaps[name], K));
    numbers.set({
      evidence: `${format(evidence)} nats`,
      ess: `${format(found.ess, 1)} of ${K}`,
      width: format(at.scale / posterior.scale),
    });
    curves.q.setAttribute("d", `${densities.path(bell(at))}L${densities.toX(9)} ${densities.toY(0)}Z`);
    curves.grips.replaceChildren(...grips(at));
    curves.draws.setAttribute("d", dots(at, K));
    mean.set(at.mean);
    scale.set(at.scale);
    samples.set(Math.log2(K));
    picks.set(Object.keys(presets).find((name) => same(presets[name], at)) ?? null);
    speaker.say(`${said.join(", ")}. Effective sample size ${format(found.ess, 1)} of ${K}.`);
  });

  /** The first K draws from q; a dot's area is its share of the weight. @param {Gaussian} at @param {number} K */
  function dots(at, K) {
    const first = Array.from(noise.subarray(0, K));
    const logs = first.map(logWeight(at, posterior));
    const highest = Math.max(...logs);
    const weights = logs.map((v) => Math.exp(v - highest));
    const total = weights.reduce((a, b) => a + b);
    const y = (densities.toY(0) - 8).toFixed(1);
    return first
      .map((e, i) => {
        const x = densities.toX(within(at.mean + at.scale * e, { min: LATENT[0], max: LATENT[1] }));
        const r = Math.max(1, 8 * Math.sqrt(weights[i] / total));
        return disc(x.toFixed(1), y, r.toFixed(1));
      })
      .join("");
  }

  /** Where q is taken hold of: its mean, and a standard deviation to each side. @param {Gaussian} at */
  function grips(at) {
    const y = densities.toY(Math.min(0.9 * HIGHEST, Math.exp(normalLogDensity(1, 0, 1)) / at.scale));
    const [left, middle, right] = [-1, 0, 1].map((side) => densities.toX(at.mean + side * at.scale));
    return [
      svg("line", { x1: left, x2: right, y1: y, y2: y, class: "ns-guide" }),
      ...[left, middle, right].map((cx) => svg("circle", { cx, cy: y, r: cx === middle ? 7 : 5, class: "ns-grip" })),
    ];
  }

  const key = [
    ["ns-posterior", "q", "M0 8V2H28V8Z"],
    ["ns-second", "posterior", "M0 4H28"],
    ["ns-threshold", "prior", "M0 4H28"],
  ].map(([style, name, d]) => {
    const sample = svg("svg", { viewBox: "0 0 28 8", width: 28, height: 8 }, svg("path", { d, class: style }));
    return element("span", {}, sample, name);
  });
  el.replaceChildren(
    element(
      "div",
      { class: "nsvae" },
      picks.root,
      element(
        "div",
        { class: "ns-plots" },
        element(
          "div",
          {},
          element("div", { class: "ns-key" }, ...key),
          densities.root,
          element("div", { class: "ns-sliders" }, mean.root, scale.root, samples.root),
          element("p", { class: "ns-small" }, "Dots: K draws from q, the larger the more weight."),
          button("new draws", () => save(model, { seed: model.get("seed") + 1 })),
        ),
        element(
          "div",
          {},
          table,
          element("p", { class: "ns-small" }, "Bars: where 8 of 10 estimates from K draws lie; dots: their mean."),
          numbers.root,
        ),
      ),
      speaker.root,
    ),
  );
  const events = ["mean", "scale", "samples"].map((name) => `change:${name}`);
  for (const event of events) model.on(event, draw);
  const redraw = () => {
    drawNoise();
    draw();
  };
  model.on("change:seed", redraw);
  redraw();
  return () => {
    events.forEach((event) => model.off(event, draw));
    model.off("change:seed", redraw);
  };
}

/** A full circle, as part of a path. @param {string} x @param {string} y @param {string} r */
const disc = (x, y, r) => `M${x} ${y}m-${r} 0a${r} ${r} 0 1 0 ${2 * Number(r)} 0a${r} ${r} 0 1 0 -${2 * Number(r)} 0`;

/** @param {number} value @param {{min: number, max: number}} limits */
const within = (value, { min, max }) => Math.min(max, Math.max(min, value));

/** @param {Gaussian} a @param {Gaussian} b */
const same = (a, b) => Math.hypot(a.mean - b.mean, a.scale - b.scale) < 0.006;

/**
 * Points of a normal density.
 * @param {Gaussian} normal
 * @returns {[number, number][]}
 */
function bell({ mean, scale }) {
  return Array.from({ length: 81 }, (_, i) => {
    const z = mean + ((i - 40) / 10) * scale;
    return [z, Math.exp(normalLogDensity(z, mean, scale))];
  });
}

/**
 * log w - log p(x), which by Bayes' rule is log posterior(z) - log q(z), for z = mean + scale * e.
 * @param {Gaussian} q
 * @param {Gaussian} posterior
 * @returns {(e: number) => number}
 */
export function logWeight(q, posterior) {
  const logRatio = Math.log(q.scale / posterior.scale);
  return (e) => logRatio + (e * e - ((q.mean + q.scale * e - posterior.mean) / posterior.scale) ** 2) / 2;
}

/**
 * CUBO of order 2 less log p(x): infinite where q is narrower than sqrt(1/2) posteriors.
 * @param {Gaussian} q
 * @param {Gaussian} posterior
 */
export function cuboGap(q, posterior) {
  const spread = 2 * q.scale ** 2 - posterior.scale ** 2;
  if (spread <= 0) return Infinity;
  const logRatio = Math.log(q.scale ** 2 / posterior.scale) - Math.log(spread) / 2;
  return (logRatio + (q.mean - posterior.mean) ** 2 / spread) / 2;
}

/**
 * Estimates from groups of K draws, less log p(x), and the mean effective sample size.
 * @param {Float64Array} noise
 * @param {number} K
 * @param {(e: number) => number} logWeight
 */
export function estimates(noise, K, logWeight) {
  const groups = noise.length / K;
  const [iwae, eubo, cubo] = [0, 1, 2].map(() => new Float64Array(groups));
  const logs = new Float64Array(K);
  let ess = 0;
  for (let g = 0; g < groups; g++) {
    let highest = -Infinity;
    for (let k = 0; k < K; k++) {
      logs[k] = logWeight(noise[g * K + k]);
      if (logs[k] > highest) highest = logs[k];
    }
    let [sum, squares, weighted] = [0, 0, 0];
    for (const log of logs) {
      const w = Math.exp(log - highest);
      sum += w;
      squares += w * w;
      weighted += w * log;
    }
    iwae[g] = highest + Math.log(sum / K);
    eubo[g] = weighted / sum;
    cubo[g] = highest + Math.log(squares / K) / 2;
    ess += (sum * sum) / squares / groups;
  }
  return { IWAE_K: spreadOf(iwae), EUBO_K: spreadOf(eubo), CUBO_K: spreadOf(cubo), ess };
}

/**
 * @param {Float64Array} values
 * @returns {Spread}
 */
function spreadOf(values) {
  // A few thousand values tell where most of them lie, and sort in no time.
  const sorted = values.slice(0, 4096).sort();
  const at = (/** @type {number} */ share) => sorted[Math.round(share * (sorted.length - 1))];
  return { mean: values.reduce((a, b) => a + b) / values.length, low: at(0.1), high: at(0.9) };
}

const TRACK = { width: 180, height: 24 };
/** Where a number of nats is on the line. @param {number} nats */
const toTrack = (nats) => TRACK.width * (0.5 + (0.46 * nats) / NATS);

/** The line's axis, for the head of the table. */
function scaleBar() {
  const marks = [-2, 0, 2].map((nats) =>
    svg("text", { x: toTrack(nats), y: 15, "text-anchor": "middle" }, format(nats, 0)),
  );
  return svg("svg", { viewBox: `0 0 ${TRACK.width} 18`, class: "ns-gauge ns-axes", "aria-hidden": "true" }, ...marks);
}

/**
 * A row of the table: a bound's place on the line, how far it is above log p(x), and whether that is where it belongs.
 * @param {Name} name
 */
function rung(name) {
  const sampled = name.endsWith("_K");
  const middle = TRACK.height / 2;
  const bar = svg("line", { y1: middle, y2: middle, class: "ns-spread" });
  const marker = svg("path", { class: "ns-marker" });
  const zero = toTrack(0);
  const track = svg(
    "svg",
    { viewBox: `0 0 ${TRACK.width} ${TRACK.height}`, class: "ns-gauge", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: TRACK.width, y1: middle, y2: middle, class: "ns-floor" }),
    svg("line", { x1: zero, x2: zero, y1: 0, y2: TRACK.height, class: "ns-threshold" }),
    bar,
    marker,
  );
  const subscript = element("sub");
  const value = element("b");
  const verdict = element("span", { class: "ns-verdict" });
  const root = element(
    "tr",
    {},
    element("th", { scope: "row" }, name.replace("_K", ""), ...(sampled ? [subscript] : [])),
    element("td", {}, track),
    element("td", {}, element("div", { class: "ns-value" }, value, verdict)),
  );

  /**
   * @param {number | Spread} gap above log p(x)
   * @param {number} K
   */
  function set(gap, K) {
    const { mean, low, high } = typeof gap === "number" ? { mean: gap, low: gap, high: gap } : gap;
    const place = (/** @type {number} */ nats) => toTrack(within(nats, { min: -1.08 * NATS, max: 1.08 * NATS }));
    const at = place(mean);
    const beyond = Math.abs(mean) > NATS ? Math.sign(mean) : 0;
    // Beyond the line's end there is an arrow.
    marker.setAttribute(
      "d",
      beyond
        ? `M${at - 12 * beyond} ${middle}h${10 * beyond}m${-5 * beyond} -5l${5 * beyond} 5l${-5 * beyond} 5`
        : `M${at} ${middle - 4}a4 4 0 1 0 .01 0Z`,
    );
    bar.setAttribute("x1", String(place(low)));
    bar.setAttribute("x2", String(place(high)));
    subscript.textContent = String(K);
    const upper = name.startsWith("EUBO") || name.startsWith("CUBO");
    const wrong = upper && mean < -0.0005;
    const words = mean === Infinity ? "no help" : Math.abs(mean) < 0.0005 ? "exact" : mean < 0 ? "below" : "above";
    value.textContent = mean === Infinity ? "∞" : `${mean > 0.005 ? "+" : ""}${format(mean)}`;
    verdict.textContent = wrong ? "no bound" : words;
    verdict.classList.toggle("ns-alarm", wrong);
    return `${name.replace("_K", ` with ${K} samples`)} ${mean === Infinity ? "infinite" : value.textContent}, ${verdict.textContent}`;
  }
  return { name, root, set };
}
