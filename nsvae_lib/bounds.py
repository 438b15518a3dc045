"""Estimators of log p(x) from log-weights, always in log space. Explained in chapter 1.

A log-weight is log w = log p(x, z) - log q(z|x) for one z drawn from q(z|x). Log-weights are [S, N], in nats: S samples
for each of N images.
"""

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from .data import to_float
from .vae import VAE


def kl_divergence(q: Normal, p: Normal) -> Tensor:
    """KL(q || p) between normals with independent dimensions, summed over the last one: [..., D] -> [...], nats, >= 0.

    Equation: sum_d log(s_p / s_q) + (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2 (Kingma and Welling, 2014, appendix B).
    """
    return torch.distributions.kl_divergence(q, p).sum(-1)


def draw_latents(q: Normal, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """z = mean + std * noise, the reparametrised sample: Normal [N, D] -> [S, N, D]; gradients reach q."""
    noise = torch.randn(samples, *q.mean.shape, generator=generator, device=q.mean.device)
    return q.mean + q.stddev * noise


def log_weights(
    vae: VAE, x: Tensor, samples: int, generator: torch.Generator | None = None, q: Normal | None = None
) -> Tensor:
    """log w = log p(x|z) + log p(z) - log q(z), z from q: images [N, C, H, W] -> [S, N], nats.

    Args:
        vae: the model.
        x: images, uint8 or in [0, 1].
        samples: S, draws of z per image; >= 1.
        generator: source of the draws, on the model's device; default: PyTorch's own.
        q: Normal [N, D], one for each image; default: the encoder's posterior q(z|x).

    Raises:
        ValueError: samples < 1, images that this VAE cannot take.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    q = q or vae.encode(x)
    z = draw_latents(q, samples, generator)
    return vae.decode(z).log_prob(to_float(x.to(vae.device))) + vae.prior.log_prob(z).sum(-1) - q.log_prob(z).sum(-1)


@torch.enable_grad()
def refit_posterior(
    vae: VAE,
    x: Tensor,
    steps: int = 300,
    lr: float = 0.05,
    generator: torch.Generator | None = None,
    start: Normal | None = None,
) -> Normal:
    """The posterior fitted to each image by itself: the ELBO is maximised over mean and scale, the decoder fixed.

    What the ELBO gains by it is the encoder's amortisation gap (Cremer, Li and Duvenaud, 2018), as far as the steps
    find it. See chapters 4 and 5.

    Args:
        vae: the model, in evaluation mode if it has batch norm; its parameters do not change.
        x: images [N, C, H, W], uint8 or in [0, 1].
        steps: of Adam, each with one draw of z per image.
        lr: its learning rate.
        generator: source of the draws, on the model's device; default: PyTorch's own.
        start: Normal [N, D] to begin from; default: the encoder's posterior q(z|x).

    Returns:
        Normal [N, D]; pass it as `q` to `log_weights`.
    """
    x, start = to_float(x.to(vae.device)), start or vae.encode(x)
    mean, log_std = (t.detach().clone().requires_grad_() for t in (start.mean, start.stddev.log()))
    optimizer = torch.optim.Adam([mean, log_std], lr)
    for _ in range(steps):
        q = Normal(mean, log_std.exp(), validate_args=False)
        z = draw_latents(q, 1, generator)[0]
        loss = (kl_divergence(q, vae.prior) - vae.decode(z).log_prob(x)).sum()
        mean.grad, log_std.grad = torch.autograd.grad(loss, (mean, log_std))
        optimizer.step()
    return Normal(mean.detach(), log_std.detach().exp(), validate_args=False)


def elbo(log_w: Tensor) -> Tensor:
    """Evidence lower bound, the mean log-weight: [S, N] -> [N], nats. In expectation <= log p(x)."""
    return log_w.mean(0)


def iwae(log_w: Tensor) -> Tensor:
    """log of the mean weight of K = S samples: [S, N] -> [N], nats. In expectation ELBO <= IWAE_K <= log p(x).

    Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, equation 8.
    """
    return log_w.logsumexp(0) - math.log(log_w.shape[0])


def eubo(log_w: Tensor) -> Tensor:
    """Self-normalised estimate of the evidence upper bound, sum_k u_k log w_k with u = softmax(log w): [S, N] -> [N].

    In nats. The paper's EUBO is E_{p(z|x)}[log w] >= log p(x) (section III-B; Ji and Shen, 2019); samples of q stand
    in for the posterior, weighted by u. Exactly: EUBO_K - IWAE_K = log K - H(u), between 0 and log K, so it is never
    below IWAE_K; but for finite K it can be below log p(x) (chapter 5).
    """
    return (log_w.softmax(0) * log_w).sum(0)


def cubo(log_w: Tensor, n: float = 2.0) -> Tensor:
    """chi upper bound of order n, log E_q[w^n] / n estimated from S samples: [S, N] -> [N], nats; n >= 1.

    Source: Dieng et al., "Variational inference via chi upper bound minimization", 2017. The estimate is biased
    downwards, so for finite S it can be below log p(x). At n = 1 it is IWAE.

    Raises:
        ValueError: n < 1.
    """
    if n < 1:
        raise ValueError(f"the order n must be at least 1, got {n}")
    return ((n * log_w).logsumexp(0) - math.log(log_w.shape[0])) / n


def effective_sample_size(log_w: Tensor) -> Tensor:
    """1 / sum_k u_k^2 with u = softmax(log w): [S, N] -> [N], in [1, S]; how many samples carry the estimate."""
    return 1 / log_w.softmax(0).square().sum(0)


def expected_w_log_w(log_w: Tensor) -> Tensor:
    """E_q[w log w], the upper-bound loss as the paper prints it (section III-B): [S, N] -> [N]. Not for training.

    It equals p(x) EUBO(x), not EUBO(x). For nearly all images log w is below -104, where in float32 value and gradient
    are zero (chapter 5). The one quantity here that leaves log space, because the printed formula does.
    """
    return (log_w.exp() * log_w).mean(0)


def bits_per_dim(log_likelihood: Tensor, shape: tuple[int, ...]) -> Tensor:
    """-log p(x) / (dim(x) log 2): nats per image [N] -> bits per dimension [N]; the paper's BPD, section IV."""
    return -log_likelihood / (math.prod(shape) * math.log(2))
