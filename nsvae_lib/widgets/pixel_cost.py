"""Widget 3, what a pixel costs: the charges of three noise models, and the floor below which no prediction gets."""

import math

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor, nn

from .. import plots
from ..noise import Bernoulli, ContinuousBernoulli, Gaussian, entropy_floor, pixel_cost
from .base import Widget


class PixelCost(Widget):
    """Move a pixel and its prediction, and see what Bernoulli, Gaussian and continuous Bernoulli charge. See chapter 3.

    A kernel sees what the reader does, and may set it: `x` (the pixel, in [0, 1]), `m` (the prediction, in [0.005,
    0.995]) and `sigma` (of the Gaussian, in [0.1, 1]). A value outside raises a `traitlets.TraitError`.
    """

    script = "pixel_cost"
    title = "What a pixel costs"

    x = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    m = traitlets.Float(0.3, min=0.005, max=0.995).tag(sync=True)
    sigma = traitlets.Float(1.0, min=0.1, max=1).tag(sync=True)

    def noises(self) -> dict[str, nn.Module]:
        """The three noise models, by the names that readers see."""
        return {
            "Bernoulli": Bernoulli(),
            "Gaussian": Gaussian(self.sigma),
            "continuous Bernoulli": ContinuousBernoulli(),
        }

    def charges(self) -> dict[str, float]:
        """What each noise model charges for the pixel at this prediction, in nats."""
        x, m = torch.tensor([self.x, self.m], dtype=torch.float64)
        return {name: pixel_cost(noise.double(), x, m).item() for name, noise in self.noises().items()}

    def still(self) -> Figure:
        """The charges over the prediction and over the pixel, with Bernoulli's floor."""
        fig, (left, right) = plots.new_figure(2, height=3)
        grid, inside = torch.linspace(0, 1, 201), torch.linspace(0.002, 0.998, 499)
        charges = self.charges()
        for ax, xlabel, at in ((left, "prediction m", self.m), (right, "pixel x", self.x)):
            over = inside if ax is left else grid
            plots.lines(over, self._curves(over, ax is left), xlabel=xlabel, ylabel="charge in nats", ax=ax)
            ax.axvline(at, color="0.3", linewidth=1)
            ax.plot([at] * 3, list(charges.values()), "o", color="0.2", markersize=4)
            ax.set_ylim(-2, 3)
        left.set_title(f"pixel x = {self.x:.3g}", fontsize=10)
        right.set_title(f"prediction m = {self.m:.3g}", fontsize=10)
        right.fill_between(grid, entropy_floor(grid[:, None, None, None]), color="0.8")
        return fig

    def _curves(self, over: Tensor, predictions: bool) -> dict[str, Tensor]:
        """The charges over predictions for the pixel as it stands, or over pixels for the prediction as it stands."""
        x, m = torch.tensor(self.x), torch.tensor(self.m)
        x, m = (x, over) if predictions else (over, m)
        return {name: pixel_cost(noise, x, m) for name, noise in self.noises().items()}

    def alt(self) -> str:
        """What the still picture shows."""
        charged = ", ".join(f"{name} {nats:.2f}" for name, nats in self.charges().items())
        floor = entropy_floor(torch.full((1, 1, 1, 1), self.x)).item()
        return (
            f"What a pixel of value {self.x:.3g} costs at prediction {self.m:.3g}, in nats: {charged}. Two plots show "
            "the charges over the prediction and over the pixel; in the second Bernoulli's straight line touches the "
            f"arch of the entropy floor, which is {floor:.2f} nats ({floor / math.log(2):.2f} bits) at this pixel."
        )
