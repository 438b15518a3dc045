"""Fixtures for the library's tests: a small model and small images with structure."""

import pytest
import torch
from hypothesis import settings

from nsvae_lib.vae import VAE

# A busy machine must not fail a test; the same examples on every machine.
settings.register_profile("nsvae", deadline=None, derandomize=True)
settings.load_profile("nsvae")

# The models here are too small for threads to help, and threads that wait for a busy core cost minutes.
torch.set_num_threads(1)


@pytest.fixture
def tiny_images() -> torch.Tensor:
    """80 grey images, uint8 [80, 1, 12, 12]: a bright square somewhere on black."""
    images = torch.zeros(80, 1, 12, 12, dtype=torch.uint8)
    corners = torch.randint(0, 7, (80, 2), generator=torch.Generator().manual_seed(0)).tolist()
    for image, (row, column) in zip(images, corners, strict=True):
        image[0, row : row + 5, column : column + 5] = 230
    return images


@pytest.fixture
def tiny_vae() -> VAE:
    """An untrained Bernoulli VAE for these images, with three latent dimensions."""
    return VAE.for_images((1, 12, 12), latent_dim=3).eval()
