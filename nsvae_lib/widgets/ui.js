/** Pieces of which widgets are made: elements, sliders, choices, pictures, plots, announcements. */

/**
 * What anywidget and the pages' own hydrator hand to `render`.
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(name: string, value: any) => void} set
 * @property {() => void} save_changes
 * @property {(event: string, callback: () => void) => void} on
 * @property {(event: string, callback: () => void) => void} off
 * @property {(name: string) => Promise<Uint8Array>} [load] weights that a page keeps in a file
 */

/** @typedef {{model: Model, el: HTMLElement}} Context */
/** @typedef {string | Node} Child */

/**
 * An HTML element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number | boolean>} [attributes] false leaves one out
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Child} children
 */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

let ids = 0;
/** An id that no other element of the page has. */
export const newId = () => `nsvae-${++ids}`;

/**
 * Bytes of the model's state: a DataView from a kernel, an array on a page.
 * @param {DataView | Uint8Array} data
 */
export const bytesOf = (data) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * The packed weights of one of the widget's models.
 * @param {Model} model
 * @param {string} name
 */
export async function weightsOf(model, name) {
  const here = model.get("weights")[name];
  if (here) return bytesOf(here);
  if (model.load) return model.load(name);
  throw new Error(`the widget has no weights named ${name}`);
}

/**
 * Set values of the model and tell the kernel, if there is one.
 * @param {Model} model
 * @param {Record<string, any>} values
 */
export function save(model, values) {
  for (const [name, value] of Object.entries(values)) model.set(name, value);
  model.save_changes();
}

/**
 * A number with a real minus sign.
 * @param {number} value
 * @param {number} digits after the point
 */
export function format(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

/**
 * A labelled slider.
 * @param {{label: Child, min: number, max: number, step: number, value: number,
 *   onInput: (value: number) => void, text?: (value: number) => string}} options `text` says the value in words
 */
export function slider({ label, min, max, step, value, onInput, text = (v) => format(v) }) {
  const id = newId();
  const input = element("input", { type: "range", id, min, max, step });
  const output = element("output", { for: id });
  const set = (/** @type {number} */ v) => {
    input.value = String(v);
    output.textContent = text(v);
    input.setAttribute("aria-valuetext", text(v));
  };
  set(value);
  input.addEventListener("input", () => {
    set(Number(input.value));
    onInput(Number(input.value));
  });
  const root = element("div", { class: "ns-slider" }, element("label", { for: id }, label), input, output);
  return { root, input, set };
}

/**
 * One of several options, as buttons in a row; the arrow keys move between them.
 * @template {string | number} V
 * @param {{label: string, options: {value: V, content: Child, name?: string}[], value: V | null, hideLabel?: boolean,
 *   onChange: (value: V) => void}} options `name` is for contents without text, such as pictures
 */
export function choice({ label, options, value, onChange, hideLabel = false }) {
  const group = newId();
  const inputs = options.map((option) => {
    const input = element("input", { type: "radio", name: group, value: option.value });
    if (option.name) input.setAttribute("aria-label", option.name);
    input.addEventListener("change", () => onChange(option.value));
    return input;
  });
  const set = (/** @type {V | null} */ chosen) => {
    inputs.forEach((input, i) => (input.checked = options[i].value === chosen));
  };
  set(value);
  const root = element(
    "fieldset",
    { class: "ns-choice" },
    element("legend", { class: hideLabel ? "ns-hidden" : "" }, label),
    ...options.map((option, i) =>
      element("label", { title: option.name ?? false }, inputs[i], element("span", {}, option.content)),
    ),
  );
  return { root, inputs, set };
}

/**
 * A button.
 * @param {string} label
 * @param {() => void} onClick
 */
export function button(label, onClick) {
  const made = element("button", { type: "button" }, label);
  made.addEventListener("click", onClick);
  return made;
}

/**
 * A grey picture, white on black as it is stored.
 * @param {[number, number]} shape height and width in pixels
 * @param {string} label what a screen reader says; none for a picture whose surroundings say it
 */
export function picture([height, width], label = "") {
  const canvas = element("canvas", { width, height, class: "ns-picture" });
  if (label) canvas.setAttribute("aria-label", label);
  canvas.setAttribute(label ? "role" : "aria-hidden", label ? "img" : "true");
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const data = context.createImageData(width, height);
  data.data.fill(255);
  const draw = (/** @type {ArrayLike<number>} */ image) => {
    for (let i = 0; i < image.length; i++) {
      const grey = Math.round(255 * image[i]);
      data.data[4 * i] = data.data[4 * i + 1] = data.data[4 * i + 2] = grey;
    }
    context.putImageData(data, 0, 0);
  };
  return { root: canvas, draw };
}

/**
 * Named numbers that change, such as log p(x|z): set any of them by its key.
 * @param {Record<string, string>} labels key -> label, as HTML
 */
export function readouts(labels) {
  const root = element("dl", { class: "ns-readouts" });
  /** @type {Record<string, HTMLElement>} */
  const values = {};
  for (const [key, label] of Object.entries(labels)) {
    const term = element("dt");
    term.innerHTML = label;
    values[key] = element("dd");
    root.append(element("div", {}, term, values[key]));
  }
  const set = (/** @type {Record<string, string>} */ texts) => {
    for (const [key, text] of Object.entries(texts)) if (values[key]) values[key].textContent = text;
  };
  return { root, set };
}

/**
 * Text that a screen reader speaks once changes have come to rest; nobody wants every step of a drag.
 */
export function announcer() {
  const root = element("p", { class: "ns-hidden", role: "status" });
  let timer = 0;
  const say = (/** @type {string} */ text) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => (root.textContent = text), 700);
  };
  return { root, say };
}

