"""Image sets as uint8 tensors `[N, C, H, W]`: from files, a download, an embedded sample, rendered, or a folder.

Axis letters: N images, C channels (1 or 3), H and W pixels. Images stay uint8 until a batch is on its device,
where `to_float` turns it into numbers in [0, 1].
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import files, folders
from .files import PARTS, SETS, Images, Root

_RENDERED = ("Glyphs", "SynthDigits")
_FOLDER = "folder:"


@dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """An image set in memory.

    Attributes:
        name: of the set.
        train: uint8 images `[N, C, H, W]`; without files of that part empty, `[0, C, H, W]`.
        test: the same for the test images.
        train_labels: int64 `[N]`, or None where there are none.
        test_labels: the same for the test images.
        source: one readable line: where the images come from, and how many of how many they are.
        train_paths: of images from a folder, the path of each within it, "/" between the parts; of others, None.
        test_paths: the same for the test images.
        unreadable: of images from a folder, a line "path: why" for each file that was skipped.
    """

    name: str
    train: Tensor
    test: Tensor
    train_labels: Tensor | None
    test_labels: Tensor | None
    source: str
    train_paths: tuple[str, ...] | None = None
    test_paths: tuple[str, ...] | None = None
    unreadable: tuple[str, ...] = ()

    @classmethod
    def from_folder(
        cls,
        folder: folders.Folder,
        *,
        size: int | None = None,
        colour: bool | None = None,
        held_out: float = 0.2,
        n_train: int | None = None,
        n_test: int | None = None,
        progress: bool = False,
    ) -> ImageData:
        """The pictures of a folder, PNG, JPEG and WebP files of any size, resized; a share is held out as `test`.

        Which part a picture belongs to is decided by a hash of its file alone: the same file is on the same side
        under any name, beside any others, so that a copy of a training picture is never tested.

        Args:
            folder: where the pictures are; see `folders` for how they are read.
            size: height and width; default: 28 for grey pictures, 32 for colour.
            colour: whether to keep colours; default: no if nine in ten of the pictures are grey.
            held_out: share of the test images, between 0 and 1; a small folder may be some pictures off.
            n_train: keep this many training images, the first in the order of their hashes; None keeps all.
            n_test: the same for the test images.
            progress: show a progress bar.

        Raises:
            FileNotFoundError, NotADirectoryError: no such folder.
            ValueError: no readable pictures, too few to have some on each side, more asked for than there are.
        """
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must be between 0 and 1, got {held_out}")
        counts = _counts(n_train, n_test)
        folder = Path(folder).expanduser()
        found = folders.read_pictures(folder, folders.guess_shape(folder, size, colour), progress)
        order = sorted(range(len(found.digests)), key=lambda i: found.digests[i])
        # The first 32 bits of the hash, as a number in [0, 1).
        is_test = [int(digest[:8], 16) / 2**32 < held_out for digest in found.digests]
        where = files.readable(folder)
        sides = {"train": [i for i in order if not is_test[i]], "test": [i for i in order if is_test[i]]}
        for part, n in counts.items():
            if not sides[part]:
                raise ValueError(
                    f"no picture in {folder} ({len(order):,} in all) is on the {part} side. A hash of each file "
                    f"decides that, with {held_out:.0%} for testing: add pictures, or choose another held_out"
                )
            if n is not None and n > len(sides[part]):
                raise ValueError(f"n_{part}={n:,}, but {where} has only {len(sides[part]):,}")
            sides[part] = sorted(sides[part] if n is None else sides[part][:n])  # back in the order of the paths
        amounts = " + ".join(f"{len(sides[part]):,} {part}" for part in PARTS)
        kind = {1: "grey", 3: "colour"}[found.images.shape[1]]
        height, width = found.images.shape[2:]
        skipped = f", {len(found.unreadable):,} files unreadable" if found.unreadable else ""
        source = f"{_FOLDER}{where}, {kind} {height} x {width}: {amounts} images{skipped}"
        images = {part: found.images[sides[part]] for part in PARTS}
        paths = {part: tuple(found.paths[i] for i in sides[part]) for part in PARTS}
        name = f"{_FOLDER}{folder.absolute().name}"
        return cls(
            name, images["train"], images["test"], None, None, source, paths["train"], paths["test"], found.unreadable
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    def __repr__(self) -> str:
        return f"ImageData({self.source})"


def load(
    name: str,
    root: Root = None,
    *,
    sample: bool | None = None,
    download: bool = False,
    n_train: int | None = None,
    n_test: int | None = None,
    raw_orientation: bool = False,
    seed: int = 0,
) -> ImageData:
    """Load an image set. The network is used only with `download=True`.

    Looks for files in `root` or, without it, in $NSVAE_DATA and then in the per-user cache folder. If there
    are none, `download=True` fetches them into the first of these folders (or what is missing there);
    otherwise MNIST and FashionMNIST come from the embedded sample (6,000 + 2,000 images each). `sample=True`
    takes that sample at once, `sample=False` never. Glyphs and SynthDigits are rendered from `seed`, so they are
    always there.

    Args:
        name: of the set; case, "-", "_" and spaces do not matter. "folder:PATH" takes your own pictures, see
            `ImageData.from_folder`; of the other arguments only the counts go with it.
        root: the only folder to look in and to download into.
        sample: True for the embedded sample, False for everything but it, None for the order above.
        download: whether the network may be used.
        n_train: keep this many training images, the first of a fixed shuffled order that is the same from every
            source; None keeps all of them, in their files' order. Rendered sets have 6,000 unless told.
        n_test: the same for the test images, of which rendered sets have 2,000.
        raw_orientation: EMNIST-Letters (labels 1 to 26) as its files hold it, transposed; by default upright.
            Other sets have one orientation only.
        seed: of the rendered sets, 0 to 2**32 - 1.

    Raises:
        ValueError: an unknown name, or more images asked for than there are.
        FileNotFoundError: the set is nowhere; the message says how to get it.
        OSError: a file is cut off or corrupted, or a download failed; the message says what to do.
    """
    if name.startswith(_FOLDER):
        if root is not None or sample or download or raw_orientation:
            raise ValueError(f"{name!r} takes no root, sample, download or raw_orientation: it names its own folder")
        return ImageData.from_folder(name.removeprefix(_FOLDER), n_train=n_train, n_test=n_test)
    counts = _counts(n_train, n_test)
    name = canonical_name(name)
    if name in _RENDERED:
        return _rendered(name, counts, seed)
    if sample and not files.has_sample(name):
        known = ", ".join(other for other in SETS if other in _RENDERED or files.has_sample(other))
        raise ValueError(f"no sample of {name} comes with the library; sample=True works for {known}")

    folder = None if sample else files.find(name, root)
    if download and not sample and not (folder and files.is_whole(name, folder)):
        folder = folder or files.folders(root)[0]
        files.download(name, folder)
    if folder is not None:
        parts, where = files.read(name, folder)
    elif sample is not False and files.has_sample(name):
        parts, where = files.read_sample(name), "embedded sample"
    else:
        raise files.not_found(name, root)
    if name == "EMNIST-Letters":
        where += ", transposed" if raw_orientation else ", upright"
        if not raw_orientation:
            parts = {part: (x.transpose(2, 3).contiguous(), y) for part, (x, y) in parts.items()}
    shuffled = folder is None  # the sample already is in the fixed order
    chosen = {part: _first(parts[part], counts[part], shuffled, part, where) for part in PARTS}
    return _assemble(name, chosen, where)


def available(root: Root = None) -> dict[str, str]:
    """The sets that `load(name, root)` finds now, without network: name -> where they would come from."""
    found = {}
    for name in SETS:
        folder = files.find(name, root)
        if name in _RENDERED:
            found[name] = "rendered from matplotlib's fonts"
        elif folder is not None:
            found[name] = f"files in {files.readable(folder)}"
        elif files.has_sample(name):
            found[name] = "embedded sample, 6,000 train + 2,000 test images"
    return found


def canonical_name(name: str) -> str:
    """A set's name as the library writes it; case, "-", "_" and spaces do not matter. ValueError if unknown."""

    def plain(text: str) -> str:
        return text.lower().translate(str.maketrans("", "", "-_ "))

    for known in SETS:
        if plain(known) == plain(name):
            return known
    raise ValueError(f"unknown image set {name!r}; expected one of {', '.join(SETS)}, or folder:PATH")


