"""Image sets from files, downloads and the embedded sample; conversion and checks of images."""

import contextlib
import hashlib
import os
import pickle
import shutil
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nsvae_lib import files
from nsvae_lib.data import ImageData, available, canonical_name, check_images, load, to_float
from nsvae_lib.files import SETS
from tools.make_sample import make_sample

GREY = ("MNIST", "FashionMNIST", "KMNIST", "EMNIST-Letters")
REAL = Path(os.environ.get("NSVAE_DATA", "no data folder"))  # read before the fixture below hides it


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No data folder, an empty cache and no network, whatever the machine has."""
    monkeypatch.delenv("NSVAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("used the network"))


def idx(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def images(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def write_grey(name: str, root: Path, train: int | None = 12, test: int | None = 7) -> Path:
    """A small set in the layout of the real one; None leaves a part out. Returns the file of the test images."""
    for n, file in zip((train, test), SETS[name].files, strict=True):
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if n is not None:
            path.write_bytes(idx(images(n, 28, 28, seed=n)))
            labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
            labels.write_bytes(idx(np.arange(n, dtype=np.uint8)))
    return path


def write_npz(name: str, root: Path, **arrays: np.ndarray) -> Path:
    path = root / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    return path


# --- IDX files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GREY)
def test_idx_files_give_what_torchvision_reads(name, tmp_path):
    mnist = pytest.importorskip("torchvision.datasets.mnist")
    write_grey(name, tmp_path)
    data = load(name, tmp_path, raw_orientation=True)
    for part, x, y in (("train", data.train, data.train_labels), ("test", data.test, data.test_labels)):
        path = tmp_path / SETS[name].files[part == "test"]
        assert torch.equal(x[:, 0], mnist.read_image_file(str(path)))
        assert torch.equal(y, mnist.read_label_file(str(path).replace("images-idx3", "labels-idx1")))
        assert x.dtype == torch.uint8 and y.dtype == torch.int64


def test_emnist_is_upright_unless_told(tmp_path):
    write_grey("EMNIST-Letters", tmp_path)
    upright, raw = load("EMNIST-Letters", tmp_path), load("EMNIST-Letters", tmp_path, raw_orientation=True)
    assert torch.equal(upright.train, raw.train.transpose(2, 3)) and upright.train.is_contiguous()
    assert not torch.equal(upright.train, raw.train)
    assert "upright" in upright.source and "transposed" in raw.source


def test_other_sets_have_one_orientation(tmp_path):
    write_grey("MNIST", tmp_path)
    assert torch.equal(load("MNIST", tmp_path).train, load("MNIST", tmp_path, raw_orientation=True).train)


def test_a_part_without_files_is_empty(tmp_path):
    write_grey("KMNIST", tmp_path, train=None)
    data = load("KMNIST", tmp_path)
    assert data.train.shape == (0, 1, 28, 28) and data.train.dtype == torch.uint8 and data.train_labels is None
    assert data.test.shape == (7, 1, 28, 28) and data.test_labels is not None
    assert data.shape == (1, 28, 28)
    assert data.source.endswith(": no train + 7 of 10,000 test images")
    assert load("KMNIST", tmp_path, n_train=0, n_test=3).test.shape == (3, 1, 28, 28)
    with pytest.raises(ValueError, match=r"n_train=5.*no train images: add their files"):
        load("KMNIST", tmp_path, n_train=5)


def test_images_without_labels_are_read(tmp_path):
    path = write_grey("MNIST", tmp_path)
    path.with_name("t10k-labels-idx1-ubyte").unlink()
    data = load("MNIST", tmp_path, n_test=2)
    assert data.test_labels is None and data.test.shape == (2, 1, 28, 28) and len(data.train_labels) == 12


@settings(max_examples=40)
@given(cut=st.integers(0, 16 + 7 * 784 - 1))
def test_a_cut_off_idx_file_is_named(cut, tmp_path_factory):
    root = tmp_path_factory.mktemp("cut")
    path = write_grey("MNIST", root, train=None)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(OSError, match=r"cut off.*Delete it.*download=True.*sample=True") as error:
        load("MNIST", root)
    assert str(path) in str(error.value)


BAD_IDX = {
    "longer than its header says": lambda x, y: (x + b"\0", y),
    "not an IDX file": lambda x, y: (b"<html>not found</html>" * 400, y),
    "float32 instead of bytes": lambda x, y: (x[:2] + b"\x0d" + x[3:], y),
    "labels in place of images": lambda x, y: (y, y),
    "sizes beyond all memory": lambda x, y: (x[:4] + b"\xff" * 12 + x[16:], y),
    "another image size": lambda x, y: (idx(images(7, 14, 56)), y),
    "fewer labels than images": lambda x, y: (x, idx(np.arange(6, dtype=np.uint8))),
    "cut-off labels": lambda x, y: (x, y[:-1]),
}


@pytest.mark.parametrize("damage", BAD_IDX.values(), ids=BAD_IDX.keys())
def test_a_wrong_idx_file_is_named(damage, tmp_path):
    path = write_grey("FashionMNIST", tmp_path)
    labels = path.with_name("t10k-labels-idx1-ubyte")
    x, y = damage(path.read_bytes(), labels.read_bytes())
    path.write_bytes(x)
    labels.write_bytes(y)
    with pytest.raises(OSError, match=r"FashionMNIST.raw.t10k-(images|labels)-idx.*Delete it"):
        load("FashionMNIST", tmp_path)


# --- npz files ---------------------------------------------------------------------------------------------------


def test_npz_files_put_channels_first(tmp_path):
    x, y = images(6, 32, 32, 3), np.arange(6)
    write_npz("TinyImageNet32", tmp_path, train_x=x, train_y=y, test_x=x[:4], test_y=y[:4].astype(np.uint8))
    data = load("tiny-imagenet-32", tmp_path)
    assert data.train.shape == (6, 3, 32, 32) and data.train.is_contiguous()
    assert data.train[5, 2, 7, 9] == x[5, 7, 9, 2]
    assert data.test_labels.tolist() == [0, 1, 2, 3] and data.test_labels.dtype == torch.int64
    assert data.source == f"TinyImageNet32, {tmp_path}/TinyImageNet32.npz: 6 of 100,000 train + 4 of 10,000 test images"


@pytest.mark.parametrize("part", ["train", "test"])
def test_npz_files_may_hold_one_part_and_no_labels(part, tmp_path):
    write_npz("SVHN", tmp_path, **{f"{part}_x": images(3, 32, 32, 3)})
    data = load("SVHN", tmp_path)
    there, missing = (data.train, data.test) if part == "train" else (data.test, data.train)
    assert there.shape == (3, 3, 32, 32) and missing.shape == (0, 3, 32, 32)
    assert data.train_labels is None and data.test_labels is None


BAD_NPZ = {
    "grey images": {"test_x": images(2, 32, 32)},
    "channels first": {"test_x": images(2, 3, 32, 32)},
    "one number": {"test_x": np.array(3, dtype=np.uint8)},
    "floats": {"test_x": images(2, 32, 32, 3) / 255},
    "too few labels": {"test_x": images(2, 32, 32, 3), "test_y": np.array([1])},
    "labels as words": {"test_x": images(2, 32, 32, 3), "test_y": np.array(["a", "b"])},
    "pickled objects": {"test_x": np.array([None])},
}


@pytest.mark.parametrize("arrays", BAD_NPZ.values(), ids=BAD_NPZ.keys())
def test_a_wrong_npz_file_is_named(arrays, tmp_path):
    path = write_npz("ImageNet32", tmp_path, **arrays)
    with pytest.raises(OSError, match=r"corrupted.*Delete it, then put a good copy there\.") as error:
        load("ImageNet32", tmp_path)
    assert str(path) in str(error.value)


def test_a_single_array_is_no_npz_file(tmp_path):
    with open(tmp_path / "CIFAR10.npz", "wb") as file:
        np.save(file, images(2, 32, 32, 3))
    with pytest.raises(OSError, match=r"CIFAR10\.npz.*corrupted"):
        load("CIFAR10", tmp_path)


@given(cut=st.integers(0, 3000), at=st.integers(0, 3000), damage=st.integers(1, 255))
def test_a_damaged_npz_file_is_an_oserror_or_harmless(cut, at, damage, tmp_path_factory):
    root = tmp_path_factory.mktemp("npz")
    path = write_npz("CIFAR10", root, test_x=images(1, 32, 32, 3), test_y=np.array([4]))
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[:cut])
    with pytest.raises(OSError, match=r"CIFAR10\.npz is cut off"):
        load("CIFAR10", root)
    whole[at] ^= damage  # in the zip's unused fields this does no harm; anywhere else it is noticed
    path.write_bytes(whole)
    with contextlib.suppress(OSError):  # no other error
        assert load("CIFAR10", root).test.shape in {(1, 3, 32, 32), (0, 3, 32, 32)}


# --- torchvision's layouts of the colour sets ----------------------------------------------------------------------


def write_cifar(name: str, root: Path, monkeypatch) -> Path:
    """The files of CIFAR-10 or CIFAR-100 with three images each, and torchvision's checksums to match."""
    dataset = getattr(pytest.importorskip("torchvision.datasets"), name)
    folder = root / dataset.base_folder
    folder.mkdir()
    key = "labels" if name == "CIFAR10" else "fine_labels"

    def write(file: str, content: dict) -> list[str]:
        (folder / file).write_bytes(pickle.dumps(content))
        return [file, hashlib.md5((folder / file).read_bytes()).hexdigest()]

    for attribute in ("train_list", "test_list"):
        batches = []
        for number, (file, _) in enumerate(getattr(dataset, attribute)):
            batches.append(write(file, {"data": images(3, 3072, seed=number), key: [number] * 3}))
        monkeypatch.setattr(dataset, attribute, batches)
    names = {dataset.meta["key"]: ["a", "b"]}
    meta = dict(zip(("filename", "md5"), write(dataset.meta["filename"], names), strict=True))
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, **meta})
    return folder