/**
 * A function that calls `draw` once before the next picture of the screen, however often it is called itself.
 * @param {() => void} draw
 */
export function everyFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}

/**
 * Round numbers at even distances, about `n` of them, the first at or below `low`, the last at or above `high`.
 * @param {number} low
 * @param {number} high
 * @param {number} n
 */
export function ticks(low, high, n) {
  const rough = (high - low) / n || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((multiple) => multiple * power >= rough * 0.999) ?? 10);
  const [first, last] = [Math.floor(low / step), Math.max(Math.ceil(high / step), Math.floor(low / step) + 1)];
  // Multiples of a step such as 0.1 come out with a last digit that nobody wants.
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/**
 * An SVG plot with a horizontal axis, and a vertical one if `y` has ticks.
 * @param {{label: string, x: [number, number], y: [number, number], xlabel?: string, ylabel?: string,
 *   xticks?: number[], yticks?: number[], width?: number, height?: number}} options `label` is for screen readers
 */
export function plot({ label, x, y, xlabel = "", ylabel = "", xticks = [], yticks = [], width = 480, height = 220 }) {
  const left = yticks.length || ylabel ? 44 : 8;
  const [right, top, bottom] = [8, 8, xlabel ? 40 : 22];
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "ns-plot" });
  const toX = (/** @type {number} */ v) => left + ((v - x[0]) / (x[1] - x[0])) * (width - left - right);
  const toY = (/** @type {number} */ v) => height - bottom - ((v - y[0]) / (y[1] - y[0])) * (height - top - bottom);
  const fromX = (/** @type {number} */ px) => x[0] + ((px - left) / (width - left - right)) * (x[1] - x[0]);
  const fromY = (/** @type {number} */ py) => y[0] + ((height - bottom - py) / (height - top - bottom)) * (y[1] - y[0]);

  const axes = svg("g", { class: "ns-axes" });
  axes.append(svg("line", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  for (const tick of xticks) {
    axes.append(
      svg("line", { x1: toX(tick), x2: toX(tick), y1: height - bottom, y2: height - bottom + 4 }),
      svg(
        "text",
        { x: toX(tick), y: height - bottom + 16, "text-anchor": "middle" },
        String(tick).replace("-", "\u2212"),
      ),
    );
  }
  for (const tick of yticks) {
    axes.append(
      svg("line", { x1: left - 4, x2: left, y1: toY(tick), y2: toY(tick) }),
      svg("text", { x: left - 7, y: toY(tick) + 4, "text-anchor": "end" }, String(tick).replace("-", "\u2212")),
    );
  }
  if (xlabel)
    axes.append(svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xlabel));
  if (ylabel) {
    const middle = (top + height - bottom) / 2;
    const turned = { x: 12, y: middle, transform: `rotate(-90 12 ${middle})`, "text-anchor": "middle" };
    axes.append(svg("text", turned, ylabel));
  }
  // An inner svg cuts off what leaves it: curves end where the axes do.
  const inside = { x: left, y: top, width: width - left - right, height: height - top - bottom };
  const viewBox = Object.values(inside).join(" ");
  const curves = svg("svg", { ...inside, viewBox });
  const marks = svg("g");
  root.append(axes, curves, marks);
  /** What an SVG path needs to join points [x, y] of the data. */
  const path = (/** @type {[number, number][]} */ points) =>
    points.map(([px, py], i) => `${i ? "L" : "M"}${toX(px).toFixed(1)} ${toY(py).toFixed(1)}`).join("");

  return {
    root,
    curves,
    marks,
    toX,
    toY,
    /** The data's coordinates of a pointer event. */
    at(/** @type {PointerEvent} */ event) {
      const box = root.getBoundingClientRect();
      const scale = width / box.width;
      return { x: fromX((event.clientX - box.left) * scale), y: fromY((event.clientY - box.top) * scale) };
    },
    path,
    /** A curve; `points` [x, y] in the data's coordinates. */
    curve(/** @type {[number, number][]} */ points, /** @type {string} */ style) {
      return svg("path", { d: path(points), class: style, fill: "none" });
    },
  };
}

/**
 * Let readers drag in a plot with mouse or finger. For keys and screen readers, give what is dragged a slider as well.
 * @param {ReturnType<typeof plot>} where
 * @param {(point: {x: number, y: number}, first: boolean) => void} onDrag gets the place in the data's coordinates
 * @param {"x" | "xy"} directions with "x" alone, a finger that moves up or down scrolls the page
 */
export function draggable({ root, at }, onDrag, directions = "x") {
  /** Where a finger came down that may be about to scroll. @type {PointerEvent | null} */
  let waiting = null;
  const begin = (/** @type {PointerEvent} */ event) => {
    waiting = null;
    onDrag(at(event), true);
  };
  root.classList.add("ns-draggable", `ns-draggable-${directions}`);
  root.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button) return;
    root.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch" && directions === "x") waiting = event;
    else begin(event);
  });
  root.addEventListener("pointermove", (event) => {
    if (!root.hasPointerCapture(event.pointerId)) return;
    if (!waiting) onDrag(at(event), false);
    else if (Math.abs(event.clientX - waiting.clientX) > Math.abs(event.clientY - waiting.clientY)) begin(waiting);
  });
  root.addEventListener("pointerup", () => {
    if (waiting) begin(waiting);
  });
  root.addEventListener("pointercancel", () => (waiting = null));
}
