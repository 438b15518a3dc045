"""Noise models against scipy and torch.distributions, and whether they are normalised."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from nsvae_lib.noise import (
    NOISE_MODELS,
    Bernoulli,
    ContinuousBernoulli,
    Gaussian,
    entropy_floor,
    log_normaliser,
    make_noise,
    pixel_cost,
)

SHAPE = (2, 3, 4, 5)  # N, C, H, W
logit = st.floats(-20, 20, allow_nan=False)
pixel = st.floats(0, 1, allow_nan=False)


def one_pixel(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


@given(logit, st.integers(0, 1))
def test_bernoulli_is_scipys_on_black_and_white(logit, x):
    ours = Bernoulli()(one_pixel(logit)).log_prob(one_pixel(x)).item()
    # The probability of the value at hand comes from expit of the signed logit, so that 1 - p loses no digits.
    p = 1 / (1 + math.exp(-logit if x == 1 else logit))
    assert ours == pytest.approx(stats.bernoulli(p).logpmf(1), abs=1e-9)


@given(logit, pixel)
def test_bernoulli_on_grey_is_the_cross_entropy(logit, x):
    ours = Bernoulli()(one_pixel(logit)).log_prob(one_pixel(x)).item()
    log_white, log_black = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
    assert ours == pytest.approx(x * log_white + (1 - x) * log_black, abs=1e-9)


@given(logit, pixel, st.floats(0.05, 3))
def test_gaussian_is_scipys(logit, x, sigma):
    ours = Gaussian(sigma)(one_pixel(logit)).log_prob(one_pixel(x)).item()
    mean = 1 / (1 + math.exp(-logit))
    assert ours == pytest.approx(stats.norm(mean, sigma).logpdf(x), rel=1e-5, abs=1e-5)


@given(st.floats(-12, 12), pixel)
def test_continuous_bernoulli_is_torchs_where_torch_does_not_clamp(logit, x):
    ours = ContinuousBernoulli()(one_pixel(logit)).log_prob(one_pixel(x)).item()
    torchs = torch.distributions.ContinuousBernoulli(logits=one_pixel(logit)).log_prob(one_pixel(x)).item()
    assert ours == pytest.approx(torchs, abs=1e-5)


@pytest.mark.parametrize("logit", [-30.0, -3.0, -0.05, 0.0, 0.05, 0.1, 3.0, 30.0])
def test_continuous_bernoulli_integrates_to_one(logit):
    density = ContinuousBernoulli()(one_pixel(logit))
    total, _ = integrate.quad(lambda x: math.exp(density.log_prob(one_pixel(x)).item()), 0, 1, points=[0.01, 0.99])
    assert total == pytest.approx(1, abs=1e-6)


def test_bernoulli_on_grey_does_not_integrate_to_one():
    density = Bernoulli()(one_pixel(2.0))
    total, _ = integrate.quad(lambda x: math.exp(density.log_prob(one_pixel(x)).item()), 0, 1)
    assert total == pytest.approx(math.exp(-log_normaliser(torch.tensor(2.0)).item()), abs=1e-6)
    assert total < 0.5


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_gaussian_integrates_to_one(sigma):
    density = Gaussian(sigma)(one_pixel(0.3))
    total, _ = integrate.quad(lambda x: math.exp(density.log_prob(one_pixel(x)).item()), -8, 9, points=[0.5])
    assert total == pytest.approx(1, abs=1e-5)


def test_normaliser_is_smooth_where_the_series_takes_over():
    logits = torch.tensor([0.0, 0.0999999, 0.1000001, -0.1000001, -0.0999999], dtype=torch.float64, requires_grad=True)
    values = log_normaliser(logits)
    (gradients,) = torch.autograd.grad(values.sum(), logits)
    assert values[0].item() == pytest.approx(math.log(2))
    assert torch.allclose(values[1:], values[1].expand(4), atol=1e-7)
    assert torch.allclose(gradients[1:3], gradients[1].expand(2), atol=1e-6)
    assert gradients[0].item() == 0


@pytest.mark.parametrize("name", NOISE_MODELS)
@pytest.mark.parametrize("extreme", [-200.0, 200.0], ids=["all-black", "all-white"])
def test_log_prob_is_per_image_and_finite_at_the_extremes(name, extreme):
    logits = torch.full(SHAPE, extreme, requires_grad=True)
    x = torch.linspace(0, 1, math.prod(SHAPE)).reshape(SHAPE)
    log_prob = make_noise(name)(logits).log_prob(x)
    log_prob.sum().backward()
    assert log_prob.shape == (SHAPE[0],)
    assert log_prob.isfinite().all() and logits.grad.isfinite().all()


@pytest.mark.parametrize("name", NOISE_MODELS)
def test_mean_is_the_mean_of_samples(name):
    torch.manual_seed(0)
    density = make_noise(name)(torch.linspace(-3, 3, 4).reshape(1, 1, 2, 2))
    draws = density.sample((20_000,))
    assert torch.allclose(draws.mean(0), density.mean, atol=0.03)


@pytest.mark.parametrize("value", [-200.0, -20.0, -3.0, -0.1001, -0.0999, -1e-6, 0.0, 0.05, 2.0, 17.0, 200.0])
def test_mean_of_the_continuous_bernoulli_is_exact_for_every_logit(value):
    logits = torch.full((1, 1, 1, 1), value, requires_grad=True)
    mean = ContinuousBernoulli()(logits).mean
    (slope,) = torch.autograd.grad(mean.sum(), logits)
    # The density is exp(l x) up to a constant: its mean and variance, by integration where l x stays small.
    at = 1 if value > 0 else 0
    moments = [
        integrate.quad(lambda x, n=n: x**n * math.exp(value * (x - at)), 0, 1, epsabs=0, limit=500)[0] for n in range(3)
    ]
    exact = moments[1] / moments[0]
    assert mean.item() == pytest.approx(exact, rel=1e-5, abs=1e-6)
    assert slope.item() == pytest.approx(moments[2] / moments[0] - exact**2, rel=2e-3, abs=1e-5)


def test_log_prob_sums_over_pixels():
    logits, x = torch.randn(SHAPE), torch.rand(SHAPE)
    for name in NOISE_MODELS:
        whole = make_noise(name)(logits).log_prob(x)
        parts = [make_noise(name)(logits[..., :k]).log_prob(x[..., :k]) for k in (1, 5)]
        rest = make_noise(name)(logits[..., 1:]).log_prob(x[..., 1:])
        assert torch.allclose(parts[0] + rest, whole, atol=1e-4)
        assert torch.equal(parts[1], whole)


def test_learned_sigma_is_a_parameter_and_fixed_sigma_is_not():
    assert list(Gaussian().parameters()) == []
    (parameter,) = Gaussian(0.5, learned=True).parameters()
    assert parameter.exp().item() == pytest.approx(0.5)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_bad_sigma(sigma):
    with pytest.raises(ValueError, match="sigma must be a positive number"):
        Gaussian(sigma)


def test_unknown_noise_lists_the_known():
    with pytest.raises(ValueError, match="'poisson'.*bernoulli, gaussian"):
        make_noise("poisson")


def test_pixel_cost_broadcasts_and_is_minus_the_log_density():
    x, m = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)[:, None], torch.tensor([0.1, 0.6], dtype=torch.float64)
    cost = pixel_cost(Gaussian(0.5), x, m)
    assert cost.shape == (3, 2)
    assert np.allclose(cost, -stats.norm(m, 0.5).logpdf(x))


@given(pixel, st.floats(1e-6, 1 - 1e-6))
def test_no_prediction_is_cheaper_than_the_entropy_floor(x, m):
    floor = entropy_floor(one_pixel(x)).item()
    assert pixel_cost(Bernoulli(), one_pixel(x), one_pixel(m)).item() >= floor - 1e-6
    if 0.001 < x < 0.999:
        assert pixel_cost(Bernoulli(), one_pixel(x), one_pixel(x)).item() == pytest.approx(floor, abs=1e-5)


def test_entropy_floor_is_scipys_entropy_summed_over_pixels():
    images = torch.randint(0, 256, SHAPE, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    x = images.double().numpy() / 255
    expected = stats.entropy(np.stack([x, 1 - x])).reshape(len(x), -1).sum(1)
    assert np.allclose(entropy_floor(images), expected, rtol=1e-5)


def test_entropy_floor_of_black_and_white_is_zero_and_of_mid_grey_log_2_per_pixel():
    black, white, grey = torch.zeros(SHAPE), torch.ones(SHAPE), torch.full(SHAPE, 0.5)
    assert not entropy_floor(torch.cat([black, white])).any()
    assert torch.allclose(entropy_floor(grey), torch.tensor(60 * math.log(2)))


def test_entropy_floor_refuses_images_out_of_range():
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
        entropy_floor(torch.full(SHAPE, 2.0))
