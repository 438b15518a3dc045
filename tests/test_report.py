"""The scorecard: every cell of the paper is on it, with the right runs, and says what is true of them."""

import math
import re
import shlex
from dataclasses import asdict, replace

import nbformat
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp
from typer.testing import CliRunner

from nsvae_lib import experiments, paper, plots, report
from nsvae_lib.cli import app
from tools import toc

BUDGET = {"n_train": 20_000, "epochs": 10, "preset": "light"}


def rows(cell: dict[str, str], aurocs: list[float], **changes: object) -> pd.DataFrame:
    """Results of the runs behind a cell, one seed each."""
    run = replace(report.run_of(pd.Series(cell)), **(BUDGET | changes))
    return pd.DataFrame(
        [
            asdict(replace(run, seed=seed)) | {"ood": cell["ood"], "score": cell["score"], "auroc": auroc}
            for seed, auroc in enumerate(aurocs)
        ]
    )


def cell(**changes: str) -> dict[str, str]:
    default = {"table": "I", "inlier": "FashionMNIST", "ood": "MNIST", "noise": "bernoulli"}
    return default | {"negatives": "adversarial", "score": "bpd"} | changes


def found(card: pd.DataFrame, which: dict[str, str]) -> pd.Series:
    return card.set_index(list(which)).sort_index().loc[tuple(which.values())]


def test_every_cell_of_the_paper_is_on_the_card():
    card = report.scorecard(experiments.results(), **BUDGET)
    assert len(card) == 106 and not card.isna()["verdict"].any()
    columns = ["table", "score", "inlier", "ood", "noise", "negatives"]
    pd.testing.assert_frame_equal(card[columns], paper.tables()[columns])
    assert report.summary(card).loc["all", "all"] == 106


def test_mean_deviation_and_interval_over_seeds():
    aurocs = [0.6, 0.7, 0.9]
    row = found(report.scorecard(rows(cell(), aurocs), **BUDGET), cell())
    assert row["seeds"] == 3
    assert row["ours"] == pytest.approx(np.mean(aurocs)) and row["std"] == pytest.approx(np.std(aurocs, ddof=1))
    interval = ttest_1samp(aurocs, 0.5).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((interval.low, min(1, interval.high)))
    one = found(report.scorecard(rows(cell(), [0.6]), **BUDGET), cell())
    assert one["seeds"] == 1 and math.isnan(one["std"]) and math.isnan(one["low"])


@pytest.mark.parametrize(
    ("aurocs", "verdict"),
    [
        ([0.45], "agrees"),  # the paper: 0.70 (0.13), so 0.26 either way
        ([0.43], "differs"),
        ([0.97], "differs"),
        ([0.30, 0.56], "agrees"),  # its own spread makes up for the distance
        ([], "not run"),
    ],
)
def test_verdict(aurocs, verdict):
    table = rows(cell(), aurocs) if aurocs else rows(cell(ood="KMNIST"), [0.5])
    assert found(report.scorecard(table, **BUDGET), cell())["verdict"] == verdict


def test_a_deviation_of_zero_leaves_five_hundredths():
    exact = cell(negatives="none", noise="gaussian")  # the paper: 0.98 (0.00)
    assert found(report.scorecard(rows(exact, [0.93]), **BUDGET), exact)["verdict"] == "agrees"
    assert found(report.scorecard(rows(exact, [0.92]), **BUDGET), exact)["verdict"] == "differs"


@pytest.mark.parametrize(
    "changes",
    [
        {"n_train": 10_000},
        {"epochs": 5},
        {"preset": "authors"},
        {"lr": 1e-4},
        {"n_test": 5_000},
        {"spectral_norm": True},
        {"batch_size": 100},
    ],
)
def test_other_budgets_and_settings_stay_out(changes):
    table = pd.concat([rows(cell(), [0.7]), rows(cell(), [0.1, 0.1], **changes)])
    row = found(report.scorecard(table, **BUDGET), cell())
    assert (row["seeds"], row["ours"]) == (1, 0.7)


def test_a_budget_is_what_one_asks_for():
    paper_rate = rows(cell(), [0.1, 0.2], lr=1e-4)
    table = pd.concat([rows(cell(), [0.7]), paper_rate])
    assert found(report.scorecard(table, **BUDGET, lr=1e-4), cell())["seeds"] == 2
    known = report.budgets(table)
    assert sorted(zip(known["lr"], known["cells"], strict=True)) == [(1e-4, 2), (3e-4, 2)]  # a cell of I, one of III


