"""Wheel and source distribution: built as for PyPI, installed where no repository is around."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import repository, toc

LIBRARY = toc.ROOT / "nsvae_lib"
LARGEST = 20e6  # bytes of a wheel that Colab fetches in a moment
USE = """
import nsvae_lib, pathlib, sys
assert pathlib.Path(nsvae_lib.__file__).is_relative_to(sys.prefix), nsvae_lib.__file__
print(nsvae_lib.load("FashionMNIST", sample=True).source)
vae = nsvae_lib.pretrained("FashionMNIST", "bernoulli")
print(nsvae_lib.score(vae, nsvae_lib.load("MNIST", n_train=0, n_test=5).test)["kl"].shape)
"""


def run(*command: object, **options) -> str:
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@dataclass(frozen=True)
class Distributions:
    wheel: Path
    source: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, package_tree: Path) -> Distributions:
    """Both distributions, the wheel made from the other; setuptools is this environment's, so no network is needed."""
    target = tmp_path_factory.mktemp("dist")
    options = ["--offline", "--no-build-isolation", "--python", sys.executable, "--out-dir", target]
    run(sys.executable, "-m", "uv", "build", *options, package_tree)
    [wheel], [source] = target.glob("*.whl"), target.glob("*.tar.gz")
    return Distributions(wheel, source)


@pytest.fixture(scope="module")
def python(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel, and this environment's packages as its requirements."""
    folder = tmp_path_factory.mktemp("elsewhere")
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", folder, "--python", sys.executable)
    python = folder / "bin" / "python"
    run(*uv, "pip", "install", "--offline", "--no-deps", "--python", python, built.wheel)
    [site] = folder.glob("lib/python*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))
    return python


def test_distributions_have_every_file_of_the_library(built: Distributions):
    files = [file for file in LIBRARY.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    wanted = {file.relative_to(toc.ROOT).as_posix() for file in files if file.name != "jsconfig.json"}
    with zipfile.ZipFile(built.wheel) as wheel, tarfile.open(built.source) as source:
        assert wanted - set(wheel.namelist()) == set()
        assert wanted - {name.split("/", 1)[-1] for name in source.getnames()} == set()
    folders = {Path(name).parent.as_posix() for name in wanted}
    assert {f"nsvae_lib/{name}" for name in ("assets/models", "assets/results", "assets/samples", "widgets")} <= folders


def test_distributions_hold_nothing_else_and_are_small(built: Distributions):
    with zipfile.ZipFile(built.wheel) as wheel:
        tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"nsvae_lib", f"nsvae_lib-{repository.project()['version']}.dist-info"}
    sizes = {file.name: file.stat().st_size for file in (built.wheel, built.source)}
    assert max(sizes.values()) < LARGEST, sizes


def test_the_wheel_works_with_no_repository_around(python: Path, tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NSVAE_", "PYTHON"))}
    source, kl = run(python, "-c", USE, cwd=tmp_path, env=environment).splitlines()
    assert source == "FashionMNIST, embedded sample: 6,000 of 60,000 train + 2,000 of 10,000 test images"
    assert kl == "torch.Size([5])"
    assert "reproduce" in run(python.parent / "nsvae", "--help", cwd=tmp_path, env=environment)


def test_twine_finds_nothing_wrong(built: Distributions):
    twine = [sys.executable, "-m", "uv", "tool", "run", "twine"]
    if "CI" not in os.environ and subprocess.run([*twine, "--version"], capture_output=True).returncode:
        pytest.skip("twine is not on this machine, and there is no network to fetch it")
    checked = run(*twine, "check", "--strict", built.wheel, built.source)
    assert checked.count("PASSED") == 2, checked
