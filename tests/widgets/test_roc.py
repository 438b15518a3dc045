"""Threshold and ROC."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.widgets.roc import BINS
from tests.widgets.gallery import numbers, settled, thresholds

SCORES = {"bpd": "bits per dimension", "kl": "KL, nats per image"}
AUROC, FPR, TPR = "AUROC, the shaded area", "false alarms (FPR)", "strangers caught (TPR)"


@pytest.fixture(scope="module")
def scores() -> dict:
    """Of real images under a shipped model."""
    vae = ns.pretrained("FashionMNIST", "bernoulli", device="cpu")
    images = {name: ns.load(name, sample=True).test for name in ("FashionMNIST", "MNIST")}
    return {"clothes": {name: ns.score(vae, x) for name, x in images.items()}}


def choices(widget: widgets.ROC) -> Iterator[None]:
    """The widget with each model, score and set of strangers in turn."""
    for picked, which in itertools.product(widget.tables, widget.labels):
        _, *strangers = widget.tables[picked][which]["counts"]
        for ood in strangers:
            widget.picked, widget.which, widget.ood = picked, which, ood
            yield


def counts(tab) -> list[list[int]]:
    """Flagged and passed, of inliers and of strangers."""
    rows = tab.figure.locator("tbody tr").all()
    return [[int(text) for text in row.locator("td").all_inner_texts()] for row in rows]


def test_counts_at_the_edges_are_those_of_the_scores(scores):
    widget = widgets.ROC.from_scores(scores)
    for _ in choices(widget):
        edges, fpr, tpr = widget.curve()
        for name, share in zip(widget.sets(), (fpr, tpr), strict=True):
            values = scores["clothes"][name][widget.which].double().numpy()
            wanted = (values >= edges[1:, None]).mean(1)
            assert (share[0], share[-1]) == (0, 1)
            np.testing.assert_allclose(share[1:], wanted, atol=1e-12)


def test_area_is_scikit_learns(scores):
    """To the last digit for scores rounded to the bins, and to the fourth for the scores themselves."""
    widget = widgets.ROC.from_scores(scores)
    for _ in choices(widget):
        inlier, ood = (scores["clothes"][name][widget.which].double().numpy() for name in widget.sets())
        assert widget.auroc() == pytest.approx(ns.auroc(inlier, ood), abs=1e-4)
        edges = np.sort(widget.curve()[0])
        rounded = [np.digitize(values, edges[:-1]) for values in (inlier, ood)]
        labels = np.repeat([0, 1], [len(inlier), len(ood)])
        assert widget.auroc() == pytest.approx(roc_auc_score(labels, np.concatenate(rounded)), abs=1e-12)


def test_ties_count_half_and_one_value_is_no_trouble():
    widget = widgets.ROC.from_scores({"m": {"a": {"s": [1.0, 1.0]}, "b": {"s": [1.0]}}})
    assert widget.auroc() == 0.5
    assert widget.labels == {"s": "s"}
    widget = widgets.ROC.from_scores({"m": {"a": {"s": [0.1, 0.4, 0.4, 0.7]}, "b": {"s": [0.3, 0.4, 0.9]}}})
    assert widget.auroc() == pytest.approx(7 / 12)


def test_it_starts_with_few_false_alarms(scores):
    assert 0.04 < widgets.ROC.from_scores(scores).rates()[0] <= 0.05


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "at least one model"),
        ({"m": {"a": {"s": [1.0]}}}, "at least one set of strangers"),
        ({"m": {"a": {"s": [1.0]}, "b": {"t": [1.0]}}}, "same scores of all sets"),
        ({n: {"a": {n: [1.0]}, "b": {n: [1.0]}} for n in "mn"}, "same scores from all models"),
        ({"m": {"a": {"s": [1.0]}, "b": {"s": [np.nan]}}}, "finite"),
        ({"m": {"a": {"s": [1.0]}, "b": {"s": []}}}, "at least one a set"),
    ],
    ids=["no model", "no strangers", "sets differ", "models differ", "nan", "empty"],
)
def test_scores_that_make_no_curve_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        widgets.ROC.from_scores(scores)


def test_numbers_are_pythons(on_bench):
    widget = thresholds()
    tab = on_bench(widget)
    for _ in choices(widget):
        for at in (0, 60, 200, BINS):
            widget.threshold = float(np.sort(widget.curve()[0])[at])
            tab.set(picked=widget.picked, which=widget.which, ood=widget.ood, threshold=widget.threshold)
            fpr, tpr = widget.rates()
            wanted = {AUROC: widget.auroc(), FPR: 100 * fpr, TPR: 100 * tpr}
            assert numbers(tab) == pytest.approx(wanted, abs=0.051)
            assert numbers(tab)[AUROC] == pytest.approx(widget.auroc(), abs=5.1e-5)
            flagged = [round(300 * fpr), round(300 * tpr)]
            assert counts(tab) == [[n, 300 - n] for n in flagged]


def test_kernel_sees_what_the_reader_does(on_bench):
    widget = thresholds()
    tab = on_bench(widget)
    tab.figure.get_by_role("slider", name="Threshold").press("ArrowLeft")
    edges = np.sort(widget.curve()[0])
    at = int(np.abs(edges - widget.threshold).argmin())
    assert tab.get("threshold") == pytest.approx(edges[at - 1])
    tab.figure.get_by_role("radio", name="Glyphs").check()
    assert tab.get("ood") == "Glyphs"


def test_another_choice_keeps_the_false_alarm_rate(site, open_tab):
    tab = open_tab((site / "roc.html").as_uri())
    rate = numbers(tab)[FPR]
    for name in (SCORES["kl"], "MNIST", "Glyphs", SCORES["bpd"]):
        radio = tab.figure.get_by_role("radio", name=name, exact=True)
        radio.first.check()
        settled(tab)
        assert radio.first.is_checked()
        assert numbers(tab)[FPR] == pytest.approx(rate, abs=2)
    assert tab.errors == []


def test_keys_move_the_threshold(site, open_tab):
    tab = open_tab((site / "roc.html").as_uri())
    slider = tab.figure.get_by_role("slider", name="Threshold")
    slider.press("End")
    settled(tab)
    assert counts(tab) == [[0, 300], [0, 300]]
    assert slider.get_attribute("aria-valuetext") == "no alarm"
    slider.press("Home")
    settled(tab)
    assert counts(tab) == [[300, 0], [300, 0]]
    assert tab.errors == []


@pytest.mark.parametrize("width", [1280, 390])
def test_threshold_and_point_are_dragged_with_mouse_or_finger(site, open_tab, width):
    tab = open_tab((site / "roc.html").as_uri(), width=width)
    slider = tab.figure.get_by_role("slider", name="Threshold")
    for i, (left, wanted) in enumerate([(8, None), (44, 60)]):
        plot = tab.figure.locator(".ns-plot").nth(i)
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        x = box["x"] + box["width"] * (left + 0.6 * (352 - left)) / 360
        # On the ROC curve, the nearest point to a place far below it.
        y = box["y"] + box["height"] * 0.8
        if width == 390:
            tab.page.touchscreen.tap(x, y)
        else:
            tab.page.mouse.move(box["x"] + box["width"] * 0.3, y)
            tab.page.mouse.down()
            tab.page.mouse.move(x, y, steps=4)
            tab.page.mouse.up()
        settled(tab)
        if wanted is None:
            assert int(slider.input_value()) == pytest.approx(0.6 * BINS, abs=2)
        else:
            assert numbers(tab)[FPR] == pytest.approx(wanted, abs=15)
    assert tab.errors == []
