"""Image sets rendered from the fonts that come with matplotlib: always there, the same for a seed on every machine.

* Glyphs: grey letters in the style of EMNIST-Letters, `[N, 1, 28, 28]`, labels 0 (A, a) to 25 (Z, z).
* SynthDigits: colour digits as on street signs, in the spirit of SVHN and SYN-Digits, `[N, 3, 32, 32]`, labels 0 to 9.

Each character is drawn once per font and kept as its signed distance field: at every point the distance to the
outline, positive inside. An image samples that field through a smooth deformation of its own; stroke weight and
softness are then arithmetic on distances. The random numbers come from a frozen generator and everything is
float64 until the final rounding to uint8, so that machines agree.
"""

from __future__ import annotations

import math
import string
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_FIELD = 64  # pixels along a distance field, whose coordinates run from -1 to 1
_EXTENT = 0.7  # the longer side of a character spans -0.7 to 0.7
_BLOCK = 100  # images made at a time, few enough for the processor's cache
_LETTER_FONTS = "DejaVuSans DejaVuSans-Oblique DejaVuSansMono DejaVuSerif DejaVuSerif-Italic STIXGeneral"
_LETTER_FONTS += " STIXGeneralItalic cmr10 cmmi10 cmss10 cmtt10"
_DIGIT_FONTS = "DejaVuSans DejaVuSans-Bold DejaVuSans-BoldOblique DejaVuSansMono-Bold DejaVuSerif-Bold STIXGeneralBol"
_DIGIT_FONTS += " cmb10 cmss10"


