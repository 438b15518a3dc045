"""The `nsvae` command."""

from pathlib import Path
from typing import Annotated

import typer

from . import zoo

app = typer.Typer(help="Negative sampling in variational autoencoders.", no_args_is_help=True, add_completion=False)

Root = Annotated[Path | None, typer.Option(help="Folder with the image sets; default: $NSVAE_DATA.")]


@app.callback()
def main() -> None:
    """Negative sampling in variational autoencoders."""


@app.command()
def train_zoo(
    only: Annotated[list[str] | None, typer.Option(help="Names of models; default: all.")] = None,
    root: Root = None,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints; an interrupted run goes on from there.")] = Path(
        "runs/zoo"
    ),
    out: Annotated[Path, typer.Option(help="Folder for the finished models.")] = zoo.MODELS,
    force: Annotated[bool, typer.Option(help="Make models again that are there already.")] = False,
) -> None:
    """Train the models that come with the library, on the full real images.

    Example: nsvae train-zoo --only FashionMNIST_bernoulli_none
    """
    names = [recipe.name for recipe in zoo.RECIPES]
    unknown = sorted(set(only or []) - set(names))
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; known: {', '.join(names)}")
    for recipe in zoo.RECIPES:
        if only and recipe.name not in only:
            continue
        if (out / f"{recipe.name}.safetensors").exists() and not force:
            typer.echo(f"{recipe.name}: there already")
            continue
        typer.echo(f"{recipe.name}: training")
        typer.echo(f"{recipe.name}: wrote {zoo.train(recipe, root, work, out)}")


@app.command()
def score_zoo(
    root: Root = None,
    only: Annotated[list[str] | None, typer.Option(help="Names of models; default: all that are there.")] = None,
) -> None:
    """Score the trained models on the full test sets and write the table of results.

    Example: nsvae score-zoo --only FashionMNIST_bernoulli_none
    """
    for name in only or zoo.pretrained_names():
        rows = list(zoo.score_model(name, root))
        zoo.write_results(rows)
        for row in rows:
            typer.echo(f"{name} against {row['ood']}: AUROC {row['score']} {row['auroc']:.3f}")
