"""AUROC, AUPR and FPR95 against definitions and scikit-learn, with ties."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from nsvae_lib.evaluation import _bootstrap_aurocs, auroc, auroc_monitor, evaluate
from nsvae_lib.scores import score
from nsvae_lib.training import fit
from nsvae_lib.vae import VAE

# Few distinct values, so that ties are the rule.
scores = st.lists(st.integers(-3, 3), min_size=1, max_size=20)


@given(scores, scores)
def test_auroc_is_the_share_of_pairs_won_ties_counted_half(inlier, ood):
    a, b = np.array(inlier), np.array(ood)
    wins = (b[:, None] > a).mean() + (b[:, None] == a).mean() / 2
    assert auroc(a, b) == pytest.approx(wins)


@given(scores, scores)
def test_swapping_the_sets_mirrors_auroc(inlier, ood):
    assert auroc(inlier, ood) == pytest.approx(1 - auroc(ood, inlier))


@given(scores, scores)
def test_bootstrap_counts_equal_scikit_learn_on_the_resampled_scores(inlier, ood):
    inlier, ood = np.array(inlier, float), np.array(ood, float)
    ours = _bootstrap_aurocs(np.sort(inlier), ood, 1, seed=5)[0]
    rng = np.random.default_rng(5)
    a = np.repeat(np.sort(inlier), rng.multinomial(len(inlier), np.full(len(inlier), 1 / len(inlier))))
    b = np.repeat(ood, rng.multinomial(len(ood), np.full(len(ood), 1 / len(ood))))
    assert ours == pytest.approx(roc_auc_score([0] * len(a) + [1] * len(b), np.concatenate([a, b])))


def test_higher_scores_for_ood_are_good():
    result = evaluate([0.0, 1.0, 2.0], [10.0, 11.0])
    assert (result.auroc, result.aupr, result.fpr95) == (1.0, 1.0, 0.0)
    assert evaluate([10.0, 11.0], [0.0, 1.0]).fpr95 == 1.0
    assert (result.n_inlier, result.n_ood) == (3, 2)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth = 0.760  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    hits = 0
    for seed in range(100):
        result = evaluate(rng.normal(0, 1, 200), rng.normal(1, 1, 200), bootstrap=200, seed=seed)
        low, high = result.auroc_interval
        hits += low <= truth <= high
    assert 88 <= hits <= 99


def test_fpr95_by_hand():
    ood = np.arange(100, 200)  # 95 % of these are >= 105
    assert evaluate(np.r_[np.zeros(9), 105], ood, bootstrap=1).fpr95 == pytest.approx(0.1)


@given(*2 * [st.lists(st.integers(0, 30), min_size=20, max_size=80)])
def test_fpr95_is_that_of_the_strictest_threshold_that_finds_95_percent(inlier, ood):
    """Ties in equal numbers make straight pieces of the ROC curve, whose inner points count too."""
    a, b = np.array(inlier), np.array(ood)
    strictest = max(t for t in b if (b >= t).mean() >= 0.95)
    assert evaluate(a, b, bootstrap=1).fpr95 == pytest.approx((a >= strictest).mean())


@pytest.mark.parametrize(
    ("inlier", "ood", "message"),
    [([], [1.0], "no inlier scores"), ([1.0], [], "no OOD scores"), ([1.0, np.nan], [1.0], "1 of 2 inlier scores")],
)
def test_bad_scores(inlier, ood, message):
    with pytest.raises(ValueError, match=message):
        auroc(inlier, ood)


def test_monitor_also_scores_the_mean_of_the_weights(tiny_images):
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    monitor = auroc_monitor(tiny_images[:40], {"others": tiny_images[40:]}, ("kl",), average_from=2)
    states = []

    def callback(vae, row):
        monitor(vae, row)
        states.append({name: value.clone() for name, value in vae.state_dict().items()})

    for _ in range(2):  # the same monitor again: nothing of the first training is left in it
        states.clear()
        history = fit(vae, tiny_images, epochs=4, lr=1e-3, device="cpu", progress=False, callback=callback)
        last, averaged = history["auroc_kl others"], history["averaged auroc_kl others"]
        assert math.isnan(averaged[0]) and averaged[1] == last[1]
        mean = deepcopy(vae)
        mean.load_state_dict({name: torch.stack([s[name] for s in states[1:]]).mean(0) for name in states[0]})
        expected = [score(mean, images, ("kl",))["kl"] for images in (tiny_images[:40], tiny_images[40:])]
        assert averaged[3] == pytest.approx(auroc(*expected), abs=1e-3) and averaged[3] != last[3]


def test_bad_bootstrap():
    with pytest.raises(ValueError, match="bootstrap must be at least 1"):
        evaluate([0.0], [1.0], bootstrap=0)