def to_float(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]; floating-point images, taken to be in [0, 1] already, as float32."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32) / 255
    if images.is_floating_point():
        return images.to(torch.float32)
    raise ValueError(f"expected uint8 or floating-point images, got {images.dtype}")


def digest(numbers: Tensor) -> str:
    """SHA-256 of a tensor's numbers, in hexadecimal: the same for the same images wherever they came from."""
    return hashlib.sha256(numbers.cpu().contiguous().numpy().data).hexdigest()


def check_images(images: Tensor, shape: tuple[int, int, int] | None = None, name: str = "images") -> Tensor:
    """Return `images`, unchanged, if they are `[N, C, H, W]`, uint8 or floating point in [0, 1].

    Args:
        images: what a caller gave.
        shape: the (C, H, W) that is expected; None accepts any size with 1 or 3 channels.
        name: what to call the images in an error.

    Raises:
        ValueError: another type, rank, channel count or size, no images at all, NaN, infinity or values outside
            [0, 1]; with what was expected and what was received.
    """
    if not isinstance(images, Tensor) or not (images.dtype == torch.uint8 or images.is_floating_point()):
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"{name}: expected a tensor, uint8 (0 to 255) or floating point (0 to 1), got {got}")
    if images.dim() != 4:
        hint = "; a single image needs images[None]" if images.dim() == 3 else ""
        raise ValueError(f"{name}: expected four axes [N, C, H, W], got {list(images.shape)}{hint}")
    if shape is not None and images.shape[1:] != tuple(shape):
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{name}: expected shape [N, {wanted}], got {list(images.shape)}")
    if shape is None and images.shape[1] not in (1, 3):
        hint = "; channels come first: images.permute(0, 3, 1, 2)" if images.shape[3] in (1, 3) else ""
        raise ValueError(f"{name}: expected 1 or 3 channels, [N, C, H, W], got {list(images.shape)}{hint}")
    if images.numel() == 0:
        raise ValueError(f"{name}: expected at least one image, got an empty tensor {list(images.shape)}")
    if images.is_floating_point():
        low, high = map(float, torch.aminmax(images.detach()))  # both are NaN if any value is
        if not (low >= 0 and high <= 1):
            hint = "; divide by 255 first" if low >= 0 and 1 < high <= 255 else ""
            raise ValueError(f"{name}: expected values in [0, 1], got values from {low:g} to {high:g}{hint}")
    return images


