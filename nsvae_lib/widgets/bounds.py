"""Widget 5, the bounds sandwich: which of these numbers bound log p(x), when, and how far off are they?"""

import math

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from .. import plots
from ..bounds import cubo, effective_sample_size, eubo, iwae
from ..linear_gaussian import LinearGaussian
from .base import Widget

DRAWS = 2**16
NATS = 3.0  # how far the line reaches to both sides of log p(x)


class Bounds(Widget):
    """Move q in a model with one latent dimension, whose log p(x) is known, and see where the bounds of log p(x) go.

    Make one with `from_model`. A kernel sees what the reader does, and may set it: `mean` and `scale` of q, `samples`
    (K, a power of two up to 256) and `seed` (of the draws).
    """

    script = "bounds"
    title = "Bounds sandwich"

    weight = traitlets.Float(1).tag(sync=True)  # p(x|z) = N(weight z + bias, sigma^2)
    bias = traitlets.Float(0).tag(sync=True)
    sigma = traitlets.Float(1).tag(sync=True)
    x = traitlets.Float(0).tag(sync=True)
    draws = traitlets.Int(DRAWS).tag(sync=True)
    mean = traitlets.Float(0).tag(sync=True)
    scale = traitlets.Float(1).tag(sync=True)
    samples = traitlets.Int(4).tag(sync=True)
    seed = traitlets.Int(1).tag(sync=True)

    @classmethod
    def from_model(cls, model: LinearGaussian, x: float, q: Normal | None = None, samples: int = 4) -> "Bounds":
        """The sandwich of one observation.

        Args:
            model: with one latent and one observed dimension.
            x: the observation.
            q: one number to start with for mean and scale; default: the prior.
            samples: K to start with, a power of two from 1 to 256.

        Raises:
            ValueError: a model of more dimensions, another K.
        """
        if model.weight.shape != (1, 1):
            raise ValueError(f"expected a model with weight [1, 1], got {list(model.weight.shape)}")
        if samples not in (allowed := [2**k for k in range(9)]):
            raise ValueError(f"samples: expected one of {allowed}, got {samples}")
        q = q or Normal(0.0, 1.0)
        return cls(
            weight=model.weight.item(),
            bias=model.bias.item(),
            sigma=model.sigma,
            x=x,
            mean=round(q.mean.item(), 6),
            scale=round(q.stddev.item(), 6),
            samples=samples,
        )

    @property
    def model(self) -> LinearGaussian:
        """The model, in double precision."""
        weight, bias = (torch.tensor([value], dtype=torch.float64) for value in (self.weight, self.bias))
        return LinearGaussian(weight[None], bias, self.sigma)

    def gaps(self) -> dict[str, float]:
        """How far each bound lies above log p(x), in nats: exactly for "ELBO", "EUBO" and "CUBO" (of order 2, may be
        infinite), and as a mean over `draws` / K estimates from K samples for "IWAE_K", "EUBO_K" and "CUBO_K"."""
        posterior, q = self._normals()
        found = {"CUBO": _cubo_gap(q, posterior), "EUBO": kl_divergence(posterior, q).item()}
        log_w = self._log_weights() - self._log_evidence()
        estimates = {"CUBO_K": cubo(log_w), "EUBO_K": eubo(log_w), "IWAE_K": iwae(log_w)}
        found |= {name: values.mean().item() for name, values in estimates.items()}
        return found | {"ELBO": -kl_divergence(q, posterior).item()}

    def ess(self) -> float:
        """Mean effective sample size of K samples, in [1, K]."""
        return effective_sample_size(self._log_weights()).mean().item()

    def _log_evidence(self) -> float:
        return self.model.log_evidence(torch.tensor([[self.x]], dtype=torch.float64)).item()

    def _normals(self) -> tuple[Normal, Normal]:
        """The posterior and q, of one number each."""
        posterior = self.model.posterior(torch.tensor([[self.x]], dtype=torch.float64))
        q = Normal(*torch.tensor([self.mean, self.scale], dtype=torch.float64))
        return Normal(posterior.mean.squeeze(), posterior.stddev.squeeze()), q

    def _log_weights(self) -> Tensor:
        """[K, draws / K], the draws in the order in which the page takes them."""
        _, q = self._normals()
        z = q.mean + q.stddev * standard_normals(self.seed, self.draws).view(-1, self.samples).T
        x = torch.full((z.shape[1], 1), self.x, dtype=torch.float64)
        return self.model.log_joint(x, z[..., None]) - q.log_prob(z)

    def still(self) -> Figure:
        """Posterior and q, and the bounds on a line."""
        fig, (left, right) = plots.new_figure(2, height=2.8)
        posterior, q = self._normals()
        z = torch.linspace(-3, 4, 281, dtype=torch.float64)
        prior = Normal(torch.zeros_like(z), 1.0)
        named = {"q": q, "posterior": posterior, "prior": prior}
        curves = {name: p.log_prob(z).exp() for name, p in named.items()}
        plots.lines(z, curves, xlabel="z", ylabel="density", ax=left)
        gaps = {name: gap for name, gap in self.gaps().items() if math.isfinite(gap)}
        right.axvline(0, color="0.3", linestyle="--")
        right.plot(list(gaps.values()), list(gaps), "o", color=plots.COLORS[0])
        right.set(xlabel="nats above log p(x)", title=f"K = {self.samples}", xlim=(-NATS, NATS))
        right.invert_yaxis()
        return fig

    def alt(self) -> str:
        """What the still picture shows."""
        gaps = ", ".join(f"{name} {gap:+.2f}" for name, gap in self.gaps().items())
        return (
            f"The densities of prior, posterior and q over z, and bounds of log p(x) on a line, "
            f"in nats above log p(x), for K = {self.samples} samples: {gaps}."
        )


def _cubo_gap(q: Normal, posterior: Normal) -> float:
    """log E_q[(posterior / q)^2] / 2 in nats, infinite where q is narrower than sqrt(1/2) posteriors."""
    spread = (2 * q.variance - posterior.variance).item()
    if spread <= 0:
        return math.inf
    log_ratio = (q.variance / posterior.stddev).log().item() - math.log(spread) / 2
    return (log_ratio + (q.mean - posterior.mean).item() ** 2 / spread) / 2


def standard_normals(seed: int, n: int) -> Tensor:
    """The first n numbers of the engine's `normalSampler(seed)`, float64 [n]: mulberry32, then Box and Muller."""
    state = (np.uint64(seed) + np.arange(1, 2 * n + 1, dtype=np.uint64) * np.uint64(0x6D2B79F5)).astype(np.uint32)
    t = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
    t ^= t + (t ^ (t >> np.uint32(7))) * (t | np.uint32(61))
    uniform = (t ^ (t >> np.uint32(14))) / 2.0**32
    return torch.from_numpy(np.sqrt(-2 * np.log(1 - uniform[::2])) * np.cos(2 * np.pi * uniform[1::2]))
