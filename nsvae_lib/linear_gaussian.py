"""A latent-variable model in which everything is exact: the yardstick for every estimator. See chapter 1.

p(z) = N(0, I), p(x|z) = N(W z + b, sigma^2 I). Then p(x) and p(z|x) are normal too, with closed forms
(Bishop, "Pattern Recognition and Machine Learning", 2006, section 12.2).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal


@dataclass(frozen=True)
class LinearGaussian:
    """The model x = W z + b + sigma * noise, with z standard normal.

    weight: W, [X, D].
    bias: b, [X].
    sigma: standard deviation of the noise, > 0.

    Raises:
        ValueError: shapes that do not fit each other, sigma <= 0.
    """

    weight: Tensor
    bias: Tensor
    sigma: float

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(
                f"weight must be [X, D] and bias [X], got {list(self.weight.shape)} and {list(self.bias.shape)}"
            )
        if not self.sigma > 0:
            raise ValueError(f"sigma must be positive, got {self.sigma}")

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws of x from p(x): [n, X]."""
        z = torch.randn(n, self.weight.shape[1], generator=generator, dtype=self.weight.dtype)
        noise = torch.randn(n, len(self.bias), generator=generator, dtype=self.weight.dtype)
        return z @ self.weight.T + self.bias + self.sigma * noise

    def log_evidence(self, x: Tensor) -> Tensor:
        """Exact log p(x): [N, X] -> [N], nats. The covariance of x is W W^T + sigma^2 I."""
        identity = torch.eye(len(self.bias), dtype=self.weight.dtype)
        covariance = self.weight @ self.weight.T + self.sigma**2 * identity
        return MultivariateNormal(self.bias, covariance).log_prob(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """Exact p(z|x): [N, X] -> normal [N, D] with covariance (I + W^T W / sigma^2)^-1, the same for every x."""
        identity = torch.eye(self.weight.shape[1], dtype=self.weight.dtype)
        precision = identity + self.weight.T @ self.weight / self.sigma**2
        mean = torch.linalg.solve(precision, self.weight.T @ (x - self.bias).T / self.sigma**2).T
        return MultivariateNormal(mean, precision_matrix=precision)

    def log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x, z) = log p(x|z) + log p(z): x [N, X], z [S, N, D] -> [S, N], nats."""
        log_px_z = Normal(z @ self.weight.T + self.bias, self.sigma).log_prob(x).sum(-1)
        return log_px_z + Normal(0.0, 1.0).log_prob(z).sum(-1)

    def log_weights(
        self, x: Tensor, q: MultivariateNormal, samples: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """log w = log p(x, z) - log q(z), z drawn from q [N, D]: [S, N], nats, for the estimators in `bounds`."""
        noise = torch.randn(samples, *q.mean.shape, generator=generator, dtype=q.mean.dtype)
        z = q.mean + (q.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        return self.log_joint(x, z) - q.log_prob(z)
