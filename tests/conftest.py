"""Fixtures that several files of tests share: a small model, small images with structure, a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from nsvae_lib.data import load
from nsvae_lib.vae import VAE
from tools import toc

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


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A folder with small real image sets, in the layout of full ones."""
    folder = tmp_path_factory.mktemp("image sets")
    for name in ("FashionMNIST", "MNIST"):
        images = load(name, sample=True, n_train=60, n_test=30)
        idx(folder / name / "raw" / "train-images-idx3-ubyte", images.train)
        idx(folder / name / "raw" / "t10k-images-idx3-ubyte", images.test)
    idx(folder / "KMNIST" / "raw" / "t10k-images-idx3-ubyte", load("MNIST", sample=True, n_test=40).test)
    return folder


def idx(path, images):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = images[:, 0].numpy()
    path.write_bytes(b"\0\0\x08\x03" + np.array(array.shape, ">i4").tobytes() + array.tobytes())


@pytest.fixture(scope="session")
def package_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What building the library needs of this tree, and nothing of what a build would leave in it."""
    folder = tmp_path_factory.mktemp("tree") / "tree"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(toc.ROOT / name, folder)
    shutil.copytree(toc.ROOT / "nsvae_lib", folder / "nsvae_lib", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser() -> Iterator:
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None:
        pytest.skip(f"no browser: install one of {', '.join(BROWSERS)} (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=BROWSER_OPTIONS)
        yield chromium
        chromium.close()
