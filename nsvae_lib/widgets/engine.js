/**
 * A VAE in plain JavaScript: convolutions, transposed convolutions and dense layers, the noise models'
 * log-probabilities, the KL divergence of normals. Log-probabilities and divergences are in nats per image.
 *
 * Images and activations are arrays in the order [height, width, channel]; weights [in, kernel, kernel, out].
 */

/**
 * @typedef {object} Layer
 * @property {"convolution" | "transposed" | "dense"} kind
 * @property {[number, number, number]} in height, width, channels
 * @property {[number, number, number]} out height, width, channels
 * @property {boolean} relu
 * @property {number} [kernel]
 * @property {number} [stride]
 * @property {number} [padding]
 * @property {Float32Array} weight
 * @property {Float32Array} bias
 * @property {Float64Array} output where the layer writes; its next use overwrites it
 * @property {Live} live
 */

/**
 * @typedef {object} Network
 * @property {[number, number]} shape height and width
 * @property {number} latent latent dimensions
 * @property {string} noise name of the noise model
 * @property {number} sigma of Gaussian noise
 * @property {8 | 32} bits of a weight
 * @property {Layer[]} encoder
 * @property {Layer[]} decoder
 */

/** @typedef {{count: number, value: Float64Array, offset: Int32Array}} Live inputs that are not zero, and where their weights begin */

/** @typedef {ArrayLike<number>} Numbers */
/** @typedef {{mean: number[], scale: number[]}} Normal independent normals: means and standard deviations */

/**
 * The network that `nsvae_lib.widgets.weights.pack` wrote.
 * @param {Uint8Array} bytes
 * @returns {Network}
 */
export function readNetwork(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + view.getUint32(0, true);
  /** @type {Network} */
  const network = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  let at = start;
  const floats = (/** @type {number} */ n) => {
    const found = new Float32Array(n);
    for (let i = 0; i < n; i++, at += 4) found[i] = view.getFloat32(at, true);
    return found;
  };
  for (const layer of [...network.encoder, ...network.decoder]) {
    const [height, width, channels] = layer.out;
    const kernel = layer.kernel ?? 1;
    const inputs = layer.in.reduce((a, b) => a * b);
    const outputs = height * width * channels;
    const n = layer.kind === "dense" ? inputs * outputs : layer.in[2] * kernel ** 2 * channels;
    if (network.bits === 8) {
      const rounded = new Int8Array(bytes.buffer, bytes.byteOffset + at, n);
      at += n;
      const scales = floats(channels);
      layer.weight = Float32Array.from(rounded, (w, i) => w * scales[i % channels]);
    } else {
      layer.weight = floats(n);
    }
    if (layer.kind === "convolution" && layer.stride === 1) transpose(layer);
    layer.bias = floats(layer.kind === "dense" ? outputs : channels);
    layer.output = new Float64Array(outputs);
    const most = 3 + (layer.kind === "dense" ? inputs : layer.in[2]);
    layer.live = { count: 0, value: new Float64Array(most), offset: new Int32Array(most) };
  }
  return network;
}

/**
 * q(z|x) of an image.
 * @param {Network} network
 * @param {Numbers} image in [0, 1]
 * @returns {Normal}
 */
export function encode(network, image) {
  const heads = Array.from(network.encoder.reduce(run, Float64Array.from(image)));
  const mean = heads.slice(0, network.latent);
  return { mean, scale: heads.slice(network.latent).map((v) => Math.exp(v / 2)) };
}

/**
 * The decoder's logits for a latent; the array is overwritten by the next call.
 * @param {Network} network
 * @param {Numbers} z
 * @returns {Float64Array}
 */
export function decode(network, z) {
  return network.decoder.reduce(run, Float64Array.from(z));
}

/**
 * What one layer makes of its input.
 * @param {Float64Array} input
 * @param {Layer} layer
 */
