"""The trained models that come with the library, and how they were made (`nsvae train-zoo`)."""

import time
from dataclasses import asdict, dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from .data import load
from .training import fit
from .vae import VAE, best_device

MODELS = Path(str(files("nsvae_lib"))) / "assets" / "models"


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
        "date": date.fromtimestamp(time.time()).isoformat(),
    }
    # Half precision halves the file; how little it changes the scores is tested.
    vae.save(target, dtype=torch.float16, **provenance)
    return target
