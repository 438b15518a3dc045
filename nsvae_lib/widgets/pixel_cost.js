/** What a pixel costs: the charges of three noise models over the prediction and over the pixel, and their floors. */

import { pixelLogProbability, sigmoid } from "./engine.js";
import { announcer, draggable, element, everyFrame, format, plot, save, slider, svg } from "./ui.js";

/** @typedef {{label: string, style: string}} Look */

/** @type {Record<string, Look>} noise model -> how it is shown */
const NOISES = {
  bernoulli: { label: "Bernoulli", style: "ns-first" },
  gaussian: { label: "Gaussian", style: "ns-second" },
  "continuous-bernoulli": { label: "continuous Bernoulli", style: "ns-third" },
};
const RANGE = { x: [0, 1], m: [0.005, 0.995], sigma: [0.1, 1] };
const STEP = 0.005;
/** Of the vertical axes, in nats. @type {[number, number]} */
const NATS = [-2, 3];

/**
 * @param {import("./ui.js").Context} context
 */
export function render({ model, el }) {
  const get = (/** @type {"x" | "m" | "sigma"} */ name) => /** @type {number} */ (model.get(name));
  const names = Object.keys(NOISES);
  const over = {
    m: panel("m", "prediction m", "Dashed: the floor H(x) of this pixel"),
    x: panel("x", "pixel x", "Grey: the floor H(x) of every pixel"),
  };
  /** @type {[number, number][]} */
  const arch = GRID.x.map((x) => [x, lowest("bernoulli", x, 1)]);
  over.x.chart.curves.prepend(svg("path", { d: over.x.chart.path(arch), class: "ns-area" }));
  const floorLine = svg("path", { class: "ns-threshold" });
  over.m.chart.curves.append(floorLine);

  const grey = { x: element("span", { class: "ns-swatch" }), m: element("span", { class: "ns-swatch" }) };
  const sliders = {
    x: slider({
      label: element("span", {}, grey.x, "pixel x"),
      min: 0,
      max: 1,
      step: STEP,
      value: get("x"),
      text: (v) => format(v, 3),
      onInput: (x) => save(model, { x }),
    }),
    m: slider({
      label: element("span", {}, grey.m, "prediction m"),
      min: RANGE.m[0],
      max: RANGE.m[1],
      step: STEP,
      value: get("m"),
      text: (v) => format(v, 3),
      onInput: (m) => save(model, { m }),
    }),
    sigma: slider({
      label: "Gaussian's σ",
      min: RANGE.sigma[0],
      max: RANGE.sigma[1],
      step: 0.01,
      value: get("sigma"),
      onInput: (sigma) => save(model, { sigma }),
    }),
  };

  const rows = names.map((name) => {
    const { label, style } = NOISES[name];
    const sample = svg(
      "svg",
      { viewBox: "0 0 40 6", class: "ns-sample", "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 40, y1: 3, y2: 3, class: style }),
    );
    const cells = [amount(), amount(), amount()];
    const head = element("th", { scope: "row" }, label, sample);
    return { name, label, cells, root: element("tr", {}, head, ...cells.map((cell) => cell.root)) };
  });
  const heads = [
    ["noise model", ""],
    ["charge", "nats, bits"],
    ["lowest", "for this x"],
    ["above it", "the excess"],
  ].map(([text, small]) => element("th", { scope: "col" }, text, element("small", {}, small)));
  const table = element(
    "table",
    { class: "ns-table" },
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows.map((row) => row.root)),
  );
  const speaker = announcer();

  /**
   * A plot in which one of the two values is dragged.
   * @param {"x" | "m"} name
   * @param {string} xlabel
   * @param {string} note
   */
  function panel(name, xlabel, note) {
    const chart = plot({
      label: `Charge of three noise models over the ${xlabel}; ${note}`,
      x: [0, 1],
      y: NATS,
      xlabel,
      ylabel: "nats",
      xticks: [0, 0.5, 1],
      yticks: [-2, -1, 0, 1, 2, 3],
      width: 360,
      height: 270,
    });
    const paths = Object.fromEntries(names.map((noise) => [noise, chart.curve([], NOISES[noise].style)]));
    const guide = svg("line", { y1: chart.toY(NATS[1]), y2: chart.toY(NATS[0]), class: "ns-guide" });
    const grip = svg("path", { class: "ns-grip" });
    const dots = names.map(() => svg("circle", { r: 4.5, class: "ns-grip" }));
    chart.curves.append(guide, ...Object.values(paths), ...dots);
    chart.marks.append(grip);
    draggable(chart, (at) => {
      const [low, high] = RANGE[name];
      const nearest = Math.round(at.x / STEP) * STEP;
      save(model, { [name]: Math.min(high, Math.max(low, Number(nearest.toFixed(3)))) });
    });
    const root = element("figure", {}, chart.root, element("figcaption", {}, note));
    return { root, chart, paths, guide, grip, dots };
  }

  /** Nats, and below them bits. */
  function amount() {
    const nats = element("span");
    const bits = element("small");
    const set = (/** @type {number} */ value) => {
      nats.textContent = number(value);
      bits.textContent = `${number(value / Math.LN2)} bits`;
    };
    return { root: element("td", {}, nats, bits), set };
  }

  const draw = everyFrame(() => {
    const at = { x: get("x"), m: get("m") };
    const sigma = get("sigma");
    const floor = lowest("bernoulli", at.x, sigma);
    for (const key of /** @type {("x" | "m")[]} */ (["x", "m"])) {
      const { chart, paths, guide, grip, dots } = over[key];
      for (const noise of names) {
        const points = GRID[key].map((v) => {
          const charged = key === "m" ? charge(noise, at.x, v, sigma) : charge(noise, v, at.m, sigma);
          return /** @type {[number, number]} */ ([v, charged]);
        });
        paths[noise].setAttribute("d", chart.path(points));
      }
      const place = chart.toX(at[key]);
      const bottom = chart.toY(NATS[0]);
      guide.setAttribute("x1", String(place));
      guide.setAttribute("x2", String(place));
      grip.setAttribute("d", `M${place} ${bottom - 9}l8 13h-16z`);
      dots.forEach((dot, i) => {
        dot.setAttribute("cx", String(place));
        dot.setAttribute("cy", String(chart.toY(charge(names[i], at.x, at.m, sigma))));
      });
      grey[key].style.background = `rgb(${Array(3)
        .fill(Math.round(255 * at[key]))
        .join()})`;
      sliders[key].set(at[key]);
    }
    sliders.sigma.set(sigma);
    floorLine.setAttribute("d", over.m.chart.path([0, 1].map((m) => [m, floor])));
    const said = rows.map(({ name, label, cells }) => {
      const [charged, least] = [charge(name, at.x, at.m, sigma), lowest(name, at.x, sigma)];
      [charged, least, charged - least].forEach((value, i) => cells[i].set(value));
      return `${label} ${format(charged)}`;
    });
    speaker.say(`Charges in nats: ${said.join(", ")}. Bernoulli's floor ${format(floor)}.`);
  });

  el.replaceChildren(
    element(
      "div",
      { class: "nsvae" },
      element("div", { class: "ns-plots" }, over.m.root, over.x.root),
      element("div", { class: "ns-sliders" }, ...Object.values(sliders).map(({ root }) => root)),
      table,
      speaker.root,
    ),
  );
  const events = ["x", "m", "sigma"].map((name) => `change:${name}`);
  for (const event of events) model.on(event, draw);
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

/** Where curves are computed: closer together near 0 and 1, where they are steep. */
const INSIDE = Array.from({ length: 121 }, (_, i) => sigmoid((i - 60) / 8));
const GRID = { x: [0, ...INSIDE, 1], m: INSIDE };

/**
 * The charge of a pixel, -log p(x|z), in nats.
 * @param {string} noise
 * @param {number} x
 * @param {number} m sigmoid of the decoder's logit, between 0 and 1
 * @param {number} sigma of Gaussian noise
 */
export function charge(noise, x, m, sigma) {
  return -pixelLogProbability(noise, x, Math.log(m / (1 - m)), sigma);
}

/**
 * The lowest charge of a pixel over all predictions, in nats: minus infinity where there is none.
 * @param {string} noise
 * @param {number} x
 * @param {number} sigma of Gaussian noise
 */
export function lowest(noise, x, sigma) {
  if (noise === "gaussian") return 0.5 * Math.log(2 * Math.PI) + Math.log(sigma);
  if (noise === "bernoulli") return -(xLogX(x) + xLogX(1 - x));
  if (x === 0 || x === 1) return -Infinity;
  // The best continuous Bernoulli is the one whose mean, which grows with the logit, is x.
  let [low, high] = [-1e4, 1e4];
  for (let i = 0; i < 80; i++) {
    const logit = (low + high) / 2;
    if (meanOf(logit) < x) low = logit;
    else high = logit;
  }
  return -pixelLogProbability(noise, x, low, sigma);
}

/** The mean of the continuous Bernoulli. @param {number} logit */
function meanOf(logit) {
  return Math.abs(logit) < 1e-3 ? 0.5 + logit / 12 : 1 / (1 - Math.exp(-logit)) - 1 / logit;
}

/** @param {number} v */
const xLogX = (v) => (v > 0 ? v * Math.log(v) : 0);

/** @param {number} value */
const number = (value) => (Number.isFinite(value) ? format(value, 4) : value < 0 ? "\u2212∞" : "∞");
