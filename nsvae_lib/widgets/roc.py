"""Widget 6, threshold and ROC: where to raise the alarm, what it catches, and what it costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from .. import plots
from .base import Widget

BINS = 480
SHOWN = 40  # bars of the histograms, each of several bins
CLIP = 0.99  # the last bin begins at this quantile of all scores, and takes in whatever lies beyond


class ROC(Widget):
    """Move a threshold over the scores of inliers and strangers, and see what it flags: rates, counts, the ROC curve.

    Make one with `from_scores`. A kernel sees what the reader does, and may set it: `picked` (the model), `which` (the
    score), `ood` (the strangers) and `threshold` (on the score, taken to the nearest edge of a bin; images at or above
    it are flagged, and none at the highest edge).
    """

    script = "roc"
    title = "Threshold and ROC"

    tables = traitlets.Dict().tag(sync=True)  # model -> score -> what `_table` gives
    labels = traitlets.Dict().tag(sync=True)  # score -> what readers call it
    picked = traitlets.Unicode().tag(sync=True)
    which = traitlets.Unicode().tag(sync=True)
    ood = traitlets.Unicode().tag(sync=True)
    threshold = traitlets.Float().tag(sync=True)

    @classmethod
    def from_scores(
        cls, scores: Mapping[str, Mapping[str, Mapping[str, ArrayLike]]], labels: Mapping[str, str] | None = None
    ) -> "ROC":
        """A threshold on scores that were made before, such as by `score`; higher = more OOD.

        The widget keeps counts in 480 bins instead of the scores. Rates and counts at the edges of bins are those of
        the scores themselves; the area under the ROC curve is exact but for the order of images within a bin.

        Args:
            scores: model -> set of images -> score -> [N]; of each model's sets the first holds its inliers. All sets
                have the same scores, and each model at least one set of strangers.
            labels: name and unit of each score; default: the library's for "bpd" and "kl".

        Raises:
            ValueError: no model, a model without strangers, sets that differ in their scores, a score that is not a
                finite number.
        """
        if not scores:
            raise ValueError("expected the scores of at least one model, got none")
        tables = {model: _tables(model, sets) for model, sets in scores.items()}
        names = [list(by_score) for by_score in tables.values()]
        if any(these != names[0] for these in names):
            raise ValueError(f"expected the same scores from all models, got {names}")
        known = {"bpd": "bits per dimension", "kl": "KL, nats per image"} | dict(labels or {})
        picked = next(iter(tables))
        widget = cls(
            tables=tables,
            labels={name: known.get(name, name) for name in names[0]},
            picked=picked,
            which=names[0][0],
            ood=list(scores[picked])[1],
        )
        # To start with, no more than one inlier in twenty is a false alarm.
        edges, fpr, _ = widget.curve()
        widget.threshold = float(edges[fpr <= 0.05][-1])
        return widget

    def sets(self) -> tuple[str, str]:
        """Names of the inliers of the chosen model, and of the strangers."""
        inliers, *strangers = self.tables[self.picked][self.which]["counts"]
        return inliers, self.ood if self.ood in strangers else strangers[0]

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Thresholds, and the shares of inliers and of strangers at or above them (FPR and TPR), [BINS + 1] each.

        They are those of the model, the score and the strangers that are chosen, from no alarm at all to all alarms.
        """
        table = self.tables[self.picked][self.which]
        fpr, tpr = (np.cumsum([0, *counts[::-1]]) / counts.sum() for counts in map(self._counts, self.sets()))
        return np.linspace(table["low"], table["high"], BINS + 1)[::-1], fpr, tpr

    def _counts(self, name: str) -> NDArray[np.int64]:
        return np.array(self.tables[self.picked][self.which]["counts"][name].split(), dtype=np.int64)

    def auroc(self) -> float:
        """Area under the ROC curve, in [0, 1]; images in the same bin count as ties, which count half."""
        _, fpr, tpr = self.curve()
        return float(np.trapezoid(tpr, fpr))

    def rates(self) -> tuple[float, float]:
        """FPR and TPR at the threshold: the shares of inliers and of strangers that are flagged."""
        edges, fpr, tpr = self.curve()
        at = int(np.abs(edges - self.threshold).argmin())
        return float(fpr[at]), float(tpr[at])

    def still(self) -> Figure:
        """The two histograms with the threshold, and the ROC curve with its point."""
        fig, (left, right) = plots.new_figure(2, height=3.1)
        table = self.tables[self.picked][self.which]
        inliers, strangers = self.sets()
        edges = np.linspace(table["low"], table["high"], SHOWN + 1)
        for i, name in enumerate((inliers, strangers)):
            bars = self._counts(name).reshape(SHOWN, -1).sum(1)
            style: dict[str, Any] = {"fill": True, "alpha": 0.5} if i == 0 else {"hatch": "///", "linestyle": "--"}
            left.stairs(bars, edges, color=plots.COLORS[i], label=name, **style)
        left.axvline(self.threshold, color="0.2")
        left.set(xlabel=f"{self.labels[self.which]} (last bar: all above)", yticks=[], title=f"model: {self.picked}")
        left.legend(frameon=False, fontsize=8)
        _, fpr, tpr = self.curve()
        right.fill_between(fpr, tpr, alpha=0.3)
        right.plot(fpr, tpr)
        right.plot([0, 1], [0, 1], ":", color="0.5")
        right.plot(*self.rates(), "o", color="0.2")
        right.set(xlabel=f"false alarms ({inliers})", ylabel=f"caught ({strangers})", aspect="equal")
        right.set_title(f"AUROC {self.auroc():.3f}")
        for ax in (left, right):
            ax.title.set_fontsize(10)
        return fig

    def alt(self) -> str:
        """What the still picture shows."""
        false_alarms, caught = self.rates()
        inliers, strangers = self.sets()
        return (
            f"Histograms of {self.labels[self.which]} for {inliers} and {strangers} under the model {self.picked}, "
            f"with a threshold that flags {false_alarms:.0%} of the {inliers} and {caught:.0%} of the {strangers}, and "
            f"the ROC curve, with an area of {self.auroc():.2f} under it."
        )


def _tables(model: str, sets: Mapping[str, Mapping[str, ArrayLike]]) -> dict[str, dict[str, Any]]:
    """For each score of a model what `_table` gives."""
    if len(sets) < 2:
        raise ValueError(f"{model}: expected inliers and at least one set of strangers, got {list(sets)}")
    names = [list(by_score) for by_score in sets.values()]
    if any(these != names[0] for these in names):
        raise ValueError(f"{model}: expected the same scores of all sets, got {dict(zip(sets, names, strict=True))}")
    return {
        name: _table(f"{model}, {name}", {key: np.asarray(s[name], dtype=np.float64) for key, s in sets.items()})
        for name in names[0]
    }


def _table(title: str, scores: Mapping[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Counts of scores in BINS bins of equal width from `low` to `high`, set by set; the last bin has no upper end.

    They are a text, for in a notebook's file each number of a list takes a line.
    """
    pooled = np.concatenate([values.ravel() for values in scores.values()])
    if min(values.size for values in scores.values()) == 0 or not np.isfinite(pooled).all():
        raise ValueError(f"{title}: expected finite numbers, at least one a set, got {dict(scores)}")
    low, last = float(pooled.min()), float(np.quantile(pooled, CLIP))
    high = low + (last - low or 1.0) * BINS / (BINS - 1)
    counts = {name: np.histogram(np.minimum(v, high), BINS, (low, high))[0] for name, v in scores.items()}
    return {"low": low, "high": high, "counts": {name: " ".join(map(str, n)) for name, n in counts.items()}}