function run(input, layer) {
  const { output, bias, kind } = layer;
  for (let i = 0; i < output.length; i += bias.length) output.set(bias, i);
  if (kind === "dense") dense(input, layer);
  else spread(input, layer);
  if (layer.relu) for (let i = 0; i < output.length; i++) if (output[i] < 0) output[i] = 0;
  return output;
}

/**
 * @param {Float64Array} input
 * @param {Layer} layer
 */
function dense(input, { weight, output, live }) {
  gather(live, input, 0, input.length, output.length);
  addProducts(output, 0, output.length, weight, 0, live);
}

/**
 * Turn a convolution of stride 1 into the transposed convolution that it also is, with its kernel turned round. Then
 * what an input adds to a row of outputs lies in one piece, and `spread` is twice as fast.
 * @param {Layer} layer
 */
function transpose(layer) {
  const { weight, kernel = 1, padding = 0 } = layer;
  const channels = layer.out[2];
  const size = kernel ** 2;
  layer.weight = weight.map((_, i) => {
    const channel = i % channels;
    const position = Math.floor(i / channels) % size;
    const input = Math.floor(i / channels / size);
    return weight[(input * size + size - 1 - position) * channels + channel];
  });
  layer.kind = "transposed";
  layer.padding = kernel - 1 - padding;
}

/**
 * A convolution or a transposed one. Each input adds its share to the outputs that it reaches, so that inputs of zero,
 * black pixels or what ReLU cut off, cost nothing.
 * @param {Float64Array} input
 * @param {Layer} layer
 */
function spread(input, layer) {
  const { weight, output, live, kernel = 1 } = layer;
  const [height, width, channels] = layer.in;
  const [outHeight, outWidth, outChannels] = layer.out;
  const rows = reached(layer, height, outHeight);
  const columns = reached(layer, width, outWidth);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += channels) {
      gather(live, input, i, channels, kernel ** 2 * outChannels);
      if (live.count === 0) continue;
      for (const { from: ky, to: outY, length: ys } of rows[y]) {
        for (const { from: kx, to: outX, length: xs } of columns[x]) {
          for (let k = 0; k < ys; k++) {
            const w = ((ky + k) * kernel + kx) * outChannels;
            const o = ((outY + k) * outWidth + outX) * outChannels;
            addProducts(output, o, xs * outChannels, weight, w, live);
          }
        }
      }
    }
  }
}

/**
 * Find those of a position's inputs that are not zero, made up to a multiple of four.
 * @param {Live} live where they go
 * @param {Float64Array} input
 * @param {number} from
 * @param {number} n
 * @param {number} weights of one input
 */
function gather(live, input, from, n, weights) {
  const { value, offset } = live;
  let count = 0;
  for (let i = 0; i < n; i++) {
    value[count] = input[from + i];
    offset[count] = i * weights;
    if (value[count] !== 0) count++;
  }
  for (; count % 4; count++) value[count] = offset[count] = 0;
  live.count = count;
}

/**
 * output[o...] += value * weight[w + offset...], n numbers for each live input, four inputs at a time.
 * @param {Float64Array} output
 * @param {number} o
 * @param {number} n
 * @param {Float32Array} weight
 * @param {number} w
 * @param {Live} live
 */
function addProducts(output, o, n, weight, w, { count, value, offset }) {
  for (let j = 0; j < count; j += 4) {
    const [a, b, c, d] = [value[j], value[j + 1], value[j + 2], value[j + 3]];
    const [p, q, r, s] = [w + offset[j], w + offset[j + 1], w + offset[j + 2], w + offset[j + 3]];
    for (let i = 0; i < n; i++) {
      output[o + i] += a * weight[p + i] + b * weight[q + i] + c * weight[r + i] + d * weight[s + i];
    }
  }
}

/**
 * For each input position of one axis, the runs of output positions that it reaches: from which position of the kernel
 * on, to which output, and how many.
 * @param {Layer} layer
 * @param {number} inputs
 * @param {number} outputs
 * @returns {{from: number, to: number, length: number}[][]}
 */
