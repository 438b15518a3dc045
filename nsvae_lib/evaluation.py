"""How well a score separates inliers from OOD images. OOD is the positive class everywhere. See chapter 2."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from .scores import score
from .vae import VAE


@dataclass(frozen=True)
class Evaluation:
    """How well one score separates two sets of images.

    auroc: area under the ROC curve, in [0, 1]: the chance that a random OOD image scores higher than a random
        inlier, ties counted half. 0.5 is guessing.
    auroc_interval: 95 % bootstrap interval of `auroc` (both sets resampled). It covers the choice of test images,
        not that of the training seed.
    aupr: area under the precision-recall curve (average precision), OOD positive; guessing gives the share of OOD
        images, n_ood / (n_inlier + n_ood).
    fpr95: share of inliers flagged at the threshold that flags at least 95 % of the OOD images; lower is better.
    n_inlier, n_ood: how many images of each.
    """

    auroc: float
    auroc_interval: tuple[float, float]
    aupr: float
    fpr95: float
    n_inlier: int
    n_ood: int


def auroc(inlier: ArrayLike, ood: ArrayLike) -> float:
    """Area under the ROC curve of scores [N] and [M] (higher = more OOD), in [0, 1]; ties count half.

    Raises:
        ValueError: an empty set, or a score that is not a finite number.
    """
    labels, scores = labelled(inlier, ood)
    return float(roc_auc_score(labels, scores))


def evaluate(inlier: ArrayLike, ood: ArrayLike, *, bootstrap: int = 1000, seed: int = 0) -> Evaluation:
    """AUROC with a 95 % bootstrap interval, AUPR and FPR95 of scores [N] and [M] (higher = more OOD).

    Raises:
        ValueError: an empty set, a score that is not a finite number, bootstrap < 1.
    """
    if bootstrap < 1:
        raise ValueError(f"bootstrap must be at least 1, got {bootstrap}")
    labels, scores = labelled(inlier, ood)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    low, high = np.quantile(
        _bootstrap_aurocs(scores[labels == 0], scores[labels == 1], bootstrap, seed), (0.025, 0.975)
    )
    return Evaluation(
        auroc=float(roc_auc_score(labels, scores)),
        auroc_interval=(float(low), float(high)),
        aupr=float(average_precision_score(labels, scores)),
        fpr95=float(fpr[np.argmax(tpr >= 0.95)]),
        n_inlier=int((labels == 0).sum()),
        n_ood=int(labels.sum()),
    )


def auroc_monitor(
    inlier: Tensor,
    ood: Mapping[str, Tensor],
    which: Sequence[str] = ("bpd", "kl"),
    average_from: int | None = None,
) -> Callable[[VAE, dict[str, float]], None]:
    """A callback for `training.fit` that adds AUROCs to each epoch's row, in columns like "auroc_bpd MNIST".

    For looking at training, not for stopping it: a model chosen by its AUROC on a set has seen that set.

    Args:
        inlier: held-out inliers [N, C, H, W], uint8 or in [0, 1].
        ood: name -> OOD images.
        which: scores, see `scores.score`.
        average_from: an epoch. From it on, a second model is monitored as well, whose weights are the mean of the
            weights after each epoch since, in columns like "averaged auroc_bpd MNIST"; NaN before it, and in a run
            that was continued from a checkpoint of a later epoch. Training does not know of it. See chapter 6.
    """
    averaged: AveragedModel | None = None

    def areas(vae: VAE) -> dict[str, float]:
        inlier_scores = score(vae, inlier, which)
        found: dict[str, float] = {}
        for name, images in ood.items():
            ood_scores = score(vae, images, which)
            found |= {f"auroc_{s} {name}": auroc(inlier_scores[s], ood_scores[s]) for s in which}
        return found

    def record(vae: VAE, row: dict[str, float]) -> None:
        nonlocal averaged
        row |= (found := areas(vae))
        if average_from is None:
            return
        if row["epoch"] <= average_from:  # another training may have left its average here
            averaged = AveragedModel(vae) if row["epoch"] == average_from else None
        of_average = dict.fromkeys(found, math.nan)
        if averaged is not None:
            averaged.update_parameters(vae)
            of_average = areas(cast(VAE, averaged.module))
        row |= {f"averaged {name}": area for name, area in of_average.items()}

    return record


def labelled(inlier: ArrayLike, ood: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Scores [N] and [M] as labels (0 for inliers, 1 for OOD images) and scores, [N + M] each; errors as in `auroc`."""
    arrays = [np.asarray(scores, dtype=np.float64).ravel() for scores in (inlier, ood)]
    for name, scores in zip(("inlier", "OOD"), arrays, strict=True):
        if len(scores) == 0:
            raise ValueError(f"there are no {name} scores")
        if not np.isfinite(scores).all():
            raise ValueError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} {name} scores are not finite")
    labels = np.repeat([0, 1], [len(a) for a in arrays])
    return labels, np.concatenate(arrays)


def _bootstrap_aurocs(inlier: NDArray, ood: NDArray, repeats: int, seed: int) -> NDArray[np.float64]:
    """AUROC of `repeats` resamples. A resample is a count per image, so sorting once serves them all."""
    rng = np.random.default_rng(seed)
    order = np.sort(inlier)
    below = np.searchsorted(order, ood, side="left")
    not_above = np.searchsorted(order, ood, side="right")
    aurocs = np.empty(repeats)
    for i in range(repeats):
        inlier_counts = rng.multinomial(len(inlier), np.full(len(inlier), 1 / len(inlier)))
        ood_counts = rng.multinomial(len(ood), np.full(len(ood), 1 / len(ood)))
        cumulative = np.concatenate([[0], np.cumsum(inlier_counts)])
        wins = (cumulative[below] + cumulative[not_above]) / 2
        aurocs[i] = wins @ ood_counts / (len(inlier) * len(ood))
    return aurocs
