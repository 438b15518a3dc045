"""The rendered sets: always the same images, which look like letters and digits and carry the right labels."""

import hashlib
import string

import pytest
import torch

from nsvae_lib import rendered
from nsvae_lib.data import ImageData, load, to_float

SHAPES = {"Glyphs": (1, 28, 28), "SynthDigits": (3, 32, 32)}
CLASSES = {"Glyphs": 26, "SynthDigits": 10}
FIRST = {  # md5 of the pixels of the first 100 training images, seed 0
    "Glyphs": "1ff9bba294b5517281a34b9e918a5351",
    "SynthDigits": "fc787ee724ee1346abdc8bfa20c42473",
}


@pytest.fixture(scope="module")
def sets() -> dict[str, ImageData]:
    return {name: load(name) for name in SHAPES}


@pytest.mark.parametrize("name", SHAPES)
def test_default_sizes(name, sets):
    data = sets[name]
    assert data.train.shape == (6_000, *SHAPES[name]) and data.test.shape == (2_000, *SHAPES[name])
    assert data.train.dtype == torch.uint8 and data.train_labels.dtype == torch.int64
    assert data.source == f"{name}, rendered from matplotlib's fonts, seed 0: 6,000 train + 2,000 test images"
    counts = torch.bincount(data.train_labels)
    assert len(counts) == CLASSES[name] and counts.min() > 0.7 * 6_000 / CLASSES[name]


@pytest.mark.parametrize("name", SHAPES)
def test_counts_seed_and_part(name):
    data = load(name, n_train=30, n_test=0, seed=7)
    assert data.train.shape == (30, *SHAPES[name]) and data.test.shape == (0, *SHAPES[name])
    assert "seed 7: 30 train + no test images" in data.source
    again = load(name, n_train=30, n_test=30, seed=7, sample=True, root="nowhere")  # rendered whatever is asked
    assert torch.equal(again.train, data.train) and torch.equal(again.train_labels, data.train_labels)
    assert not torch.equal(again.train, again.test)
    assert not torch.equal(again.train, load(name, n_train=30, n_test=0, seed=8).train)
    for seed in (-1, 2**32):
        with pytest.raises(ValueError, match="[Ss]eed"):
            load(name, n_train=1, seed=seed)
    with pytest.raises(ValueError, match="n_test: expected None or a count from 0 on, got -2"):
        load(name, n_test=-2)


@pytest.mark.parametrize("n", [1, 99, 100, 101, 250])
@pytest.mark.parametrize("name", SHAPES)
def test_a_shorter_set_is_the_beginning_of_a_longer_one(name, n, sets):
    images, labels = rendered.render(name, "test", n)
    assert len(images) == len(labels) == n
    assert torch.equal(images, sets[name].test[:n]) and torch.equal(labels, sets[name].test_labels[:n])


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_on_every_machine(name, sets):
    assert hashlib.md5(sets[name].train[:100].numpy().tobytes()).hexdigest() == FIRST[name]


def test_glyphs_have_the_size_and_stroke_of_emnist_letters(sets):
    x = to_float(sets["Glyphs"].train)[:, 0]
    ink = x > 0.5
    height, width = (ink.any(axis).sum(1).float().mean() for axis in (2, 1))
    # In brackets what the first 5,000 training images of EMNIST-Letters have.
    assert abs(x.mean() - 0.17) < 0.02  # (0.172)
    assert abs(x.mean((1, 2)).std() - 0.055) < 0.015  # (0.053)
    assert abs(height - 20.5) < 1.5 and abs(width - 18.1) < 1.5  # (20.5, 18.1)
    assert (x == 0).float().mean() > 0.6  # (0.67)
    assert x[:, :2].mean() < 0.01  # hardly any letter is cut by the edge


def nearest_neighbour_accuracy(data: ImageData, features) -> float:
    """The share of 500 test images whose nearest training image, by absolute cosine, has the same label."""
    x, y = (features(to_float(images)).flatten(1) for images in (data.train, data.test[:500]))
    x, y = torch.nn.functional.normalize(x), torch.nn.functional.normalize(y)
    return (data.train_labels[(y @ x.T).abs().argmax(1)] == data.test_labels[:500]).float().mean().item()


def test_glyphs_look_like_their_labels(sets):
    assert nearest_neighbour_accuracy(sets["Glyphs"], lambda x: x) > 0.7  # by chance 0.04


def test_synth_digits_look_like_their_labels(sets):
    def middle_without_colour(x):
        grey = x.mean(1)[:, 6:26, 9:23]
        return grey - grey.mean((1, 2), keepdim=True)  # with the absolute cosine, light on dark as dark on light

    assert nearest_neighbour_accuracy(sets["SynthDigits"], middle_without_colour) > 0.5  # by chance 0.1


def test_synth_digits_are_colourful_and_varied(sets):
    x = to_float(sets["SynthDigits"].train)
    assert 0.4 < x.mean() < 0.6
    assert x.flatten(1).std(1).min() > 0.03  # no image is blank
    assert (x.amax(1) - x.amin(1)).mean() > 0.05  # not grey
    assert (x.mean((2, 3)).std(0) > 0.15).all()  # grounds from dark to light


@pytest.mark.parametrize(("characters", "fonts"), [
    (string.ascii_letters, rendered._LETTER_FONTS),
    (string.digits, rendered._DIGIT_FONTS),
], ids=["letters", "digits"])  # fmt: skip
def test_distance_fields(characters, fonts):
    fields = rendered._distance_fields(characters, fonts)
    size = rendered._FIELD
    assert fields.shape == (len(fonts.split()), len(characters), size, size)
    ink = fields > 0
    places = torch.arange(1, size + 1)
    sides = []
    for axis in (3, 2):
        there = ink.any(axis)
        last, first = (there * places).amax(2), size + 1 - (there * places.flip(0)).amax(2)
        sides.append(last - first + 1)
    longer = torch.maximum(*sides)
    assert (longer - rendered._EXTENT * (size - 1)).abs().max() < 1.5
    assert not ink[..., 0, :].any() and not ink[..., -1, :].any() and not ink[..., 0].any()
    # Away from ridges a distance grows by one pixel a pixel, and nowhere by more.
    pixel = 2 / (size - 1)
    steps = fields.diff(dim=-1).abs() / pixel
    assert steps.max() < 1 + 1e-9
    slope = torch.hypot(*torch.gradient(fields, dim=(2, 3))) / pixel
    assert 0.95 < slope.median() < 1.01


def test_each_font_draws_each_character_differently():
    # A font without a character draws a box in its place, the same for all. (I and l may well look the same.)
    for case in (slice(0, 26), slice(26, 52)):
        fields = rendered._distance_fields(string.ascii_letters, rendered._LETTER_FONTS)[:, case]
        for ink in (fields > 0).flatten(2).double():
            assert (torch.cdist(ink, ink) + 1e9 * torch.eye(26)).min() > 4
