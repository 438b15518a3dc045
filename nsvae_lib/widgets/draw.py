"""Widget 2, draw anything: does a model that knows clothes notice that this is none?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from .. import plots
from ..data import check_images, to_float
from ..scores import score
from ..vae import VAE
from .base import Binary, Widget
from .weights import rounded

SCORES = {"bpd": "BPD", "kl": "KL"}
BINS = 30
LEVELS = np.linspace(0, 1, 201)


class Draw(Widget):
    """Draw a picture or pick one, and see the scores that several VAEs give it among those of inlier test images.

    Make one with `from_vaes`. A kernel sees what the reader does, and may set it: `picture` (H * W bytes), `alarm` (the
    false-alarm rate, from 0.01 to 0.2); and it sees what comes of it: `scores` (model -> score -> value) and `decoded`
    (model -> H * W bytes, what the model makes of the picture).
    """

    script = "draw"
    title = "Draw anything"

    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # H, W
    images = Binary().tag(sync=True)  # to pick from, uint8 [N, H, W]
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    noise = traitlets.List(traitlets.Float()).tag(sync=True)  # z = mean + scale * noise
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    references = traitlets.Dict().tag(sync=True)  # model -> score -> what `_references` gives
    picture = Binary().tag(sync=True)
    alarm = traitlets.Float(0.05).tag(sync=True)
    scores = traitlets.Dict().tag(sync=True)
    decoded = traitlets.Dict(Binary()).tag(sync=True)

    @classmethod
    def from_vaes(cls, vaes: Mapping[str, VAE], inliers: Tensor, pictures: Mapping[str, Tensor]) -> "Draw":
        """A drawing board for VAEs of grey images that were trained on the same kind of images.

        Args:
            vaes: a short name for each model -> the model; all take images of the same shape and have D latents.
            inliers: test images [N, 1, H, W] of the kind that they were trained on, uint8 or in [0, 1].
            pictures: to pick from, name -> [1, H, W]; the widget starts with the first.

        Raises:
            ValueError: no models or pictures, images that a model cannot take, models that differ in shape or D.
        """
        if not vaes or not pictures:
            raise ValueError(f"expected at least one model and one picture, got {len(vaes)} and {len(pictures)}")
        if len({(vae.shape, vae.latent_dim) for vae in vaes.values()}) > 1:
            raise ValueError(f"expected models alike in shape and latent_dim, got {list(vaes.values())}")
        vae = next(iter(vaes.values()))
        images = torch.stack([to_float(image) for image in pictures.values()])
        grey = (check_images(images, vae.shape, "pictures") * 255).round().to(torch.uint8).cpu()
        # The draw of z that `score` takes for a single image and seed 0.
        noise = torch.randn(1, 1, vae.latent_dim, generator=torch.Generator().manual_seed(0)).flatten()
        board = cls(
            shape=list(vae.shape[1:]),
            images=grey.numpy().tobytes(),
            names=list(pictures),
            models=list(vaes),
            noise=noise.tolist(),
            picture=grey[0].numpy().tobytes(),
        )
        board.use(vaes)
        seen = {name: rounded(vae) for name, vae in vaes.items()}
        board.references = {name: _references(score(vae, inliers)) for name, vae in seen.items()}
        answers = {name: _answer(vae, grey[:1], noise) for name, vae in seen.items()}
        board.scores = {name: scores for name, (scores, _) in answers.items()}
        board.decoded = {name: decoded for name, (_, decoded) in answers.items()}
        return board

    def threshold(self, model: str, name: str) -> float:
        """The score above which a picture is called out of distribution: of the inliers, a share `alarm` is above it.

        Args:
            model: one of the models' names.
            name: "bpd" or "kl".
        """
        return float(np.interp(1 - self.alarm, LEVELS, self.references[model][name]["quantiles"]))

    def still(self) -> Figure:
        """For each model the picture, the model's copy of it, and its two scores on the histograms of the inliers."""
        fig, axes = plots.new_figure(3, len(self.models), height=1.5)
        pixels = np.frombuffer(self.picture, np.uint8).reshape(self.shape)
        for row, model in enumerate(self.models):
            picture, *panels = axes[3 * row :][:3]
            picture.set_axis_off()
            copied = np.frombuffer(self.decoded[model], np.uint8).reshape(self.shape)
            gap = np.full((self.shape[0], 2), 255, np.uint8)
            picture.imshow(np.hstack([pixels, gap, copied]), cmap="gray", vmin=0, vmax=255)
            for ax, (name, label) in zip(panels, SCORES.items(), strict=True):
                reference = self.references[model][name]
                edges = np.linspace(reference["min"], reference["max"], BINS + 1)
                ax.stairs(reference["counts"], edges, fill=True, alpha=0.5)
                ax.axvline(self.threshold(model, name), linestyle="--", color="0.3")
                value = self.scores[model][name]
                ax.axvline(value, color=plots.COLORS[1], linewidth=3)
                ax.set(yticks=[], title=f"{model}: {label} {value:.{_digits(name)}f}, {self._verdict(model, name)}")
                ax.title.set_fontsize(9)
        return fig

    def alt(self) -> str:
        """What the still picture shows."""
        verdicts = "; ".join(
            f"{model}: " + ", ".join(f"{label} {self._verdict(model, name)}" for name, label in SCORES.items())
            for model in self.models
        )
        size = len(self.picture)
        own = {self.images[i * size :][:size]: name for i, name in enumerate(self.names)}
        return (
            f"A drawing board with {own.get(self.picture, 'a drawing')}, its copies by {len(self.models)} models, and "
            f"its scores on histograms of inlier scores. {verdicts}."
        )

    def _verdict(self, model: str, name: str) -> str:
        return "alarm" if self.scores[model][name] > self.threshold(model, name) else "fits in"


def _digits(name: str) -> int:
    return 3 if name == "bpd" else 1


def _references(scores: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    """For each score the histogram and the quantiles of the inliers, with few digits."""
    found = {}
    for name in SCORES:
        values = scores[name].double().numpy()
        counts, edges = np.histogram(values, BINS)
        quantiles = [float(f"{q:.5g}") for q in np.quantile(values, LEVELS)]
        found[name] = {"min": edges[0], "max": edges[-1], "counts": counts.tolist(), "quantiles": quantiles}
    return found


@torch.no_grad()
def _answer(vae: VAE, image: Tensor, noise: Tensor) -> tuple[dict[str, float], bytes]:
    """Scores of one uint8 image [1, 1, H, W], and what the model decodes from the same z, as bytes."""
    q = vae.encode(image.to(vae.device))
    mean = vae.decoder(q.mean + q.stddev * noise.to(vae.device)).sigmoid()
    scores = {name: values.item() for name, values in score(vae, image).items()}
    return scores, (mean * 255).round().to(torch.uint8).cpu().numpy().tobytes()
