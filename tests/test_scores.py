"""Scores: units, orientation, independence of batch size."""

import math

import pytest
import torch
from torch import nn

from nsvae_lib.evaluation import auroc
from nsvae_lib.networks import Encoder
from nsvae_lib.noise import Gaussian
from nsvae_lib.scores import SCORES, likelihood_regret, score
from nsvae_lib.training import fit
from nsvae_lib.vae import VAE


def test_units_and_relations(tiny_vae, tiny_images):
    s = score(tiny_vae, tiny_images, SCORES, samples=3)
    assert all(v.shape == (len(tiny_images),) and v.device.type == "cpu" for v in s.values())
    pixels = math.prod(tiny_vae.shape)
    assert torch.allclose(s["bpd"] * pixels * math.log(2), s["reconstruction"] + s["kl"], rtol=1e-4)
    assert (s["kl"] >= 0).all()


def test_iwae_with_many_samples_is_below_bpd_on_average(tiny_images):
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    fit(vae, tiny_images, epochs=10, lr=2e-3, batch_size=10, device="cpu", progress=False)
    one, many = (score(vae, tiny_images, ("bpd", "iwae_bpd"), samples=k) for k in (1, 50))
    assert many["iwae_bpd"].mean() < many["bpd"].mean() - 1e-3
    assert many["iwae_bpd"].mean() < one["iwae_bpd"].mean() - 1e-3


def test_higher_means_more_out_of_distribution(tiny_images):
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    fit(vae, tiny_images, epochs=20, lr=2e-3, batch_size=10, device="cpu", progress=False)
    noise = torch.randint(0, 256, tiny_images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    inlier, ood = (score(vae, images, ("bpd", "reconstruction", "iwae_bpd")) for images in (tiny_images, noise))
    for name in inlier:
        assert auroc(inlier[name], ood[name]) > 0.95, name


def test_batch_size_changes_nothing(tiny_vae, tiny_images):
    whole, parts = (score(tiny_vae, tiny_images, SCORES, samples=2, batch_size=b) for b in (500, 7))
    for name in SCORES:
        assert torch.allclose(whole[name], parts[name], rtol=1e-4, atol=1e-4)


def test_seed_fixes_the_draws(tiny_vae, tiny_images):
    a, b, c = (score(tiny_vae, tiny_images, ("bpd", "kl"), seed=s) for s in (1, 1, 2))
    assert torch.equal(a["bpd"], b["bpd"]) and not torch.equal(a["bpd"], c["bpd"]) and torch.equal(a["kl"], c["kl"])


def test_training_mode_is_kept(tiny_vae, tiny_images):
    tiny_vae.train()
    score(tiny_vae, tiny_images)
    assert tiny_vae.training


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"which": ("bpd", "likelihood")}, "unknown scores .'likelihood'.; known: bpd, kl"),
        ({"which": ()}, "unknown scores"),
        ({"which": "kl"}, "expected a sequence of names, got the string 'kl'"),
        ({"samples": 0}, "samples and batch_size must be at least 1"),
    ],
)
def test_bad_arguments(tiny_vae, tiny_images, arguments, message):
    with pytest.raises(ValueError, match=message):
        score(tiny_vae, tiny_images, **arguments)


def test_bad_images(tiny_vae):
    with pytest.raises(ValueError, match="images"):
        score(tiny_vae, torch.rand(2, 1, 28, 28))


def test_regret_is_how_far_the_encoder_is_from_the_posterior():
    """A decoder that ignores z: the posterior is the prior, which the refit can reach, and the regret is the KL."""
    torch.manual_seed(0)
    blind = nn.Linear(2, 2)
    nn.init.zeros_(blind.weight)
    vae = VAE(Encoder(nn.Flatten(), 2, 2), nn.Sequential(blind, nn.Unflatten(1, (1, 1, 2))), Gaussian(), (1, 1, 2), 2)
    x = torch.rand(6, 1, 1, 2)
    kl = score(vae, x, ["kl"])["kl"]
    assert kl.max() > 2 * kl.min() > 0.02
    assert torch.allclose(likelihood_regret(vae, x, steps=300, lr=0.05, samples=2), kl, atol=1e-3)


def test_regret_needs_no_gradients_switched_on(tiny_vae, tiny_images):
    expected = likelihood_regret(tiny_vae, tiny_images, steps=2, samples=2)
    with torch.no_grad():
        assert torch.equal(likelihood_regret(tiny_vae, tiny_images, steps=2, samples=2), expected)


def test_regret_keeps_the_model_and_repeats_itself(tiny_vae, tiny_images):
    before = [p.clone() for p in tiny_vae.parameters()]
    tiny_vae.train()
    a, b, c = (likelihood_regret(tiny_vae, tiny_images, steps=2, samples=2, seed=s, batch_size=7) for s in (1, 1, 2))
    assert a.shape == (len(tiny_images),) and a.device.type == "cpu" and not a.requires_grad
    assert torch.equal(a, b) and not torch.equal(a, c)
    assert tiny_vae.training
    assert all(torch.equal(p, old) and p.grad is None for p, old in zip(tiny_vae.parameters(), before, strict=True))


@pytest.mark.parametrize("argument", ["steps", "samples", "batch_size"])
def test_regret_says_what_it_needs(tiny_vae, tiny_images, argument):
    with pytest.raises(ValueError, match="must be at least 1, got .*0"):
        likelihood_regret(tiny_vae, tiny_images, **{argument: 0})
