"""Where negative samples come from. Explained in chapters 4 and 8; the paper's section III-C.

A source of negatives has two methods: `prepare(vae)`, called once before training, checks it and moves what it holds
to the model's device; `draw(x, vae, generator)` gives as many negatives as there are inliers in x. Images are
[N, C, H, W], float in [0, 1], drawn on the device; all randomness comes from the generator.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from .data import ImageData, check_images, digest, to_float
from .vae import VAE


class Negatives(Protocol):
    """What `training.fit` asks of a source of negative samples."""

    def prepare(self, vae: VAE) -> None:
        """Check that the negatives fit the model and move them to its device. Called before training."""

    def draw(self, x: Tensor, vae: VAE, generator: torch.Generator) -> Tensor:
        """One negative for each inlier of x [N, C, H, W]: float [N, C, H, W] in [0, 1], on the device of x."""


class FromImages:
    """Images of one or several auxiliary sets, each set drawn equally often, with replacement."""

    def __init__(self, *sets: ImageData | Tensor):
        """Take images [N, C, H, W], uint8 or in [0, 1]; of an ImageData its training images.

        Raises:
            ValueError: no set at all, an empty set, or images that are none (see `data.check_images`).
        """
        if not sets:
            raise ValueError("FromImages needs at least one set of images")
        self.sets = [check_images(s.train if isinstance(s, ImageData) else s, name="negatives") for s in sets]

    def prepare(self, vae: VAE) -> None:
        """Check that all images have the model's shape and move them to its device."""
        self.sets = [check_images(images, vae.shape, name="negatives").to(vae.device) for images in self.sets]

    def draw(self, x: Tensor, vae: VAE, generator: torch.Generator) -> Tensor:
        """Images drawn at random, from each set its share."""
        counts = shares([1.0] * len(self.sets), len(x))
        parts = [
            images[torch.randint(len(images), (count,), generator=generator, device=images.device)]
            for images, count in zip(self.sets, counts, strict=True)
        ]
        return torch.cat([to_float(part) for part in parts])

    def __repr__(self) -> str:
        return f"FromImages({', '.join(f'{len(images)} images {digest(images)[:12]}' for images in self.sets)})"


class UniformNoise:
    """Every pixel uniform on [0, 1]: the paper's "random noise" (section IV-C)."""

    def prepare(self, vae: VAE) -> None:
        """Nothing to check."""

    def draw(self, x: Tensor, vae: VAE, generator: torch.Generator) -> Tensor:
        """Noise of the shape of x."""
        return torch.rand(x.shape, generator=generator, device=x.device)

    def __repr__(self) -> str:
        return "UniformNoise()"


class NoisyInliers:
    """The inliers of the mini-batch plus Gaussian noise, clipped to [0, 1]; the paper: sigma = 0.25."""

    def __init__(self, sigma: float = 0.25):
        """sigma: standard deviation of the noise, on the pixel scale [0, 1]; > 0."""
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}: without noise the negatives are the inliers")
        self.sigma = sigma

    def prepare(self, vae: VAE) -> None:
        """Nothing to check."""

    def draw(self, x: Tensor, vae: VAE, generator: torch.Generator) -> Tensor:
        """x with noise on it."""
        return (x + self.sigma * torch.randn(x.shape, generator=generator, device=x.device)).clamp(0, 1)

    def __repr__(self) -> str:
        return f"NoisyInliers(sigma={self.sigma})"


class Generated:
    """The model's own images, the means of p(x|z) for z drawn from the prior; no gradient reaches the decoder.

    Without the decoder's adversarial term: for the full game use `objectives.Adversarial`, which makes its own.

    Args:
        generator_vae: whose images; default: those of the model in training, as it is at each step.
    """

    def __init__(self, generator_vae: VAE | None = None):
        self.generator_vae = generator_vae

    def prepare(self, vae: VAE) -> None:
        """Check that the images fit, and move the generating model to the device."""
        if self.generator_vae is not None:
            if self.generator_vae.shape != vae.shape:
                raise ValueError(f"negatives of shape {self.generator_vae.shape} for a model of shape {vae.shape}")
            self.generator_vae.to(vae.device)

    def draw(self, x: Tensor, vae: VAE, generator: torch.Generator) -> Tensor:
        """As many generated images as there are in x."""
        return (self.generator_vae or vae).sample(len(x), generator)

    def __repr__(self) -> str:
        if self.generator_vae is None:
            return "Generated()"
        parameters = torch.cat([p.detach().flatten() for p in self.generator_vae.parameters()])
        return f"Generated({self.generator_vae}, parameters {digest(parameters)[:12]})"


class Mixture:
    """Several sources together: of each mini-batch every source makes its share."""

    def __init__(self, *sources: Negatives, weights: Sequence[float] | None = None):
        """weights: share of each source, any positive numbers; default: equal.

        Raises:
            ValueError: no source, or weights that are not one positive number per source.
        """
        self.sources = sources
        self.weights = list(weights) if weights is not None else [1.0] * len(sources)
        if not sources or len(self.weights) != len(sources) or min(self.weights) <= 0:
            raise ValueError(
                f"Mixture needs sources and one positive weight for each, got {len(sources)} sources "
                f"and weights {self.weights}"
            )

    def prepare(self, vae: VAE) -> None:
        """Prepare every source."""
        for source in self.sources:
            source.prepare(vae)

    def draw(self, x: Tensor, vae: VAE, generator: torch.Generator) -> Tensor:
        """Each source's share, in the order of the sources."""
        parts = x.split(shares(self.weights, len(x)))
        drawn = [
            source.draw(part, vae, generator) for source, part in zip(self.sources, parts, strict=True) if len(part)
        ]
        return torch.cat(drawn)

    def __repr__(self) -> str:
        return f"Mixture({', '.join(map(repr, self.sources))}, weights={self.weights})"


def shares(weights: Sequence[float], n: int) -> list[int]:
    """n split in proportion to the weights into whole numbers that add up to n, each less than 1 off."""
    total = sum(weights)
    ends = [round(n * sum(weights[: i + 1]) / total) for i in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
