"""`nsvae train`, `score` and `evaluate`: from folders of pictures to tables, and every way to get it wrong."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from nsvae_lib import Detector, cli, load, training
from nsvae_lib.folders import read_pictures
from tests.conftest import idx

# Quick: small networks would do, but the smallest picture is 8 x 8.
QUICK = ["--epochs", "2", "--size", "8", "--lr", "0.003"]


def write(folder: Path, images: torch.Tensor) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{i:03d}.png")
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Folders of clothes and of digits, and a detector of clothes that has learnt from letters."""
    place = tmp_path_factory.mktemp("world")
    clothes = load("FashionMNIST", sample=True, n_train=250, n_test=40)
    write(place / "clothes", clothes.train)
    write(place / "new clothes", clothes.test)
    write(place / "digits", load("MNIST", sample=True, n_train=0, n_test=40).test)
    write(place / "letters", load("Glyphs", n_train=0, n_test=40).test)
    before = os.getcwd()
    os.chdir(place)
    try:
        result = nsvae("train", "clothes", "--negatives", "letters", "--epochs", "12", "--lr", "0.002")
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture
def here(world, tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, with links to that world."""
    for name in ("clothes", "new clothes", "digits", "letters", "clothes.safetensors"):
        (tmp_path / name).symlink_to(world / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NSVAE_DATA", raising=False)
    return tmp_path


def nsvae(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.is_symlink()}


# --- what the commands do -------------------------------------------------------------------------


def test_train_writes_a_detector_that_knows_its_pictures(here):
    detector = Detector.load("clothes.safetensors", device="cpu")
    images = load("folder:clothes")
    assert detector.vae.shape == (1, 28, 28)
    assert {len(values) for values in detector.held_out.values()} == {len(images.test)}
    assert detector.has_seen(images.train).all() and not detector.has_seen(images.test).any()
    assert detector.has_seen(load("folder:letters").train).all()  # negatives are no new pictures either
    facts = detector.vae.provenance
    assert (facts["negatives"], facts["epochs"], facts["lr"], facts["seed"]) == ("letters", 12, 0.002, 0)
    assert f"{len(images.train)} train + {len(images.test)} test" in facts["source"]


def test_score_writes_a_table_and_a_contact_sheet(here):
    result = nsvae("score", "clothes.safetensors", "digits", "--false-alarms", "0.1", "--top", "7")
    assert result.exit_code == 0, result.output
    assert made(here) == {"digits.csv", "digits.png"}
    table = pd.read_csv("digits.csv")
    assert list(table.columns) == ["path", "bpd", "kl", "percentile", "excess", "verdict"]
    assert table["percentile"].is_monotonic_decreasing
    pictures = read_pictures("digits", (1, 28, 28))
    expected = Detector.load("clothes.safetensors", device="cpu").judge(pictures.images, 0.1)
    found = table.set_index("path").loc[list(pictures.paths)]
    for column in ("bpd", "kl", "percentile"):
        assert np.allclose(found[column], expected[column], rtol=1e-4)
    assert ((found["verdict"] == "flagged").to_numpy() == expected["flagged"].to_numpy()).all()
    assert f"40 pictures, {expected['flagged'].sum()} flagged at a false-alarm rate of 10.00%" in result.output
    with Image.open("digits.png") as sheet:
        width, height = sheet.size
    assert 900 < width < 1200 and 300 < height < 700  # two rows of six


def test_score_of_pictures_that_were_trained_on_says_so(here):
    result = nsvae("score", "clothes.safetensors", "clothes", "--out", "tables/all.csv")
    trained = len(load("folder:clothes").train)
    assert f"note: the model was trained on {trained} of them" in result.output
    assert made(here) == {"tables"} and made(here / "tables") == {"all.csv", "all.png"}


def test_sets_can_be_scored_by_name(here):
    result = nsvae("score", "clothes.safetensors", "Glyphs", "--out", "a.csv", "--sheet", "b.png", "--by", "kl")
    assert result.exit_code == 0, result.output
    table = pd.read_csv("a.csv")
    assert len(table) == 2000 and "Glyphs/1999" in set(table["path"])
    assert table["kl"].is_monotonic_decreasing


def test_evaluate_separates_and_leaves_out_what_was_trained_on(here):
    result = nsvae("evaluate", "clothes.safetensors", "clothes", "digits")
    assert result.exit_code == 0, result.output
    images = load("folder:clothes")
    assert f"clothes: {len(images.test)} pictures, {len(images.train)} left out" in result.output
    assert "digits: 40 pictures\n" in result.output
    [line] = [line for line in result.output.splitlines() if line.startswith("kl")]
    auroc, low, _, high, *_ = line.split()[1:]
    assert float(low) <= float(auroc) <= float(high) and float(auroc) > 0.8
    trained = nsvae("evaluate", "clothes.safetensors", "new clothes", "letters")
    assert trained.exit_code == 2 and "the model was trained on all pictures in letters" in trained.output


@pytest.mark.parametrize("negatives", ["none", "adversarial", "digits", "Glyphs+letters"])
def test_train_with_each_kind_of_negatives(negatives, here):
    result = nsvae("train", "new clothes", *QUICK, "--negatives", negatives, "--noise", "gaussian", "--out", "m")
    assert result.exit_code == 0, result.output
    assert made(here) == {"m"}  # no checkpoint is left
    detector = Detector.load("m", device="cpu")
    assert detector.vae.shape == (1, 8, 8) and detector.vae.noise.name == "gaussian"


def test_colour_folders_make_colour_models(here):
    colours = load("SynthDigits", n_train=60, n_test=0).train
    for i, image in enumerate(colours):
        (here / "signs").mkdir(exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(here / "signs" / f"{i}.webp")
    result = nsvae("train", "signs", "--epochs", "1", "--size", "16")
    assert result.exit_code == 0, result.output
    detector = Detector.load("signs.safetensors", device="cpu")
    assert detector.vae.shape == (3, 16, 16)
    assert "Adversarial(shift=25.0)" in detector.vae.provenance["objective"]
    assert nsvae("score", "signs.safetensors", "digits", "--false-alarms", "0.5").exit_code == 0  # grey pictures too


# --- interrupted, and not overwritten -------------------------------------------------------------


def test_an_interrupted_training_goes_on_to_the_same_model(here, monkeypatch):
    options = ["--epochs", "4", "--size", "8", "--negatives", "none"]
    assert nsvae("train", "digits", *options, "--out", "whole").exit_code == 0
    save = training._save

    def save_and_stop(path, vae, optimizers, run, history):
        save(path, vae, optimizers, run, history)
        if len(history.rows) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", save_and_stop)
    stopped = nsvae("train", "digits", *options, "--out", "parts")
    assert stopped.exit_code == 130 and "the same command goes on" in stopped.output
    assert made(here) == {"whole", ".parts.checkpoint"}
    other = nsvae("train", "digits", *options, "--out", "parts", "--seed", "1")
    assert other.exit_code == 2 and "checkpoint of another run" in other.output
    monkeypatch.setattr(training, "_save", save)
    assert nsvae("train", "digits", *options, "--out", "parts").exit_code == 0
    assert made(here) == {"whole", "parts"}
    whole, parts = (Detector.load(name, device="cpu") for name in ("whole", "parts"))
    for name, tensor in whole.vae.state_dict().items():
        assert torch.equal(tensor, parts.vae.state_dict()[name])
    assert torch.equal(whole.held_out["bpd"], parts.held_out["bpd"])


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["train", "digits", *QUICK], "digits.safetensors"),
        (["score", "clothes.safetensors", "digits"], "digits.csv"),
        (["score", "clothes.safetensors", "digits"], "digits.png"),
    ],
    ids=["model", "table", "sheet"],
)
def test_nothing_is_overwritten_without_force(command, file, here):
    Path(file).write_text("dear to somebody")
    refused = nsvae(*command)
    assert refused.exit_code == 2 and f"{file} is there already" in refused.output and "--force" in refused.output
    assert Path(file).read_text() == "dear to somebody" and made(here) == {file}
    assert nsvae(*command, "--force").exit_code == 0
    assert Path(file).read_bytes() != b"dear to somebody"


def test_a_failed_sheet_leaves_no_half_file(here, monkeypatch):
    def fail(self, *arguments, **options):
        Path(arguments[0]).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    result = nsvae("score", "clothes.safetensors", "digits")
    assert result.exit_code != 0 and "disk full" in result.output
    assert made(here) == {"digits.csv"}


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere"], "nowhere is neither a folder nor an image set; the sets are MNIST"),
        (["train", "clothes.safetensors"], "is a file; expected a folder of pictures"),
        (["train", "empty"], "no pictures in empty"),
        (["train", "single"], "no picture in single (1 in all) is on the"),
        (["train", "digits", "--noise", "loud"], "unknown noise model 'loud'; known: bernoulli"),
        (["train", "digits", "--size", "30"], "multiples of 4, got 30 x 30"),
        (["train", "digits", "--size", "0"], "size must be at least 1"),
        (["train", "digits", "--held-out", "1"], "held_out must be between 0 and 1"),
        (["train", "digits", "--epochs", "0"], "epochs and batch_size must be at least 1"),
        (["train", "digits", "--lr", "-1"], "lr must be a positive number"),
        (["train", "digits", "--negatives", "nowhere"], "nowhere is neither a folder nor an image set"),
        (["train", "MNIST", "--size", "8"], "--size, --colour and --held-out are for folders"),
        (["train", "MNIST", "--held-out", "0.5"], "--size, --colour and --held-out are for folders"),
        (["train", "digits", "--negatives", "none", "--shift", "4"], "with --negatives none there is none"),
        (["train", "digits", "--device", "toaster"], "cannot use the device 'toaster'"),
        (["score", "clothes.safetensors", "digits", "--device", "toaster"], "cannot use the device 'toaster'"),
        (["train", "CIFAR10"], "CIFAR10 is not in"),
        (["train", "digits", "--out", "digits"], "digits is a folder; expected the name of a file"),
        (["score", "nowhere.safetensors", "digits"], "nowhere.safetensors: no such file"),
        (["score", "digits/000.png", "digits"], "not a safetensors file"),
        (["score", "clothes.safetensors", "nowhere"], "nowhere is neither a folder nor an image set"),
        (["score", "clothes.safetensors", "digits", "--by", "looks"], "unknown criterion 'looks'"),
        (["score", "clothes.safetensors", "digits", "--false-alarms", "0.0001"], "needs at least 19,999 held-out"),
        (["score", "clothes.safetensors", "digits", "--false-alarms", "5"], "must be between 0 and 1"),
        (["evaluate", "clothes.safetensors", "clothes", "empty"], "no pictures in empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_found_before_any_work(arguments, message, here, monkeypatch):
    (here / "empty").mkdir()
    write(here / "single", torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "empty"))
    monkeypatch.setattr(training, "_step", lambda *a: pytest.fail("has begun to train"))
    result = nsvae(*arguments)
    assert result.exit_code == 2
    assert message in result.output and "Traceback" not in result.output
    assert made(here) == {"empty", "single"}


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_set_without_one_of_its_parts_is_no_ground_for_a_detector(part, here, monkeypatch):
    digits = load("MNIST", sample=True, n_train=20, n_test=20)
    file = {"train": "train", "test": "t10k"}[part]
    idx(here / "sets" / "KMNIST" / "raw" / f"{file}-images-idx3-ubyte", getattr(digits, part))
    monkeypatch.setattr(training, "_step", lambda *a: pytest.fail("has begun to train"))
    result = nsvae("train", "KMNIST", "--root", "sets")
    absent = {"train": "test", "test": "train"}[part]
    assert result.exit_code == 2 and f"needs train and test images, and there are no {absent} images" in result.output


def test_table_and_sheet_are_two_files(here):
    result = nsvae("score", "clothes.safetensors", "digits", "--out", "digits.png")
    assert result.exit_code == 2 and "digits.png cannot be both the table and the contact sheet" in result.output
    assert not made(here)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "card.md", "--results", "nowhere.csv"], "nowhere.csv"),
        (["train-zoo", "--root", "nowhere", "--out", "models", "--work", "work"], "is not in nowhere"),
        (["score-zoo", "--root", "nowhere"], "is not in nowhere"),
        (["score-zoo", "--only", "Clothes_of_mine"], "there is no trained model 'Clothes_of_mine'"),
        (["score-zoo", "--only", "plain"], "there is no trained model 'plain'"),
        (["reproduce", "I", "--workers", "0"], "workers must be at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_in_the_other_commands_are_no_tracebacks_either(arguments, message, here):
    result = nsvae(*arguments)
    assert result.exit_code == 2
    assert message in result.output and "Traceback" not in result.output


def test_a_loss_that_is_not_finite_is_exit_code_1(here):
    result = nsvae("train", "digits", "--size", "8", "--lr", "1e30", "--epochs", "2", "--negatives", "none")
    assert result.exit_code == 1 and "the loss is not finite" in result.output
    assert "digits.safetensors" not in made(here)


@pytest.mark.parametrize("mistake", [["--lr", "-1"], ["--epochs", "0"], ["--negatives", "nowhere"], ["--seed", "-1"]])
def test_a_large_folder_is_not_read_in_vain(mistake, here, monkeypatch):
    monkeypatch.setattr(cli, "_images", lambda *a, **k: pytest.fail("has begun to read"))
    assert nsvae("train", "digits", *mistake).exit_code == 2


def test_version():
    result = nsvae("--version")
    assert result.exit_code == 0 and result.output.startswith("nsvae_lib ")


def test_file_names_are_not_mathematics(here):
    folder = here / "prices"
    folder.mkdir()
    for name in ("$5_and_$6.png", "000.png"):
        (folder / name).write_bytes((here / "digits" / "000.png").read_bytes())
    result = nsvae("score", "clothes.safetensors", "prices", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert made(here) >= {"prices.csv", "prices.png"}


def test_unreadable_files_are_notes_and_not_tracebacks(here):
    folder = write(here / "mixed", load("MNIST", sample=True, n_train=0, n_test=40).test)
    (folder / "broken.jpg").write_text("no picture")
    program = [sys.executable, "-c", "from nsvae_lib.cli import app; app()"]
    finished = subprocess.run([*program, "score", "clothes.safetensors", "mixed"], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert "note: skipped 1 of 41 files in mixed, which cannot be read: broken.jpg: no PNG" in finished.stderr
    assert "Warning" not in finished.stderr
    assert finished.stdout.startswith("40 pictures, ")


@pytest.mark.parametrize("command", ["train", "score", "evaluate"])
def test_help_has_examples_and_explains_every_option(command):
    result = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert f"nsvae {command} holiday-photos" in result.output
    [registered] = [c for c in cli.app.registered_commands if c.callback.__name__ == command]
    for name, parameter in registered.callback.__annotations__.items():
        if name != "return":
            assert parameter.__metadata__[0].help, name