@pytest.mark.parametrize(("name", "n_train"), [("CIFAR10", 15), ("CIFAR100", 3)])
def test_cifar_in_torchvisions_layout(name, n_train, tmp_path, monkeypatch):
    folder = write_cifar(name, tmp_path, monkeypatch)
    data = load(name, tmp_path)
    assert data.train.shape == (n_train, 3, 32, 32) and data.test.shape == (3, 3, 32, 32)
    assert torch.equal(data.test[0], torch.from_numpy(images(3, 3072)[0].reshape(3, 32, 32)))
    assert data.train_labels.tolist() == [number for number in range(n_train // 3) for _ in range(3)]
    assert name in available(tmp_path)
    some_file = next(folder.glob("*test*"))
    some_file.write_bytes(some_file.read_bytes()[:-9])
    with pytest.raises(OSError, match=r"cifar-100?-.*Delete it"):
        load(name, tmp_path)


def test_svhn_in_torchvisions_layout(tmp_path, monkeypatch):
    dataset = pytest.importorskip("torchvision.datasets").SVHN
    path, x = tmp_path / "test_32x32.mat", images(3, 32, 32, 3)
    scipy.io.savemat(path, {"X": x.transpose(1, 2, 3, 0), "y": np.array([[1], [10], [9]], dtype=np.uint8)})
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setattr(dataset, "split_list", {**dataset.split_list, "test": ["", path.name, md5]})
    data = load("SVHN", tmp_path)
    assert data.train.shape == (0, 3, 32, 32)
    assert torch.equal(data.test, torch.from_numpy(x.transpose(0, 3, 1, 2)))
    assert data.test_labels.tolist() == [1, 0, 9]  # the files write 10 for the digit 0
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(OSError, match=r"test_32x32\.mat is cut off"):
        load("SVHN", tmp_path)


# --- how many images, and which ------------------------------------------------------------------------------------


def test_without_counts_a_folder_keeps_its_order(tmp_path):
    write_grey("MNIST", tmp_path)
    data = load("MNIST", tmp_path)
    assert data.train_labels.tolist() == list(range(12)) and data.test_labels.tolist() == list(range(7))


@given(n=st.integers(0, 12))
def test_counts_keep_the_first_of_a_fixed_order(n, tmp_path_factory):
    root = tmp_path_factory.mktemp("order")
    write_grey("MNIST", root)
    whole, data = load("MNIST", root), load("MNIST", root, n_train=n, n_test=3)
    expected = np.random.RandomState(0).permutation(12)[:n]
    assert data.train_labels.tolist() == expected.tolist()
    assert torch.equal(data.train, whole.train[torch.from_numpy(expected)])
    assert data.test_labels.tolist() == np.random.RandomState(0).permutation(7)[:3].tolist()


@pytest.mark.parametrize(("counts", "message"), [
    ({"n_train": 13}, r"n_train=13, but .* has only 12"),
    ({"n_test": 8}, r"n_test=8, but .* has only 7"),
    ({"n_train": -1}, r"n_train: expected None or a count from 0 on, got -1"),
])  # fmt: skip
def test_impossible_counts(counts, message, tmp_path):
    write_grey("MNIST", tmp_path)
    with pytest.raises(ValueError, match=message):
        load("MNIST", tmp_path, **counts)


# --- the embedded sample -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_embedded_sample(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # not needed, so it need not match torch
    start = time.process_time()
    data = load(name, sample=True)
    assert time.process_time() - start < 1
    assert data.train.shape == (6_000, 1, 28, 28) and data.test.shape == (2_000, 1, 28, 28)
    assert data.source == f"{name}, embedded sample: 6,000 of 60,000 train + 2,000 of 10,000 test images"
    for labels, n in ((data.train_labels, 6_000), (data.test_labels, 2_000)):
        counts = torch.bincount(labels)
        assert len(counts) == 10 and counts.sum() == n and counts.min() > 0.07 * n
    first = load(name, sample=True, n_train=50, n_test=20)
    assert torch.equal(first.train, data.train[:50]) and torch.equal(first.test_labels, data.test_labels[:20])
    with pytest.raises(ValueError, match=r"n_train=6,001, but embedded sample has only 6,000"):
        load(name, n_train=6_001)


def test_embedded_samples_are_small_and_carry_their_licences():
    assert sum(path.stat().st_size for path in files.SAMPLES.iterdir()) < 6_000_000
    terms = (files.SAMPLES / "README.md").read_text()
    assert "Zalando SE" in terms and "MIT License" in terms and "licenses/by-sa/3.0" in terms


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_sample_equals_the_real_files(name):
    if not (REAL / SETS[name].files[0]).exists():
        pytest.skip(f"NSVAE_DATA has no {name} to compare the embedded sample with")
    sample, real = load(name, sample=True), load(name, REAL, sample=False, n_train=6_000, n_test=2_000)
    for field in ("train", "test", "train_labels", "test_labels"):
        assert torch.equal(getattr(sample, field), getattr(real, field))


def test_a_damaged_sample_is_noticed(tmp_path, monkeypatch):
    copy = shutil.copytree(files.SAMPLES, tmp_path / "samples")
    content = bytearray((copy / "MNIST.npz").read_bytes())
    content[1000] ^= 1
    (copy / "MNIST.npz").write_bytes(content)
    monkeypatch.setattr(files, "SAMPLES", copy)
    with pytest.raises(OSError, match=r"MNIST\.npz is not the file that came with nsvae_lib: install"):
        load("MNIST", sample=True)
    assert len(load("FashionMNIST", sample=True).train) == 6_000


def test_the_tool_that_makes_the_samples(tmp_path, monkeypatch):
    for name in ("MNIST", "FashionMNIST"):
        write_grey(name, tmp_path)
    make_sample(tmp_path, tmp_path / "samples", n_train=5, n_test=4)
    monkeypatch.setattr(files, "SAMPLES", tmp_path / "samples")
    sample, whole = load("MNIST", sample=True), load("MNIST", tmp_path, n_train=5, n_test=4)
    assert torch.equal(sample.train, whole.train) and torch.equal(sample.test, whole.test)
    assert torch.equal(sample.train_labels, whole.train_labels)


# --- where images come from ----------------------------------------------------------------------------------------


def test_order_of_places(tmp_path, monkeypatch):
    def source(**options):
        return load("MNIST", **options).source

    assert "embedded sample" in source()
    write_grey("MNIST", tmp_path / "cache" / "nsvae", train=1)
    assert "cache/nsvae/MNIST/raw: 1 of 60,000 train" in source()
    write_grey("MNIST", tmp_path / "data", train=2)
    monkeypatch.setenv("NSVAE_DATA", str(tmp_path / "data"))
    assert "$NSVAE_DATA/MNIST/raw: 2 of 60,000 train" in source()
    write_grey("MNIST", tmp_path / "root", train=3)
    assert "root/MNIST/raw: 3 of 60,000 train" in source(root=tmp_path / "root")
    assert "embedded sample" in source(root=tmp_path / "root", sample=True)
    assert "embedded sample" in source(root=tmp_path / "empty")  # root alone: no other folder is looked at
    monkeypatch.setenv("NSVAE_DATA", str(tmp_path / "elsewhere"))
    assert "cache/nsvae" in source()


def test_the_cache_is_in_the_home_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_grey("KMNIST", tmp_path / ".cache" / "nsvae")
    assert load("KMNIST").source.startswith("KMNIST, ~/.cache/nsvae/KMNIST/raw: 12 of 60,000 train")


@pytest.mark.parametrize("name", ["MNIST", "KMNIST", "CIFAR10", "SVHN", "ImageNet32"])
def test_a_set_that_is_nowhere(name, tmp_path, monkeypatch):
    monkeypatch.setenv("NSVAE_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError) as error:
        load(name, sample=False)
    message = str(error.value)
    assert f"not in {tmp_path / 'data'} or {tmp_path / 'cache' / 'nsvae'}" in message
    assert f"into {tmp_path / 'data'} by hand" in message and SETS[name].files[0] in message
    assert "sample=True gives samples of MNIST and FashionMNIST" in message
    assert ("load it with download=True" in message) == (name != "ImageNet32")


def test_only_two_sets_have_a_sample():
    with pytest.raises(ValueError, match="no sample of CIFAR10.*MNIST, FashionMNIST, Glyphs, SynthDigits"):
        load("CIFAR10", sample=True)


class Downloader:
    """Stands for torchvision's data set classes: writes a small set, or fails as they do."""

    calls: ClassVar[list[dict]] = []
    error: ClassVar[Exception | None] = None

    def __init__(self, folder: Path, **options) -> None:
        self.calls.append({"folder": folder, **options})
        if self.error is not None:
            raise self.error
        if options.get("split") in ("train", "test"):
            write_npz("SVHN", folder, test_x=images(3, 32, 32, 3))
        else:
            write_grey("EMNIST-Letters" if "split" in options else "KMNIST", folder)


@pytest.fixture
def downloader(monkeypatch):
    monkeypatch.setattr(Downloader, "calls", [])
    monkeypatch.setattr(Downloader, "error", None)
    monkeypatch.setattr(files, "_torchvision", lambda name: Downloader)
    return Downloader


@pytest.mark.parametrize(("name", "options"), [
    ("KMNIST", [{}]),
    ("EMNIST-Letters", [{"split": "letters"}]),
    ("SVHN", [{"split": "train"}, {"split": "test"}]),
])  # fmt: skip
def test_download_when_asked_and_needed(name, options, tmp_path, downloader):
    with pytest.raises(FileNotFoundError):
        load(name)
    assert downloader.calls == []
    cache = tmp_path / "cache" / "nsvae"
    assert f"{cache}" in load(name, download=True).source
    assert downloader.calls == [{"folder": cache, "download": True, **choice} for choice in options]
    load(name)
    load(name, download=True)  # it is there now
    assert len(downloader.calls) == len(options)


@pytest.mark.parametrize("missing", ["train-images-idx3-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_what_an_interrupted_download_left_out_is_fetched(missing, tmp_path, downloader):
    load("KMNIST", tmp_path, download=True)
    (file,) = tmp_path.rglob(missing)
    file.unlink()
    load("KMNIST", tmp_path, download=True)
    assert file.exists() and len(downloader.calls) == 2


def test_download_goes_to_the_first_folder(tmp_path, monkeypatch, downloader):
    load("KMNIST", tmp_path / "root", download=True)
    monkeypatch.setenv("NSVAE_DATA", str(tmp_path / "data"))
    load("KMNIST", download=True)
    assert [call["folder"] for call in downloader.calls] == [tmp_path / "root", tmp_path / "data"]
    load("MNIST", sample=True, download=True)
    assert len(downloader.calls) == 2


@pytest.mark.parametrize("error", [
    OSError("no route to host"),
    RuntimeError("File not found or corrupted."),
    ImportError("operator torchvision::nms does not exist"),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_a_failed_download_says_what_to_do(error, tmp_path, monkeypatch, downloader):
    monkeypatch.setattr(downloader, "error", error)
    with pytest.raises(OSError, match=r"the download of MNIST failed") as raised:
        load("MNIST", tmp_path, download=True)
    message = str(raised.value)
    assert str(error) in message and raised.value.__cause__ is error
    assert f"into {tmp_path} by hand: MNIST/raw/train-images-idx3-ubyte, MNIST/raw/train-labels" in message
    assert "sample=True gives samples of MNIST" in message


def test_sets_without_a_download(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ImageNet32 has no automatic download: .*ImageNet32\.npz"):
        load("ImageNet32", tmp_path, download=True)


def test_torchvision_knows_what_it_shall_download():
    datasets = pytest.importorskip("torchvision.datasets")
    for name, known in SETS.items():
        if known.torchvision:
            assert files._torchvision(name) is getattr(datasets, known.torchvision)
    assert "letters" in datasets.EMNIST.splits


# --- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "known"), [
    ("fashion-mnist", "FashionMNIST"),
    ("EMNIST letters", "EMNIST-Letters"),
    ("emnist_LETTERS", "EMNIST-Letters"),
    ("cifar-10", "CIFAR10"),
    ("Tiny_ImageNet-32", "TinyImageNet32"),
    ("synth digits", "SynthDigits"),
])  # fmt: skip
def test_names_are_tolerant(name, known):
    assert canonical_name(name) == known


@given(st.sampled_from(sorted(SETS)), st.randoms())
def test_case_and_separators_do_not_matter(name, random):
    spelt = "".join(random.choice([c.lower(), c.upper(), f"{c}-", f"_{c}", f"{c} "]) for c in name)
    assert canonical_name(spelt) == name


@pytest.mark.parametrize("name", ["", "emnist", "notMNIST"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ValueError, match="unknown image set") as error:
        load(name)
    assert all(known in str(error.value) for known in SETS)


def test_available(tmp_path):
    always = {"MNIST", "FashionMNIST", "Glyphs", "SynthDigits"}
    assert set(available()) == always
    assert "6,000 train + 2,000 test" in available()["MNIST"] and "rendered" in available()["Glyphs"]
    write_grey("KMNIST", tmp_path, train=None)
    write_grey("MNIST", tmp_path)
    write_npz("SVHN", tmp_path, test_x=images(1, 32, 32, 3))
    found = available(tmp_path)
    assert set(found) == {*always, "KMNIST", "SVHN"}
    assert found["KMNIST"] == found["MNIST"] == f"files in {tmp_path}"
    for name in found:
        load(name, tmp_path, n_train=0, n_test=1)


# --- tensors -------------------------------------------------------------------------------------------------------


def test_image_data_prints_its_source():
    x = torch.zeros(2, 3, 8, 6, dtype=torch.uint8)
    data = ImageData("mine", x, x[:0], None, None, "mine, two black images")
    assert data.shape == (3, 8, 6)
    assert repr(data) == "ImageData(mine, two black images)"
    with pytest.raises(AttributeError):
        data.name = "yours"


def test_to_float():
    x = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    y = to_float(x)
    assert y.dtype == torch.float32 and y.min() == 0 and y.max() == 1
    assert torch.equal((y * 255).round().to(torch.uint8), x)
    assert to_float(y.double()).dtype == torch.float32 and torch.equal(to_float(y), y)
    with pytest.raises(ValueError, match=r"expected uint8 or floating-point images, got torch\.int64"):
        to_float(x.long())


GOOD = {
    "uint8": (torch.full((2, 1, 4, 4), 255, dtype=torch.uint8), None),
    "floats with 0 and 1": (torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1), (1, 1, 1)),
    "half precision": (torch.rand(1, 3, 2, 5).half(), (3, 2, 5)),
    "two channels when asked for": (torch.rand(1, 2, 5, 5), (2, 5, 5)),
    "with a gradient": (torch.rand(1, 1, 2, 2, requires_grad=True), None),
}


@pytest.mark.parametrize(("x", "shape"), GOOD.values(), ids=GOOD.keys())
def test_check_images_returns_good_images_unchanged(x, shape):
    assert check_images(x, shape) is x


BAD = {
    "array": (np.zeros((1, 1, 2, 2)), None, "expected a tensor, .* got ndarray"),
    "int64": (torch.zeros(1, 1, 2, 2, dtype=torch.int64), None, r"got torch\.int64"),
    "single": (torch.zeros(1, 28, 28), None, r"expected four axes .* got \[1, 28, 28\]; .* images\[None\]"),
    "flat": (torch.zeros(5, 784), (1, 28, 28), r"expected four axes \[N, C, H, W\], got \[5, 784\]$"),
    "channels": (torch.zeros(2, 3, 8, 8), (1, 8, 8), r"expected shape \[N, 1, 8, 8\], got \[2, 3, 8, 8\]"),
    "size": (torch.zeros(2, 1, 8, 9), (1, 8, 8), r"expected shape \[N, 1, 8, 8\], got \[2, 1, 8, 9\]"),
    "channels last": (torch.zeros(2, 8, 8, 3), None, r"expected 1 or 3 channels.*permute\(0, 3, 1, 2\)"),
    "two channels": (torch.zeros(2, 2, 8, 8), None, r"expected 1 or 3 channels, .* got \[2, 2, 8, 8\]$"),
    "no images": (torch.zeros(0, 1, 8, 8, dtype=torch.uint8), None, r"at least one image, .* \[0, 1, 8, 8\]"),
    "no pixels": (torch.zeros(2, 1, 0, 8), None, "at least one image"),
    "nan": (torch.tensor([0.5, float("nan")]).reshape(2, 1, 1, 1), None, "from nan to nan"),
    "infinity": (torch.tensor([0.5, float("inf")]).reshape(2, 1, 1, 1), None, "from 0.5 to inf$"),
    "negative": (torch.tensor([-0.5, 1.0]).reshape(2, 1, 1, 1), None, r"in \[0, 1\], got values from -0.5 to 1$"),
    "up to 255": (torch.tensor([0.0, 255.0]).reshape(2, 1, 1, 1), None, "from 0 to 255; divide by 255 first"),
}


@pytest.mark.parametrize(("x", "shape", "message"), BAD.values(), ids=BAD.keys())
def test_check_images_says_what_is_wrong(x, shape, message):
    with pytest.raises(ValueError, match=f"^negatives: .*{message}"):
        check_images(x, shape, name="negatives")
