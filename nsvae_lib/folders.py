"""Pictures of your own: a folder of PNG, JPEG and WebP files as uint8 images `[N, C, H, W]`. Explained in chapter 11.

A file is recognised by its ending, in capitals or not, and read by its content. Folders within the folder count,
hidden files and links to other folders do not.
"""

import hashlib
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")
SIZES = {1: 28, 3: 32}  # height and width by number of channels, those of the sets in this book
LOOKED_AT = 100  # files that decide whether a folder is grey
GREY_SPREAD = 8  # a picture whose channels differ by less than this, on the mean, is grey: JPEG tints grey a little

Folder = str | os.PathLike[str]
_BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises for damaged files


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of a folder.

    Attributes:
        images: uint8 `[N, C, H, W]`, in the order of `paths`.
        paths: of each picture within the folder, "/" between the parts, in alphabetical order.
        digests: SHA-256 of each file, in hexadecimal: the same file has the same digest wherever it lies.
        unreadable: a line "path: why" for each file that was skipped.
    """

    images: Tensor
    paths: tuple[str, ...]
    digests: tuple[str, ...]
    unreadable: tuple[str, ...]


def read_pictures(folder: Folder, shape: tuple[int, int, int] | None = None, progress: bool = False) -> Pictures:
    """All pictures of a folder in one shape: the whole picture, resized, its aspect ratio given up.

    Turned as the camera says (EXIF), transparent parts put on white, 16 bits brought to 8, of animations the first
    frame. Files that cannot be read are skipped with a warning that names them.

    Args:
        folder: where the pictures are.
        shape: (C, H, W), C = 1 for grey or 3 for colour; default: `guess_shape(folder)`.
        progress: show a progress bar.

    Raises:
        FileNotFoundError, NotADirectoryError: no such folder.
        ValueError: a folder without pictures, or none of them readable.
    """
    files = find_pictures(folder)
    shape = shape or guess_shape(folder)

    def read(file: Path) -> tuple[Tensor, str] | str:
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            return _tensor(open_picture(file, max(shape)), shape), digest
        except _BROKEN as error:
            return _why(error)

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside Python's lock
        found = list(tqdm(pool.map(read, files), "reading", len(files), unit="file", disable=not progress))
    paths = [file.relative_to(folder).as_posix() for file in files]
    unreadable = tuple(f"{path}: {why}" for path, why in zip(paths, found, strict=True) if isinstance(why, str))
    good = [(path, *item) for path, item in zip(paths, found, strict=True) if not isinstance(item, str)]
    if not good:
        raise ValueError(f"no picture in {folder} can be read: {_listed(unreadable)}")
    if unreadable:
        count = f"{len(unreadable):,} of {len(files):,} files in {folder}"
        warnings.warn(f"skipped {count}, which cannot be read: {_listed(unreadable)}", stacklevel=2)
    names, images, digests = zip(*good, strict=True)
    return Pictures(torch.stack(images), names, digests, unreadable)


def find_pictures(folder: Folder) -> list[Path]:
    """The files of a folder, and of the folders in it, that end as pictures do, in alphabetical order.

    Raises:
        FileNotFoundError, NotADirectoryError: no such folder.
        ValueError: no picture in it.
    """
    if not Path(folder).exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder of pictures")
    files = []
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        files += [Path(place, name) for name in names if not name.startswith(".")]
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not pictures:
        others = f"{len(files):,} of other kinds only" if files else "no files at all"
        raise ValueError(f"no pictures in {folder}: expected files that end in {', '.join(SUFFIXES)}, found {others}")
    return sorted(pictures, key=lambda file: file.relative_to(folder).as_posix())


def guess_shape(folder: Folder, size: int | None = None, colour: bool | None = None) -> tuple[int, int, int]:
    """(C, H, W) for the pictures of a folder; what is given is not guessed.

    Args:
        folder: where the pictures are.
        size: height and width, >= 1; default: 28 for grey pictures, 32 for colour.
        colour: whether to keep colours; default: no if nine in ten of the pictures are grey, by a look at 100 of them.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: as `find_pictures`; a size below 1.
    """
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    files = find_pictures(folder)
    if colour is None:
        step = -(-len(files) // LOOKED_AT)
        spreads = [spread for file in files[::step] if (spread := _colour_spread(file)) is not None]
        colour = sum(spread >= GREY_SPREAD for spread in spreads) > len(spreads) / 10
    channels = 3 if colour else 1
    size = size or SIZES[channels]
    return channels, size, size


def open_picture(file: Folder, size: int | None = None) -> Image.Image:
    """A picture as people see it, 8 bits deep, grey ("L") or colour ("RGB"): see `read_pictures`.

    Args:
        file: a PNG, JPEG or WebP file.
        size: pixels that the shorter side should keep at least, so that large JPEG files are decoded faster.

    Raises:
        OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError: not such a file, damaged, or far too large.
    """
    with Image.open(file, formats=FORMATS) as stored:
        if size is not None:
            stored.draft(None, (2 * size, 2 * size))
        picture: Image.Image = ImageOps.exif_transpose(stored)
        if picture.mode[0] in "IF":  # 16 bits a pixel, which Pillow would clip to 8
            picture = Image.fromarray(
                (np.asarray(picture, dtype=np.float64) / 257).clip(0, 255).round().astype("uint8")
            )
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def thumbnails(folder: Folder, paths: Iterable[str], size: int = 96) -> Tensor:
    """Some pictures of a folder for people to look at: uint8 `[N, 3, size, size]`, whole, on a white square.

    Raises:
        OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError: a file that cannot be read.
    """
    pictures = [open_picture(Path(folder, path), size).convert("RGB") for path in paths]
    return torch.stack([_tensor(ImageOps.pad(p, (size, size), color="white"), (3, size, size)) for p in pictures])


def fit_shape(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Images of another shape, resized and made grey or colour: uint8 `[N, C, H, W]` -> uint8 `[N, *shape]`."""
    if tuple(images.shape[1:]) == tuple(shape):
        return images
    channels, height, width = shape
    pixels = images.to(torch.float32)
    if images.shape[1] == 3 and channels == 1:  # the weights of Pillow's own conversion
        pixels = (pixels * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    if images.shape[2:] != (height, width):
        pixels = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    return pixels.round().clamp(0, 255).to(torch.uint8).expand(-1, channels, -1, -1).contiguous()


def _tensor(picture: Image.Image, shape: tuple[int, int, int]) -> Tensor:
    channels, height, width = shape
    picture = picture.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(picture).reshape(height, width, channels).copy()).movedim(-1, 0)


def _colour_spread(file: Path) -> float | None:
    """Mean difference of the largest and the smallest channel of a pixel, 0 to 255; None if the file is unreadable."""
    try:
        pixels = _tensor(open_picture(file, 32), (3, 32, 32)).float()
    except _BROKEN:
        return None
    return (pixels.amax(0) - pixels.amin(0)).mean().item()


def _why(error: Exception) -> str:
    """The reason without the file's full name, which Pillow's messages repeat."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "no PNG, JPEG or WebP inside"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _listed(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - 5:,} more" if len(lines) > 5 else ""
    return "; ".join(lines[:5]) + more
