"""Where image sets are kept and how their files are read: IDX, npz and torchvision's layouts, and downloads.

Every reader returns uint8 images `[N, C, H, W]` with int64 labels `[N]`. A file that is cut off, corrupted or
of another kind is an OSError that names it and says what to do.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SAMPLES = Path(__file__).parent / "assets" / "samples"  # npz files, their hashes and licences
PARTS = ("train", "test")
Root = str | os.PathLike[str] | None
Images = tuple[Tensor, Tensor | None]  # images uint8 [N, C, H, W]; labels int64 [N], or None


@dataclass(frozen=True)
class ImageSet:
    """What is known of a set before it is read.

    Attributes:
        shape: (C, H, W) of an image.
        sizes: train and test images as published, or as rendered by default.
        files: of grey sets the IDX images of train and of test; of colour sets, each holds at least a part.
        torchvision: the class that downloads it, "" where none does.
    """

    shape: tuple[int, int, int]
    sizes: tuple[int, int]
    files: tuple[str, ...] = ()
    torchvision: str = ""


def _grey(folder: str, train: str, test: str, sizes: tuple[int, int]) -> ImageSet:
    files = f"{folder}/raw/{train}-images-idx3-ubyte", f"{folder}/raw/{test}-images-idx3-ubyte"
    return ImageSet((1, 28, 28), sizes, files, torchvision=folder)


def _colour(name: str, *layout: str, train: int, test: int) -> ImageSet:
    return ImageSet((3, 32, 32), (train, test), (f"{name}.npz", *layout), torchvision=name if layout else "")


SETS: Mapping[str, ImageSet] = {
    "MNIST": _grey("MNIST", "train", "t10k", (60_000, 10_000)),
    "FashionMNIST": _grey("FashionMNIST", "train", "t10k", (60_000, 10_000)),
    "KMNIST": _grey("KMNIST", "train", "t10k", (60_000, 10_000)),
    "EMNIST-Letters": _grey("EMNIST", "emnist-letters-train", "emnist-letters-test", (124_800, 20_800)),
    "CIFAR10": _colour("CIFAR10", "cifar-10-batches-py", train=50_000, test=10_000),
    "CIFAR100": _colour("CIFAR100", "cifar-100-python", train=50_000, test=10_000),
    "SVHN": _colour("SVHN", "train_32x32.mat", "test_32x32.mat", train=73_257, test=26_032),
    "ImageNet32": _colour("ImageNet32", train=1_281_167, test=50_000),
    "TinyImageNet32": _colour("TinyImageNet32", train=100_000, test=10_000),
    "Glyphs": ImageSet((1, 28, 28), (6_000, 2_000)),
    "SynthDigits": ImageSet((3, 32, 32), (6_000, 2_000)),
}


def folders(root: Root = None) -> list[Path]:
    """Where to look: `root` alone if given; else $NSVAE_DATA if set, then the per-user cache folder."""
    if root is not None:
        return [Path(root).expanduser()]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nsvae"
    data = os.environ.get("NSVAE_DATA")
    return [Path(data).expanduser(), cache] if data else [cache]


def find(name: str, root: Root = None) -> Path | None:
    """The first folder that holds at least a part of the set, or None."""
    marks = SETS[name].files
    return next((folder for folder in folders(root) if any((folder / mark).exists() for mark in marks)), None)


def is_whole(name: str, folder: Path) -> bool:
    """Whether nothing of the set is missing there. A set in one file is whole, whatever parts it holds."""
    first, *others = SETS[name].files
    if SETS[name].shape[0] == 1:
        return all((folder / file).exists() for images in (first, *others) for file in (images, _labels_of(images)))
    return (folder / first).exists() or all((folder / file).exists() for file in others)


def readable(path: Path) -> str:
    """The path, with $NSVAE_DATA or ~ for what differs from one machine to the next."""
    for short, start in (("$NSVAE_DATA", os.environ.get("NSVAE_DATA")), ("~", str(Path.home()))):
        if start and path.is_relative_to(start):
            return str(Path(short, path.relative_to(start)))
    return str(path)


def read(name: str, folder: Path) -> tuple[dict[str, Images], str]:
    """Both parts of the set in the order of its files, and where they were. A part without files is empty."""
    train, *others = [folder / file for file in SETS[name].files]
    if SETS[name].shape[0] == 1:
        return {"train": _read_idx(name, train), "test": _read_idx(name, others[0])}, readable(train.parent)
    if train.exists():  # one npz file holds both parts
        return _read_npz(name, train), readable(train)
    return _read_torchvision(name, folder), readable(folder)


def has_sample(name: str) -> bool:
    """Whether a sample of the set comes with the library."""
    return (SAMPLES / f"{name}.npz").exists()


def read_sample(name: str) -> dict[str, Images]:
    """The embedded sample, in its shuffled order, once its hash is found right."""
    path = SAMPLES / f"{name}.npz"
    expected = json.loads((SAMPLES / "sha256.json").read_text())[path.name]
    if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise OSError(f"{path} is not the file that came with nsvae_lib: install the library again.")
    return _read_npz(name, path)


def _read_idx(name: str, path: Path) -> Images:
    """Images and labels from a pair of IDX files: zero, zero, 8 (uint8), rank, sizes (big-endian), bytes.

    Gives what torchvision's reader gives, without importing torchvision, which takes seconds.
    """
    if not path.exists():
        return _empty(name)

    def array(path: Path, rank: int) -> np.ndarray:
        raw = np.fromfile(path, dtype=np.uint8)
        start = 4 + 4 * rank
        if len(raw) < start or raw[:4].tolist() != [0, 0, 8, rank]:
            raise _broken(name, path, f"it does not begin like an IDX file of rank {rank}")
        sizes = raw[4:start].view(">u4").tolist()
        if len(raw) != start + math.prod(sizes):
            raise _broken(name, path, f"expected {start + math.prod(sizes):,} bytes, got {len(raw):,}")
        return raw[start:].reshape(sizes)

    labels = path.with_name(_labels_of(path.name))
    return _checked(name, path, array(path, 3)[:, None], array(labels, 1) if labels.exists() else None)


def _read_npz(name: str, path: Path) -> dict[str, Images]:
    """`train_x`, `train_y`, `test_x`, `test_y`, any part of it; images `[N, H, W]` or `[N, H, W, C]`."""
    try:
        with np.load(path) as file:
            arrays = {key: file[key] for part in PARTS for key in (f"{part}_x", f"{part}_y") if key in file}
    except Exception as error:  # zip, zlib, header and pickle errors, according to which bytes are wrong
        raise _broken(name, path, str(error)) from error
    parts = {}
    for part in PARTS:
        x, y = arrays.get(f"{part}_x"), arrays.get(f"{part}_y")
        if x is None:
            parts[part] = _empty(name)
            continue
        if x.ndim >= 3:
            x = x[:, None] if x.ndim == 3 else np.moveaxis(x, -1, 1)
        parts[part] = _checked(name, path, x, y)
    return parts


def _read_torchvision(name: str, folder: Path) -> dict[str, Images]:
    """CIFAR-10, CIFAR-100 and SVHN through torchvision, which compares their files with known checksums."""
    dataset = _torchvision(name)
    parts = {}
    for part in PARTS:
        path = folder / (f"{part}_32x32.mat" if name == "SVHN" else SETS[name].files[1])
        if not path.exists():
            parts[part] = _empty(name)
            continue
        try:
            data = dataset(folder, **({"split": part} if name == "SVHN" else {"train": part == "train"}))
        except (OSError, RuntimeError) as error:
            raise _broken(name, path, str(error)) from error
        x, y = (data.data, data.labels) if name == "SVHN" else (np.moveaxis(data.data, -1, 1), data.targets)
        parts[part] = _checked(name, path, x, np.asarray(y))
    return parts


def _checked(name: str, path: Path, x: np.ndarray, y: np.ndarray | None) -> Images:
    shape = SETS[name].shape
    if x.dtype != np.uint8 or x.shape[1:] != shape:
        got = f"{x.dtype} {list(x.shape[1:])}"
        raise _broken(name, path, f"expected uint8 images of shape {list(shape)} (C, H, W), got {got}")
    if y is not None and (y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer)):
        raise _broken(name, path, f"expected {len(x):,} whole-number labels, got {y.dtype} {list(y.shape)}")
    labels = None if y is None else torch.from_numpy(y.astype(np.int64))
    return torch.from_numpy(np.ascontiguousarray(x)), labels


def _empty(name: str) -> Images:
    return torch.empty((0, *SETS[name].shape), dtype=torch.uint8), None


def download(name: str, folder: Path) -> None:
    """Fetch the set into `folder` with torchvision, which compares each file with its checksum."""
    if not SETS[name].torchvision:
        raise FileNotFoundError(f"{name} has no automatic download: {_by_hand(name, folder)}. {_OFFLINE}")
    options: list[dict[str, Any]] = [{}]
    if name == "SVHN":
        options = [{"split": part} for part in PARTS]
    elif name == "EMNIST-Letters":
        options = [{"split": "letters"}]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for choice in options:
            _torchvision(name)(folder, download=True, **choice)
    except (OSError, RuntimeError, ImportError) as error:
        remedy = f"Try again later, or {_by_hand(name, folder)}. {_OFFLINE}"
        raise OSError(f"the download of {name} failed ({error}). {remedy}") from error


def _torchvision(name: str) -> Any:
    # Imported late: it takes seconds, and only downloads and colour sets in its own layout need it.
    return getattr(importlib.import_module("torchvision.datasets"), SETS[name].torchvision)


def not_found(name: str, root: Root = None) -> FileNotFoundError:
    """The error for a set that is nowhere: where it was looked for and all ways to get it."""
    places = folders(root)
    fetch = "load it with download=True, or " if SETS[name].torchvision else ""
    looked = " or ".join(map(str, places))
    return FileNotFoundError(f"{name} is not in {looked}: {fetch}{_by_hand(name, places[0])}. {_OFFLINE}")


def _broken(name: str, path: Path, why: str) -> OSError:
    fetch = " or load the set with download=True" if SETS[name].torchvision else ""
    remedy = f"Delete it, then put a good copy there{fetch}. {_OFFLINE}"
    return OSError(f"{path} is cut off, corrupted or of another kind ({why}). {remedy}")


def _by_hand(name: str, folder: Path) -> str:
    """Which files to put where, as an instruction that fits into a sentence."""
    first, *others = SETS[name].files
    if SETS[name].shape[0] == 1:
        files = [file for images in (first, *others) for file in (images, _labels_of(images))]
        return f"put its files, unzipped, into {folder} by hand: {', '.join(files)}"
    content = "train_x, train_y, test_x, test_y, any part of it; images uint8 [N, 32, 32, 3]"
    layout = f", or as torchvision unpacks it: {', '.join(others)}" if others else ""
    return f"put its images into {folder} by hand, as {first} ({content}){layout}"


def _labels_of(images: str) -> str:
    return images.replace("images-idx3", "labels-idx1")


_OFFLINE = (
    "Without files or network, sample=True gives samples of MNIST and FashionMNIST, and Glyphs and SynthDigits "
    "are rendered."
)
