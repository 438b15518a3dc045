"""The scorecard: every number of the paper's tables beside ours (`nsvae report`)."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from .checkpoints import write_whole
from .experiments import EXPERIMENTS, GREY, RUN_FIELDS, Run
from .paper import tables
from .plots import scorecard as draw

# What makes results comparable: runs that differ in any of these never share a cell.
BUDGET = ["n_train", "epochs", "lr", "preset", "n_test"]
VERDICTS = ("agrees", "differs", "not run")
SIGNS = dict(zip(VERDICTS, ("≈", "≠", "-"), strict=True))


def run_of(cell: pd.Series) -> Run:
    """The training behind a cell of the paper's tables, at the library's default budget and seed 0.

    Several cells can have the same: a model without negatives or an adversarial one serves every OOD set.
    """
    inlier, ood, noise = cell["inlier"], cell["ood"], cell["noise"]
    names = {"auxiliary": "", "inlier+gaussian-noise": "noisy-inliers"}
    negatives = names.get(cell["negatives"], cell["negatives"])
    if cell["table"] == "II":
        wanted = inlier, noise, negatives or "ImageNet32"
        return next(run for run in EXPERIMENTS["II"] if (run.inlier, run.noise, run.negatives) == wanted)
    # Grey sets: the auxiliary set is the one of the three that is neither inlier nor OOD set.
    return Run(inlier, noise, negatives or min(set(GREY) - {inlier, ood}))


def budgets(rows: pd.DataFrame) -> pd.DataFrame:
    """How many of the paper's cells each budget in a table of results has filled, most first.

    Args:
        rows: as `experiments.results` returns.

    Returns:
        Columns `n_train`, `epochs`, `lr`, `preset`, `n_test`, `cells`.
    """
    found = []
    for values, group in rows.groupby(BUDGET):
        budget = dict(zip(BUDGET, values, strict=True))
        found.append(budget | {"cells": int(scorecard(group, **budget)["seeds"].gt(0).sum())})
    return pd.DataFrame(found, columns=[*BUDGET, "cells"]).sort_values(["cells", "n_train"], ascending=False)


def scorecard(
    rows: pd.DataFrame, n_train: int, epochs: int, preset: str = "light", lr: float = 3e-4, n_test: int = 10_000
) -> pd.DataFrame:
    """Every cell of the paper's tables with our result at one budget beside it.

    Args:
        rows: as `experiments.results` returns.
        n_train, epochs, preset, lr, n_test: the budget, see `experiments.Run`. Runs at another, or with any other field
            than the cell's, are left out.

    Returns:
        One row per printed cell, 106 in all, in the paper's order. Columns: those of `paper.tables` with `mean` and
        `std` renamed to `paper` and `paper_std`; `ours`, the mean AUROC over our seeds; `std`, their standard
        deviation (NaN with fewer than two seeds); `low` and `high`, Student's 95 % interval for the mean, cut at 0 and
        1 (NaN likewise); `seeds`, their number; `verdict`: see `verdict`, or "not run".
    """
    others = [name for name in RUN_FIELDS if name != "seed"]
    ours = dict(list(rows.groupby([*others, "ood", "score"])))
    cells = tables().rename(columns={"mean": "paper", "std": "paper_std"})
    found = []
    for _, cell in cells.iterrows():
        run = run_of(cell)
        budget = {"n_train": n_train, "epochs": epochs, "lr": lr, "preset": preset, "n_test": n_test}
        key = (*(budget.get(name, getattr(run, name)) for name in others), cell["ood"], cell["score"])
        found.append(_beside(cell, ours[key]["auroc"].astype(float) if key in ours else pd.Series(dtype=float)))
    return pd.concat([cells, pd.DataFrame(found, index=cells.index)], axis=1)


def verdict(paper: float, paper_std: float, ours: float, std: float) -> str:
    """ "agrees" if two means differ by at most 0.05 or by two combined standard deviations, else "differs".

    A standard deviation that is unknown (NaN), as with a single seed, counts as 0.
    """
    combined = math.hypot(paper_std, 0.0 if math.isnan(std) else std)
    close = abs(ours - paper) <= max(0.05, 2 * combined) + 1e-9
    return "agrees" if close else "differs"


def _beside(cell: pd.Series, aurocs: pd.Series) -> dict[str, float | str]:
    """Our side of a cell."""
    n, mean, std = len(aurocs), aurocs.mean(), aurocs.std()
    half = float(student.ppf(0.975, n - 1)) * std / math.sqrt(n) if n > 1 else math.nan
    low, high = np.clip([mean - half, mean + half], 0, 1)
    return {
        "ours": mean,
        "std": std,
        "low": low,
        "high": high,
        "seeds": n,
        "verdict": verdict(cell["paper"], cell["paper_std"], mean, std) if n else "not run",
    }


def summary(card: pd.DataFrame) -> pd.DataFrame:
    """Cells by table and verdict, with the sums: rows "I", "II", "III", "all"; columns as in `VERDICTS`, and "all"."""
    counts = pd.crosstab(card["table"], card["verdict"]).reindex(columns=[*VERDICTS], fill_value=0)
    counts.loc["all"] = counts.sum()
    return counts.assign(all=counts.sum(axis=1)).rename_axis(columns=None)


def write_report(card: pd.DataFrame, path: str | Path, title: str = "The paper's numbers and ours") -> None:
    """Write a scorecard to a file, whole or not at all: Markdown (.md), HTML (.html) or a picture (.png).

    Raises:
        ValueError: another kind of file.
    """
    path = Path(path)
    if path.suffix not in (".md", ".html", ".png"):
        raise ValueError(f"{path}: a report is .md, .html or .png")
    with write_whole(path) as temporary:
        if path.suffix == ".png":
            figure = draw(card)
            figure.savefig(temporary, format="png", dpi=150)
        elif path.suffix == ".md":
            parts = [f"# {title}", _markdown(summary(card).reset_index()), EXPLAINED, _markdown(readable(card))]
            temporary.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        else:
            temporary.write_text(_html(card, title), encoding="utf-8")


EXPLAINED = (
    "Numbers are AUROC: mean (standard deviation) over seeds. The paper's are over ten. "
    "The 95 % interval is Student's, for the mean of our seeds. "
    "agrees: the means differ by at most 0.05 or by at most two combined standard deviations, "
    "where one that is unknown, with a single seed, counts as 0."
)


def readable(card: pd.DataFrame) -> pd.DataFrame:
    """A scorecard as text, a row per cell: "0.76 (0.07)" for means with standard deviations, "" for what is unknown."""

    def number(mean: float, std: float) -> str:
        return "" if math.isnan(mean) else f"{mean:.2f}" + ("" if math.isnan(std) else f" ({std:.2f})")

    text = card[["table", "inlier", "ood", "noise", "negatives"]].copy()
    text["score"] = card["score"].str.upper()
    text["paper"] = [number(*pair) for pair in zip(card["paper"], card["paper_std"], strict=True)]
    text["ours"] = [number(*pair) for pair in zip(card["ours"], card["std"], strict=True)]
    text["95 % interval"] = [
        "" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
        for low, high in zip(card["low"], card["high"], strict=True)
    ]
    text["seeds"] = card["seeds"].astype(str)
    return text.assign(verdict=card["verdict"])


def beside(card: pd.DataFrame, table: str) -> pd.DataFrame:
    """One of the paper's tables, laid out as it is printed, each cell as "ours ≈ paper", "ours ≠ paper" or "- paper".

    ≈ stands for "agrees", ≠ for "differs", - for "not run"; "0.76 (0.07)" is a mean with its standard deviation.

    Args:
        card: as `scorecard` returns.
        table: "I", "II" or "III".

    Returns:
        Rows: inlier, OOD set, noise model; columns: score ("BPD", "KL") and negatives, in the paper's order.

    Raises:
        ValueError: no such table.
    """
    if table not in set(card["table"]):
        raise ValueError(f"unknown table {table!r}; the paper has I, II and III")
    text = readable(card[card["table"] == table])
    text["cell"] = (text["ours"] + " " + text["verdict"].map(SIGNS) + " " + text["paper"]).str.strip()
    wide = text.pivot(index=["inlier", "ood", "noise"], columns=["score", "negatives"], values="cell")
    rows = text[["inlier", "ood", "noise"]].drop_duplicates()
    columns = text[["score", "negatives"]].drop_duplicates()
    return wide.reindex(index=pd.MultiIndex.from_frame(rows), columns=pd.MultiIndex.from_frame(columns))


def _markdown(table: pd.DataFrame) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(str(value) for value in row) + " |" for row in rows)


def _html(card: pd.DataFrame, title: str) -> str:
    style = (
        "body { font-family: sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem } "
        "table { border-collapse: collapse } td, th { padding: .2rem .6rem; text-align: left }"
    )
    counts, cells = (table.to_html(index=False, border=1) for table in (summary(card).reset_index(), readable(card)))
    head = f'<meta charset="utf-8"><title>{title}</title><style>{style}</style>'
    body = f"<h1>{title}</h1>{counts}<p>{EXPLAINED}</p>{cells}"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'
