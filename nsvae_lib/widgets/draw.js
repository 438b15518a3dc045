/** Draw anything: what several models think of a picture, beside what they think of pictures of their own kind. */

import {
  bitsPerDim,
  decode,
  encode,
  klDivergence,
  logProbability,
  readNetwork,
  sigmoid,
  standardNormal,
} from "./engine.js";
import {
  announcer,
  button,
  bytesOf,
  choice,
  element,
  everyFrame,
  format,
  newId,
  picture,
  save,
  slider,
  svg,
  weightsOf,
} from "./ui.js";

/** @typedef {{min: number, max: number, counts: number[], quantiles: number[]}} Reference scores of the inliers */
/** @typedef {"bpd" | "kl"} Score */
/** @typedef {{radius: number, grey: number}} Pen */

/** @type {Record<Score, {label: string, meaning: string, digits: number}>} */
const SCORES = {
  bpd: { label: "BPD", meaning: "bits per pixel", digits: 3 },
  kl: { label: "KL", meaning: "nats from prior", digits: 1 },
};

const LEGEND = "Blue: test images of the kind that the models know. Mark: this picture. Hatched: alarm.";

/** @type {Record<string, Pen>} */
const PENS = {
  fine: { radius: 1.1, grey: 255 },
  broad: { radius: 2.6, grey: 255 },
  eraser: { radius: 2.2, grey: 0 },
};

/**
 * @param {import("./ui.js").Context} context
 */
