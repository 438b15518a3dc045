"""What training minimises. Chapter 1: the ELBO; chapters 4 to 6: negative samples.

An objective is a frozen dataclass with one method, `losses(vae, x, negatives, generator) -> Losses`, called once a
mini-batch. Every loss is a mean over the mini-batch, in nats per image.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.distributions import Normal

from .bounds import draw_latents, eubo, kl_divergence, log_weights
from .vae import VAE


class Losses(NamedTuple):
    """The loss terms of one mini-batch, each a scalar in nats per image.

    terms: computed before either network moves. Their sum is minimised by both networks: its gradient for the
        encoder's parameters is the encoder step, that for the decoder's parameters the decoder step.
    decoder_terms: what the decoder alone minimises besides, computed when called: after the encoder's step in the
        alternating update, before it in the simultaneous one. None: nothing.

    In the redrawn update `losses` is called a second time, after the encoder's step, for the decoder's.
    """

    terms: dict[str, Tensor]
    decoder_terms: Callable[[], dict[str, Tensor]] | None = None


class Objective(Protocol):
    """What `training.fit` asks of an objective."""

    @property
    def uses_negatives(self) -> bool:
        """Whether `losses` needs negative samples."""

    def losses(self, vae: VAE, x: Tensor, negatives: Tensor | None, generator: torch.Generator) -> Losses:
        """The loss terms for inliers x and negatives, both [N, C, H, W] in [0, 1]; randomness from `generator`."""


@dataclass(frozen=True)
class ELBO:
    """The negative evidence lower bound: reconstruction + KL(q(z|x) || p(z)). The paper's equation in section II."""

    uses_negatives: ClassVar[bool] = False

    def losses(self, vae: VAE, x: Tensor, negatives: Tensor | None, generator: torch.Generator) -> Losses:
        """Terms "reconstruction", -E_q log p(x|z) with one z per image, and "kl", in closed form."""
        q = vae.encode(x)
        z = draw_latents(q, 1, generator)[0]
        reconstruction = -vae.decode(z).log_prob(x)
        kl = kl_divergence(q, vae.prior)
        return Losses({"reconstruction": reconstruction.mean(), "kl": kl.mean()})


Shift = float | Sequence[float]


@dataclass(frozen=True)
class NegativePrior:
    """ELBO of the inliers + KL(q(z|negative) || negative prior). The paper's equation III-A.

    The negative prior is a standard normal moved by `shift`: a number for all D dimensions (the paper: 8 for grey, 25
    for colour images), or one number per dimension.
    """

    shift: Shift = 8.0
    uses_negatives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_shift(self.shift)

    def losses(self, vae: VAE, x: Tensor, negatives: Tensor | None, generator: torch.Generator) -> Losses:
        """The terms of ELBO and "negative_kl". Negatives are never decoded, so the decoder learns nothing from them."""
        terms = ELBO().losses(vae, x, None, generator).terms
        negative_kl = kl_divergence(vae.encode(_required(negatives)), negative_prior(vae, self.shift))
        return Losses(terms | {"negative_kl": negative_kl.mean()})


@dataclass(frozen=True)
class Adversarial:
    """Negative prior with the model's own images as negatives, and a decoder that works against it. Section III-D.

    The encoder minimises KL(q(z|generated) || negative prior), the image fixed. The decoder, and only the decoder,
    minimises KL(q(z|generated) || prior) through the encoder as it is after its step. Images are generated once, before
    the encoder moves, as means of p(x|z) for z from the prior.

    A step takes 2.3 times the arithmetic of an ELBO step (light grey networks; chapter 6 counts and times it): besides
    the ELBO's passes one through the decoder and two through the encoder, one of which learns nothing.
    """

    shift: Shift = 8.0
    uses_negatives: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_shift(self.shift)

    def losses(self, vae: VAE, x: Tensor, negatives: Tensor | None, generator: torch.Generator) -> Losses:
        """The terms of ELBO and "negative_kl"; for the decoder "adversarial_kl"."""
        terms = ELBO().losses(vae, x, None, generator).terms
        z = torch.randn(len(x), vae.latent_dim, generator=generator, device=x.device)
        generated = vae.decode(z).mean
        negative_kl = kl_divergence(vae.encode(generated.detach()), negative_prior(vae, self.shift))

        def decoder_terms() -> dict[str, Tensor]:
            return {"adversarial_kl": kl_divergence(vae.encode(generated), vae.prior).mean()}

        return Losses(terms | {"negative_kl": negative_kl.mean()}, decoder_terms)


