"""Scores that need no model, to put a model's scores in context. Explained in chapter 2."""

import io
import math

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .data import check_images


def brightness(images: Tensor) -> Tensor:
    """Mean over an image's pixels and channels: [N, C, H, W], uint8 or in [0, 1] -> [N], in [0, 1], on the CPU.

    Raises:
        ValueError: not images, see `data.check_images`.
    """
    images = check_images(images).cpu()
    scale = 255 if images.dtype == torch.uint8 else 1
    return images.flatten(1).to(torch.float32).mean(1) / scale


def png_bits_per_dim(images: Tensor) -> Tensor:
    """Size of each image as a PNG file: [N, C, H, W], uint8 or in [0, 1] -> [N], bits per dimension, on the CPU.

    A lossless compressor is a probability model without parameters to fit: a file of b bits is what it would give an
    image of probability 2^-b. A PNG also spends some 57 bytes (0.6 bits per dimension at 28 x 28) on its frame, the
    same for every image.

    Raises:
        ValueError: not images, see `data.check_images`.
    """
    images = check_images(images).cpu()
    if images.dtype != torch.uint8:
        images = (images * 255).round().to(torch.uint8)
    pixels = images.permute(0, 2, 3, 1).numpy()
    sizes = [_png_bytes(image.squeeze(-1) if image.shape[-1] == 1 else image) for image in pixels]
    return torch.tensor(sizes, dtype=torch.float32) * 8 / math.prod(images.shape[1:])


def _png_bytes(pixels: NDArray) -> int:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png", optimize=True)
    return file.tell()