export function render({ model, el }) {
  const [height, width] = /** @type {[number, number]} */ (model.get("shape"));
  const size = height * width;
  const references = /** @type {Record<string, Record<Score, Reference>>} */ (model.get("references"));
  const labels = /** @type {string[]} */ (model.get("models"));
  const names = /** @type {string[]} */ (model.get("names"));
  const images = names.map((_, i) => bytesOf(model.get("images")).slice(i * size, (i + 1) * size));
  const unit = (/** @type {Uint8Array} */ bytes) => Float64Array.from(bytes, (v) => v / 255);
  const pixels = () => bytesOf(model.get("picture"));

  // --- the models, each computed when its turn comes

  /** @type {Record<string, Promise<import("./engine.js").Network>>} */
  const networks = {};
  /** @param {string} label */
  function networkOf(label) {
    networks[label] ??= weightsOf(model, label).then(readNetwork);
    // After a failure the next stroke tries again.
    networks[label].catch(() => delete networks[label]);
    return networks[label];
  }
  /** Models that have not seen the picture as it is now, the one that waited longest first. @type {Set<string>} */
  const waiting = new Set();
  /** Models that have answered at least once. @type {Set<string>} */
  const seen = new Set();
  let working = false;

  async function work() {
    if (working) return;
    working = true;
    for (const label of waiting) {
      const network = await networkOf(label);
      // What the reader draws is shown first, and the next stroke need not wait for more than half a model.
      await nextPicture();
      waiting.delete(label);
      seen.add(label);
      markWaiting();
      const x = unit(pixels());
      const q = encode(network, x);
      await nextPicture();
      const noise = /** @type {number[]} */ (model.get("noise"));
      const logits = decode(
        network,
        noise.map((e, d) => q.mean[d] + q.scale[d] * e),
      );
      const kl = klDivergence(q, standardNormal(network.latent));
      const bpd = bitsPerDim(logProbability(network, x, logits) - kl, size);
      const answer = Uint8Array.from(logits, (v) => Math.round(255 * sigmoid(v)));
      save(model, {
        scores: { ...model.get("scores"), [label]: { bpd, kl } },
        decoded: { ...model.get("decoded"), [label]: new DataView(answer.buffer) },
      });
    }
    working = false;
  }

  /** Answers that wait for weights are those to an earlier picture, and look it. */
  function markWaiting() {
    for (const { label, root } of rows) root.classList.toggle("ns-waiting", waiting.has(label) && !seen.has(label));
  }

  function judge() {
    for (const label of labels) {
      waiting.delete(label);
      waiting.add(label);
    }
    note.textContent = "";
    markWaiting();
    work().catch((error) => {
      working = false;
      note.textContent = String(error.message ?? error);
    });
  }

  // --- the drawing board

  const board = picture([height, width], "");
  const canvas = board.root;
  canvas.removeAttribute("aria-hidden");
  for (const [name, value] of Object.entries({
    role: "application",
    tabindex: "0",
    "aria-label": "Drawing board. Arrow keys move the pen, space sets it down or lifts it.",
  }))
    canvas.setAttribute(name, value);
  const cursor = element("div", { class: "ns-cursor", hidden: true });
  const hint = element("p", { class: "ns-hint", "aria-hidden": "true" }, "draw here");
  const note = element("p", { class: "ns-note", role: "status" });
  let pen = PENS.fine;
  const at = { x: Math.floor(width / 2), y: Math.floor(height / 2), down: false };

  /** @param {Uint8Array} bytes */
  const show = (bytes) => save(model, { picture: new DataView(bytes.slice().buffer) });

  /**
   * A stroke of the pen from one point to another, in pixels.
   * @param {{x: number, y: number}} from
   * @param {{x: number, y: number}} to
   */
  function stroke(from, to) {
    const bytes = pixels().slice();
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = dx * dx + dy * dy || 1;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        const along = Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / length));
        const distance = Math.hypot(x - from.x - along * dx, y - from.y - along * dy);
        // Full inside the pen's radius, fading over one pixel.
        const ink = Math.min(1, Math.max(0, pen.radius + 0.5 - distance));
        const wanted = Math.round(bytes[i] + ink * (pen.grey - bytes[i]));
        bytes[i] = pen.grey ? Math.max(bytes[i], Math.round(ink * pen.grey)) : wanted;
      }
    }
    picks.set(null);
    show(bytes);
  }

  /** @param {PointerEvent} event */
  function position(event) {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * width - 0.5,
      y: ((event.clientY - box.top) / box.height) * height - 0.5,
    };
  }

  /** @type {{x: number, y: number} | null} */
  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    cursor.hidden = true;
    last = position(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.isPrimary) return;
    const to = position(event);
    stroke(last, to);
    last = to;
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));

  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) {
      const from = { x: at.x, y: at.y };
      at.x = Math.min(width - 1, Math.max(0, at.x + step[0]));
      at.y = Math.min(height - 1, Math.max(0, at.y + step[1]));
      if (at.down) stroke(from, at);
    } else if (event.key === " " || event.key === "Enter") {
      at.down = !at.down;
      if (at.down) stroke(at, at);
    } else {
      return;
    }
    event.preventDefault();
    placeCursor();
    speaker.say(`row ${at.y + 1}, column ${at.x + 1}, pen ${at.down ? "down" : "up"}`);
  });
  canvas.addEventListener("blur", () => {
    cursor.hidden = true;
    at.down = false;
  });

  function placeCursor() {
    cursor.hidden = false;
    cursor.classList.toggle("ns-down", at.down);
    cursor.style.left = `${(100 * at.x) / width}%`;
    cursor.style.top = `${(100 * at.y) / height}%`;
    cursor.style.width = `${100 / width}%`;
  }

  // --- pictures to start from

  const picks = choice({
    label: "Draw, or take a picture",
    options: names.map((name, i) => {
      const small = picture([height, width]);
      small.draw(unit(images[i]));
      return { value: i, content: small.root, name };
    }),
    value: 0,
    onChange: (i) => show(images[i]),
  });
  const replace = (/** @type {Uint8Array} */ bytes) => {
    picks.set(null);
    show(bytes);
  };
  const file = element("input", { type: "file", accept: "image/*", id: newId() });
  file.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (!chosen) return;
    try {
      replace(await shrunk(chosen, width, height));
      note.textContent = "";
    } catch {
      note.textContent = `${chosen.name} is no picture that this browser can read.`;
    }
  });
  const tools = [
    button("clear", () => replace(new Uint8Array(size))),
    button("invert", () => replace(pixels().map((v) => 255 - v))),
  ];
  const pens = choice({
    label: "Pen",
    hideLabel: true,
    options: Object.keys(PENS).map((name) => ({ value: name, content: name })),
    value: "fine",
    onChange: (name) => (pen = PENS[name]),
  });

  // --- the answers

  const rows = labels.map((label) => {
    const answer = picture([height, width], `${label}: the model's copy of the picture`);
    const cells = /** @type {Record<Score, ReturnType<typeof gauge>>} */ ({});
    for (const score of /** @type {Score[]} */ (["bpd", "kl"])) cells[score] = gauge(references[label][score], score);
    const head = element("th", { scope: "row" }, element("span", {}, label), answer.root);
    const root = element("tr", {}, head, ...Object.values(cells).map((cell) => element("td", {}, cell.root)));
    return { label, answer, cells, root };
  });
  const heads = Object.values(SCORES).map(({ label, meaning }) =>
    element("th", { scope: "col" }, label, element("small", {}, meaning)),
  );
  const table = element(
    "table",
    { class: "ns-table" },
    element(
      "thead",
      {},
      element("tr", {}, element("th", { scope: "col" }, "negatives", element("small", {}, "and its copy")), ...heads),
    ),
    element("tbody", {}, ...rows.map((row) => row.root)),
  );
  const alarm = slider({
    label: "False alarms",
    min: 1,
    max: 20,
    step: 0.5,
    value: 100 * model.get("alarm"),
    text: (v) => `${format(v, v % 1 ? 1 : 0)} %`,
    onInput: (v) => save(model, { alarm: v / 100 }),
  });
  const speaker = announcer();

  const drawBoard = everyFrame(() => {
    const bytes = pixels();
    board.draw(unit(bytes));
    hint.hidden = bytes.some((v) => v > 0);
  });
  const drawAnswers = everyFrame(() => {
    const rate = /** @type {number} */ (model.get("alarm"));
    const said = rows.map(({ label, answer, cells }) => {
      const decoded = model.get("decoded")[label];
      if (decoded) answer.draw(unit(bytesOf(decoded)));
      const verdicts = /** @type {Score[]} */ (["bpd", "kl"]).map((score) => {
        const verdict = cells[score].set(model.get("scores")[label][score], rate);
        return `${SCORES[score].label} ${verdict}`;
      });
      return `${label}: ${verdicts.join(", ")}`;
    });
    alarm.set(100 * rate);
    if (!at.down) speaker.say(said.join(". "));
  });

  el.replaceChildren(
    element(
      "div",
      { class: "nsvae ns-draw" },
      element(
        "div",
        { class: "ns-picks" },
        picks.root,
        element("span", { class: "ns-file" }, file, element("label", { for: file.id }, "your own file")),
      ),
      element(
        "div",
        { class: "ns-studio" },
        element("div", { class: "ns-board" }, canvas, cursor, hint),
        element("div", { class: "ns-tools" }, pens.root, element("div", { class: "ns-buttons" }, ...tools)),
        element("div", { class: "ns-answers" }, table, alarm.root, element("p", { class: "ns-legend" }, LEGEND)),
      ),
      note,
      speaker.root,
    ),
  );

  /** @type {[string, () => void][]} */
  const reactions = [
    ["change:picture", drawBoard],
    ["change:picture", judge],
    ["change:scores", drawAnswers],
    ["change:decoded", drawAnswers],
    ["change:alarm", drawAnswers],
  ];
  for (const [event, reaction] of reactions) model.on(event, reaction);
  // Weights start on their way when a reader shows interest; until then the state has the answers.
  const interest = () => labels.forEach((label) => networkOf(label).catch(() => undefined));
  for (const event of ["pointerenter", "focusin"]) el.addEventListener(event, interest, { once: true });
  drawBoard();
  drawAnswers();
  return () => reactions.forEach(([event, reaction]) => model.off(event, reaction));
}

