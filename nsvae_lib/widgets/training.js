/** Training: the curves of a run, growing while a kernel trains, and afterwards replayed epoch by epoch. */

import { announcer, button, element, everyFrame, format, plot, save, slider, svg, ticks } from "./ui.js";

/** @typedef {Record<string, number | null>} Row an epoch of the history */
/** @typedef {{title: string, names: string[]}} Group the curves of one panel */

const STYLES = ["ns-first", "ns-second", "ns-third", "ns-fourth"];
/** Milliseconds that a replay takes, whatever the run's length. */
const REPLAY = 5000;

/**
 * @param {import("./ui.js").Context} context
 */
export function render({ model, el }) {
  const get = () => ({
    columns: /** @type {string[]} */ (model.get("columns")),
    rows: /** @type {Row[]} */ (model.get("rows")),
    part: /** @type {Row} */ (model.get("part")),
    epochs: /** @type {number} */ (model.get("epochs")),
    at: /** @type {number} */ (model.get("at")),
    running: /** @type {boolean} */ (model.get("running")),
    stopped: /** @type {boolean} */ (model.get("stopped")),
  });
  const speaker = announcer();
  const panels = element("div", { class: "ns-plots" });
  const foot = element("div");

  // --- while a kernel trains

  const bar = element("progress", { "aria-label": "epochs done" });
  const state = element("span");
  const stop = button("stop", () => save(model, { stopped: true }));
  const controls = element("div", { class: "ns-playback" }, stop, bar, state);

  // --- afterwards

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let playing = 0;
  const play = button("play", () => (playing ? pause() : start()));
  const scrub = slider({
    label: "Epochs",
    min: 0,
    max: 1,
    step: 1,
    value: 0,
    text: (v) => format(v, v % 1 ? 1 : 0),
    onInput: (v) => {
      pause();
      save(model, { at: Math.min(v, get().epochs) });
    },
  });
  const replay = element("div", { class: "ns-playback" }, play, scrub.root);

  function start() {
    const { at, epochs } = get();
    const from = at < epochs ? at : 0;
    let begun = 0;
    play.textContent = "pause";
    const step = (/** @type {number} */ now) => {
      begun ||= now;
      const reached = Math.min(epochs, from + ((now - begun) / REPLAY) * epochs);
      // Readers who want less motion see whole epochs appear, not a line that crawls.
      save(model, { at: still.matches && reached < epochs ? Math.floor(reached) : reached });
      if (reached < epochs) playing = requestAnimationFrame(step);
      else pause();
    };
    playing = requestAnimationFrame(step);
  }

  function pause() {
    cancelAnimationFrame(playing);
    playing = 0;
    play.textContent = "play";
  }

  // --- both

  const draw = everyFrame(() => {
    const { columns, rows, part, epochs, at, running, stopped } = get();
    const seen = running ? (part.epoch ? [...rows, part] : rows) : shown(rows, at);
    // The axes of a replay are those of the whole run, so that nothing but the curves moves.
    const whole = running ? seen : rows;
    panels.replaceChildren(...groupsOf(columns).map((group) => panel(group, whole, seen, epochs)));
    const wanted = running ? controls : replay;
    if (foot.firstChild !== wanted) {
      const focused = foot.contains(document.activeElement);
      foot.replaceChildren(wanted);
      if (focused) wanted.querySelector("button")?.focus();
    }
    stop.disabled = stopped;
    stop.textContent = stopped ? "stopping" : "stop";
    bar.max = epochs;
    bar.value = seen.at(-1)?.epoch ?? 0;
    state.textContent = `${format(bar.value, 1)} of ${epochs} epochs`;
    scrub.input.max = String(Math.ceil(epochs));
    scrub.set(at);
    const last = seen.at(-1);
    if (last)
      speaker.say(`epoch ${format(Number(last.epoch), Number(last.epoch) % 1 ? 1 : 0)}: ${inWords(columns, last)}`);
  });

  el.replaceChildren(element("div", { class: "nsvae" }, panels, foot, speaker.root));
  const events = ["columns", "rows", "part", "epochs", "at", "running", "stopped"].map((name) => `change:${name}`);
  for (const event of events) model.on(event, draw);
  draw();
  return () => {
    pause();
    events.forEach((event) => model.off(event, draw));
  };
}