function reached({ kind, kernel = 1, stride = 1, padding = 0 }, inputs, outputs) {
  return Array.from({ length: inputs }, (_, i) => {
    /** @type {{from: number, to: number, length: number}[]} */
    const runs = [];
    for (let k = 0; k < kernel; k++) {
      const to = kind === "transposed" ? i * stride + k - padding : (i + padding - k) / stride;
      if (!Number.isInteger(to) || to < 0 || to >= outputs) continue;
      const last = runs.at(-1);
      if (last && last.from + last.length === k && last.to + last.length === to) last.length++;
      else runs.push({ from: k, to, length: 1 });
    }
    return runs;
  });
}

/** @param {number} v */
export const sigmoid = (v) => 1 / (1 + Math.exp(-v));

/** log(1 + exp(v)), also for large v. @param {number} v */
export const softplus = (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));

/**
 * log p(x|z) in nats, all constants included.
 * @param {Network} network whose noise model is meant
 * @param {Numbers} image in [0, 1]
 * @param {Numbers} logits as `decode` gives them
 */
export function logProbability({ noise, sigma }, image, logits) {
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += pixelLogProbability(noise, image[i], logits[i], sigma);
  return sum;
}

/**
 * What one pixel adds to log p(x|z), in nats.
 * @param {string} noise
 * @param {number} x in [0, 1]
 * @param {number} logit
 * @param {number} sigma of Gaussian noise
 */
export function pixelLogProbability(noise, x, logit, sigma = 1) {
  if (noise.startsWith("gaussian")) return normalLogDensity(x, sigmoid(logit), sigma);
  const crossEntropy = softplus(logit) - x * logit;
  return noise === "continuous-bernoulli" ? logNormaliser(logit) - crossEntropy : -crossEntropy;
}

/**
 * log Normal(x; mean, scale).
 * @param {number} x
 * @param {number} mean
 * @param {number} scale
 */
export function normalLogDensity(x, mean, scale) {
  return -0.5 * ((x - mean) / scale) ** 2 - Math.log(scale) - 0.5 * Math.log(2 * Math.PI);
}

/** log C of the continuous Bernoulli as a function of the logit. @param {number} logit */
export function logNormaliser(logit) {
  const size = Math.abs(logit);
  if (size < 0.1) return Math.LN2 + size ** 2 / 12 - (7 * size ** 4) / 1440;
  return Math.log(size / Math.tanh(size / 2));
}

/**
 * KL(q || p) between normals with independent dimensions, in nats.
 * @param {Normal} q
 * @param {Normal} p
 */
export function klDivergence(q, p) {
  let sum = 0;
  for (let d = 0; d < q.mean.length; d++) {
    const ratio = (q.scale[d] / p.scale[d]) ** 2;
    sum += (ratio + ((q.mean[d] - p.mean[d]) / p.scale[d]) ** 2 - 1 - Math.log(ratio)) / 2;
  }
  return sum;
}

/**
 * The same mean in every dimension, and scale 1: the prior for 0, the negative prior for the shift.
 * @param {number} latent dimensions
 * @param {number} mean
 * @returns {Normal}
 */
export function standardNormal(latent, mean = 0) {
  return { mean: Array(latent).fill(mean), scale: Array(latent).fill(1) };
}

/**
 * Bits per dimension of a log-likelihood in nats.
 * @param {number} logLikelihood
 * @param {number} pixels
 */
export const bitsPerDim = (logLikelihood, pixels) => -logLikelihood / (pixels * Math.LN2);

/**
 * A source of uniform numbers in [0, 1) that gives the same ones for the same seed: mulberry32.
 * @param {number} seed
 * @returns {() => number}
 */
export function uniformSampler(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The same for standard normal numbers, by Box and Muller.
 * @param {number} seed
 * @returns {() => number}
 */
export function normalSampler(seed) {
  const uniform = uniformSampler(seed);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