def _counts(n_train: int | None, n_test: int | None) -> dict[str, int | None]:
    """How many images of each part are asked for. ValueError if less than none."""
    counts = {"train": n_train, "test": n_test}
    for part, n in counts.items():
        if n is not None and n < 0:
            raise ValueError(f"n_{part}: expected None or a count from 0 on, got {n}")
    return counts


def _rendered(name: str, counts: Mapping[str, int | None], seed: int) -> ImageData:
    from . import rendered  # here, so that only the sets that need fonts import matplotlib

    parts = {}
    for part, default in zip(PARTS, SETS[name].sizes, strict=True):
        n = counts[part]
        parts[part] = rendered.render(name, part, default if n is None else n, seed)
    return _assemble(name, parts, f"rendered from matplotlib's fonts, seed {seed}")


def _first(images: Images, n: int | None, shuffled: bool, part: str, where: str) -> Images:
    """The first n images in the fixed shuffled order; for None all of them as they are."""
    x, y = images
    if n is None:
        return images
    if n > len(x):
        what = f"only {len(x):,}" if len(x) else f"no {part} images: add their files"
        raise ValueError(f"n_{part}={n:,}, but {where} has {what}")
    # RandomState's stream is frozen for good, unlike that of newer generators.
    keep = torch.arange(n) if shuffled else torch.from_numpy(np.random.RandomState(0).permutation(len(x))[:n])
    return x[keep], None if y is None else y[keep]


def _assemble(name: str, parts: Mapping[str, Images], where: str) -> ImageData:
    """The result with its source line, "<name>, <where>: 6,000 of 60,000 train + all 10,000 test images"."""
    (train, train_labels), (test, test_labels) = parts["train"], parts["test"]
    amounts = []
    for part, x, full in zip(PARTS, (train, test), SETS[name].sizes, strict=True):
        amount = f"{len(x):,}" if len(x) else "no"
        if len(x) and name not in _RENDERED:
            amount = f"all {amount}" if len(x) == full else f"{amount} of {full:,}"
        amounts.append(f"{amount} {part}")
    source = f"{name}, {where}: {' + '.join(amounts)} images"
    return ImageData(name, train, test, train_labels, test_labels, source)
