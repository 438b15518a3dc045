"""The trained models that come with the library (`nsvae train-zoo`), and how well they separate test sets."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from .experiments import Run, evaluations, train, write_rows
from .vae import VAE

ASSETS = Path(__file__).parent / "assets"
MODELS = ASSETS / "models"
RESULTS = ASSETS / "results" / "zoo.csv"

RECIPES = [
    *(
        Run(inlier, noise)
        for inlier in ("FashionMNIST", "MNIST", "EMNIST-Letters")
        for noise in ("bernoulli", "gaussian")
    ),
    *(Run("FashionMNIST", noise, "EMNIST-Letters") for noise in ("bernoulli", "gaussian")),
    # Adversarial training costs two to three times as much per image; these see a third of the images.
    *(Run("FashionMNIST", noise, "adversarial", n_train=20_000) for noise in ("bernoulli", "gaussian")),
    # For the drawing board, which sends three models to every visitor of a page.
    *(Run("FashionMNIST", "bernoulli", negatives, preset="small") for negatives in ("none", "EMNIST-Letters")),
    Run("FashionMNIST", "bernoulli", "adversarial", preset="small", n_train=20_000),
]


def model_name(run: Run) -> str:
    """The name of the model that a run makes: INLIER_NOISE_NEGATIVES, and _PRESET where it is not "light"."""
    return "_".join([run.inlier, run.noise, run.negatives, *([] if run.preset == "light" else [run.preset])])


def pretrained(
    inlier: str,
    noise: str = "bernoulli",
    negatives: str = "none",
    preset: str = "light",
    device: str | torch.device | None = None,
) -> VAE:
    """A model that comes with the library, ready to score images.

    Args:
        inlier: the images that it was trained on: "FashionMNIST", "MNIST", "EMNIST-Letters".
        noise: noise model, see `noise.NOISE_MODELS`.
        negatives: where its negative samples came from: "none" for a plain VAE, "EMNIST-Letters" for that auxiliary
            set, "adversarial" for the model's own images (see `experiments.Run`).
        preset: size of its networks, "light" or, for three models of garments, "small" (see `networks`).
        device: where to put it; default: the best there is.

    Returns:
        The model; `vae.provenance` tells data, epochs, seed, date and versions.

    Raises:
        ValueError: no such model; the message lists those there are.
    """
    name = model_name(Run(inlier, noise, negatives, preset=preset))
    _check_name(name)
    return VAE.load(MODELS / f"{name}.safetensors", device)


def pretrained_names() -> list[str]:
    """Names INLIER_NOISE_NEGATIVES, or INLIER_NOISE_NEGATIVES_PRESET, of the models that come with the library."""
    return sorted(path.stem for path in MODELS.glob("*.safetensors"))


def _check_name(name: str) -> None:
    known = pretrained_names()
    if name not in known:
        raise ValueError(f"there is no trained model {name!r}; known: {', '.join(known)}")


def make(run: Run, root: str | Path | None, work: Path, out: Path = MODELS, progress: bool = True) -> Path:
    """Train one model on the full real images and write its file, which is returned. Resumes if interrupted.

    Raises:
        FileNotFoundError: the images are not there.
        ValueError: there are fewer images than the run says.
    """
    vae, _ = train(run, root, work, progress=progress)
    target = out / f"{model_name(run)}.safetensors"
    # Half precision halves the file; how little it changes the scores is tested.
    vae.save(target, dtype=torch.float16)
    return target


def results(preset: str = "light") -> pd.DataFrame:
    """How well the trained models separate test sets: one row per (model, OOD set, score), made by `nsvae score-zoo`.

    Args:
        preset: of the models: "light" or "small".

    Columns: `model`, `inlier`, `noise`, `negatives`, `ood`, `score` ("bpd" or "kl"), `auroc` with its 95 % bootstrap
    interval `auroc_low`, `auroc_high`, `aupr`, `fpr95` (see `evaluation.Evaluation`), `n_inlier`, `n_ood`, and how
    the model was made: `n_train`, `epochs`, `lr`, `preset`, `seed`, `inlier_source`, `ood_source`, `date`.
    """
    return pd.read_csv(RESULTS).query("preset == @preset").reset_index(drop=True)


def score_model(name: str, root: str | Path | None) -> Iterator[dict[str, Any]]:
    """Rows of `results` for one trained model; test sets without images at hand are left out.

    Raises:
        FileNotFoundError: the model's own test images are not there.
        ValueError: no such model.
    """
    _check_name(name)
    inlier_name, noise, negatives, *_ = name.split("_")
    vae = pretrained(*name.split("_"))
    described = {"model": name, "inlier": inlier_name, "noise": noise, "negatives": negatives}
    made = {key: vae.provenance[key] for key in ("n_train", "epochs", "lr", "preset", "seed")}
    for row in evaluations(vae, inlier_name, root):
        sources = {key: row.pop(key) for key in ("inlier_source", "ood_source")}
        yield described | row | made | sources | {"date": date.today().isoformat()}


def write_results(rows: list[dict[str, Any]], path: Path = RESULTS) -> None:
    """Put rows into the table of results in place of those of the same models and OOD sets."""
    write_rows(rows, path, ["model", "ood", "score"])