/**
 * The rows up to a place in the run, which may lie between two of them.
 * @param {Row[]} rows
 * @param {number} at
 * @returns {Row[]}
 */
function shown(rows, at) {
  const done = rows.filter((row) => Number(row.epoch) <= at);
  const [before, after] = [done.at(-1), rows[done.length]];
  if (!before || !after || before.epoch === at) return done;
  const share = (at - Number(before.epoch)) / (Number(after.epoch) - Number(before.epoch));
  const between = Object.entries(before).map(([name, value]) => {
    const next = after[name];
    return [name, value === null || next === null ? null : value + share * (next - value)];
  });
  return [...done, Object.fromEntries(between)];
}

/**
 * The KL terms share a panel, and so do the AUROCs; any other term has one of its own.
 * @param {string[]} columns
 * @returns {Group[]}
 */
function groupsOf(columns) {
  /** @type {Record<string, string[]>} */
  const groups = {};
  for (const name of columns) {
    const kind = name.includes("auroc") ? "AUROC" : `${name.endsWith("kl") ? "KL" : labelOf(name)}, nats`;
    (groups[kind] ??= []).push(name);
  }
  return Object.entries(groups).map(([title, names]) => ({ title, names }));
}

/** @param {string} name of a column: "negative_kl" is the negative KL. */
function labelOf(name) {
  return name.replaceAll("_", " ").replace(/\b(auroc|bpd|kl)\b/g, (word) => word.toUpperCase());
}

/**
 * @param {string} name
 * @param {number | null | undefined} value
 */
function numberOf(name, value) {
  if (value === null || value === undefined) return "–";
  return name.includes("auroc") ? format(value, 3) : `${format(value, 1)} nats`;
}

/** @param {string[]} columns @param {Row} row */
function inWords(columns, row) {
  return columns.map((name) => `${labelOf(name)} ${numberOf(name, row[name])}`).join(", ");
}

/**
 * A plot of some curves, with a line for each that names it and gives its latest value.
 * @param {Group} group
 * @param {Row[]} whole what the axes must hold
 * @param {Row[]} seen what is drawn
 * @param {number} epochs
 */
function panel({ title, names }, whole, seen, epochs) {
  const values = whole.flatMap((row) => names.map((name) => row[name])).filter((v) => typeof v === "number");
  const yticks = title === "AUROC" ? [0, 0.5, 1] : ticks(Math.min(...values), Math.max(...values), 4);
  const { root, marks, toX, toY, curve } = plot({
    label: `${title}, against epochs`,
    x: [0, epochs],
    y: [yticks[0], yticks[yticks.length - 1]],
    xticks: ticks(0, epochs, 6).filter((tick) => tick <= epochs),
    yticks,
    xlabel: "epoch",
    width: 360,
    height: 200,
  });
  if (title === "AUROC")
    marks.append(svg("line", { x1: toX(0), x2: toX(epochs), y1: toY(0.5), y2: toY(0.5), class: "ns-threshold" }));
  const legend = names.map((name, i) => {
    const style = STYLES[i % STYLES.length];
    const points = /** @type {[number, number][]} */ (
      seen.filter((row) => typeof row[name] === "number").map((row) => [row.epoch, row[name]])
    );
    const [x, y] = points.at(-1) ?? [];
    marks.append(curve(points, style));
    if (x !== undefined && y !== undefined)
      marks.append(svg("circle", { cx: toX(x), cy: toY(y), r: 4, class: `${style} ns-place` }));
    const sample = svg("svg", { viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true" });
    sample.append(svg("path", { d: "M0 4H28", class: style }));
    const value = element("dd", {}, numberOf(name, y));
    return element("div", {}, element("dt", {}, sample, labelOf(name)), value);
  });
  return element("figure", {}, element("dl", { class: "ns-readouts" }, ...legend), root);
}
