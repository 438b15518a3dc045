"""Folders of pictures: every kind of file, what is not one, and a split that holds."""

import os
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nsvae_lib.data import ImageData, load
from nsvae_lib.folders import fit_shape, guess_shape, open_picture, read_pictures


def grey(seed: int = 0, width: int = 20, height: int = 20) -> Image.Image:
    """A smooth picture, bright on the left and dark on the right, with a little noise of its own."""
    noise = np.random.default_rng(seed).integers(0, 40, (height, width))
    return Image.fromarray((np.linspace(210, 10, width)[None] + noise).astype(np.uint8))


def fill(folder: Path, n: int, ending: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        grey(i).save(folder / f"{i:03d}.{ending}")
    return folder


# --- reading --------------------------------------------------------------------------------------


def save(picture: Image.Image, path: Path, **options) -> Image.Image:
    picture.save(path, **options)
    return open_picture(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp", "PNG", "JPG", "Jpeg", "WebP"])
def test_formats_and_endings(ending, tmp_path):
    grey().save(tmp_path / f"picture.{ending}")
    found = read_pictures(tmp_path, (1, 20, 20))
    assert found.paths == (f"picture.{ending}",)
    expected = torch.from_numpy(np.asarray(grey()).copy())
    # JPEG and WebP lose something, but not the picture.
    assert (found.images[0, 0].float() - expected).abs().mean() < 8


def test_a_picture_of_the_right_size_is_taken_pixel_by_pixel(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    colours = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "b.png")
    assert np.array_equal(read_pictures(tmp_path, (1, 28, 28)).images[0, 0], pixels)
    assert np.array_equal(read_pictures(tmp_path, (3, 32, 32)).images[1], np.moveaxis(colours, -1, 0))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_modes_look_alike(mode, tmp_path):
    """The same white half and black half, however they are stored."""
    halves = Image.fromarray(np.repeat([[255] * 8 + [0] * 8], 16, axis=0).astype(np.uint8))
    picture = save(halves.convert("RGB").convert(mode), tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png"))
    assert np.abs(np.asarray(picture.convert("L"), dtype=float) - np.asarray(halves)).max() <= 3


@pytest.mark.parametrize("value", [0, 1, 128, 300, 32768, 65535])
def test_sixteen_bits_become_eight(value, tmp_path):
    picture = save(Image.fromarray(np.full((4, 4), value, dtype=np.uint16)), tmp_path / "a.png")
    assert picture.mode == "L"
    assert set(np.asarray(picture).ravel()) == {round(value / 257)}


def test_transparent_parts_are_white(tmp_path):
    clear = save(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), tmp_path / "clear.png")
    half = save(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), tmp_path / "half.png")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0])
    one = save(palette, tmp_path / "palette.png", transparency=0)
    assert clear.getpixel((0, 0)) == one.getpixel((0, 0)) == (255, 255, 255)
    assert half.getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_the_camera(orientation, tmp_path):
    """A bright upper left quarter, stored turned as each value of the EXIF tag says, comes back upright."""
    upright = Image.new("L", (16, 16), 0)
    upright.paste(255, (0, 0, 8, 8))
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what undoes the viewer's turn: PIL.Image.Transpose
    stored = upright.transpose(turn[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = save(stored, tmp_path / "a.jpg", exif=exif, quality=95)
    assert np.abs(np.asarray(picture, dtype=float) - np.asarray(upright)).mean() < 3


@settings(max_examples=40)
@given(width=st.integers(1, 400), height=st.integers(1, 400), channels=st.sampled_from([1, 3]), seed=st.integers(0, 9))
def test_any_size_becomes_the_shape(width, height, channels, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    grey(seed, width, height).save(folder / "a.png")
    images = read_pictures(folder, (channels, 28, 28)).images
    assert images.shape == (1, channels, 28, 28) and images.dtype == torch.uint8
    if width > 4:  # bright on the left, as the whole picture is
        assert images[..., 0].float().mean() > images[..., -1].float().mean()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)], ids=["one-pixel", "tall", "wide"])
def test_extreme_sizes(size, tmp_path):
    Image.new("RGB", size, (9, 90, 200)).save(tmp_path / "a.png")
    images = read_pictures(tmp_path, (3, 32, 32)).images
    assert images[0].flatten(1).T.unique(dim=0).tolist() == [[9, 90, 200]]


def test_a_large_jpeg_is_read_like_a_small_one(tmp_path):
    grey(0, 1600, 1200).save(tmp_path / "large.jpg", quality=95)
    grey(0, 1600, 1200).save(tmp_path / "large.png")
    images = read_pictures(tmp_path, (1, 28, 28)).images.float()
    assert (images[0] - images[1]).abs().max() < 4


