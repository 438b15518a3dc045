/** Latent explorer: the posterior of a picture, what moving it or z does to the decoded picture and to the bound. */

import {
  bitsPerDim,
  decode,
  encode,
  klDivergence,
  logProbability,
  normalSampler,
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
  picture,
  readouts,
  save,
  svg,
  weightsOf,
} from "./ui.js";

/** @typedef {"z" | "mean" | "scale"} Moved */

/**
 * @param {import("./ui.js").Context} context
 */
export async function render({ model, el }) {
  const network = readNetwork(await weightsOf(model, "vae"));
  const [height, width] = network.shape;
  const pixels = height * width;
  const bytes = bytesOf(model.get("images"));
  const names = /** @type {string[]} */ (model.get("names"));
  const images = names.map((_, i) => Array.from(bytes.subarray(i * pixels, (i + 1) * pixels), (v) => v / 255));
  const shift = /** @type {number | null} */ (model.get("shift"));
  const prior = standardNormal(network.latent);
  const negativePrior = standardNormal(network.latent, shift ?? 0);
  const limits = { min: -4, max: (shift ?? 0) + 4 };
  const normal = normalSampler(1);
  const get = () => ({
    q: /** @type {import("./engine.js").Normal} */ ({ mean: model.get("mean"), scale: model.get("scale") }),
    z: /** @type {number[]} */ (model.get("z")),
  });

  // --- what is shown

  const image = picture(network.shape, "the picked image");
  const decoded = picture(network.shape, "the decoder's answer");
  const numbers = readouts({
    logp: "log <i>p</i>(<i>x</i>|<i>z</i>)",
    kl: "KL(<i>q</i> ‖ prior)",
    ...(shift !== null && { negative: "KL(<i>q</i> ‖ negative prior)" }),
    bpd: "BPD",
  });
  const speaker = announcer();
  /** @type {Moved} */
  let moved = "z";
  const rows = Array.from({ length: network.latent }, (_, d) => {
    const input = element("input", { type: "range", ...limits, step: 0.01 });
    const value = element("output");
    const curves = svg("svg", { viewBox: "0 0 100 32", preserveAspectRatio: "none", "aria-hidden": "true" });
    curves.append(bell(0, 1, limits, "ns-prior"));
    if (shift !== null) curves.append(bell(shift, 1, limits, "ns-negative-prior"));
    const posterior = bell(0, 1, limits, "ns-posterior");
    curves.append(posterior);
    input.addEventListener("input", () => move(d, Number(input.value)));
    const sub = element("sub", {}, String(d + 1));
    const name = element("span", {}, element("i", {}, "z"), sub);
    return {
      input,
      value,
      posterior,
      root: element("div", { class: "ns-row" }, name, element("div", {}, curves, input), value),
    };
  });

  /**
   * A bell curve in a row, its peak at the row's top.
   * @param {number} mean
   * @param {number} scale
   * @param {{min: number, max: number}} limits
   * @param {string} style
   */
  function bell(mean, scale, limits, style) {
    const path = svg("path", { class: style });
    path.setAttribute("d", bellPath(mean, scale, limits));
    return path;
  }

  /** The posterior that the rows' curves show. */
  let drawn = "";

  const draw = everyFrame(() => {
    const { q, z } = get();
    const x = images[model.get("picked")];
    const logits = decode(network, z);
    const logp = logProbability(network, x, logits);
    const kl = klDivergence(q, prior);
    image.draw(x);
    decoded.draw(Array.from(logits, sigmoid));
    numbers.set({
      logp: `${format(logp, 1)} nats`,
      kl: `${format(kl, 1)} nats`,
      negative: `${format(klDivergence(q, negativePrior), 1)} nats`,
      bpd: format(bitsPerDim(logp - kl, pixels), 3),
    });
    rows.forEach(({ input, value, posterior }, d) => {
      const shown = { z: z[d], mean: q.mean[d], scale: q.scale[d] }[moved];
      // The scale is moved by the point one standard deviation above the mean.
      input.value = String(moved === "scale" ? q.mean[d] + q.scale[d] : shown);
      value.textContent = format(shown);
      input.setAttribute(
        "aria-label",
        `${{ z: "z", mean: "mean of q", scale: "scale of q" }[moved]}, dimension ${d + 1}`,
      );
      input.setAttribute("aria-valuetext", format(shown));
      if (drawn !== String([q.mean, q.scale])) posterior.setAttribute("d", bellPath(q.mean[d], q.scale[d], limits));
    });
    drawn = String([q.mean, q.scale]);
    speaker.say(`log p of x given z ${format(logp, 1)} nats, KL to the prior ${format(kl, 1)} nats`);
  });

  // --- what readers do

  /**
   * @param {number} d
   * @param {number} to
   */
  function move(d, to) {
    const { q, z } = get();
    const replaced = (/** @type {number[]} */ list, /** @type {number} */ value) =>
      list.map((v, i) => (i === d ? value : v));
    const noise = (z[d] - q.mean[d]) / q.scale[d];
    if (moved === "z") {
      save(model, { z: replaced(z, to) });
    } else if (moved === "mean") {
      save(model, { mean: replaced(q.mean, to), z: replaced(z, to + q.scale[d] * noise) });
    } else {
      const scale = Math.max(to - q.mean[d], 0.01);
      save(model, { scale: replaced(q.scale, scale), z: replaced(z, q.mean[d] + scale * noise) });
    }
  }

  function encodePicked() {
    const q = encode(network, images[model.get("picked")]);
    save(model, { ...q, z: q.mean });
  }

  const sample = (/** @type {import("./engine.js").Normal} */ p) => {
    save(model, { z: p.mean.map((mean, d) => mean + p.scale[d] * normal()) });
  };

  const thumbnails = choice({
    label: "Image",
    options: images.map((pixels, i) => {
      const small = picture(network.shape);
      small.draw(pixels);
      return { value: i, content: small.root, name: names[i] };
    }),
    value: model.get("picked"),
    onChange: (i) => {
      save(model, { picked: i });
      encodePicked();
    },
  });
  const moving = choice({
    label: "The sliders move",
    options: [
      { value: /** @type {Moved} */ ("z"), content: "z" },
      { value: /** @type {Moved} */ ("mean"), content: "the mean of q" },
      { value: /** @type {Moved} */ ("scale"), content: "the scale of q" },
    ],
    value: moved,
    onChange: (value) => {
      moved = value;
      draw();
    },
  });

  const caption = (/** @type {Node} */ canvas, /** @type {string} */ text) =>
    element("figure", {}, canvas, element("figcaption", {}, text));
  el.replaceChildren(
    element(
      "div",
      { class: "nsvae" },
      thumbnails.root,
      element(
        "div",
        { class: "ns-beside" },
        caption(image.root, "image x"),
        caption(decoded.root, "decoded z"),
        numbers.root,
      ),
      moving.root,
      element("div", { class: "ns-rows" }, ...rows.map((row) => row.root)),
      element("p", { class: "ns-legend" }, `Grey: prior. Blue: q.${shift === null ? "" : " Dashed: negative prior."}`),
      element(
        "div",
        { class: "ns-buttons" },
        button("z = mean", () => save(model, { z: get().q.mean })),
        button("draw z from q", () => sample(get().q)),
        button("draw z from the prior", () => sample(prior)),
        button("q = prior", () => save(model, { ...prior, z: prior.mean })),
        button("back to the encoder", encodePicked),
      ),
      speaker.root,
    ),
  );
  const events = ["picked", "mean", "scale", "z"].map((name) => `change:${name}`);
  for (const event of events) model.on(event, draw);
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

/**
 * The outline of a normal density in a box of 100 by 32, its peak near the top.
 * @param {number} mean
 * @param {number} scale
 * @param {{min: number, max: number}} limits of the horizontal axis
 */
function bellPath(mean, scale, { min, max }) {
  const points = Array.from({ length: 49 }, (_, i) => {
    const t = (i - 24) / 8;
    const x = (100 * (mean + scale * t - min)) / (max - min);
    return `${x.toFixed(2)} ${(31 - 27 * Math.exp((-t * t) / 2)).toFixed(2)}`;
  });
  return `M${points.join("L")}Z`;
}
