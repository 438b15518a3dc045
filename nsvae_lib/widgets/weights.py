"""A trained VAE as a string of bytes for the widgets' JavaScript engine.

Format: the length of a JSON header (uint32), the header, then for each layer its weights, their scales if they are
int8, and its biases; little-endian. The engine's images are [H, W, C] and its weights [in, kernel, kernel, out], so
that the innermost axis is always that of the output channels.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..networks import Decoder, Encoder
from ..noise import Bernoulli, ContinuousBernoulli, Gaussian
from ..vae import VAE

Shape = tuple[int, int, int]


class Layer(NamedTuple):
    """What the engine must know of a layer, and its parameters in the engine's order."""

    description: dict[str, Any]
    weight: np.ndarray
    bias: np.ndarray

    @property
    def channels(self) -> int:
        """C of the layer's output [H, W, C]."""
        return int(self.description["out"][2])


def pack(vae: VAE, bits: int = 8) -> bytes:
    """The VAE for the engine.

    Args:
        vae: a VAE for grey images, made by `VAE.for_images`.
        bits: 8 for weights rounded to int8 (0.3 MB for a light VAE), 32 for weights as they are.

    Raises:
        ValueError: other bits, or a VAE that the engine cannot compute.
    """
    if bits not in (8, 32):
        raise ValueError(f"bits: expected 8 or 32, got {bits}")
    layers = {"encoder": list(_encoder(vae)), "decoder": list(_decoder(vae))}
    header = {
        "shape": vae.shape[1:],
        "latent": vae.latent_dim,
        "noise": vae.noise.name,
        "sigma": vae.noise.sigma.item() if isinstance(vae.noise, Gaussian) else 1.0,
        "bits": bits,
        **{part: [layer.description for layer in found] for part, found in layers.items()},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    parts = [np.uint32(len(text)).tobytes(), text]
    for layer in [*layers["encoder"], *layers["decoder"]]:
        if bits == 8:
            whole, scales = round_to_int8(layer.weight.reshape(-1, layer.channels))
            parts += [whole.tobytes(), scales.tobytes()]
        else:
            parts.append(layer.weight.tobytes())
        parts.append(layer.bias.tobytes())
    return b"".join(parts)


def round_to_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights [N, C] -> int8 [N, C] and scales, float32 [C], whose product is nearest to the weights."""
    scales = np.maximum(np.abs(weight).max(0), 1e-12).astype(np.float32) / np.float32(127)
    return np.rint(weight / scales).astype(np.int8), scales


def rounded(vae: VAE) -> VAE:
    """A copy of the VAE with the weights that `pack` leaves of it in int8: what a widget computes with."""
    vae = copy.deepcopy(vae)
    for module in vae.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            weight = module.weight.data
            if isinstance(vae.decoder, Decoder) and module is vae.decoder.dense:
                weight = weight.view(vae.decoder.start[0], -1)
            by_channel = weight.movedim(1 if isinstance(module, nn.ConvTranspose2d) else 0, -1)
            whole, scales = round_to_int8(by_channel.cpu().reshape(-1, by_channel.shape[-1]).numpy())
            by_channel.copy_(torch.from_numpy(whole * scales).view(by_channel.shape))
    return vae


def _encoder(vae: VAE) -> Iterator[Layer]:
    encoder = vae.encoder
    if not isinstance(encoder, Encoder) or vae.shape[0] != 1:
        raise ValueError(f"widgets compute VAEs for grey images made by VAE.for_images, not {vae}")
    if not isinstance(vae.noise, Bernoulli | Gaussian | ContinuousBernoulli):
        raise ValueError(f"widgets know the noise models of nsvae_lib.noise, not {vae.noise}")
    shape: Shape = (vae.shape[1], vae.shape[2], vae.shape[0])
    for layer in _sequence(encoder.features, shape):
        yield layer
        shape = layer.description["out"]
    height, width, channels = shape
    heads = [_numpy(head.weight).reshape(-1, channels, height, width) for head in (encoder.mean, encoder.log_variance)]
    weight = np.concatenate(heads).transpose(2, 3, 1, 0)
    bias = np.concatenate([_numpy(encoder.mean.bias), _numpy(encoder.log_variance.bias)])
    yield _layer("dense", shape, (1, 1, 2 * vae.latent_dim), weight, bias, relu=False)


def _decoder(vae: VAE) -> Iterator[Layer]:
    decoder = vae.decoder
    if not isinstance(decoder, Decoder):
        raise ValueError(f"widgets compute VAEs for grey images made by VAE.for_images, not {vae}")
    channels, height, width = decoder.start
    start: Shape = (height, width, channels)
    weight = _numpy(decoder.dense.weight).reshape(channels, height, width, -1).transpose(3, 1, 2, 0)
    bias = _numpy(decoder.dense.bias).reshape(channels, height, width).transpose(1, 2, 0)
    yield _layer("dense", (1, 1, vae.latent_dim), start, weight, bias, relu=True)
    yield from _sequence(decoder.layers, start)


def _sequence(modules: nn.Sequential, shape: Shape) -> Iterator[Layer]:
    """The convolutions of a sequence that starts with images of a shape [H, W, C], each with the ReLU after it."""
    for module, following in zip(modules, [*list(modules)[1:], None], strict=True):
        if isinstance(module, nn.ReLU):
            continue
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or module.bias is None:
            raise ValueError(f"widgets cannot compute {module}")
        stride = module.stride[0]
        if isinstance(module, nn.ConvTranspose2d):
            kind, weight = "transposed", _numpy(module.weight).transpose(0, 2, 3, 1)
            height, width = shape[0] * stride, shape[1] * stride
        else:
            kind, weight = "convolution", _numpy(module.weight).transpose(1, 2, 3, 0)
            height, width = -(-shape[0] // stride), -(-shape[1] // stride)
        out = (height, width, module.out_channels)
        options = {"kernel": module.kernel_size[0], "stride": stride, "padding": int(module.padding[0])}
        yield _layer(kind, shape, out, weight, _numpy(module.bias), isinstance(following, nn.ReLU), **options)
        shape = out


def _layer(
    kind: str, before: Shape, after: Shape, weight: np.ndarray, bias: np.ndarray, relu: bool, **options: int
) -> Layer:
    description = {"kind": kind, "in": before, "out": after, "relu": relu, **options}
    return Layer(description, np.ascontiguousarray(weight), np.ascontiguousarray(bias))


def _numpy(parameter: Tensor) -> np.ndarray:
    return parameter.detach().cpu().float().numpy()
