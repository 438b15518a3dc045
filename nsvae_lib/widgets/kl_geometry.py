"""Widget 4, KL geometry: two normal distributions to drag and stretch, and how far they are from each other."""

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from torch.distributions import Normal

from .. import plots
from ..bounds import kl_divergence
from .base import Widget


class KLGeometry(Widget):
    """Drag and stretch two normals q and p, and see KL(q || p), KL(p || q) and the closed form. See chapter 4.

    A kernel sees what the reader does, and may set it: `q_mean` and `p_mean` (in [-2, 10]), `q_scale` and `p_scale`
    (standard deviations, in [0.1, 3]), `dims` (D, in how many dimensions q and p stand beside each other like this, in
    [1, 100]) and `backwards` (whether KL(p || q) is drawn and spelt out). A value outside raises a
    `traitlets.TraitError`.
    """

    script = "kl_geometry"
    title = "KL geometry"

    q_mean = traitlets.Float(3.0, min=-2, max=10).tag(sync=True)
    q_scale = traitlets.Float(0.5, min=0.1, max=3).tag(sync=True)
    p_mean = traitlets.Float(0.0, min=-2, max=10).tag(sync=True)
    p_scale = traitlets.Float(1.0, min=0.1, max=3).tag(sync=True)
    dims = traitlets.Int(10, min=1, max=100).tag(sync=True)
    backwards = traitlets.Bool(False).tag(sync=True)

    def divergences(self) -> tuple[float, float]:
        """KL(q || p) and KL(p || q) over all D dimensions, in nats."""
        q, p = self._normals(self.dims)
        return kl_divergence(q, p).item(), kl_divergence(p, q).item()

    def _normals(self, dims: int) -> tuple[Normal, Normal]:
        q, p = (
            Normal(torch.full((dims,), mean, dtype=torch.float64), torch.full((dims,), scale, dtype=torch.float64))
            for mean, scale in ((self.q_mean, self.q_scale), (self.p_mean, self.p_scale))
        )
        return q, p

    def still(self) -> Figure:
        """The two densities, and the curve whose area is the divergence in one dimension."""
        fig, (left, right) = plots.new_figure(2, height=2.8)
        z = torch.linspace(-7, 15, 881, dtype=torch.float64)
        q, p = (normal.log_prob(z) for normal in self._normals(1))
        plots.lines(z, {"q": q.exp(), "p": p.exp()}, xlabel="z", ylabel="density", ax=left)
        name, first, second = ("KL(p‖q)", p, q) if self.backwards else ("KL(q‖p)", q, p)
        area = (first.exp() * (first - second)).numpy()
        right.fill_between(z, np.maximum(area, 0), color=plots.COLORS[0], alpha=0.5, linewidth=0)
        right.fill_between(z, np.minimum(area, 0), color=plots.COLORS[1], alpha=0.5, linewidth=0, hatch="///")
        right.set(xlabel="z", title=f"area: {name} in one dimension")
        right.title.set_fontsize(10)
        return fig

    def alt(self) -> str:
        """What the still picture shows."""
        forwards, backwards = self.divergences()
        return (
            f"Densities of q, a normal with mean {self.q_mean:.3g} and standard deviation {self.q_scale:.3g}, and of "
            f"p, with {self.p_mean:.3g} and {self.p_scale:.3g}, and the curve whose area is the divergence. In "
            f"{self.dims} dimensions KL(q‖p) is {forwards:.1f} nats and KL(p‖q) {backwards:.1f}."
        )
