"""The pictures of the book. Each function returns a matplotlib Figure and changes no global state.

Everything can be told apart without colour: by line style, hatching, marker or a label at the line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Ellipse, Rectangle
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve
from torch import Tensor
from torch.distributions import Normal

from .data import to_float
from .evaluation import labelled

WIDTH = 7.2  # inches; what fits a page without shrinking the text
COLORS = sns.color_palette("colorblind")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 2, 1, 2, 1, 2)))  # the last: dash, dot, dot
HATCHES = ("", "///", "...", "\\\\\\", "xxx")
MARKERS = ("o", "s", "^", "D", "v")


def new_figure(columns: int = 1, rows: int = 1, height: float = 2.9, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure in the book's style: `rows` x `columns` axes in reading order; `height` is that of a row, in inches."""
    with mpl.rc_context():
        sns.set_theme(style="ticks", palette="colorblind", font_scale=0.9)
        fig, axes = plt.subplots(rows, columns, figsize=(width, height * rows), squeeze=False, layout="constrained")
        sns.despine(fig)
    return fig, list(axes.flat)


def _figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None  # every ax here comes from a figure
    return figure


def _line(i: int) -> dict[str, Any]:
    """Colour and line style of the i-th curve."""
    return {"color": COLORS[i % len(COLORS)], "linestyle": LINES[i % len(LINES)]}


def _legend_above(ax: Axes, columns: int) -> None:
    ax.legend(frameon=False, fontsize=8, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1))


def _draw(image: Tensor, ax: Axes) -> None:
    """An image [C, H, W], uint8 or in [0, 1], without axes; grey ones white on black, as they are stored."""
    pixels = to_float(image.detach().cpu()).clamp(0, 1).movedim(0, -1).squeeze(-1)
    ax.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()