def render(name: str, part: str, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images uint8 `[N, C, H, W]` and labels int64 `[N]`.

    Args:
        name: "Glyphs" or "SynthDigits".
        part: "train" or "test".
        n: number of images; a smaller number gives the first of the same images.
        seed: 0 to 2**32 - 1; others raise ValueError.
    """
    make, shape = {"Glyphs": (_glyphs, (1, 28, 28)), "SynthDigits": (_synth_digits, (3, 32, 32))}[name]
    stream = [seed, ["Glyphs", "SynthDigits"].index(name), ["train", "test"].index(part)]
    images, labels = [torch.empty((0, *shape), dtype=torch.uint8)], [torch.empty(0, dtype=torch.int64)]
    for block in range(math.ceil(n / _BLOCK)):
        # RandomState's stream is frozen for good, unlike that of newer generators.
        values, classes = make(_Random(np.random.RandomState([*stream, block])))
        images.append((values.clamp(0, 1) * 255).round().to(torch.uint8))
        labels.append(classes)
    return torch.cat(images)[:n], torch.cat(labels)[:n]


class _Random:
    """Random tensors for the N images of one block."""

    def __init__(self, state: np.random.RandomState) -> None:
        self.state = state

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between `low` and `high`, `[N, *shape]`."""
        return torch.from_numpy(low + (high - low) * self.state.random_sample((_BLOCK, *shape)))

    def index(self, stop: int) -> Tensor:
        """Whole numbers from 0 to `stop` - 1, `[N]`."""
        return self.uniform(0, stop).long()

    def chance(self, probability: float) -> Tensor:
        """1 with this probability, otherwise 0, `[N, 1, 1]`."""
        return (self.uniform(0, 1, 1, 1) < probability).double()

    def smooth(self, low: float, high: float, size: int, *, knots: int) -> Tensor:
        """Smooth fields `[N, size, size]` through random values at knots x knots points."""
        weights = _interpolation(knots, size)
        return weights @ self.uniform(low, high, knots, knots) @ weights.T


@cache
def _interpolation(knots: int, size: int) -> Tensor:
    """Cubic interpolation from `knots` to `size` points, as a matrix `[size, knots]`."""
    unit = torch.eye(knots, dtype=torch.float64)[None, None]
    return functional.interpolate(unit, size=(size, knots), mode="bicubic", align_corners=True)[0, 0]


def _glyphs(random: _Random) -> tuple[Tensor, Tensor]:
    """Letters of all fonts, `[N, 1, 28, 28]` in [0, 1]; size and stroke follow EMNIST-Letters."""
    fields = _distance_fields(string.ascii_letters, _LETTER_FONTS)
    letter = random.index(52)
    points, unit = _coordinates(
        random, 28, length=(16.5, 21.5), angle=0.25, shear=(-0.2, 0.35), stretch=(0.85, 1.2), bend=0.15, jitter=0.5
    )
    distance = _sample(fields[random.index(len(fields)), letter], points) * unit
    ink = _ink(distance, weight=random.uniform(-0.1, 0.8, 1, 1), softness=random.uniform(1.4, 2.4, 1, 1))
    return ink[:, None], letter % 26


def _synth_digits(random: _Random) -> tuple[Tensor, Tensor]:
    """Digits of house numbers, `[N, 3, 32, 32]` about [0, 1]; the label is that of the digit in the middle."""
    fields = _distance_fields(string.digits, _DIGIT_FONTS)
    font, label = random.index(len(fields)), random.index(10)
    points, unit = _coordinates(
        random, 32, length=(17, 27), angle=0.2, shear=(-0.25, 0.25), stretch=(0.75, 1.1), bend=0.06, jitter=2
    )
    distance = _sample(fields[font, label], points)
    pitch = random.uniform(1, 1.2, 1, 1)  # from one digit to the next on the line of writing
    for side in (-1, 1):
        there = torch.stack((points[..., 0] - side * pitch, points[..., 1]), dim=-1)
        neighbour = _sample(fields[font, random.index(10)], there)
        distance = torch.maximum(distance, neighbour - 9 * random.chance(0.35))  # on a third of the images far away
    distance = distance * unit

    brightness = random.uniform(0.1, 0.9)
    contrast = random.uniform(0.3, 0.65) * torch.where(brightness > 0.5, -1, 1)
    blur, weight = random.uniform(1, 4.5, 1, 1), random.uniform(-0.3, 0.6, 1, 1)
    ground = _colours(random, brightness)
    second = ground + random.uniform(-0.15, 0.15, 3)
    wall = _colours(random, random.uniform(0.1, 0.9))  # seen where the board ends
    rim = _colours(random, brightness - 0.5 * contrast)  # around the ink, on every fourth image
    ink = _colours(random, brightness + contrast)
    image = ground[..., None, None].expand(-1, -1, 32, 32)
    for colour, cover in (
        (second, random.smooth(0, 1, 32, knots=4)),
        (wall, _ink(_straight_edge(random, 32), 0, blur)),
        (rim, _ink(distance, weight + 1.6, blur) * random.chance(0.25)),
        (ink, _ink(distance, weight, blur)),
    ):
        image = torch.lerp(image, colour[..., None, None], cover[:, None])
    light = random.smooth(0.8, 1.15, 32, knots=3)
    noise = random.uniform(-1, 1, 32, 32) * random.uniform(0, 0.05, 1, 1)
    return image * light[:, None] + noise[:, None], label


def _colours(random: _Random, brightness: Tensor) -> Tensor:
    """Colours `[N, 3]` of the given brightness `[N]`; most are nearly grey, as on the street, some vivid."""
    tint = random.uniform(-1, 1, 3)
    vividness = random.uniform(0, 1, 1) ** 2 * 0.3
    return (brightness[:, None] + vividness * (tint - tint.mean(dim=1, keepdim=True))).clamp(0, 1)


def _straight_edge(random: _Random, size: int) -> Tensor:
    """Distances `[N, size, size]` in pixels beyond a straight line, which crosses about every third image."""
    direction = random.uniform(0, 2 * math.pi, 1, 1)
    axis = _axis(size)
    across = torch.cos(direction) * axis + torch.sin(direction) * axis[:, None]
    return across - random.uniform(9, 27, 1, 1)


def _axis(size: int) -> Tensor:
    return torch.arange(size, dtype=torch.float64) - (size - 1) / 2


def _coordinates(
    random: _Random,
    size: int,
    *,
    length: tuple[float, float],
    angle: float,
    shear: tuple[float, float],
    stretch: tuple[float, float],
    bend: float,
    jitter: float,
) -> tuple[Tensor, Tensor]:
    """Where each pixel of each image lies in a distance field: (x, y) `[N, size, size, 2]`, and pixels per unit.

    The ranges drawn from: length of the character's longer side in pixels, angle in radians, shear (x per y),
    stretch of the width, bend in field units, jitter of the centre in pixels.
    """
    unit = random.uniform(*length, 1, 1) / (2 * _EXTENT)
    x = _axis(size) - random.uniform(-jitter, jitter, 1, 1)
    y = _axis(size)[:, None] - random.uniform(-jitter, jitter, 1, 1)
    turn = random.uniform(-angle, angle, 1, 1)
    cos, sin = torch.cos(turn) / unit, torch.sin(turn) / unit
    x, y = cos * x + sin * y, cos * y - sin * x
    x = (x + random.uniform(*shear, 1, 1) * y) / random.uniform(*stretch, 1, 1)
    bends = [random.smooth(-bend, bend, size, knots=4) for _ in range(2)]
    return torch.stack((x + bends[0], y + bends[1]), dim=-1), unit


def _sample(fields: Tensor, points: Tensor) -> Tensor:
    """The distance fields `[N, F, F]` at points `[N, H, W, 2]`: `[N, H, W]`."""
    return functional.grid_sample(fields[:, None], points, padding_mode="border", align_corners=True)[:, 0]


def _ink(distance: Tensor, weight: Tensor | float, softness: Tensor | float) -> Tensor:
    """Coverage in [0, 1]: the outline moved outwards by `weight` pixels, its edge `softness` pixels wide."""
    t = ((distance + weight) / softness + 0.5).clamp(0, 1)
    return t * t * (3 - 2 * t)


@cache
def _distance_fields(characters: str, fonts: str) -> Tensor:
    """Signed distances `[fonts, characters, F, F]`, in units of the field's half side, positive inside."""
    from scipy.ndimage import distance_transform_edt

    fields = []
    for font in fonts.split():
        for character in characters:
            mask = _mask(character, font)
            inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
            fields.append(np.where(mask, inside - 0.5, 0.5 - outside))  # the outline runs between pixels
    stacked = torch.from_numpy(np.stack(fields)) * (2 / (_FIELD - 1))
    return stacked.unflatten(0, (-1, len(characters)))


def _mask(character: str, font: str) -> np.ndarray:
    """The character as bool `[F, F]`, in the middle, its longer side as long as `_EXTENT` says."""
    from PIL import Image, ImageDraw

    loaded = _font(font)
    picture = Image.new("L", (400, 400))
    ImageDraw.Draw(picture).text((200, 200), character, fill=255, font=loaded, anchor="mm")
    ink = np.asarray(picture) > 127
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Resized by picking pixels, because the last bit of Pillow's own resizing depends on its version.
    scale = _EXTENT * (_FIELD - 1) / max(ink.shape)
    sides = [(side, round(side * scale)) for side in ink.shape]
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in sides)
    mask = np.zeros((_FIELD, _FIELD), dtype=bool)
    y, x = (_FIELD - len(rows)) // 2, (_FIELD - len(columns)) // 2
    mask[y : y + len(rows), x : x + len(columns)] = ink[np.ix_(rows, columns)]
    return mask


@cache
def _font(name: str) -> Any:
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")
    return ImageFont.truetype(path, size=200, layout_engine=ImageFont.Layout.BASIC)
