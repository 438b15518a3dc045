"""Sources of negative samples: what they draw, from which random stream, and their errors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nsvae_lib.negatives import FromImages, Generated, Mixture, NoisyInliers, UniformNoise, shares
from nsvae_lib.vae import VAE


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x(tiny_images):
    return tiny_images[:9] / 255


SOURCES = {
    "images": lambda images: FromImages(images),
    "two sets": lambda images: FromImages(images, 1 - images / 255),
    "uniform": lambda images: UniformNoise(),
    "noisy": lambda images: NoisyInliers(),
    "generated": lambda images: Generated(),
    "mixture": lambda images: Mixture(UniformNoise(), FromImages(images), NoisyInliers(), weights=[1, 2, 1]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_draws_images_like_the_inliers_from_the_generator_alone(name, x, tiny_images, tiny_vae):
    source = SOURCES[name](tiny_images)
    source.prepare(tiny_vae)
    first, again, other = (source.draw(x, tiny_vae, generator(seed)) for seed in (1, 1, 2))
    assert first.shape == x.shape and first.dtype == torch.float32 and not first.requires_grad
    assert first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert repr(source) == repr(SOURCES[name](tiny_images))


def test_images_come_from_each_set_equally_often(x, tiny_vae):
    dark, bright = torch.zeros(5, 1, 12, 12), torch.ones(500, 1, 12, 12)
    source = FromImages(dark, bright)
    source.prepare(tiny_vae)
    drawn = source.draw(torch.zeros(40, 1, 12, 12), tiny_vae, generator())
    assert drawn.mean().item() == pytest.approx(0.5)


def test_every_image_of_a_set_is_drawn(tiny_vae):
    images = torch.linspace(0, 1, 20).reshape(20, 1, 1, 1).expand(20, 1, 12, 12).contiguous()
    source = FromImages(images)
    source.prepare(tiny_vae)
    drawn = source.draw(torch.zeros(1000, 1, 12, 12), tiny_vae, generator())
    assert torch.equal(drawn[:, 0, 0, 0].unique(), images[:, 0, 0, 0])


def test_noisy_inliers_stay_near_their_inliers(tiny_vae):
    x = torch.full((50, 1, 12, 12), 0.5)
    difference = NoisyInliers(0.1).draw(x, tiny_vae, generator()) - x
    assert difference.std().item() == pytest.approx(0.1, rel=0.05)
    assert difference.mean().item() == pytest.approx(0, abs=0.005)


def test_generated_negatives_are_the_models_own_or_anothers(x, tiny_vae):
    assert torch.equal(Generated().draw(x, tiny_vae, generator()), tiny_vae.sample(len(x), generator()))
    other = VAE.for_images((1, 12, 12), latent_dim=2, seed=4)
    fixed = Generated(other)
    fixed.prepare(tiny_vae)
    assert torch.equal(fixed.draw(x, tiny_vae, generator()), other.sample(len(x), generator()))


def test_a_generator_is_known_by_its_parameters(tiny_vae):
    """What a checkpoint compares: neither the day nor the seconds of the generator's own training belong to it."""
    same, other = (VAE.for_images((1, 12, 12), latent_dim=3, seed=seed).eval() for seed in (0, 1))
    same.provenance = {"date": "yesterday"}
    assert repr(Generated(tiny_vae)) == repr(Generated(same)) != repr(Generated(other))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(0, 200))
def test_shares_add_up_and_are_fair(weights, n):
    counts = shares(weights, n)
    assert sum(counts) == n and min(counts) >= 0
    assert all(abs(c - n * w / sum(weights)) <= 1 + 1e-9 for c, w in zip(counts, weights, strict=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FromImages(), "at least one set"),
        (lambda: FromImages(torch.rand(0, 1, 12, 12)), "negatives"),
        (lambda: FromImages(torch.rand(2, 1, 12, 12) * 3), "negatives"),
        (lambda: NoisyInliers(0.0), "sigma must be positive"),
        (lambda: Mixture(), "Mixture needs sources"),
        (lambda: Mixture(UniformNoise(), weights=[1, 2]), "1 sources and weights"),
        (lambda: Mixture(UniformNoise(), weights=[0]), "one positive weight"),
    ],
)
def test_bad_sources(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "source",
    [
        FromImages(torch.rand(3, 1, 28, 28)),
        Generated(VAE.for_images((1, 16, 16))),
        Mixture(FromImages(torch.rand(3, 3, 12, 12))),
    ],
)
def test_negatives_of_another_shape(source, tiny_vae):
    with pytest.raises(ValueError, match="negatives"):
        source.prepare(tiny_vae)