@dataclass(frozen=True)
class UpperBound:
    """ELBO of the inliers + EUBO_K of the negatives, minimised only down to a margin below the inliers.

    The paper's section III-B made sound (chapter 5): EUBO_K is computed in log space, and a negative counts only while
    its EUBO_K is above the mini-batch's mean ELBO of inliers minus `margin`. Without that floor the likelihood of
    negatives falls for ever and drags the networks along.

    samples: K, draws of z per negative; >= 1. At K = 1 EUBO_K is the ELBO.
    margin: nats per image, > 0; None leaves the floor out, for demonstration.
    """

    samples: int = 4
    margin: float | None = 200.0
    uses_negatives: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, got {self.samples}")
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise ValueError(
                f"margin must be a positive number of nats (or None for no floor), got {self.margin}: "
                "at 0 or below, negatives as likely as inliers would cost nothing, and the term would be constant"
            )

    def losses(self, vae: VAE, x: Tensor, negatives: Tensor | None, generator: torch.Generator) -> Losses:
        """The terms of ELBO and "negative_bound", whose gradient reaches both networks."""
        terms = ELBO().losses(vae, x, None, generator).terms
        bound = eubo(log_weights(vae, _required(negatives), self.samples, generator))
        if self.margin is not None:
            floor = -(terms["reconstruction"] + terms["kl"]).detach() - self.margin
            bound = (bound - floor).relu()
        return Losses(terms | {"negative_bound": bound.mean()})


def negative_prior(vae: VAE, shift: Shift) -> Normal:
    """The negative prior, N(shift, 1) in each of the D latent dimensions.

    Raises:
        ValueError: a vector shift whose length is not D.
    """
    prior = vae.prior
    # A number stays a number: a GPU would have to wait for a tensor of it.
    by = shift if isinstance(shift, int | float) else torch.as_tensor(shift, dtype=torch.float32, device=vae.device)
    if isinstance(by, Tensor) and by.ndim and len(by) != vae.latent_dim:
        raise ValueError(f"shift has {len(by)} entries, but the model has {vae.latent_dim} latent dimensions")
    return Normal(prior.mean + by, prior.stddev, validate_args=False)


def prior_distance(shift: Shift, latent_dim: int) -> float:
    """KL(negative prior || prior) = D shift^2 / 2 in nats (for a vector: half its squared length).

    Raises:
        ValueError: a vector shift whose length is not `latent_dim`.
    """
    values = torch.as_tensor(shift, dtype=torch.float64)
    if values.ndim and len(values) != latent_dim:
        raise ValueError(f"shift has {len(values)} entries, but latent_dim is {latent_dim}")
    return float(values.expand(latent_dim).square().sum() / 2)


def _check_shift(shift: Shift) -> None:
    values = torch.as_tensor(shift, dtype=torch.float64)
    if values.ndim > 1 or not values.isfinite().all():
        raise ValueError(f"shift must be a finite number or one per latent dimension, got {shift}")
    if (values == 0).all():
        warnings.warn("with shift 0 the negative prior is the prior: nothing separates the negatives", stacklevel=3)


def _required(negatives: Tensor | None) -> Tensor:
    if negatives is None:
        raise ValueError("this objective needs negatives, images [N, C, H, W] in [0, 1], got None")
    return negatives
