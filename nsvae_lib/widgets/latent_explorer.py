"""Widget 1, the latent explorer: a picture's posterior, z, and what the decoder makes of it."""

from collections.abc import Sequence

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Normal

from .. import plots
from ..bounds import kl_divergence
from ..data import check_images, to_float
from ..vae import VAE
from .base import Binary, Widget
from .weights import rounded


class LatentExplorer(Widget):
    """Move z, or the posterior q(z|x) itself, and see the decoded image, log p(x|z), the KL terms and BPD answer.

    Make one with `from_vae`. A kernel sees what the reader does, and may set it: `picked` (index of the image), `mean`
    and `scale` (of q, D numbers each) and `z` (D numbers).
    """

    script = "latent_explorer"
    title = "Latent explorer"

    images = Binary().tag(sync=True)  # uint8 [N, H, W]
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shift = traitlets.Float(None, allow_none=True).tag(sync=True)
    picked = traitlets.Int(0).tag(sync=True)
    mean = traitlets.List(traitlets.Float()).tag(sync=True)
    scale = traitlets.List(traitlets.Float()).tag(sync=True)
    z = traitlets.List(traitlets.Float()).tag(sync=True)

    @classmethod
    def from_vae(
        cls,
        vae: VAE,
        images: Tensor,
        names: Sequence[str] | None = None,
        shift: float | None = None,
        picked: int = 0,
    ) -> "LatentExplorer":
        """An explorer of a VAE on some images.

        Args:
            vae: a VAE for grey images.
            images: to choose from, [N, 1, H, W], uint8 or in [0, 1].
            names: a word or two for each image, which screen readers say; default: "image 1", "image 2", ...
            shift: of the negative prior N(s, 1), which is then shown too; None shows the prior alone.
            picked: index of the image to start with.

        Raises:
            ValueError: images that the VAE cannot take, another number of names, a VAE that widgets cannot compute.
        """
        x = to_float(check_images(images, vae.shape))
        names = list(names or (f"image {i + 1}" for i in range(len(x))))
        if len(names) != len(x):
            raise ValueError(f"names: expected one for each of {len(x)} images, got {len(names)}")
        seen = rounded(vae)
        with torch.no_grad():
            q = seen.encode(x[picked][None].to(vae.device))
        mean = q.mean[0].tolist()
        explorer = cls(
            images=(x * 255).round().to(torch.uint8).cpu().numpy().tobytes(),
            names=names,
            shift=shift,
            picked=picked,
            mean=mean,
            scale=q.stddev[0].tolist(),
            z=mean,
        )
        explorer.use({"vae": vae})
        explorer._vae = seen
        return explorer

    def _picked(self) -> Tensor:
        """The picked image [1, 1, H, W] in [0, 1]."""
        size = len(self.images) // len(self.names)
        pixels = self.images[self.picked * size :][:size]
        return to_float(torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(1, *self._vae.shape))

    def still(self) -> Figure:
        """The picked image, its posterior in each dimension, and what z is decoded to."""
        with torch.no_grad():
            decoded = self._vae.decode(torch.tensor(self.z)[None].to(self._vae.device)).mean.cpu()
        fig = plots.vae_diagram(self._picked()[0], self._q(), decoded[0])
        if self.shift is not None:
            ax = fig.axes[1]
            ax.axvspan(self.shift - 1, self.shift + 1, facecolor="none", edgecolor="0.7", hatch="///")
            ax.annotate("negative prior", (self.shift, -0.9), ha="center", va="center", fontsize=9)
            ax.set_xlim(-3.5, self.shift + 3.5)
        return fig

    def alt(self) -> str:
        """What the still picture shows."""
        prior = Normal(torch.zeros(len(self.z)), torch.ones(len(self.z)))
        return (
            f"{self.names[self.picked]}: the image, its posterior in each of {len(self.z)} dimensions, "
            f"{kl_divergence(self._q(), prior).item():.0f} nats from the prior, and the image that z is decoded to."
        )

    def _q(self) -> Normal:
        """The posterior as it stands, [D]."""
        return Normal(torch.tensor(self.mean), torch.tensor(self.scale))