/** Wait until the screen has shown what is new. */
const nextPicture = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

/**
 * A small histogram of the inliers' scores on which the picture's own is marked, with the region of alarm.
 * @param {Reference} reference
 * @param {Score} score
 */
function gauge({ min, max, counts, quantiles }, score) {
  const [width, height, floor] = [150, 54, 50];
  const { label, digits } = SCORES[score];
  const left = min - 0.05 * (max - min);
  const right = max + 0.45 * (max - min);
  const toX = (/** @type {number} */ v) => ((v - left) / (right - left)) * width;
  const highest = Math.max(...counts);
  const bin = (max - min) / counts.length;
  const outline = counts.map((n, i) => {
    const y = (floor - (n / highest) * (floor - 8)).toFixed(1);
    return `V${y}H${toX(min + (i + 1) * bin).toFixed(1)}`;
  });
  const hatching = newId();
  const pattern = svg(
    "pattern",
    { id: hatching, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { x1: 0, x2: 0, y1: 0, y2: 5, class: "ns-hatch" }),
  );
  const region = svg("rect", { y: 0, height: floor, fill: `url(#${hatching})` });
  const threshold = svg("line", { y1: 0, y2: floor, class: "ns-threshold" });
  const marker = svg("path", { class: "ns-marker" });
  const root = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "ns-gauge", "aria-hidden": "true" },
    svg("defs", {}, pattern),
    region,
    svg("path", { d: `M${toX(min).toFixed(1)} ${floor}${outline.join("")}V${floor}Z`, class: "ns-inliers" }),
    threshold,
    svg("line", { x1: 0, x2: width, y1: floor, y2: floor, class: "ns-floor" }),
    marker,
  );
  const value = element("b");
  const verdict = element("span", { class: "ns-verdict" });
  const text = element("div", { class: "ns-value" }, value, verdict);

  /**
   * @param {number} v the picture's score
   * @param {number} rate of false alarms
   */
  function set(v, rate) {
    const place = (1 - rate) * (quantiles.length - 1);
    const below = Math.min(Math.floor(place), quantiles.length - 2);
    const limit = quantiles[below] + (place - below) * (quantiles[below + 1] - quantiles[below]);
    region.setAttribute("x", String(toX(limit)));
    region.setAttribute("width", String(Math.max(0, width - toX(limit))));
    threshold.setAttribute("x1", String(toX(limit)));
    threshold.setAttribute("x2", String(toX(limit)));
    const x = toX(v);
    // A score beyond the axis is an arrow at its end.
    if (x > width - 2) marker.setAttribute("d", `M${width - 14} 26H${width - 4}m-6 -6l6 6l-6 6`);
    else if (x < 2) marker.setAttribute("d", "M14 26H4m6 -6l-6 6l6 6");
    else marker.setAttribute("d", `M${x.toFixed(1)} ${floor}V9m-5 -6h10l-5 6z`);
    value.textContent = format(v, digits);
    verdict.textContent = v > limit ? "alarm" : "fits in";
    verdict.classList.toggle("ns-alarm", v > limit);
    return `${format(v, digits)}, ${verdict.textContent}`;
  }
  return {
    root: element("div", { title: `${label} of the inlier test images, and of this picture` }, root, text),
    set,
  };
}

/**
 * An image file as grey bytes, the whole of it in the middle of a picture of the given size.
 * @param {File} file
 * @param {number} width
 * @param {number} height
 */
async function shrunk(file, width, height) {
  const source = await createImageBitmap(file);
  const scale = Math.min(width / source.width, height / source.height);
  const canvas = element("canvas", { width, height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  const [w, h] = [source.width * scale, source.height * scale];
  const small = await createImageBitmap(file, {
    resizeWidth: Math.max(1, Math.round(w)),
    resizeHeight: Math.max(1, Math.round(h)),
    resizeQuality: "high",
  });
  context.drawImage(small, Math.round((width - w) / 2), Math.round((height - h) / 2));
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const [red, green, blue] = data.subarray(4 * i, 4 * i + 3);
    return Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  });
}
