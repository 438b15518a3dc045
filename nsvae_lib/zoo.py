"""The trained models that come with the library, and how they were made (`nsvae train-zoo`)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from .data import load
from .evaluation import evaluate
from .scores import score
from .training import fit
from .vae import VAE, best_device

ASSETS = Path(__file__).parent / "assets"
MODELS = ASSETS / "models"
RESULTS = ASSETS / "results" / "zoo.csv"
# The test sets that every model is scored on; 10,000 images of each, as in the paper, or what there is.
TEST_SETS = {1: ("FashionMNIST", "MNIST", "EMNIST-Letters", "KMNIST", "Glyphs")}
N_TEST = 10_000


@dataclass(frozen=True)
class Recipe:
    """One trained model: on which images, with which noise model and negatives, and for how long."""

    inlier: str
    noise: str
    negatives: str = "none"
    n_train: int = 60_000
    epochs: int = 10
    batch_size: int = 50
    lr: float = 3e-4
    optimizer: str = "rmsprop"
    preset: str = "light"
    seed: int = 0

    @property
    def name(self) -> str:
        """The model's file name without its ending."""
        return f"{self.inlier}_{self.noise}_{self.negatives}"


RECIPES = [
    *(
        Recipe(inlier, noise)
        for inlier in ("FashionMNIST", "MNIST", "EMNIST-Letters")
        for noise in ("bernoulli", "gaussian")
    ),
    *(Recipe("FashionMNIST", noise) for noise in ("continuous-bernoulli", "gaussian-learned")),
]


def pretrained(
    inlier: str, noise: str = "bernoulli", negatives: str = "none", device: str | torch.device | None = None
) -> VAE:
    """A model that comes with the library, ready to score images.

    Args:
        inlier: the images that it was trained on: "FashionMNIST", "MNIST", "EMNIST-Letters".
        noise: noise model, see `noise.NOISE_MODELS`.
        negatives: where its negative samples came from; "none" for a plain VAE.
        device: where to put it; default: the best there is.

    Returns:
        The model; `vae.provenance` tells data, epochs, seed, date and versions.

    Raises:
        ValueError: no such model; the message lists those there are.
    """
    name = f"{inlier}_{noise}_{negatives}"
    known = pretrained_names()
    if name not in known:
        raise ValueError(f"there is no trained model {name!r}; known: {', '.join(known)}")
    return VAE.load(MODELS / f"{name}.safetensors", device)


def pretrained_names() -> list[str]:
    """Names INLIER_NOISE_NEGATIVES of the trained models that come with the library."""
    return sorted(path.stem for path in MODELS.glob("*.safetensors"))


def train(recipe: Recipe, root: str | Path | None, work: Path, out: Path = MODELS, progress: bool = True) -> Path:
    """Make one model by its recipe, on the full real images; returns its file. Resumes from `work` if interrupted.

    Raises:
        FileNotFoundError: the images are not there.
        ValueError: there are fewer images than the recipe says.
    """
    target = out / f"{recipe.name}.safetensors"
    images = load(recipe.inlier, root, sample=False, n_train=recipe.n_train)
    vae = VAE.for_images(images.shape, recipe.noise, preset=recipe.preset, seed=recipe.seed)
    history = fit(
        vae,
        images,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        optimizer=recipe.optimizer,
        seed=recipe.seed,
        checkpoint=work / f"{recipe.name}.training.safetensors",
        progress=progress,
    )
    provenance: dict[str, Any] = asdict(recipe) | {
        "data": images.source,
        "device": str(best_device()),
        "seconds": round(sum(history["seconds"])),
        "history": [{k: round(v, 3) for k, v in row.items()} for row in history.rows],
        "date": date.today().isoformat(),
    }
    # Half precision halves the file; how little it changes the scores is tested.
    vae.save(target, dtype=torch.float16, **provenance)
    return target


def results() -> pd.DataFrame:
    """How well the trained models separate test sets: one row per (model, OOD set, score), made by `nsvae score-zoo`.

    Columns: `model`, `inlier`, `noise`, `negatives`, `ood`, `score` ("bpd" or "kl"), `auroc` with its 95 % bootstrap
    interval `auroc_low`, `auroc_high`, `aupr`, `fpr95` (see `evaluation.Evaluation`), `n_inlier`, `n_ood`, and how
    the model was made: `n_train`, `epochs`, `lr`, `preset`, `seed`, `inlier_source`, `ood_source`, `date`.
    """
    return pd.read_csv(RESULTS)


def score_model(name: str, root: str | Path | None) -> Iterator[dict[str, Any]]:
    """Rows of `results` for one trained model; test sets without images at hand are left out.

    Raises:
        FileNotFoundError: the model's own test images are not there.
    """
    inlier_name, noise, negatives = name.split("_")
    vae = pretrained(inlier_name, noise, negatives)
    inlier = load(inlier_name, root, sample=False, n_train=0, n_test=N_TEST)
    inlier_scores = score(vae, inlier.test)
    for ood_name in TEST_SETS[vae.shape[0]]:
        if ood_name == inlier_name:
            continue
        try:
            ood = load(ood_name, root, sample=False, n_train=0, n_test=N_TEST)
        except FileNotFoundError:
            continue
        ood_scores = score(vae, ood.test)
        for which in inlier_scores:
            result = evaluate(inlier_scores[which], ood_scores[which])
            yield {
                "model": name,
                "inlier": inlier_name,
                "noise": noise,
                "negatives": negatives,
                "ood": ood_name,
                "score": which,
                "auroc": round(result.auroc, 4),
                "auroc_low": round(result.auroc_interval[0], 4),
                "auroc_high": round(result.auroc_interval[1], 4),
                "aupr": round(result.aupr, 4),
                "fpr95": round(result.fpr95, 4),
                "n_inlier": result.n_inlier,
                "n_ood": result.n_ood,
                **{key: vae.provenance[key] for key in ("n_train", "epochs", "lr", "preset", "seed")},
                "inlier_source": inlier.source,
                "ood_source": ood.source,
                "date": date.today().isoformat(),
            }


def write_results(rows: list[dict[str, Any]], path: Path = RESULTS) -> None:
    """Put rows into the table of results in place of those of the same models; the file is written whole."""
    table = pd.DataFrame(rows)
    if path.exists():
        old = pd.read_csv(path)
        table = pd.concat([old[~old["model"].isin(table["model"])], table])
    table = table.sort_values(["model", "ood", "score"])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    table.to_csv(temporary, index=False)
    temporary.replace(path)