def image_grid(
    images: Tensor,
    *,
    columns: int = 10,
    titles: Sequence[str] | None = None,
    row_labels: Sequence[str] | None = None,
    size: float | None = None,
    parse_math: bool = True,
) -> Figure:
    """Images [N, C, H, W] in rows of `columns`.

    Args:
        images: uint8 or in [0, 1].
        columns: images in a row.
        titles: a short text above each image.
        row_labels: a text to the left of each row.
        size: inches per image; default: as large as fits the page's width, at most 1.1.
        parse_math: whether what stands between two $ in a title is mathematics.
    """
    rows = -(-len(images) // columns)
    label_width = 1.3 if row_labels else 0.0
    size = size or min(1.1, (WIDTH - label_width) / columns)
    height = size * rows * (1.3 if titles else 1.0)
    fig, axes = new_figure(columns, rows, height=height / rows, width=size * columns + label_width)
    fig.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    for ax in axes:
        ax.set_axis_off()
    for i, image in enumerate(images):
        _draw(image, axes[i])
        if titles:
            axes[i].set_title(titles[i], fontsize=8, pad=2, parse_math=parse_math)
    for ax, label in zip(axes[::columns], row_labels or (), strict=False):
        ax.text(-0.12, 0.5, label, ha="right", va="center", fontsize=9, transform=ax.transAxes)
    return fig


def contact_sheet(images: Tensor, table: pd.DataFrame) -> Figure:
    """Judged images with their file names, percentiles and verdicts; see `detector.Detector.judge`.

    Args:
        images: [N, C, H, W], uint8 or in [0, 1].
        table: a row for each, with the columns `path`, `percentile`, `flagged`.
    """
    names = [path if len(path) <= 20 else f"…{path[-19:]}" for path in table["path"]]
    verdicts = table["flagged"].map({True: "flagged", False: "passed"})
    rows = zip(names, table["percentile"], verdicts, strict=True)
    titles = [f"{name}\n{percentile:.1f}, {verdict}" for name, percentile, verdict in rows]
    return image_grid(images, columns=6, titles=titles, parse_math=False)


def score_histograms(
    scores: Mapping[str, ArrayLike], xlabel: str, *, ax: Axes | None = None, bins: int = 60, clip: float = 0.995
) -> Figure:
    """Histograms of one score for several sets of images, on shared bins.

    Args:
        scores: label -> scores [N]; the first is drawn filled (the inliers), the others as hatched outlines.
        xlabel: name and unit of the score.
        ax: where to draw; default: a new figure.
        bins: number of bins.
        clip: the axis ends at this quantile of all scores, so that a few outliers do not squash the rest.
    """
    ax = ax or new_figure()[1][0]
    arrays = {label: np.asarray(values, dtype=float) for label, values in scores.items()}
    pooled = np.concatenate(list(arrays.values()))
    edges = np.linspace(pooled.min(), np.quantile(pooled, clip), bins + 1).tolist()
    for i, (label, values) in enumerate(arrays.items()):
        style: dict[str, Any] = {"color": COLORS[0], "alpha": 0.5}
        if i > 0:
            style = _line(i) | {"fill": False, "hatch": HATCHES[i % len(HATCHES)]}
        # In a list, since matplotlib 3.10 takes the three numbers of one colour for three.
        style["edgecolor"] = [style["color"]]
        ax.hist(values, edges, density=True, histtype="stepfilled", label=label, **style)
    ax.set(xlabel=xlabel, ylabel="density")
    ax.set_yticks([])
    ax.legend(frameon=False, fontsize=8)
    return _figure_of(ax)


def auroc_heatmap(
    table: pd.DataFrame,
    title: str = "",
    *,
    ax: Axes | None = None,
    starred: pd.DataFrame | None = None,
) -> Figure:
    """A table of AUROCs as a heat map with the numbers in it: rows = inlier sets, columns = OOD sets, NaN left blank.

    Blue: separated as wanted (1). Red: the wrong way round (0). White: guessing (0.5).
    A number gets a star where `starred`, a table of the same form, is True.
    """
    ax = ax or new_figure(height=0.55 * len(table) + 1.2)[1][0]
    numbers = table.map("{:.2f}".format)
    if starred is not None:
        numbers = numbers.where(~starred, numbers + "*")
    options = {"annot": numbers, "fmt": "", "vmin": 0, "vmax": 1, "center": 0.5, "cmap": "RdBu", "linewidths": 1}
    sns.heatmap(table, ax=ax, cbar=False, annot_kws={"fontsize": 9}, **options)
    ax.set(title=title, xlabel=table.columns.name or "out-of-distribution set", ylabel=table.index.name or "trained on")
    ax.tick_params(length=0)
    ax.set_yticklabels(ax.get_yticklabels(), rotation=0)
    return _figure_of(ax)


def auroc_heatmaps(results: pd.DataFrame, sets: Sequence[str], *, width: float = WIDTH) -> Figure:
    """An `auroc_heatmap` for BPD and below it one for KL.

    Args:
        results: columns `inlier`, `ood`, `score` and `auroc`, a row per pair and score, as `zoo.results` has them.
        sets: the order of rows and columns; sets that are not in `results` are left out.
        width: of the figure, in inches.
    """
    rows = [name for name in sets if name in set(results["inlier"])]
    columns = [name for name in sets if name in set(results["ood"])]
    fig, axes = new_figure(rows=2, height=0.5 * len(rows) + 1.0, width=width)
    for ax, score in zip(axes, ("bpd", "kl"), strict=True):
        table = results[results["score"] == score].pivot(index="inlier", columns="ood", values="auroc")
        table = table.reindex(index=rows, columns=columns).rename_axis(index="trained on", columns="tested against")
        auroc_heatmap(table, f"AUROC of {score.upper()}", ax=ax)
    return fig


def lines(
    x: ArrayLike,
    curves: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str = "",
    ax: Axes | None = None,
    label_ends: bool = False,
) -> Figure:
    """Several curves over the same x, told apart by colour and line style.

    Args:
        label_ends: write each label at the right end of its curve instead of in a legend.
    """
    ax = ax or new_figure()[1][0]
    for i, (label, y) in enumerate(curves.items()):
        y = np.asarray(y, dtype=float)
        ax.plot(x, y, label=label, **_line(i))
        if label_ends:
            last = np.flatnonzero(np.isfinite(y))[-1]
            end, style = (np.asarray(x)[last], y[last]), {"color": COLORS[i % len(COLORS)], "fontsize": 8}
            ax.annotate(label, end, (4, 0), textcoords="offset points", va="center", **style)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if not label_ends and len(curves) > 1:
        ax.legend(frameon=False, fontsize=8)
    return _figure_of(ax)


def extremes(images: Tensor, scores: Tensor, n: int = 10) -> Tensor:
    """The n images with the lowest and the n with the highest scores, [2n, C, H, W], each group in rising order."""
    order = scores.argsort()
    return images[torch.cat([order[:n], order[-n:]])]


def contours(
    x: ArrayLike,
    y: ArrayLike,
    values: ArrayLike,
    *,
    levels: Sequence[float],
    xlabel: str,
    ylabel: str,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A function of two variables as contour lines with their level written on them: `values` is [len(y), len(x)]."""
    ax = ax or new_figure()[1][0]
    drawn = ax.contour(np.asarray(x), np.asarray(y), np.asarray(values), levels=levels, colors="0.35", linewidths=1)
    ax.clabel(drawn, fontsize=7, fmt="%g")
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return _figure_of(ax)


def stacked_bars(table: pd.DataFrame, xlabel: str, *, ax: Axes | None = None) -> Figure:
    """One horizontal bar per row of the table, made of its columns, each with its own hatching and its number."""
    ax = ax or new_figure(height=0.5 * len(table) + 1.1)[1][0]
    left = np.zeros(len(table))
    for i, column in enumerate(table):
        values = table[column].to_numpy(dtype=float)
        bars = ax.barh(
            table.index, values, left=left, height=0.6, label=column,
            color="white", edgecolor=COLORS[i % len(COLORS)], hatch=HATCHES[(i + 1) % len(HATCHES)],
        )  # fmt: skip
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.bar_label(bars, fmt="%.2f", label_type="center", fontsize=8, bbox=box)
        left += values
    ax.invert_yaxis()
    ax.set(xlabel=xlabel)
    ax.tick_params(axis="y", length=0)
    _legend_above(ax, table.shape[1])
    return _figure_of(ax)


def _name_rows(ax: Axes, names: Sequence[str], xlabel: str) -> Figure:
    """Name the lines at heights 0, 1, ..., the first at the top, and finish the figure."""
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    ax.grid(axis="y", linewidth=0.4)
    ax.set(xlabel=xlabel)
    ax.tick_params(axis="y", length=0)
    _legend_above(ax, 2)
    return _figure_of(ax)


def beside_paper(table: pd.DataFrame, xlabel: str, *, ax: Axes | None = None) -> Figure:
    """Our numbers (filled circles) beside the paper's (open squares, with one standard deviation either side).

    Args:
        table: columns "ours", "paper", "std"; one line per row, named by the index, the first at the top.
        xlabel: what is compared.
        ax: where to draw; default: a new figure.
    """
    ax = ax or new_figure(height=0.3 * len(table) + 0.9)[1][0]
    rows = np.arange(len(table))
    ax.axvline(0.5, color="0.6", linestyle=":", linewidth=1)
    ax.errorbar(
        table["paper"], rows, xerr=table["std"], fmt="s", mfc="none", ms=8, color=COLORS[0], label="paper, ± std"
    )
    ax.plot(table["ours"], rows, "o", color=COLORS[1], label="ours", markersize=5, zorder=3)
    ax.set_xlim(-0.03, 1.03)
    return _name_rows(ax, table.index, xlabel)


def levels(values: Mapping[str, float], *, ax: Axes) -> Figure:
    """Level lines across an axes, each named at its right end; values that are not finite are left out."""
    for label, y in values.items():
        if np.isfinite(y):
            ax.axhline(y, color="0.5", linestyle=":", linewidth=1, zorder=0)
            end: Any = ("axes fraction", "data")
            ax.annotate(label, (1, y), (3, 0), xycoords=end, textcoords="offset points", va="center", fontsize=8)
    return _figure_of(ax)


def dumbbells(table: pd.DataFrame, xlabel: str, *, ax: Axes | None = None) -> Figure:
    """Two numbers a row, joined by a line: the first column as open squares, the second as filled circles.

    Args:
        table: two columns, whose names become the legend; one line per row, named by the index, the first at the top.
        xlabel: what both columns measure.
        ax: where to draw; default: a new figure.
    """
    ax = ax or new_figure(height=0.3 * len(table) + 0.9)[1][0]
    rows, (first, second) = np.arange(len(table)), table.columns
    ax.hlines(rows, table[first], table[second], color="0.6", linewidth=1.5)
    ax.plot(table[first], rows, "s", mfc="white", ms=8, color=COLORS[0], label=first)
    ax.plot(table[second], rows, "o", color=COLORS[1], label=second)
    return _name_rows(ax, table.index, xlabel)


def bound_and_gap(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], evidence: float) -> Figure:
    """The ELBO under log p(x), one panel per parameter of q; the gap between the two is shaded. See chapter 1.

    Args:
        curves: name of the parameter -> (its values [M], the ELBO at each of them [M], in nats).
        evidence: log p(x), in nats.
    """
    fig, axes = new_figure(len(curves), height=2.9, width=6.0)
    for ax, (name, (values, bound)) in zip(axes, curves.items(), strict=True):
        values, bound = np.asarray(values, dtype=float), np.asarray(bound, dtype=float)
        best = int(bound.argmax())
        ax.axhline(evidence, color="black", linestyle="--", label="log p(x)")
        ax.plot(values, bound, color=COLORS[0], label="ELBO")
        gap: dict[str, Any] = {
            "facecolor": (*COLORS[0], 0.12),
            "edgecolor": (*COLORS[0], 0.5),
            "hatch": "///",
            "linewidth": 0,
        }
        ax.fill_between(values, bound, evidence, label="gap = KL(q || posterior)", **gap)
        ax.plot(values[best], bound[best], "o", color=COLORS[0])
        ax.set(xlabel=name, ylabel="nats" if ax is axes[0] else "")
        ax.margins(x=0)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return fig


@torch.no_grad()
def vae_diagram(image: Tensor, q: Normal, decoded: Tensor) -> Figure:
    """One image on its way through a VAE: image [C, H, W] -> q(z|x) -> decoded mean [C, H, W]; q has shape [D]."""
    fig, axes = new_figure(3, height=2.6)
    for ax, pixels, title in ((axes[0], image, "image x"), (axes[2], decoded, "mean of p(x|z)")):
        _draw(pixels, ax)
        ax.set_title(title, fontsize=10)
    mean, std = q.mean.cpu().numpy(), q.stddev.cpu().numpy()
    axes[1].axvspan(-1, 1, color="0.92")
    axes[1].errorbar(mean, np.arange(len(mean)), xerr=std, fmt="o", color=COLORS[0], markersize=4, capsize=2)
    axes[1].annotate("prior", (0, -0.9), ha="center", va="center", fontsize=9)
    axes[1].set(xlabel="latent value", yticks=[], xlim=(-3.5, 3.5), ylim=(-1.5, len(mean) - 0.5))
    axes[1].set_title(f"q(z|x), {len(mean)} dimensions", fontsize=10)
    for left, right, label in ((axes[0], axes[1], "encoder"), (axes[1], axes[2], "decoder")):
        ends: dict[str, Any] = {"axesA": left, "axesB": right, "coordsA": "axes fraction", "coordsB": "axes fraction"}
        fig.add_artist(ConnectionPatch((1.03, 0.5), (-0.12, 0.5), arrowstyle="-|>", linewidth=2, color="0.3", **ends))
        left.annotate(label, (1.05, 0.55), xycoords="axes fraction", fontsize=9)
    return fig


@torch.no_grad()
def posteriors(q: Normal, dims: tuple[int, int] = (0, 1)) -> Figure:
    """Where q(z|x) of many images lies in the prior, seen in two latent dimensions; q has shape [N, D].

    A circle or an ellipse reaches two standard deviations to each side.
    """
    fig, (ax,) = new_figure(height=4.0, width=4.4)
    mean, std = q.mean.cpu()[:, list(dims)].numpy(), q.stddev.cpu()[:, list(dims)].numpy()
    ax.add_patch(Ellipse((0, 0), 4, 4, facecolor="0.92", edgecolor="0.4", linestyle="--"))
    ax.annotate("prior, 2 std", (-2.1, 1.9), ha="center", va="bottom", fontsize=9)
    for centre, widths in zip(mean, std, strict=True):
        ax.add_patch(
            Ellipse((centre[0], centre[1]), 4 * widths[0], 4 * widths[1], facecolor="none", edgecolor=COLORS[0])
        )
    ax.set(xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
    ax.set(xlabel=f"latent dimension {dims[0]}", ylabel=f"latent dimension {dims[1]}")
    return fig


def pair_grid(inlier: ArrayLike, ood: ArrayLike) -> Figure:
    """Every pair of an inlier and an OOD image as a cell: 1 if the OOD image scores higher, 1/2 for a tie, else 0.

    The highest scores come first on both axes. So the edge of the area won is the ROC curve (thick line), and that
    area, counted in cells, is the AUROC. See chapter 2.

    Args:
        inlier, ood: scores [N] and [M], a handful each; higher = more OOD.
    """
    fig, (ax,) = new_figure(height=3.2, width=3.6)
    columns, rows = np.sort(np.asarray(inlier, dtype=float))[::-1], np.sort(np.asarray(ood, dtype=float))[::-1]
    for y, high in enumerate(rows):
        for x, low in enumerate(columns):
            won = float(high > low) + 0.5 * float(high == low)
            ax.add_patch(Rectangle((x, y), 1, 1, facecolor=(*COLORS[0], 0.45 * won), edgecolor="0.7"))
            text = {0.0: "0", 0.5: "½", 1.0: "1"}[won]
            ax.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=9, color="0.2")
    flagged = [-np.inf, *np.unique(np.concatenate([columns, rows]))][::-1]
    curve = [(0, 0), *((int((columns >= t).sum()), int((rows >= t).sum())) for t in flagged)]
    ax.plot(*zip(*curve, strict=True), color="black", linewidth=2.5, clip_on=False)
    ax.set_xticks(np.arange(len(columns)) + 0.5, [f"{value:g}" for value in columns])
    ax.set_yticks(np.arange(len(rows)) + 0.5, [f"{value:g}" for value in rows])
    ax.set(xlabel="inliers, highest score first", ylabel="OOD, highest score first", aspect="equal")
    ax.set(xlim=(0, len(columns)), ylim=(0, len(rows)))
    ax.tick_params(length=0)
    return fig


def roc_curves(scores: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """ROC curves: the share of OOD images flagged against the share of inliers flagged, for every threshold.

    Args:
        scores: label -> (scores of inliers [N], scores of OOD images [M]); higher = more OOD.
    """
    fig, (ax,) = new_figure(height=3.2, width=3.6)
    ax.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    ax.annotate("guessing", (0.62, 0.66), color="0.35", fontsize=8, rotation=45, ha="center", va="center")
    for i, (label, (inlier, ood)) in enumerate(scores.items()):
        fpr, tpr, _ = roc_curve(*labelled(inlier, ood))
        ax.plot(fpr, tpr, label=label, **_line(i))
    ax.set(xlabel="inliers flagged", ylabel="OOD images flagged", aspect="equal", xlim=(0, 1), ylim=(0, 1))
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    return fig


def score_scatter(
    points: Mapping[str, tuple[ArrayLike, ArrayLike]], xlabel: str, ylabel: str, *, ax: Axes | None = None
) -> Figure:
    """One score against another, an image a marker: label -> (x [N], y [N]); each set has its own marker."""
    ax = ax or new_figure(height=3.4)[1][0]
    for i, (label, (x, y)) in enumerate(points.items()):
        style: dict[str, Any] = {"facecolor": "none", "edgecolor": COLORS[i % len(COLORS)], "linewidth": 0.6}
        ax.scatter(np.asarray(x), np.asarray(y), 12, marker=MARKERS[i % len(MARKERS)], alpha=0.6, label=label, **style)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    legend = ax.legend(frameon=False, fontsize=8, markerscale=1.6)
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)
    return _figure_of(ax)


def adversarial_game(image: Tensor, generated: Tensor) -> Figure:
    """The two moves of adversarial training, with an inlier and a generated image, both [C, H, W]. See chapter 6.

    Thick frames learn in that move, thin ones are only looked through; grey arrows show the gradient's way.
    """
    fig, (ax,) = new_figure(height=4.2, width=6.2)
    ax.set(xlim=(0, 10), ylim=(0, 6.8))
    ax.set_axis_off()

    def box(x: float, y: float, text: str, learns: bool = False) -> None:
        frame = {"boxstyle": "round,pad=0.5", "facecolor": "0.95", "edgecolor": "black" if learns else "0.6"}
        ax.text(x, y, text, ha="center", va="center", fontsize=9, bbox=frame | {"linewidth": 2.5 if learns else 0.8})

    def picture(pixels: Tensor, x: float, y: float, text: str) -> None:
        _draw(pixels, ax.inset_axes((x - 0.55, y - 0.65, 1.1, 1.3), transform=ax.transData))
        ax.text(x, y - 0.7, text, ha="center", va="top", fontsize=8)

    def arrow(x: float, y: float, to_x: float, to_y: float, line: str = "-", color: str = "0.2") -> None:
        style = {"arrowstyle": "-|>", "linewidth": 1.5, "linestyle": line, "color": color}
        ax.annotate("", (to_x, to_y), (x, y), arrowprops=style)

    def gradient(x: float, to_x: float, y: float) -> None:
        arrow(x, y, to_x, y, "--", "0.5")
        ax.text((x + to_x) / 2, y + 0.05, "gradient", ha="center", va="bottom", fontsize=8, color="0.35")

    ax.text(0, 6.7, "1. the encoder moves", fontsize=10)
    picture(image, 1.2, 5.85, "real")
    picture(generated, 1.2, 4.0, "generated, held fixed")
    box(4.8, 4.9, "encoder", learns=True)
    box(8.6, 5.7, "prior at 0")
    box(8.6, 4.1, "negative prior at s")
    arrow(2.0, 5.7, 3.95, 5.1)
    arrow(5.65, 5.1, 7.6, 5.7)
    arrow(2.0, 4.1, 3.95, 4.7, ":")
    arrow(5.65, 4.7, 7.0, 4.1, ":")
    gradient(8.6, 4.8, 3.2)

    ax.text(0, 2.4, "2. the decoder moves", fontsize=10)
    box(0.9, 1.4, "z from\nprior")
    box(3.1, 1.4, "decoder", learns=True)
    picture(generated, 5.1, 1.4, "generated")
    box(7.0, 1.4, "encoder")
    box(9.1, 1.4, "prior\nat 0")
    for start, end in ((1.5, 2.25), (3.95, 4.5), (5.7, 6.15), (7.85, 8.5)):
        arrow(start, 1.4, end, 1.4)
    gradient(9.1, 3.1, 0.05)
    return fig


def plane_map(
    values: ArrayLike,
    inliers: ArrayLike,
    negatives: ArrayLike | None = None,
    *,
    levels: Sequence[float],
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """A score over the unit square, shaded (dark = high) with lines at `levels`, and the points that taught it.

    Args:
        values: [G, G], on an even grid over the square; the first row is its lower edge.
        inliers: points [N, 2], drawn as dots.
        negatives: points [M, 2], drawn as crosses.
        levels: rising; each is written on its line.
        title: of the panel.
        ax: where to draw; default: a new figure.
    """
    ax = ax or new_figure(height=2.8, width=2.8)[1][0]
    values = np.asarray(values, dtype=float)
    grid = np.linspace(0, 1, len(values))
    greys = mpl.colormaps["Greys"](np.linspace(0, 0.55, len(levels) + 1))
    ax.contourf(grid, grid, values, levels=levels, colors=greys, extend="both")
    drawn = ax.contour(grid, grid, values, levels=levels, colors="0.2", linewidths=0.8)
    if negatives is not None:
        ax.plot(*np.asarray(negatives).T, "x", color=COLORS[3], markersize=3, markeredgewidth=0.7)
    ax.plot(*np.asarray(inliers).T, ".", color=COLORS[0], markersize=2)
    ax.clabel(drawn, fontsize=7, fmt="%g")
    ax.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
    ax.set_title(title, fontsize=9)
    return _figure_of(ax)


def aurocs_along(curves: Mapping[str, pd.DataFrame], xlabel: str, *, ax: Axes | None = None) -> Figure:
    """AUROC against a setting, with 95 % intervals; the dotted line is guessing.

    Args:
        curves: label -> table with the setting as its index and the columns `auroc`, `auroc_low`, `auroc_high`.
        xlabel: name and unit of the setting.
        ax: where to draw; default: a new figure.
    """
    ax = ax or new_figure()[1][0]
    ax.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
    for i, (label, table) in enumerate(curves.items()):
        middle = table["auroc"]
        reach = [middle - table["auroc_low"], table["auroc_high"] - middle]
        style = _line(i) | {"marker": MARKERS[i % len(MARKERS)], "markersize": 5, "capsize": 2}
        ax.errorbar(table.index, middle, yerr=reach, label=label, **style)
    ax.set(xlabel=xlabel, ylabel="AUROC")
    ax.legend(frameon=False, fontsize=8)
    return _figure_of(ax)


def scorecard(card: pd.DataFrame) -> Figure:
    """The paper's tables cell by cell: our AUROC, and the paper's below; see `report.scorecard` for the columns.

    A blue cell with "≈" agrees, an orange hatched one with "≠" differs; one with a dash was not run.
    """
    looks = {"agrees": (COLORS[0], "", " ≈"), "differs": (COLORS[1], "////", " ≠"), "not run": ((1, 1, 1), "", "")}
    panels = []
    for name, part in card.groupby("table"):
        index, columns = (["inlier", "ood", "noise"], ["score", "negatives"])
        if name == "III":
            index, columns = ["negatives"], ["score"]
        labels = [part[keys].agg(", ".join, axis=1) for keys in (index, columns)]
        panels.append((name, part, *labels, labels[0].unique(), labels[1].unique()))
    heights = [len(rows) + 2.5 for *_, rows, _ in panels]
    fig, _ = new_figure(height=0.34 * sum(heights))
    fig.clear()
    for ax, (name, part, row_of, column_of, rows, columns) in zip(
        fig.subplots(len(panels), gridspec_kw={"height_ratios": heights}), panels, strict=True
    ):
        for (_, cell), row, column in zip(part.iterrows(), row_of, column_of, strict=True):
            x, y = list(columns).index(column), list(rows).index(row)
            color, hatch, sign = looks[cell["verdict"]]
            fill, line = (*color, 0.25), (*color, 0.35)
            ax.add_patch(Rectangle((x, y), 1, 1, facecolor=fill, edgecolor=line, hatch=hatch, linewidth=0))
            ours = "–" if np.isnan(cell["ours"]) else f"{cell['ours']:.2f}{sign}"
            ax.text(x + 0.5, y + 0.34, ours, ha="center", va="center", fontsize=7.5, weight="bold")
            ax.text(x + 0.5, y + 0.74, f"{cell['paper']:.2f}", ha="center", va="center", fontsize=6, color="0.35")
        ax.set(xlim=(0, 6), ylim=(len(rows), 0))
        ax.set_title(f"Table {name}", loc="left", fontsize=10)
        ax.vlines(range(1, 6), 0, len(rows), color="white", linewidth=2)
        ax.hlines(range(1, len(rows)), 0, 6, color="white", linewidth=2)
        heads = [c.replace("bpd", "BPD").replace("kl", "KL").replace(", ", "\n") for c in columns]
        ax.set_xticks(np.arange(len(columns)) + 0.5, heads, fontsize=7)
        ax.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=7)
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        sns.despine(ax=ax, left=True, bottom=True)
    fig.supxlabel("AUROC, ours above the paper's: ≈ agrees, ≠ differs, – not run", fontsize=8)
    return fig


def against_paper(card: pd.DataFrame) -> Figure:
    """Our AUROC over the paper's, a point for each cell that was run, one panel for each score.

    Filled points agree, open ones differ; their shapes tell the negatives. Between the dotted lines the difference is
    at most 0.05. See `report.scorecard` for the columns.
    """
    run = card[card["verdict"] != "not run"]
    source = run["negatives"].where(run["negatives"].isin(["none", "adversarial"]), "from a set or noise")
    fig, axes = new_figure(columns=2, height=3.8)
    for ax, (score, name) in zip(axes, (("bpd", "BPD"), ("kl", "KL")), strict=True):
        ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
        for shift in (-0.05, 0.05):
            ax.plot([0, 1], [shift, 1 + shift], color="0.6", linestyle=":", linewidth=1)
        for (label, color), marker in zip(
            (("none", COLORS[0]), ("from a set or noise", COLORS[2]), ("adversarial", COLORS[1])), MARKERS, strict=False
        ):
            for verdict, fill in (("agrees", color), ("differs", "white")):
                part = run[(source == label) & (run["score"] == score) & (run["verdict"] == verdict)]
                named = label if fill == color else None
                ax.plot(part["paper"], part["ours"], marker, mfc=fill, mec=color, ms=5.5, mew=1.3, ls="", label=named)
        ax.set(xlim=(0, 1.03), ylim=(0, 1.03), aspect="equal", xlabel=f"the paper's AUROC of {name}")
    axes[0].set(ylabel="ours")
    _legend_above(axes[0], 3)
    return fig