# --- what is in a folder --------------------------------------------------------------------------


def test_nested_hidden_and_linked_files(tmp_path):
    folder = fill(tmp_path / "pictures", 1)
    fill(folder / "b" / "c", 1)
    fill(folder / ".thumbnails", 1)
    shutil.copy(folder / "000.png", folder / "._000.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "link.png").symlink_to(folder / "000.png")
    found = read_pictures(folder)
    assert found.paths == ("000.png", "b/c/000.png", "link.png")
    assert found.unreadable == () and len(set(found.digests)) == 1


@pytest.fixture
def damaged(tmp_path) -> Path:
    """Three good files and four that only look like pictures."""
    folder = fill(tmp_path / "damaged", 3)
    whole = (folder / "000.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.webp").write_text("no picture")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    return folder


def test_unreadable_files_are_named_and_skipped(damaged):
    with pytest.warns(
        UserWarning, match=r"skipped 4 of 7 files in .*damaged.*cut\.png: .*empty\.jpg: no PNG"
    ) as caught:
        found = read_pictures(damaged)
    assert len(caught) == 1
    assert found.paths == ("000.png", "001.png", "002.png")
    assert [line.split(": ")[0] for line in found.unreadable] == ["cut.png", "empty.jpg", "gone.png", "text.webp"]
    assert all(len(line.split(": ", 1)[1]) > 5 for line in found.unreadable)


def test_long_lists_of_unreadable_files_are_cut(tmp_path):
    folder = fill(tmp_path / "pictures", 1)
    for i in range(9):
        (folder / f"bad{i}.png").write_text("no picture")
    with pytest.warns(UserWarning, match="bad4.png: no PNG, JPEG or WebP inside; and 4 more$"):
        assert len(read_pictures(folder).unreadable) == 9


@settings(max_examples=60)
@given(at=st.floats(0, 1), damage=st.binary(min_size=1, max_size=40), ending=st.sampled_from(["png", "jpg", "webp"]))
def test_a_damaged_file_is_read_or_skipped_but_never_stops_the_rest(at, damage, ending, tmp_path_factory):
    folder = fill(tmp_path_factory.mktemp("damage"), 2, ending)
    raw = bytearray((folder / f"000.{ending}").read_bytes())
    start = int(at * (len(raw) - 1))
    raw[start : start + len(damage)] = damage
    (folder / f"000.{ending}").write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_pictures(folder, (1, 28, 28))
    assert f"001.{ending}" in found.paths
    assert len(found.paths) + len(found.unreadable) == 2


def test_folders_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        read_pictures(tmp_path / "nowhere")
    file = tmp_path / "file.png"
    grey().save(file)
    with pytest.raises(NotADirectoryError, match="file.png is a file; expected a folder of pictures"):
        read_pictures(file)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"no pictures in .*empty.*\.png, \.jpg.*found no files at all"):
        read_pictures(empty)
    (empty / "notes.txt").write_text("a")
    with pytest.raises(ValueError, match="found 1 of other kinds only"):
        read_pictures(empty)
    (empty / "a.png").write_text("a")
    with pytest.raises(ValueError, match="no picture in .* can be read: a.png: no PNG, JPEG or WebP"):
        read_pictures(empty)


# --- grey or colour, and size ---------------------------------------------------------------------


def colourful(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("coloured", "shape"),
    [(0, (1, 28, 28)), (2, (1, 28, 28)), (3, (3, 32, 32)), (20, (3, 32, 32))],
    ids=["none", "a tenth", "more than a tenth", "all"],
)
def test_the_shape_is_guessed_from_the_pictures(coloured, shape, tmp_path):
    for i in range(20):
        picture = colourful(i) if i < coloured else grey(i).convert("RGB")
        picture.save(tmp_path / f"{i}.jpg", quality=90)
    assert guess_shape(tmp_path) == shape
    assert guess_shape(tmp_path, colour=True) == (3, 32, 32)
    assert guess_shape(tmp_path, colour=False) == (1, 28, 28)
    assert guess_shape(tmp_path, size=64) == (shape[0], 64, 64)


def test_sizes_below_one_pixel(tmp_path):
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        guess_shape(fill(tmp_path, 1), size=0)


# --- the split ------------------------------------------------------------------------------------


def sides(images: ImageData) -> dict[str, str]:
    assert images.train_paths is not None and images.test_paths is not None
    return dict.fromkeys(images.train_paths, "train") | dict.fromkeys(images.test_paths, "test")


