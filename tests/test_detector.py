"""Verdicts at a false-alarm rate: thresholds against exact quantiles and simulation, and a detector's file."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from nsvae_lib.detector import Detector, false_alarm_interval, percentile, threshold
from nsvae_lib.vae import VAE

RATES = st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.25, 0.5, 0.9])


# --- threshold ------------------------------------------------------------------------------------


def test_threshold_is_an_exact_quantile():
    scores = np.random.default_rng(0).permutation(99)  # 0 to 98: the k-th smallest is k - 1
    assert threshold(scores, 0.01) == 98
    assert threshold(scores, 0.05) == 94
    assert threshold(scores, 0.1) == 89
    assert threshold(scores, 0.5) == 49
    # NumPy's quantile of this definition, written independently.
    for rate in (0.02, 0.07, 0.3):
        assert threshold(scores, rate) == np.quantile(scores, min(1, 100 * (1 - rate) / 99), method="inverted_cdf")


@given(n=st.integers(1, 400), rate=RATES)
def test_a_new_inlier_is_flagged_with_at_most_the_rate_and_hardly_less(n, rate):
    """The new score is equally likely to be in each of the n + 1 places among the old ones."""
    if n < round(1 / rate, 9) - 1:
        with pytest.raises(ValueError, match=f"needs at least .* held-out inliers, there are {n}"):
            threshold(np.arange(n), rate)
        return
    limit = threshold(np.arange(n), rate)
    flagged = sum(place - 0.5 > limit for place in range(n + 1)) / (n + 1)
    assert flagged <= rate + 1e-12
    assert flagged > rate - 1 / (n + 1)


@given(scores=st.lists(st.integers(0, 30), min_size=40, max_size=120), new=st.integers(-1, 31), rate=RATES)
def test_flagging_is_what_the_conformal_p_value_says(scores, new, rate):
    """With ties too: flagged if and only if (1 + number of old scores at least as high) / (n + 1) <= rate."""
    rate = max(rate, 0.05)
    p_value = (1 + sum(score >= new for score in scores)) / (len(scores) + 1)
    assert (new > threshold(scores, rate)) == (p_value <= rate + 1e-12)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, math.nan])
def test_rates_out_of_range(rate):
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        threshold([1, 2, 3], rate)


@pytest.mark.parametrize(("n", "rate"), [(40, 0.05), (200, 0.05), (200, 0.2), (1000, 0.01)])
def test_the_interval_is_that_of_simulated_thresholds(n, rate):
    """Uniform scores: the share of new inliers above a threshold is one minus the threshold."""
    rng = np.random.default_rng(0)
    shares = [1 - threshold(rng.random(n), rate) for _ in range(4000)]
    low, high = false_alarm_interval(n, rate)
    # 4,000 draws: four standard deviations of a binomial share of 2.5 %.
    tolerance = 4 * binom(4000, 0.025).std() / 4000
    assert np.mean(np.array(shares) < low) == pytest.approx(0.025, abs=tolerance)
    assert np.mean(np.array(shares) > high) == pytest.approx(0.025, abs=tolerance)


def test_percentile_counts_lower_scores():
    held_out = [3.0, 1.0, 2.0, 2.0]
    assert percentile(held_out, [0, 1, 1.5, 2, 3, 9]).tolist() == [0, 0, 25, 25, 75, 100]


# --- the detector ---------------------------------------------------------------------------------


@pytest.fixture
def detector(tiny_vae, tiny_images) -> Detector:
    return Detector.calibrate(tiny_vae, tiny_images[:60], tiny_images[60:])


def test_held_out_images_that_were_trained_on_do_not_count(tiny_vae):
    images = torch.randint(0, 256, (10, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    detector = Detector.calibrate(tiny_vae, images[:6], images[4:])
    assert [len(values) for values in detector.held_out.values()] == [4, 4]
    assert detector.has_seen(images).tolist() == [False] * 4 + [True] * 6
    with pytest.raises(ValueError, match="nothing to calibrate with"):
        Detector.calibrate(tiny_vae, images[:3], images)
    with pytest.raises(ValueError, match="held_out: expected at least one image"):
        Detector.calibrate(tiny_vae, images[:0], images)


def test_images_are_known_in_either_format(tiny_vae, tiny_images):
    detector = Detector.calibrate(tiny_vae, tiny_images[:40], tiny_images[40:] / 255)
    seen = detector.has_seen(tiny_images)
    assert seen[40:].all() and torch.equal(seen, detector.has_seen(tiny_images / 255))


def test_judge_flags_by_each_criterion(detector, tiny_images):
    noise = torch.rand(50, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    for images in (noise, tiny_images):
        tables = {by: detector.judge(images, rate=0.1, by=by) for by in ("bpd", "kl")}
        for by, table in tables.items():
            assert list(table.columns) == ["bpd", "kl", "percentile", "excess", "flagged"]
            assert table["percentile"].between(0, 100).all()
            assert (table["flagged"] == (table[by] > threshold(detector.held_out[by], 0.1))).all()
            assert np.array_equal(table["percentile"], percentile(detector.held_out[by], table[by]))
            excess = (table[by] - detector.held_out[by].mean().item()) / detector.held_out[by].std().item()
            assert np.allclose(table["excess"], excess, atol=1e-3)
        either = detector.judge(images, rate=0.2)
        assert (either["flagged"] == (tables["bpd"]["flagged"] | tables["kl"]["flagged"])).all()
        for column in ("percentile", "excess"):
            assert np.array_equal(either[column], np.maximum(*(t[column] for t in tables.values())))


def test_verdicts_depend_on_the_held_out_scores(tiny_vae, tiny_images):
    """Below all scores of this model, or above them; one of the two scores is enough for "either"."""
    low, high = torch.linspace(-2, -1, 60), torch.linspace(1e6, 2e6, 60)
    for held_out, expected in (({"bpd": low, "kl": high}, True), ({"bpd": high, "kl": high}, False)):
        table = Detector(tiny_vae, held_out).judge(tiny_images)
        assert (table["flagged"] == expected).all()
        assert (table["percentile"] == (100 if expected else 0)).all()


def test_a_score_that_is_no_number_is_suspicious_and_nothing_to_calibrate_with(detector, tiny_images):
    with torch.no_grad():
        for parameter in detector.vae.encoder.parameters():
            parameter.fill_(torch.nan)
    assert detector.judge(tiny_images)["flagged"].all()
    with pytest.raises(ValueError, match="scores that are not finite"):
        Detector.calibrate(detector.vae, tiny_images)


def test_judge_refuses_what_it_cannot_do(detector, tiny_images):
    with pytest.raises(ValueError, match="unknown criterion 'brightness'; known: bpd, kl, either"):
        detector.judge(tiny_images, by="brightness")
    with pytest.raises(ValueError, match=r"rate of 0\.50% needs at least 199 held-out inliers, there are \d+"):
        detector.judge(tiny_images, rate=0.01)
    with pytest.raises(ValueError, match="expected shape"):
        detector.judge(torch.zeros(2, 1, 28, 28))


def test_a_detector_comes_back_from_its_file(detector, tiny_images, tmp_path):
    detector.save(tmp_path / "model.safetensors", epochs=3)
    again = Detector.load(tmp_path / "model.safetensors", device="cpu")
    assert again.trained_on == detector.trained_on
    assert again.vae.provenance == {"epochs": 3}
    assert again.judge(tiny_images).equals(detector.judge(tiny_images))
    VAE.load(tmp_path / "model.safetensors").save(tmp_path / "copy.safetensors")
    assert (
        Detector.load(tmp_path / "copy.safetensors", device="cpu").judge(tiny_images).equals(again.judge(tiny_images))
    )


def test_a_model_without_calibration_is_no_detector(tiny_vae, tmp_path):
    tiny_vae.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="without scores of held-out inliers"):
        Detector.load(tmp_path / "model.safetensors")
