"""Noise models p(x|z): what the decoder's output says about a pixel. Explained in chapter 3.

A noise model turns the decoder's raw output, the `logits` [..., N, C, H, W], into a distribution over images.
Its `log_prob(x)` is in nats per image, [..., N]: the sum over the C*H*W pixels, every constant included.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, distributions, nn
from torch.distributions import Independent
from torch.nn import functional as F

from .data import check_images, to_float

IMAGE_DIMS = 3


class Bernoulli(nn.Module):
    """Each pixel is a coin that shows white with probability sigmoid(logit).

    `log_prob` accepts grey values x in [0, 1] as targets: x log m + (1 - x) log(1 - m). For x strictly between 0 and 1
    this is a cross-entropy and not a normalised density (chapter 3); the paper uses it all the same.
    """

    name = "bernoulli"

    def forward(self, logits: Tensor) -> Independent:
        """logits [..., N, C, H, W] -> distribution over images; its mean is sigmoid(logits)."""
        return Independent(distributions.Bernoulli(logits=logits, validate_args=False), IMAGE_DIMS)


class Gaussian(nn.Module):
    """Each pixel is Normal(sigmoid(logit), sigma), one sigma for all pixels. The paper: sigma = 1, fixed.

    Args:
        sigma: standard deviation (its initial value if `learned`), on the pixel scale [0, 1]; > 0.
        learned: whether sigma is a parameter, trained with the decoder.
    """

    log_sigma: Tensor

    def __init__(self, sigma: float = 1.0, learned: bool = False):
        super().__init__()
        if not (math.isfinite(sigma) and sigma > 0):
            raise ValueError(f"sigma must be a positive number, got {sigma}")
        self.name = "gaussian-learned" if learned else "gaussian"
        log_sigma = torch.tensor(math.log(sigma))
        if learned:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma)

    def extra_repr(self) -> str:
        """The fixed sigma, or that it is learned."""
        return "learned" if self.log_sigma.requires_grad else f"sigma={self.sigma.item():g}"

    @property
    def sigma(self) -> Tensor:
        """The standard deviation, a scalar tensor."""
        return self.log_sigma.exp()

    def forward(self, logits: Tensor) -> Independent:
        """logits [..., N, C, H, W] -> distribution over images; its mean is sigmoid(logits)."""
        return Independent(distributions.Normal(logits.sigmoid(), self.sigma, validate_args=False), IMAGE_DIMS)


class ContinuousBernoulli(nn.Module):
    """Bernoulli's cross-entropy made a density on [0, 1]: it adds log C(m), the missing constant, for each pixel.

    Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli", 2019. The mean of the distribution is not
    sigmoid(logit), but somewhere between that and 1/2.
    """

    name = "continuous-bernoulli"

    def forward(self, logits: Tensor) -> Independent:
        """logits [..., N, C, H, W] -> distribution over images."""
        return Independent(_ContinuousBernoulli(logits=logits, validate_args=False), IMAGE_DIMS)


class _ContinuousBernoulli(distributions.ContinuousBernoulli):
    """torch's distribution with `log_prob` and `mean` from the logits: it clamps probabilities, which costs digits."""

    @property
    def mean(self) -> Tensor:
        """1 / (1 - exp(-l)) - 1 / l, in (0, 1); 1/2 at l = 0."""
        near_zero = self.logits.abs() < 0.1
        size = torch.where(near_zero, torch.ones_like(self.logits), self.logits).abs()
        exact = 1 / (1 - torch.exp(-size)) - 1 / size
        series = 0.5 + self.logits / 12 - self.logits**3 / 720
        return torch.where(near_zero, series, torch.where(self.logits < 0, 1 - exact, exact))

    def log_prob(self, value: Tensor) -> Tensor:
        cross_entropy = F.binary_cross_entropy_with_logits(self.logits, value.expand_as(self.logits), reduction="none")
        return log_normaliser(self.logits) - cross_entropy


def log_normaliser(logits: Tensor) -> Tensor:
    """log C(m) of the continuous Bernoulli, m = sigmoid(l), elementwise: C = l / tanh(l / 2); log 2 at l = 0.

    From C(m) = 2 artanh(1 - 2m) / (1 - 2m), since 1 - 2m = -tanh(l / 2).
    """
    near_zero = logits.abs() < 0.1
    # Where the series is used, the other branch gets a harmless value: its gradient at 0 would be 0/0.
    safe = torch.where(near_zero, torch.ones_like(logits), logits).abs()
    exact = safe.log() - torch.tanh(safe / 2).log()
    squared = logits.square()
    series = math.log(2) + squared / 12 - 7 * squared.square() / 1440
    return torch.where(near_zero, series, exact)


def pixel_cost(noise: nn.Module, x: Tensor, m: Tensor) -> Tensor:
    """-log p(x | logit(m)), nats: what a noise model charges for single pixels x when the decoder's sigmoid says m.

    x and m, both in [0, 1], are broadcast against each other; the result has their common shape. At m of exactly 0
    or 1 the cost may be infinite.
    """
    x, m = torch.broadcast_tensors(x, m)
    return -noise(m.logit()[..., None, None, None]).log_prob(x[..., None, None, None])


def entropy_floor(images: Tensor) -> Tensor:
    """The least that `Bernoulli` can charge for images, whatever the decoder says: [N, C, H, W] -> [N], nats, >= 0.

    The sum over pixels of H(x) = -x log x - (1 - x) log(1 - x), the cost of a perfect prediction. It is 0 for black and
    white pixels and log 2 for mid-grey ones.

    Args:
        images: uint8 or in [0, 1].

    Raises:
        ValueError: anything else, see `data.check_images`.
    """
    x = to_float(check_images(images))
    return (torch.special.entr(x) + torch.special.entr(1 - x)).flatten(1).sum(1)


NOISE_MODELS: dict[str, Callable[[], nn.Module]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "gaussian-learned": lambda: Gaussian(learned=True),
    "continuous-bernoulli": ContinuousBernoulli,
}


def make_noise(noise: str | nn.Module) -> nn.Module:
    """The noise model of that name; a module is returned as it is.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if isinstance(noise, nn.Module):
        return noise
    if noise not in NOISE_MODELS:
        raise ValueError(f"unknown noise model {noise!r}; known: {', '.join(NOISE_MODELS)}")
    return NOISE_MODELS[noise]()