def test_images_and_paths_belong_together(tmp_path):
    folder = fill(tmp_path / "pictures", 40)
    images = ImageData.from_folder(folder, size=20)
    for part, paths in ((images.train, images.train_paths), (images.test, images.test_paths)):
        assert list(paths) == sorted(paths)
        for image, path in zip(part, paths, strict=True):
            assert np.array_equal(image[0], Image.open(folder / path))
    assert set(sides(images)) == {f"{i:03d}.png" for i in range(40)} and len(images.train) + len(images.test) == 40
    assert images.source.endswith(f"grey 20 x 20: {len(images.train)} train + {len(images.test)} test images")
    assert images.name == "folder:pictures" and images.train_labels is None


def test_a_file_stays_on_its_side(tmp_path):
    folder = fill(tmp_path / "pictures", 40)
    before = sides(ImageData.from_folder(folder))
    kept = random.Random(0).sample(sorted(before), 20)
    for path in set(before) - set(kept):
        (folder / path).unlink()
    fill(folder / "more", 45)  # 40 of these are the same files again
    after = sides(ImageData.from_folder(folder))
    assert all(after[path] == before[path] for path in kept)
    assert all(after[f"more/{path}"] == side for path, side in before.items())
    renamed = tmp_path / "elsewhere"
    shutil.copytree(folder, renamed)
    os.rename(renamed / kept[0], renamed / "another name.png")
    assert sides(ImageData.from_folder(renamed))["another name.png"] == before[kept[0]]


def test_the_share_that_is_held_out(tmp_path):
    folder = fill(tmp_path / "pictures", 300)
    small, large = (ImageData.from_folder(folder, held_out=share, size=4) for share in (0.1, 0.5))
    assert set(small.test_paths) < set(large.test_paths)
    # Four standard deviations of a binomial share of 300.
    assert len(small.test) / 300 == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / 300) ** 0.5)
    assert len(large.test) / 300 == pytest.approx(0.5, abs=4 * (0.5 * 0.5 / 300) ** 0.5)


def test_counts_keep_the_first_of_an_order_that_does_not_change(tmp_path):
    folder = fill(tmp_path / "pictures", 40)
    five, ten = (load(f"folder:{folder}", n_train=n, n_test=2) for n in (5, 10))
    assert (len(five.train), len(ten.train), len(five.test)) == (5, 10, 2)
    assert set(five.train_paths) < set(ten.train_paths) and five.test_paths == ten.test_paths
    with pytest.raises(ValueError, match="n_train=41, but .* has only"):
        load(f"folder:{folder}", n_train=41)
    with pytest.raises(ValueError, match="n_test: expected None or a count from 0 on, got -1"):
        ImageData.from_folder(folder, n_test=-1)


def test_too_few_pictures(tmp_path):
    with pytest.raises(ValueError, match=r"no picture in .* \(1 in all\) is on the (train|test) side.*add pictures"):
        load(f"folder:{fill(tmp_path / 'one', 1)}")
    for held_out in (0, 1, -0.5):
        with pytest.raises(ValueError, match="held_out must be between 0 and 1"):
            ImageData.from_folder(tmp_path / "one", held_out=held_out)


def test_load_takes_a_folder_and_nothing_that_does_not_go_with_it(damaged, tmp_path):
    fill(damaged, 30)
    with pytest.warns(UserWarning, match="skipped 4 of 34"):
        images = load(f"folder:{damaged}")
    assert images.shape == (1, 28, 28)
    assert len(images.unreadable) == 4 and images.source.endswith("images, 4 files unreadable")
    for option in ({"root": tmp_path}, {"sample": True}, {"download": True}, {"raw_orientation": True}):
        with pytest.raises(ValueError, match="takes no root, sample, download or raw_orientation"):
            load(f"folder:{damaged}", **option)
    with pytest.raises(ValueError, match="or folder:PATH"):
        load("pictures")


# --- other shapes ---------------------------------------------------------------------------------


def test_images_fit_another_shape():
    digits = load("MNIST", sample=True, n_test=3).test
    assert torch.equal(fit_shape(digits, (1, 28, 28)), digits)
    colour = fit_shape(digits, (3, 28, 28))
    assert all(torch.equal(colour[:, c], digits[:, 0]) for c in range(3))
    assert torch.equal(fit_shape(colour, (1, 28, 28)), digits)  # the weights of the channels add up to 1
    large = fit_shape(digits, (3, 32, 32))
    assert large.shape == (3, 3, 32, 32) and large.dtype == torch.uint8
    assert large.float().mean().item() == pytest.approx(digits.float().mean().item(), rel=0.05)


def test_colours_become_the_grey_that_pillow_makes():
    colours = load("SynthDigits", n_test=5).test
    expected = [np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")) for image in colours]
    grey_ones = fit_shape(colours, (1, 32, 32))[:, 0].numpy()
    assert np.abs(grey_ones.astype(int) - np.stack(expected)).max() <= 1
