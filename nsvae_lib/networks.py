"""Encoders and decoders, nothing else. Two families, each in three presets.

Grey images (C = 1): the encoder of Rosca et al. (2018) as the paper's authors use it, and their decoder of transposed
convolutions. Colour images (C = 3): the DCGAN-style networks of the paper's section IV-A.

preset "authors": the authors' networks, widths and initial values. preset "light" (default): the same without the
256-channel layer at full resolution (grey; that one layer is 90 % of the work) or with half the channels (colour),
and PyTorch's initial values. preset "small": light with half the channels, a quarter of the weights, for web pages and
for a first try. `initialisation` takes the initial values of the one with the widths of the other.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

PRESETS = ("small", "light", "authors")
BATCH_NORMS = ("trained", "frozen", "none")
INITIALISATIONS = ("preset", "pytorch", "authors")


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch norm that never meets a batch: its statistics stay 0 and 1, and a scale and a shift per channel remain.

    That is what batch norm amounts to in a training loop that neither uses the batch's statistics nor updates the
    running ones, as the authors' code seems to do.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Encoder(nn.Module):
    """Images [N, C, H, W] in [0, 1] -> mean and log-variance of q(z|x), each [N, D]."""

    def __init__(self, features: nn.Sequential, feature_dim: int, latent_dim: int):
        super().__init__()
        self.features = features
        self.mean = nn.Linear(feature_dim, latent_dim)
        self.log_variance = nn.Linear(feature_dim, latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.features(x).flatten(1)
        return self.mean(h), self.log_variance(h)


class Decoder(nn.Module):
    """Latents [N, D] -> logits [N, C, H, W], the raw output that a noise model reads."""

    def __init__(self, latent_dim: int, start: tuple[int, int, int], layers: nn.Sequential):
        super().__init__()
        self.start = start
        self.dense = nn.Linear(latent_dim, math.prod(start))
        self.layers = layers

    def forward(self, z: Tensor) -> Tensor:
        h = self.dense(z).relu().unflatten(-1, self.start)
        return self.layers(h)


class ConvolutionToFewChannels(nn.Conv2d):
    """A stride-1 'same' convolution, computed on a CPU as a matrix product and a sum of shifted copies.

    Same parameters and result as Conv2d, whose CPU kernels are slow when there are next to no output channels: the
    last layer of the light decoder takes a third of a training step that way, and half as long this way.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or self.bias is None:
            return super().forward(x)
        n, channels, height, width = x.shape
        kernel = self.weight.flip(2, 3).transpose(0, 1).reshape(channels, -1)
        shares = x.permute(0, 2, 3, 1).reshape(-1, channels) @ kernel
        shares = shares.view(n, height * width, -1).transpose(1, 2)
        size, padding = (self.kernel_size[0], self.kernel_size[1]), self.kernel_size[0] // 2
        return F.fold(shares, (height, width), size, padding=padding) + self.bias[:, None, None]


