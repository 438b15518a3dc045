"""The scores that need no model."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from nsvae_lib.baselines import brightness, png_bits_per_dim

GREY = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
GREY[1] = 255
GREY[2] = torch.randint(256, (28, 28), generator=torch.Generator().manual_seed(0))


def test_brightness_of_black_and_white():
    assert brightness(GREY)[:2].tolist() == [0.0, 1.0]
    assert brightness(GREY)[2].item() == pytest.approx(GREY[2].double().mean().item() / 255)


@pytest.mark.parametrize("function", [brightness, png_bits_per_dim])
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_and_floats_agree(function, channels):
    images = GREY.repeat(1, channels, 1, 1)
    torch.testing.assert_close(function(images), function(images / 255))


def test_png_orders_flat_before_noise():
    flat, _, noise = png_bits_per_dim(GREY).tolist()
    assert flat < 1
    assert noise > 8  # noise cannot be compressed, and the frame comes on top


def test_png_size_is_that_of_a_file_that_gives_the_pixels_back():
    colour = torch.randint(256, (1, 3, 32, 20), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    file = io.BytesIO()
    Image.fromarray(colour[0].permute(1, 2, 0).numpy()).save(file, format="png", optimize=True)
    assert png_bits_per_dim(colour).item() == pytest.approx(8 * len(file.getvalue()) / (3 * 32 * 20))
    assert np.array_equal(np.asarray(Image.open(file)), colour[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("function", [brightness, png_bits_per_dim])
def test_images_are_checked(function):
    with pytest.raises(ValueError, match="expected values in"):
        function(torch.full((1, 1, 4, 4), 2.0))
