"""Scores: units, orientation, independence of batch size."""

import math

import pytest
import torch

from nsvae_lib.evaluation import auroc
from nsvae_lib.scores import SCORES, score
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
