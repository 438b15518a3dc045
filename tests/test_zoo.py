"""The trained models that come with the library, how they are made and scored, and the command line."""

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from nsvae_lib import auroc, cli, experiments, load, score, zoo
from nsvae_lib.experiments import Run
from nsvae_lib.vae import VAE

run = CliRunner().invoke


@pytest.fixture
def small_images(monkeypatch):
    """The embedded sample in place of the full sets, for `experiments` alone."""

    def from_sample(name, root, *, sample, n_train=60, n_test=40, raw_orientation=False):
        if name not in ("MNIST", "FashionMNIST", "Glyphs"):
            raise FileNotFoundError(name)
        return load(name, n_train=min(n_train, 60), n_test=min(n_test, 40))

    monkeypatch.setattr(experiments, "load", from_sample)


@pytest.mark.parametrize("name", zoo.pretrained_names())
def test_trained_models(name):
    path = zoo.MODELS / f"{name}.safetensors"
    vae = zoo.pretrained(*name.split("_"), device="cpu")
    assert path.stat().st_size < 700_000
    full = 20_000 if "_adversarial" in name else 60_000
    assert vae.provenance["n_train"] >= full and vae.provenance["epochs"] >= 10
    assert len(vae.provenance["history"]) == vae.provenance["epochs"]
    assert {"data", "seed", "preset", "lr", "batch_size", "device", "seconds", "date"} <= set(vae.provenance)
    assert vae.noise.name == name.split("_")[1]


@pytest.mark.parametrize(
    "name", [f"{i}_{n}_none" for i in ("MNIST", "FashionMNIST") for n in ("bernoulli", "gaussian")]
)
def test_models_without_negatives_know_their_images_from_noise(name):
    vae = zoo.pretrained(*name.split("_"), device="cpu")
    images = load(name.split("_")[0], sample=True, n_test=200).test
    noise = torch.randint(0, 256, images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert auroc(score(vae, images)["bpd"], score(vae, noise)["bpd"]) > 0.99


def test_the_baselines_of_the_book_are_there():
    wanted = {f"FashionMNIST_{noise}_none" for noise in ("bernoulli", "gaussian")}
    assert wanted <= set(zoo.pretrained_names()) == set(map(zoo.model_name, zoo.RECIPES))


def test_unknown_model_lists_the_known():
    with pytest.raises(ValueError, match="no trained model 'CIFAR10_bernoulli_none'; known: .*FashionMNIST_bernoulli"):
        zoo.pretrained("CIFAR10")


def test_train_writes_a_model_with_provenance_and_goes_on_from_its_checkpoint(small_images, tmp_path):
    recipe = Run("MNIST", "gaussian", n_train=60, epochs=2)
    path = zoo.make(recipe, None, tmp_path / "work", tmp_path / "out", progress=False)
    first = path.read_bytes()
    vae = VAE.load(path, device="cpu")
    assert vae.provenance["inlier"] == "MNIST" and "60" in vae.provenance["data"]
    path.unlink()
    again = zoo.make(recipe, None, tmp_path / "work", tmp_path / "out", progress=False)
    assert again.read_bytes() == first  # also the seconds: nothing was trained a second time


def test_half_precision_hardly_changes_scores(small_images, tmp_path):
    images, digits = load("FashionMNIST", sample=True, n_test=300).test, load("MNIST", sample=True, n_test=300).test
    exact = zoo.pretrained("FashionMNIST", "bernoulli", device="cpu")
    with torch.no_grad():  # parameters that float16 cannot hold
        for p in exact.parameters():
            p.mul_(1 + 1e-4 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    exact.save(tmp_path / "half", dtype=torch.float16)
    rounded = VAE.load(tmp_path / "half", device="cpu")
    for which in ("bpd", "kl"):
        areas = [auroc(score(v, images)[which], score(v, digits)[which]) for v in (exact, rounded)]
        assert areas[0] == pytest.approx(areas[1], abs=2e-3)


def test_scoring_leaves_out_absent_sets_and_replaces_rows_of_the_same_model(small_images, tmp_path):
    rows = list(zoo.score_model("FashionMNIST_bernoulli_none", None))
    assert {(row["ood"], row["score"]) for row in rows} == {(o, s) for o in ("MNIST", "Glyphs") for s in ("bpd", "kl")}
    assert all(row["auroc_low"] <= row["auroc"] <= row["auroc_high"] for row in rows)
    path = tmp_path / "results" / "zoo.csv"
    zoo.write_results(rows, path)
    zoo.write_results([row | {"model": "another"} for row in rows], path)
    zoo.write_results([row | {"auroc": 0.25} for row in rows], path)
    table = pd.read_csv(path)
    assert len(table) == 2 * len(rows)
    assert set(table[table["model"] != "another"]["auroc"]) == {0.25}


def test_results_cover_the_shipped_models():
    table = pd.concat([zoo.results(), zoo.results("small")])
    assert set(zoo.pretrained_names()) == set(table["model"])
    assert all(
        name.endswith("_small") == (preset == "small")
        for name, preset in zip(table["model"], table["preset"], strict=True)
    )
    assert table["auroc"].between(0, 1).all() and not table.duplicated(["model", "ood", "score"]).any()
    assert (table["inlier"] != table["ood"]).all() and (table["n_inlier"] == 10_000).all()


@pytest.mark.parametrize("arguments", [["--help"], ["train-zoo", "--help"], ["score-zoo", "--help"]])
def test_help_has_an_example(arguments):
    result = run(cli.app, arguments)
    assert result.exit_code == 0
    assert "Example: nsvae" in result.output or arguments == ["--help"]


def test_train_zoo_skips_what_is_there_and_refuses_unknown_names(small_images, tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "RECIPES", [Run("MNIST", "bernoulli", n_train=60, epochs=1)])
    places = ["--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    first, second = (run(cli.app, ["train-zoo", *places]) for _ in range(2))
    assert first.exit_code == 0 and "wrote" in first.output
    assert second.exit_code == 0 and "there already" in second.output
    unknown = run(cli.app, ["train-zoo", "--only", "nothing", *places])
    assert unknown.exit_code == 2 and "MNIST_bernoulli_none" in unknown.output


def test_score_zoo_writes_the_table(small_images, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(zoo, "write_results", written.extend)
    result = run(cli.app, ["score-zoo", "--only", "FashionMNIST_bernoulli_none"])
    assert result.exit_code == 0 and "against MNIST: AUROC bpd" in result.output
    assert len(written) == 4
