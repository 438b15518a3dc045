/** Threshold and ROC: two histograms, a threshold to drag, and what it flags. */

import {
  announcer,
  choice,
  draggable,
  element,
  everyFrame,
  format,
  newId,
  plot,
  readouts,
  save,
  slider,
  svg,
  ticks,
} from "./ui.js";

/** @typedef {{low: number, high: number, counts: Record<string, string>}} Table scores in bins, set by set */
/** @typedef {{name: string, counts: number[], above: number[]}} Scores of one set; `above` as `above` gives it */
/** @typedef {[number, number]} Point */

/** Bars of the histograms, each of several bins. */
const SHOWN = 40;

/**
 * @param {import("./ui.js").Context} context
 */
export function render({ model, el }) {
  const tables = /** @type {Record<string, Record<string, Table>>} */ (model.get("tables"));
  const labels = /** @type {Record<string, string>} */ (model.get("labels"));

  /** The inliers and the strangers that are chosen, and the edges of their bins. */
  function chosen() {
    const { low, high, counts } = tables[model.get("picked")][model.get("which")];
    const [inliers, ...strangers] = Object.keys(counts);
    const ood = strangers.includes(model.get("ood")) ? model.get("ood") : strangers[0];
    const sets = [inliers, ood].map((name) => {
      const numbers = counts[name].split(" ").map(Number);
      return { name, counts: numbers, above: above(numbers) };
    });
    const bins = sets[0].counts.length;
    const edge = (/** @type {number} */ i) => low + ((high - low) * i) / bins;
    const nearest = Math.round(((model.get("threshold") - low) / (high - low)) * bins);
    return { low, high, sets, strangers, bins, edge, at: Math.min(bins, Math.max(0, nearest)) };
  }

  // --- what readers choose

  const models = choice({
    label: "Model: trained on, noise",
    options: Object.keys(tables).map((name) => ({ value: name, content: name })),
    value: model.get("picked"),
    onChange: (picked) => change({ picked }),
  });
  const scores = choice({
    label: "Score",
    options: Object.keys(labels).map((name) => ({ value: name, content: labels[name] })),
    value: model.get("which"),
    onChange: (which) => change({ which }),
  });
  const strangers = element("div");
  /** @type {string[]} */
  let offered = [];
  /** @type {(name: string) => void} */
  let setStranger = () => {};

  /**
   * Choose something else, with a threshold that gives about as many false alarms as before.
   * @param {Record<string, string>} values
   */
  function change(values) {
    const before = chosen();
    const rate = share(before.sets[0], before.at);
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    const { sets, bins, edge } = chosen();
    let best = bins;
    for (let i = bins; i >= 0; i--)
      if (Math.abs(share(sets[0], i) - rate) < Math.abs(share(sets[0], best) - rate)) best = i;
    save(model, { ood: sets[1].name, threshold: edge(best) });
  }

  // --- what is shown

  const plots = element("div", { class: "ns-plots" });
  /** What a change of the threshold moves. @type {(at: number) => void} */
  let move = () => {};
  /** What the plots show, so that they are made anew only when it changes. */
  let shown = "";
  const numbers = readouts({
    auroc: "AUROC, the shaded area",
    fpr: "false alarms (FPR)",
    tpr: "strangers caught (TPR)",
  });
  const rows = ["ns-inliers", "ns-second"].map((style) => {
    const name = element("span");
    const sample = svg(
      "svg",
      { viewBox: "0 0 40 6", class: "ns-sample", "aria-hidden": "true" },
      style === "ns-second"
        ? svg("line", { x1: 0, x2: 40, y1: 3, y2: 3, class: style })
        : svg("rect", { width: 40, height: 6, class: style }),
    );
    const [flagged, passed] = [element("td"), element("td")];
    return {
      name,
      flagged,
      passed,
      root: element("tr", {}, element("th", { scope: "row" }, name, sample), flagged, passed),
    };
  });
  const heads = ["images", "flagged", "passed"].map((text) => element("th", { scope: "col" }, text));
  const table = element(
    "table",
    { class: "ns-table" },
    element("thead", {}, element("tr", {}, ...heads)),
    element("tbody", {}, ...rows.map((row) => row.root)),
  );
  const bins = chosen().bins;
  const threshold = slider({
    label: "Threshold",
    min: 0,
    max: bins,
    step: 1,
    value: chosen().at,
    text: (i) => (i === bins ? "no alarm" : format(chosen().edge(i), 3)),
    onInput: (i) => save(model, { threshold: chosen().edge(i) }),
  });
  const speaker = announcer();

  /** Make the plots of what is chosen, and offer the strangers that the model has. */
  function rebuild() {
    const { low, high, sets, edge } = chosen();
    const others = chosen().strangers;
    if (others.join() !== offered.join()) {
      offered = others;
      const made = choice({
        label: "Strangers",
        options: others.map((name) => ({ value: name, content: name })),
        value: sets[1].name,
        onChange: (ood) => change({ ood }),
      });
      strangers.replaceChildren(made.root);
      setStranger = made.set;
    }
    const histogram = histograms(sets, low, high, labels[model.get("which")]);
    const roc = rocCurve(sets);
    draggable(histogram.chart, ({ x }) => {
      const i = Math.round(((x - low) / (high - low)) * bins);
      save(model, { threshold: edge(Math.min(bins, Math.max(0, i))) });
    });
    draggable(roc.chart, ({ x, y }) => {
      const distance = (/** @type {number} */ i) => Math.hypot(share(sets[0], i) - x, share(sets[1], i) - y);
      let best = bins;
      for (let i = bins; i >= 0; i--) if (distance(i) < distance(best)) best = i;
      save(model, { threshold: edge(best) });
    });
    plots.replaceChildren(histogram.chart.root, roc.chart.root);
    numbers.set({ auroc: format(roc.area, 4) });
    move = (at) => {
      histogram.set(edge(at));
      roc.set(at);
    };
  }

  const draw = everyFrame(() => {
    const { sets, at } = chosen();
    const wanted = [model.get("picked"), model.get("which"), sets[1].name].join("|");
    if (wanted !== shown) rebuild();
    shown = wanted;
    move(at);
    const [fpr, tpr] = sets.map((set) => share(set, at));
    numbers.set({ fpr: percent(fpr), tpr: percent(tpr) });
    rows.forEach(({ name, flagged, passed }, i) => {
      name.textContent = `${sets[i].name} (${i ? "strangers" : "inliers"})`;
      flagged.textContent = String(sets[i].above[at]);
      passed.textContent = String(sets[i].above[0] - sets[i].above[at]);
    });
    models.set(model.get("picked"));
    scores.set(model.get("which"));
    setStranger(sets[1].name);
    threshold.set(at);
    speaker.say(
      `Flagged: ${percent(fpr)} of the ${sets[0].name}, ${percent(tpr)} of the ${sets[1].name}. ` +
        `AUROC ${format(areaUnder(sets), 3)}`,
    );
  });

  el.replaceChildren(
    element(
      "div",
      { class: "nsvae" },
      models.root,
      element("div", { class: "ns-beside" }, scores.root, strangers),
      plots,
      threshold.root,
      numbers.root,
      element("div", {}, table),
      speaker.root,
    ),
  );
  const events = ["picked", "which", "ood", "threshold"].map((name) => `change:${name}`);
  for (const event of events) model.on(event, draw);
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

/**
 * How many images have a score at or above the edge of each bin; none at the last.
 * @param {number[]} counts
 */
function above(counts) {
  const found = Array(counts.length + 1).fill(0);
  for (let i = counts.length - 1; i >= 0; i--) found[i] = found[i + 1] + counts[i];
  return found;
}

/**
 * The share of a set's images at or above an edge.
 * @param {{above: number[]}} set
 * @param {number} i
 */
const share = (set, i) => set.above[i] / set.above[0];

/**
 * The area under the ROC curve: images in the same bin are ties, which count half.
 * @param {Scores[]} sets inliers and strangers
 */
export function areaUnder([inliers, others]) {
  let sum = 0;
  for (let i = 0; i < inliers.counts.length; i++)
    sum += ((share(inliers, i) - share(inliers, i + 1)) * (share(others, i) + share(others, i + 1))) / 2;
  return sum;
}

/**
 * Histograms of the two sets, with a threshold.
 * @param {Scores[]} sets
 * @param {number} low
 * @param {number} high
 * @param {string} xlabel
 */
function histograms(sets, low, high, xlabel) {
  const heights = sets.map(({ counts, above: [all] }) => {
    const size = counts.length / SHOWN;
    const bars = Array.from({ length: SHOWN }, (_, i) => counts.slice(i * size, (i + 1) * size));
    return bars.map((bar) => bar.reduce((a, b) => a + b) / all);
  });
  const highest = Math.max(...heights.flat());
  const chart = plot({
    label: `Histograms of ${xlabel} for ${sets[0].name} and ${sets[1].name}`,
    x: [low, high],
    y: [0, 1.15 * highest],
    xlabel: `${xlabel} (last bar: all above)`,
    xticks: ticks(low, high, 4).filter((tick) => tick >= low && tick <= high),
    width: 360,
    height: 310,
  });
  const hatching = newId();
  const pattern = svg(
    "pattern",
    { id: hatching, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { x1: 0, x2: 0, y1: 0, y2: 6, class: "ns-hatch" }),
  );
  chart.curves.append(svg("defs", {}, pattern));
  heights.forEach((bars, i) => {
    const steps = bars.flatMap((bar, b) =>
      [b, b + 1].map((e) => /** @type {Point} */ ([low + ((high - low) * e) / SHOWN, bar])),
    );
    const path = svg("path", { d: chart.path([[low, 0], ...steps, [high, 0]]), class: i ? "ns-second" : "ns-inliers" });
    if (i) path.style.fill = `url(#${hatching})`;
    chart.curves.append(path);
  });
  const [top, bottom] = [chart.toY(1.15 * highest), chart.toY(0)];
  const guide = svg("line", { y1: top, y2: bottom, class: "ns-guide" });
  const grip = svg("path", { class: "ns-grip" });
  const arrow = svg("text", { y: top + 12 }, "flagged →");
  chart.marks.append(guide, grip, arrow);
  /** @param {number} score */
  function set(score) {
    const x = chart.toX(score);
    guide.setAttribute("x1", String(x));
    guide.setAttribute("x2", String(x));
    grip.setAttribute("d", `M${x} ${bottom - 9}l8 13h-16z`);
    const room = x < chart.toX(low + 0.75 * (high - low));
    arrow.setAttribute("x", String(x + (room ? 6 : -6)));
    arrow.setAttribute("text-anchor", room ? "start" : "end");
  }
  return { chart, set };
}

/**
 * The ROC curve of the two sets, its area, and a point on it.
 * @param {Scores[]} sets
 */
function rocCurve(sets) {
  const chart = plot({
    label: `ROC curve: share of ${sets[1].name} flagged over share of ${sets[0].name} flagged`,
    x: [0, 1],
    y: [0, 1],
    xlabel: `false alarms, share of ${sets[0].name}`,
    ylabel: `caught, share of ${sets[1].name}`,
    xticks: [0, 0.5, 1],
    yticks: [0, 0.5, 1],
    width: 360,
    height: 310,
  });
  const points = sets[0].above.map((_, i) => /** @type {Point} */ ([share(sets[0], i), share(sets[1], i)]));
  const area = areaUnder(sets);
  const text = { x: chart.toX(0.66), y: chart.toY(0.12), "text-anchor": "middle" };
  const dot = svg("circle", { r: 7, class: "ns-grip" });
  chart.curves.append(
    svg("path", { d: `${chart.path([...points, [1, 0]])}Z`, class: "ns-area" }),
    svg("path", {
      d: chart.path([
        [0, 0],
        [1, 1],
      ]),
      class: "ns-threshold",
    }),
    svg("path", { d: chart.path(points), class: "ns-first" }),
    svg("text", text, `area ${format(area, 3)}`),
  );
  chart.marks.append(dot);
  /** @param {number} i edge of a bin */
  function set(i) {
    dot.setAttribute("cx", String(chart.toX(share(sets[0], i))));
    dot.setAttribute("cy", String(chart.toY(share(sets[1], i))));
  }
  return { chart, area, set };
}

/** @param {number} share */
const percent = (share) => `${format(100 * share, 1)} %`;
