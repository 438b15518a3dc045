"""Bounds against a model whose log p(x) is known, and KL against torch and Monte Carlo."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal, Normal

from nsvae_lib.bounds import (
    bits_per_dim,
    cubo,
    draw_latents,
    effective_sample_size,
    elbo,
    eubo,
    expected_w_log_w,
    iwae,
    kl_divergence,
    log_weights,
    refit_posterior,
)
from nsvae_lib.data import load, to_float
from nsvae_lib.linear_gaussian import LinearGaussian
from nsvae_lib.vae import VAE
from nsvae_lib.zoo import pretrained

number = st.floats(-4, 4)
scale = st.floats(0.1, 4)


def linear_model(seed: int = 0, x_dim: int = 3, z_dim: int = 2) -> LinearGaussian:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(x_dim, z_dim, generator=generator, dtype=torch.float64)
    return LinearGaussian(weight, torch.randn(x_dim, generator=generator, dtype=torch.float64), sigma=0.7)


@given(number, scale, number, scale)
def test_kl_formula(m_q, s_q, m_p, s_p):
    q = Normal(torch.tensor([[m_q]], dtype=torch.float64), torch.tensor([[s_q]], dtype=torch.float64))
    p = Normal(torch.tensor([m_p], dtype=torch.float64), torch.tensor([s_p], dtype=torch.float64))
    by_hand = math.log(s_p / s_q) + (s_q**2 + (m_q - m_p) ** 2) / (2 * s_p**2) - 0.5
    assert kl_divergence(q, p).item() == pytest.approx(by_hand, abs=1e-9)
    assert kl_divergence(q, p).item() >= -1e-12


def test_kl_is_its_monte_carlo_estimate():
    generator = torch.Generator().manual_seed(0)
    q, p = (
        Normal(torch.tensor([[0.5, -1.0, 2.0]]), torch.tensor([[0.5, 1.0, 0.2]])),
        Normal(torch.zeros(3), torch.ones(3)),
    )
    z = draw_latents(q, 100_000, generator)
    differences = (q.log_prob(z) - p.log_prob(z)).sum(-1).squeeze(1)
    standard_error = differences.std().item() / math.sqrt(len(differences))
    assert kl_divergence(q, p).item() == pytest.approx(differences.mean().item(), abs=4 * standard_error)


def test_kl_sums_over_latents_only():
    q = Normal(torch.randn(7, 4), torch.rand(7, 4) + 0.1)
    assert kl_divergence(q, Normal(torch.zeros(4), torch.ones(4))).shape == (7,)


@given(st.integers(0, 10_000))
@settings(max_examples=25)
def test_every_log_weight_is_log_evidence_when_q_is_the_posterior(seed):
    model = linear_model(seed)
    x = model.sample(4, torch.Generator().manual_seed(seed))
    log_w = model.log_weights(x, model.posterior(x), 5, torch.Generator().manual_seed(seed))
    evidence = model.log_evidence(x)
    assert torch.allclose(log_w, evidence.expand(5, 4), atol=1e-8)
    assert torch.allclose(elbo(log_w), evidence, atol=1e-8) and torch.allclose(iwae(log_w), evidence, atol=1e-8)


def test_elbo_below_iwae_below_evidence_in_expectation():
    model = linear_model()
    x = model.sample(3, torch.Generator().manual_seed(1))
    q = MultivariateNormal(model.posterior(x).mean + 0.3, scale_tril=0.8 * model.posterior(x).scale_tril)
    repeats, largest = 20_000, 16
    log_w = model.log_weights(x, q, repeats * largest, torch.Generator().manual_seed(2)).view(largest, repeats, -1)
    means = torch.stack([elbo(log_w).mean(0)] + [iwae(log_w[:k]).mean(0) for k in (2, 4, 16)])
    evidence = model.log_evidence(x)
    margin = 0.01  # far above the standard error of the means (about 0.002)
    assert (means[1:] > means[:-1] + margin).all()
    assert (means < evidence).all()
    # The gap of the ELBO is KL(q || posterior), exactly.
    gap = torch.distributions.kl_divergence(q, model.posterior(x))
    assert torch.allclose(evidence - means[0], gap, atol=margin)


def test_mean_weight_is_unbiased():
    model = linear_model()
    x = model.sample(2, torch.Generator().manual_seed(3))
    q = MultivariateNormal(model.posterior(x).mean, scale_tril=1.3 * model.posterior(x).scale_tril)
    log_w = model.log_weights(x, q, 200_000, torch.Generator().manual_seed(4))
    assert torch.allclose(iwae(log_w), model.log_evidence(x), atol=0.01)


@given(st.lists(st.floats(-2000, 2000), min_size=1, max_size=8))
def test_elbo_never_above_iwae_and_both_finite(values):
    log_w = torch.tensor(values, dtype=torch.float64).unsqueeze(1)
    assert elbo(log_w).isfinite() and iwae(log_w).isfinite()
    assert (elbo(log_w) <= iwae(log_w) + 1e-9).all()
    if len(values) == 1:
        assert torch.equal(elbo(log_w), iwae(log_w))


@given(number)
def test_shifting_every_log_weight_shifts_the_bounds(shift):
    log_w = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(iwae(log_w + shift), iwae(log_w) + shift)


def test_log_weights_of_a_vae_have_the_elbo_as_their_mean(tiny_vae, tiny_images):
    x = tiny_images[:3].float() / 255
    log_w = log_weights(tiny_vae, x, 4000, torch.Generator().manual_seed(0)).detach()
    q = tiny_vae.encode(x)
    z = draw_latents(q, 4000, torch.Generator().manual_seed(0))
    closed = tiny_vae.decode(z).log_prob(x).mean(0) - kl_divergence(q, tiny_vae.prior)
    standard_error = (log_w.std(0) / math.sqrt(4000)).max().item()
    assert log_w.shape == (4000, 3)
    assert torch.allclose(elbo(log_w), closed.detach(), atol=5 * standard_error + 1e-2)


def test_log_weights_needs_a_sample(tiny_vae, tiny_images):
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        log_weights(tiny_vae, tiny_images[:1].float(), 0)


def test_bits_per_dim_of_fair_coins_is_one():
    assert bits_per_dim(torch.tensor([-784 * math.log(2)]), (1, 28, 28)).item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("weight", "bias", "sigma", "message"),
    [
        (torch.zeros(2, 1), torch.zeros(3), 1.0, r"\[2, 1\] and \[3\]"),
        (torch.zeros(2, 1), torch.zeros(2), 0.0, "sigma must be positive"),
    ],
)
def test_linear_gaussian_checks(weight, bias, sigma, message):
    with pytest.raises(ValueError, match=message):
        LinearGaussian(weight, bias, sigma)


def test_evidence_is_the_integral_over_z():
    model = LinearGaussian(torch.tensor([[1.5]], dtype=torch.float64), torch.tensor([0.2], dtype=torch.float64), 0.5)
    x = torch.tensor([[0.9]], dtype=torch.float64)
    z = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
    joint = model.log_joint(x, z[:, None, None]).exp().squeeze(1)
    assert torch.trapezoid(joint, z).log().item() == pytest.approx(model.log_evidence(x).item(), abs=1e-9)


weights = st.lists(st.floats(-1000, 1000), min_size=1, max_size=8).map(
    lambda values: torch.tensor(values, dtype=torch.float64).unsqueeze(1)
)


@given(weights)
def test_eubo_is_iwae_plus_log_k_minus_entropy(log_w):
    u = log_w.softmax(0)
    entropy = -(torch.special.xlogy(u, u)).sum(0)
    assert torch.allclose(eubo(log_w) - iwae(log_w), math.log(len(log_w)) - entropy, atol=1e-6)
    assert (elbo(log_w) <= iwae(log_w) + 1e-9).all() and (iwae(log_w) <= eubo(log_w) + 1e-9).all()
    assert (eubo(log_w) <= iwae(log_w) + math.log(len(log_w)) + 1e-9).all()


@given(weights)
def test_upper_bounds_are_finite_and_ordered(log_w):
    k, size = len(log_w), effective_sample_size(log_w)
    assert (size >= 1 - 1e-9).all() and (size <= k + 1e-9).all()
    chi = [cubo(log_w, n) for n in (1, 2, 4)]
    assert all(c.isfinite().all() for c in chi)
    assert torch.allclose(chi[0], iwae(log_w))
    assert (chi[0] <= chi[1] + 1e-9).all() and (chi[1] <= chi[2] + 1e-9).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("level", [-1e5, -1000.0, 1000.0, 1e5])
def test_bounds_and_gradients_are_finite_far_from_zero(level, dtype):
    log_w = (level + torch.tensor([[0.0], [-3.0], [700.0]], dtype=dtype)).requires_grad_()
    for bound in (elbo, iwae, eubo, cubo, effective_sample_size):
        value = bound(log_w)
        (gradient,) = torch.autograd.grad(value.sum(), log_w)
        assert value.isfinite().all() and gradient.isfinite().all(), bound.__name__


@pytest.mark.parametrize("level", [-1e5, -3000.0, 0.0])
def test_effective_sample_size_keeps_its_digits_far_from_zero(level):
    """Log-weights of images are hundreds or thousands of nats below zero."""
    spread = torch.tensor([[0.0, 0.0], [0.0, -1.0], [0.0, -2.0]])
    size = effective_sample_size(level + spread)
    assert size.tolist() == pytest.approx(effective_sample_size(spread.double()).tolist(), rel=1e-6)
    assert size[0].item() == pytest.approx(3, rel=1e-6)


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian", "continuous-bernoulli"])
def test_uint8_images_have_the_weights_of_the_same_images_in_floating_point(noise, tiny_images):
    vae = VAE.for_images((1, 12, 12), noise, latent_dim=3)
    images = tiny_images[:4]
    for function in (
        lambda x: log_weights(vae, x, 2, torch.Generator().manual_seed(0)),
        lambda x: refit_posterior(vae, x, steps=3, generator=torch.Generator().manual_seed(0)).mean,
    ):
        assert torch.equal(function(images), function(to_float(images)))


def test_upper_bounds_above_the_evidence_for_many_samples():
    model = linear_model()
    x = model.sample(3, torch.Generator().manual_seed(1))
    posterior = model.posterior(x)
    q = MultivariateNormal(posterior.mean + 0.3, scale_tril=1.2 * posterior.scale_tril)
    log_w = model.log_weights(x, q, 200_000, torch.Generator().manual_seed(2))
    evidence = model.log_evidence(x)
    gap = torch.distributions.kl_divergence(posterior, q)  # EUBO - log p(x), exactly
    assert torch.allclose(eubo(log_w) - evidence, gap, atol=0.01)
    assert (cubo(log_w) > evidence).all()


def test_the_printed_loss_is_evidence_times_eubo_and_vanishes_on_images():
    log_w = torch.tensor([[-1.0], [-2.0], [0.5]], dtype=torch.float64)
    assert torch.allclose(expected_w_log_w(log_w), iwae(log_w).exp() * eubo(log_w))
    far = torch.tensor([[-150.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(expected_w_log_w(far).sum(), far)
    assert expected_w_log_w(far).item() == 0 and gradient.item() == 0


def test_cubo_order():
    with pytest.raises(ValueError, match="at least 1, got 0.5"):
        cubo(torch.zeros(2, 1), 0.5)


def test_refitted_posterior_reaches_a_better_elbo_and_leaves_the_model_alone():
    vae = pretrained("FashionMNIST", device="cpu")
    before = [p.clone() for p in vae.parameters()]
    x = to_float(load("MNIST", sample=True, n_test=3).test)  # digits, which this encoder has never seen
    q = refit_posterior(vae, x, steps=150, generator=torch.Generator().manual_seed(2))
    assert all(torch.equal(p, old) and p.grad is None for p, old in zip(vae.parameters(), before, strict=True))

    def bound(posterior: Normal) -> torch.Tensor:
        with torch.no_grad():
            return elbo(log_weights(vae, x, 100, torch.Generator().manual_seed(3), q=posterior))

    assert (bound(q) > bound(vae.encode(x)) + 2).all()
    for step in (-1.0, 1.0):  # near its optimum: every other mean is worse
        assert (bound(Normal(q.mean + step, q.stddev)) < bound(q)).all()


def test_refit_starts_where_it_is_told(tiny_vae, tiny_images):
    start = Normal(torch.ones(2, tiny_vae.latent_dim), torch.full((2, tiny_vae.latent_dim), 0.5))
    q = refit_posterior(tiny_vae, tiny_images[:2].float() / 255, steps=0, start=start)
    assert torch.equal(q.mean, start.mean) and torch.allclose(q.stddev, start.stddev)
