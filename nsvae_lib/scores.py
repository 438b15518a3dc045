"""Scores for out-of-distribution detection: one number per image, **higher = more OOD**, always. See chapter 2."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Normal

from .bounds import bits_per_dim, elbo, iwae, kl_divergence, refit_posterior
from .data import check_images, to_float
from .vae import VAE

SCORES = ("bpd", "kl", "reconstruction", "iwae_bpd")


@torch.no_grad()
def score(
    vae: VAE,
    images: Tensor,
    which: Sequence[str] = ("bpd", "kl"),
    *,
    samples: int = 1,
    seed: int = 0,
    batch_size: int = 500,
) -> dict[str, Tensor]:
    """Score images with a trained VAE.

    Args:
        vae: the model; it is used where it is (`vae.device`) and its training mode is kept.
        images: [N, C, H, W], uint8 or in [0, 1].
        which: any of
            "bpd": -ELBO in bits per dimension, the KL in closed form, E_q log p(x|z) from `samples` draws of z;
            "kl": KL(q(z|x) || p(z)) in nats, >= 0;
            "reconstruction": -E_q log p(x|z) in nats, from `samples` draws of z;
            "iwae_bpd": -IWAE_K in bits per dimension, with K = `samples`.
        samples: draws of z per image; the paper: 1.
        seed: fixes the draws.
        batch_size: images at a time; it changes memory use, not the draws.

    Returns:
        For each name in `which` a float tensor [N] on the CPU; higher = more OOD.

    Raises:
        ValueError: an unknown score or none, samples < 1, images that this VAE cannot take.
    """
    if isinstance(which, str):
        raise ValueError(f"which: expected a sequence of names, got the string {which!r}; write [{which!r}]")
    unknown = [name for name in which if name not in SCORES]
    if unknown or not which:
        raise ValueError(f"unknown scores {unknown}; known: {', '.join(SCORES)}")
    if samples < 1 or batch_size < 1:
        raise ValueError(f"samples and batch_size must be at least 1, got {samples} and {batch_size}")
    images = check_images(images, vae.shape)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(images), samples, vae.latent_dim, generator=generator, device="cpu")
    was_training = vae.training
    vae.eval()
    parts: list[dict[str, Tensor]] = []
    for x, batch_noise in zip(images.split(batch_size), noise.split(batch_size), strict=True):
        parts.append(_score_batch(vae, to_float(x.to(vae.device)), batch_noise.to(vae.device)))
    vae.train(was_training)
    return {name: torch.cat([part[name] for part in parts]) for name in which}


def _score_batch(vae: VAE, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """All scores of images x [N, C, H, W] for standard normal noise [N, S, D]."""
    q = vae.encode(x)
    kl = kl_divergence(q, vae.prior)
    z = q.mean + q.stddev * noise.transpose(0, 1)
    log_px_z = torch.stack([vae.decode(z_s).log_prob(x) for z_s in z])  # [S, N]; one s at a time bounds memory
    log_w = log_px_z + vae.prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)
    reconstruction = -elbo(log_px_z)
    scores = {
        "bpd": bits_per_dim(-reconstruction - kl, vae.shape),
        "kl": kl,
        "reconstruction": reconstruction,
        "iwae_bpd": bits_per_dim(iwae(log_w), vae.shape),
    }
    return {name: value.cpu() for name, value in scores.items()}


def likelihood_regret(
    vae: VAE,
    images: Tensor,
    *,
    steps: int = 50,
    lr: float = 0.1,
    samples: int = 32,
    seed: int = 0,
    batch_size: int = 100,
) -> Tensor:
    """What an image's ELBO gains when q is fitted to that image alone. Explained in chapter 10.

    Never negative if the refit finds the best q and the ELBO is known exactly; here both are approximate, and both
    ELBOs are estimated from the same draws. It costs `steps` passes forward and backward through the decoder.

    Source: Xiao, Yan and Amit, "Likelihood regret", 2020. In their code a copy of the encoder is trained on the image
    and the bound is IWAE; here q's mean and scale are, and it is the ELBO.

    Args:
        vae: the model; it is used where it is (`vae.device`), its parameters do not change and its training mode is
            kept.
        images: [N, C, H, W], uint8 or in [0, 1].
        steps, lr: of the refit, see `bounds.refit_posterior`.
        samples: draws of z per image for the ELBO.
        seed: fixes all draws, for the same batch_size.
        batch_size: images at a time.

    Returns:
        Float tensor [N] in nats, on the CPU; higher = more OOD.

    Raises:
        ValueError: steps, samples or batch_size < 1, images that this VAE cannot take.
    """
    if min(steps, samples, batch_size) < 1:
        raise ValueError(f"steps, samples and batch_size must be at least 1, got {steps}, {samples} and {batch_size}")
    images = check_images(images, vae.shape)
    generator = torch.Generator(vae.device).manual_seed(seed)
    was_training = vae.training
    vae.eval()
    regrets: list[Tensor] = []
    for batch in images.split(batch_size):
        x = to_float(batch.to(vae.device))
        refitted = refit_posterior(vae, x, steps, lr, generator)
        noise = torch.randn(samples, *refitted.mean.shape, generator=generator, device=vae.device)
        regrets.append((_elbo(vae, x, refitted, noise) - _elbo(vae, x, vae.encode(x), noise)).cpu())
    vae.train(was_training)
    return torch.cat(regrets)


@torch.no_grad()
def _elbo(vae: VAE, x: Tensor, q: Normal, noise: Tensor) -> Tensor:
    """ELBO of images x [N, C, H, W] under q [N, D], the KL in closed form: [N], nats; noise is [S, N, D]."""
    log_px_z = torch.stack([vae.decode(z).log_prob(x) for z in q.mean + q.stddev * noise])
    return elbo(log_px_z) - kl_divergence(q, vae.prior)