def test_one_model_serves_several_cells_and_the_auxiliary_set_is_the_third():
    plain = [report.run_of(pd.Series(cell(negatives="none", ood=ood))) for ood in ("MNIST", "EMNIST-Letters")]
    assert plain[0] == plain[1]
    letters = report.run_of(pd.Series(cell(inlier="EMNIST-Letters", negatives="auxiliary")))
    assert letters.negatives == "FashionMNIST"
    planned = {replace(run, seed=0) for run in experiments.EXPERIMENTS["I"] + experiments.EXPERIMENTS["III"]}
    needed = {report.run_of(row) for _, row in paper.tables().query("table != 'II'").iterrows()}
    assert needed == planned


def test_report_files(tmp_path):
    table = tmp_path / "runs.csv"
    pd.concat([rows(cell(), [0.6, 0.7]), rows(cell(negatives="none"), [0.2], n_train=500)]).to_csv(table, index=False)
    files = [tmp_path / name for name in ("card.md", "card.html", "card.png")]
    result = CliRunner().invoke(app, ["report", *map(str, files), "--results", str(table), "--n-train", "20000"])
    assert result.exit_code == 0, result.output
    text, page = files[0].read_text(), files[1].read_text()
    assert text.count("not run") == 1 + 104 and "| 0.70 (0.13) | 0.65 (0.07) | 0.01 to 1.00 | 2 | agrees |" in text
    assert page.count("<tr") == 1 + 4 + 1 + 106
    assert files[2].read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".*"))


def test_a_table_beside_the_papers():
    card = report.scorecard(pd.concat([rows(cell(), [0.6, 0.7]), rows(cell(score="kl"), [0.2])]), **BUDGET)
    one = report.beside(card, "I")
    row = one.loc[("FashionMNIST", "MNIST", "bernoulli")]
    assert row["BPD", "adversarial"] == "0.65 (0.07) ≈ 0.70 (0.13)"
    assert row["KL", "adversarial"] == "0.20 ≠ 0.88 (0.07)"
    assert row["KL", "none"] == "- 0.61 (0.09)"
    assert list(one.columns) == [(s, n) for s in ("BPD", "KL") for n in ("none", "auxiliary", "adversarial")]
    assert [report.beside(card, name).size for name in ("I", "II", "III")] == [72, 24, 10]
    assert not one.isna().any(axis=None)
    with pytest.raises(ValueError, match="unknown table 'IV'"):
        report.beside(card, "IV")


def test_the_pictures_show_every_cell_and_every_verdict():
    card = report.scorecard(pd.concat([rows(cell(), [0.65]), rows(cell(score="kl"), [0.2])]), **BUDGET)
    texts = [text.get_text() for ax in plots.scorecard(card).axes for text in ax.texts]
    assert len(texts) == 2 * 106 and texts.count("–") == 106 - 4  # two cells of Table I, two of III
    assert texts.count("0.65 ≈") == texts.count("0.20 ≠") == 2
    bpd, kl = plots.against_paper(card).axes
    points = [[tuple(xy) for line in ax.lines[3:] for xy in line.get_xydata()] for ax in (bpd, kl)]
    assert points == [[(0.7, 0.65)] * 2, [(0.88, 0.2)] * 2]
    filled = [
        [line.get_markerfacecolor() != "white" for line in ax.lines[3:] if len(line.get_xydata())] for ax in (bpd, kl)
    ]
    assert filled == [[True], [False]]


def test_commands_of_the_chapter_do_what_it_says(tmp_path, monkeypatch):
    chapter = nbformat.read(toc.ROOT / "book" / "09_reproduction.ipynb", as_version=4)
    blocks = re.findall(r"```bash\n(.*?)```", "\n".join(cell.source for cell in chapter.cells), re.DOTALL)
    commands = [shlex.split(block.replace("\\\n", " ")) for block in blocks]
    assert {words[0].removeprefix(".venv/bin/") for words in commands} == {"nsvae"} and len(commands) == 5

    planned: list[list[experiments.Run]] = []

    def record(runs, *args, **kwargs):
        planned.append(runs)
        return pd.DataFrame()

    monkeypatch.setattr(experiments, "reproduce", record)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    rows(cell(), [0.6, 0.7]).to_csv("mine/runs.csv", index=False)
    for words in commands:
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, result.output
    assert [len(set(runs)) for runs in planned] == [1, 3, 27 * 3, 27 * 10]  # two of III are in I
    assert {(run.lr, run.preset, run.epochs) for run in planned[3]} == {(1e-4, "authors", 100)}
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "card.md", "card.html", "card.png"}


def test_bad_requests_are_clear(tmp_path):
    wrong = CliRunner().invoke(app, ["report", str(tmp_path / "card.pdf")])
    assert wrong.exit_code == 2 and ".png" in wrong.output and not list(tmp_path.iterdir())
    unknown = CliRunner().invoke(app, ["report", str(tmp_path / "card.md"), "--n-train", "7"])
    assert unknown.exit_code == 2 and "no runs at this budget" in unknown.output
