"""What training minimises. Chapter 1: the ELBO.

An objective is a frozen dataclass with one method, `losses(vae, x, generator) -> Losses`, called once a mini-batch.
Every loss is a mean over the mini-batch, in nats per image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .bounds import draw_latents, kl_divergence
from .vae import VAE


class Losses(NamedTuple):
    """The loss terms of one mini-batch, each a scalar in nats per image.

    terms: computed before either network moves. Their sum is minimised by both networks: its gradient for the
        encoder's parameters is the encoder step, that for the decoder's parameters the decoder step.
    decoder_terms: what the decoder alone minimises besides, computed when called: after the encoder's step in the
        alternating update, before it in the simultaneous one. None: nothing.
    """

    terms: dict[str, Tensor]
    decoder_terms: Callable[[], dict[str, Tensor]] | None = None


class Objective(Protocol):
    """What `training.fit` asks of an objective."""

    def losses(self, vae: VAE, x: Tensor, generator: torch.Generator) -> Losses:
        """The loss terms for images x [N, C, H, W] in [0, 1]; all randomness comes from `generator`."""


@dataclass(frozen=True)
class ELBO:
    """The negative evidence lower bound: reconstruction + KL(q(z|x) || p(z)). The paper's equation in section II."""

    def losses(self, vae: VAE, x: Tensor, generator: torch.Generator) -> Losses:
        """Terms "reconstruction", -E_q log p(x|z) with one z per image, and "kl", in closed form."""
        q = vae.encode(x)
        z = draw_latents(q, 1, generator)[0]
        reconstruction = -vae.decode(z).log_prob(x)
        kl = kl_divergence(q, vae.prior)
        return Losses({"reconstruction": reconstruction.mean(), "kl": kl.mean()})
