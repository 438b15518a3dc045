"""From scores to verdicts: a trained VAE together with the scores of held-out inliers. Explained in chapter 11.

A score alone says nothing: is a KL of 30 nats much? Held-out inliers, which the model has not been trained on, tell
what is usual. A new image is flagged if hardly any of them scores as high.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta
from torch import Tensor

from .data import check_images, digest
from .scores import score
from .vae import VAE

SCORES = ("bpd", "kl")
CRITERIA = (*SCORES, "either")
JUDGED = ("percentile", "excess", "flagged")


def threshold(held_out: ArrayLike, rate: float) -> float:
    """The score above which to flag, so that a new inlier is flagged with a probability of at most `rate`.

    It is the k-th smallest of the n scores of held-out inliers, k = ceil((n + 1)(1 - rate)). The probability is over
    the choice of the held-out inliers too: the new one is as likely to take each of the n + 1 places among them.
    (Split conformal prediction; Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005.)

    Args:
        held_out: scores [n], higher = more OOD.
        rate: false-alarm rate, between 0 and 1.

    Raises:
        ValueError: a rate out of range, or fewer held-out inliers than it needs, which is 1 / rate - 1.
    """
    ordered = np.sort(np.asarray(held_out, dtype=np.float64).ravel())
    return float(ordered[_rank(len(ordered), rate) - 1])


def false_alarm_interval(n: int, rate: float) -> tuple[float, float]:
    """What share of new inliers a `threshold` may really flag: with 95 % probability it lies between these two.

    The threshold comes from n held-out inliers, and other ones would have given another. The share that it flags of
    all inliers to come follows a beta distribution with parameters n + 1 - k and k, whatever the scores (as long as
    no two are equal).

    Raises:
        ValueError: as `threshold`.
    """
    k = _rank(n, rate)
    low, high = beta.interval(0.95, n + 1 - k, k)
    return float(low), float(high)


def percentile(held_out: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """How many of 100 held-out inliers [n] score lower than each score [N]: -> [N], 0 to 100."""
    ordered = np.sort(np.asarray(held_out, dtype=np.float64).ravel())
    return 100 * np.searchsorted(ordered, np.asarray(scores, dtype=np.float64), side="left") / len(ordered)


@dataclass(frozen=True, eq=False)
class Detector:
    """A trained VAE that knows how usual inliers score.

    Attributes:
        vae: the model.
        held_out: score ("bpd", "kl") -> its values [n] for inliers that the model was not trained on.
        trained_on: fingerprints of the training images, so that they are not taken for new ones.
    """

    vae: VAE
    held_out: Mapping[str, Tensor]
    trained_on: frozenset[str] = frozenset()

    @classmethod
    def calibrate(cls, vae: VAE, held_out: Tensor, trained_on: Tensor | None = None) -> "Detector":
        """A detector from a trained VAE.

        Args:
            vae: the model.
            held_out: inliers [n, C, H, W] that are not among the training images.
            trained_on: the training images.

        Raises:
            ValueError: images that the VAE cannot take, no held-out image that it was not trained on, or a model
                whose scores are not finite.
        """
        known = frozenset() if trained_on is None else frozenset(_fingerprints(trained_on))
        fresh = torch.tensor([f not in known for f in _fingerprints(check_images(held_out, vae.shape, "held_out"))])
        if not fresh.any():
            raise ValueError("every held-out image is a training image too: there is nothing to calibrate with")
        scores = score(vae, held_out[fresh], SCORES)
        if not all(values.isfinite().all() for values in scores.values()):
            raise ValueError("the model gives held-out images scores that are not finite: train it anew, more gently")
        return cls(vae, scores, known)

    def judge(self, images: Tensor, rate: float = 0.05, by: str = "either") -> pd.DataFrame:
        """Scores and a verdict for each image.

        BPD comes from one random draw of z per image, so its last digits change with the image's place among them.

        Args:
            images: [N, C, H, W], uint8 or in [0, 1].
            rate: false-alarm rate, the probability that a new inlier is flagged, at most.
            by: the score that decides, "bpd" or "kl"; "either" flags what one of them flags, each at half the rate,
                since two chances of a false alarm make up to twice as many.

        Returns:
            One row per image: `bpd` (bits per dimension), `kl` (nats), `percentile` (of the deciding score among
            held-out inliers, 0 to 100), `excess` (how far the deciding score is above the mean of held-out inliers, in
            their standard deviations, for an order among those at 100), `flagged`. With "either", percentile and
            excess are the higher ones of the two scores.

        Raises:
            ValueError: an unknown criterion; images that the model cannot take; too few held-out inliers for the rate.
        """
        thresholds = self.thresholds(rate, by)
        scores = score(self.vae, images, SCORES)
        parts = []
        for name, limit in thresholds.items():
            usual, found = self.held_out[name], scores[name]
            excess = (found - usual.mean()) / usual.std().clamp(min=torch.finfo(usual.dtype).tiny)
            parts.append((percentile(usual, found), excess.numpy(), ~(found.numpy() <= limit)))
        deciding = {name: np.max(part, axis=0) for name, part in zip(JUDGED, zip(*parts, strict=True), strict=True)}
        return pd.DataFrame({name: values.numpy() for name, values in scores.items()} | deciding)

    def thresholds(self, rate: float = 0.05, by: str = "either") -> dict[str, float]:
        """Score -> the value above which an image is flagged; arguments and errors as in `judge`."""
        if by not in CRITERIA:
            raise ValueError(f"unknown criterion {by!r}; known: {', '.join(CRITERIA)}")
        deciding = SCORES if by == "either" else (by,)
        return {name: threshold(self.held_out[name], rate / len(deciding)) for name in deciding}

    def has_seen(self, images: Tensor) -> Tensor:
        """Which of the images [N, C, H, W] the model was trained on, bool [N]; their scores are too low to compare."""
        return torch.tensor([f in self.trained_on for f in _fingerprints(images)], dtype=torch.bool)

    def save(self, path: str | Path, **provenance: Any) -> None:
        """Write model and calibration as one safetensors file, which `VAE.load` reads too; see `VAE.save`."""
        held_out = {name: values.tolist() for name, values in self.held_out.items()}
        self.vae.save(path, held_out=held_out, trained_on=sorted(self.trained_on), **provenance)

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device | None = None) -> "Detector":
        """The detector that `save` wrote; `detector.vae.provenance` tells how it was made.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a file of a model, or one without held-out scores.
        """
        vae = VAE.load(path, device)
        if "held_out" not in vae.provenance:
            raise ValueError(f"{path} holds a model without scores of held-out inliers: make one with Detector.save")
        held_out = {name: torch.tensor(values) for name, values in vae.provenance.pop("held_out").items()}
        return cls(vae, held_out, frozenset(vae.provenance.pop("trained_on")))


def _rank(n: int, rate: float) -> int:
    """k of `threshold`, from 1 to n."""
    if not 0 < rate < 1:
        raise ValueError(f"the false-alarm rate must be between 0 and 1, got {rate}")
    # Rounded, since (n + 1)(1 - rate) in floating point may be a whole number and a little more.
    k = math.ceil(round((n + 1) * (1 - rate), 9))
    if k > n:
        needed = math.ceil(round(1 / rate, 9)) - 1
        raise ValueError(
            f"a false-alarm rate of {rate:.2%} needs at least {needed:,} held-out inliers, there are {n:,}: "
            "hold out more images, or accept more false alarms"
        )
    return k


def _fingerprints(images: Tensor) -> list[str]:
    """A hash of each image's pixels; 12 hexadecimal digits confuse two of a million images with odds of 1 in 500."""
    if images.is_floating_point():
        images = (images * 255).round().to(torch.uint8)
    return [digest(image)[:12] for image in images]