def grey_networks(shape: tuple[int, int, int], latent_dim: int, preset: str) -> tuple[Encoder, Decoder]:
    """Encoder: 5x5 convolutions, 8-16-32-64-64 channels, strides 2-1-2-1-2. Decoder: its rough mirror image."""
    channels, height, width = shape
    _require_multiple(shape, 4)
    share = 2 if preset == "small" else 1
    features = nn.Sequential()
    previous = channels
    for out, stride in ((8, 2), (16, 1), (32, 2), (64, 1), (64, 2)):
        features += nn.Sequential(nn.Conv2d(previous, out // share, 5, stride, padding=2), nn.ReLU())
        previous = out // share
    feature_dim = previous * math.ceil(height / 8) * math.ceil(width / 8)

    start = (64 // share, height // 4, width // 4)
    layers = nn.Sequential()
    previous = start[0]
    for out in (32 // share, 32 // share):
        layers += nn.Sequential(nn.ConvTranspose2d(previous, out, 5, 2, padding=2, output_padding=1), nn.ReLU())
        previous = out
    if preset == "authors":
        layers += nn.Sequential(nn.ConvTranspose2d(previous, 256, 5, padding=2), nn.ReLU())
        previous = 256
    layers.append(ConvolutionToFewChannels(previous, channels, 5, padding=2))
    return Encoder(features, feature_dim, latent_dim), Decoder(latent_dim, start, layers)


def colour_networks(
    shape: tuple[int, int, int], latent_dim: int, preset: str, batch_norm: str = "trained"
) -> tuple[Encoder, Decoder]:
    """Encoder: 4x4 convolutions with batch norm, 32-64-128-256 channels. Decoder: convolutions and upsampling."""
    channels, height, width = shape
    _require_multiple(shape, 8)
    share = {"small": 4, "light": 2, "authors": 1}[preset]
    features = nn.Sequential()
    previous = channels
    for out, stride in ((32, 1), (64, 2), (128, 2), (256, 2)):
        features += _convolution(previous, out // share, stride, batch_norm)
        previous = out // share
    feature_dim = previous * (height // 8) * (width // 8)

    start = (256 // share, height // 8, width // 8)
    layers = nn.Sequential()
    previous = start[0]
    for out in (128, 64, 32):
        layers += _convolution(previous, out // share, 1, batch_norm)
        layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        previous = out // share
    layers += nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(previous, channels, 4))
    return Encoder(features, feature_dim, latent_dim), Decoder(latent_dim, start, layers)


def _convolution(previous: int, out: int, stride: int, batch_norm: str) -> nn.Sequential:
    # An even kernel cannot be centred: pad one pixel more below and to the right, as TensorFlow's 'same' does.
    padding = (1, 2, 1, 2) if stride == 1 else (1, 1, 1, 1)
    layers = nn.Sequential(nn.ZeroPad2d(padding), nn.Conv2d(previous, out, 4, stride, bias=batch_norm == "none"))
    if batch_norm != "none":
        layers.append(FrozenBatchNorm2d(out) if batch_norm == "frozen" else nn.BatchNorm2d(out))
    return layers.append(nn.ReLU())


def _require_multiple(shape: Sequence[int], of: int) -> None:
    if shape[1] % of or shape[2] % of:
        raise ValueError(
            f"these networks need a height and width that are multiples of {of}, "
            f"got {shape[1]} x {shape[2]}: resize or pad the images"
        )


def build(
    shape: tuple[int, int, int],
    latent_dim: int,
    preset: str = "light",
    batch_norm: str = "trained",
    initialisation: str = "preset",
) -> tuple[Encoder, Decoder]:
    """The encoder and decoder for images of shape (C, H, W).

    Raises:
        ValueError: unknown preset, batch norm or initialisation, C other than 1 or 3, H or W not a multiple of 4 (grey)
            or 8 (colour).
    """
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
    if batch_norm not in BATCH_NORMS:
        raise ValueError(f"unknown batch norm {batch_norm!r}; known: {', '.join(BATCH_NORMS)}")
    if initialisation not in INITIALISATIONS:
        raise ValueError(f"unknown initialisation {initialisation!r}; known: {', '.join(INITIALISATIONS)}")
    if shape[0] not in (1, 3):
        raise ValueError(f"images must have 1 (grey) or 3 (colour) channels, got shape {tuple(shape)}")
    if latent_dim < 1:
        raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
    if shape[0] == 1:
        encoder, decoder = grey_networks(shape, latent_dim, preset)
    else:
        encoder, decoder = colour_networks(shape, latent_dim, preset, batch_norm)
    if (preset if initialisation == "preset" else initialisation) == "authors":
        for module in (*encoder.modules(), *decoder.modules()):
            initialise_as_authors(module)
    return encoder, decoder


def initialise_as_authors(module: nn.Module) -> None:
    """Convolution kernels and biases from N(0, 0.02) (a variance: std = sqrt(0.02)); dense layers Glorot-uniform."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=math.sqrt(0.02))
        if module.bias is not None:
            nn.init.normal_(module.bias, std=math.sqrt(0.02))
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
