"""The `nsvae` command."""

from pathlib import Path
from typing import Annotated

import typer

from . import experiments, report, zoo

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
    recipes = {zoo.model_name(run): run for run in zoo.RECIPES}
    unknown = sorted(set(only or []) - set(recipes))
    if unknown:
        raise typer.BadParameter(f"unknown: {', '.join(unknown)}; known: {', '.join(recipes)}")
    for name in only or recipes:
        if (out / f"{name}.safetensors").exists() and not force:
            typer.echo(f"{name}: there already")
            continue
        typer.echo(f"{name}: training")
        typer.echo(f"{name}: wrote {zoo.make(recipes[name], root, work, out)}")


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


@app.command()
def reproduce(
    names: Annotated[list[str], typer.Argument(help=f"Experiments: {', '.join(experiments.EXPERIMENTS)}.")],
    n_train: Annotated[int, typer.Option(help="Training images of each run.")] = 60_000,
    epochs: Annotated[int, typer.Option(help="Passes through them.")] = 10,
    seeds: Annotated[int, typer.Option(help="Trainings of each model, with seeds 0, 1, ...")] = 1,
    inlier: Annotated[str | None, typer.Option(help="Only runs on these images.")] = None,
    noise: Annotated[str | None, typer.Option(help="Only runs with this noise model.")] = None,
    negatives: Annotated[str | None, typer.Option(help="Only runs with these negatives; see experiments.Run.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Size of the networks: light or authors; default: as the runs have it.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate; the paper: 1e-4. Default: 3e-4.")] = None,
    n_test: Annotated[int, typer.Option(help="Images of each test set to score.")] = 10_000,
    workers: Annotated[int, typer.Option(help="Trainings at a time.")] = 1,
    engine: Annotated[str, typer.Option(help="processes, or ray: the Ray cluster of $RAY_ADDRESS.")] = "processes",
    gpus: Annotated[float, typer.Option(help="With ray: share of a GPU for each training.")] = 0.0,
    root: Annotated[
        Path | None,
        typer.Option(help='Folder with the image sets, default $NSVAE_DATA; "sample": what comes with the library.'),
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for checkpoints; an interrupted run goes on from there.")] = Path(
        "runs/experiments"
    ),
    out: Annotated[Path, typer.Option(help="Folder of the tables runs.csv and epochs.csv.")] = experiments.RESULTS,
) -> None:
    """Carry out experiments and add their rows to the tables of results; what is there is not run again.

    Examples: nsvae reproduce shift sources --n-train 10000 --epochs 5 --workers 2
    nsvae reproduce I --inlier MNIST --noise gaussian --negatives adversarial --seeds 3
    """
    try:
        given = {"n_test": n_test, "preset": preset, "lr": lr}
        settings = {field: value for field, value in given.items() if value is not None}
        planned = [run for name in names for run in experiments.runs(name, n_train, epochs, seeds, **settings)]
        wanted = {"inlier": inlier, "noise": noise, "negatives": negatives}
        for field, value in wanted.items():
            planned = [run for run in planned if value is None or getattr(run, field) == value]
        if not planned:
            raise ValueError(f"none of the runs of {', '.join(names)} is of this kind")
        rows = experiments.reproduce(planned, root, work, out, workers, engine=engine, gpus=gpus)
    except (FileNotFoundError, ImportError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    except RuntimeError as error:
        typer.echo(f"nsvae: {error}", err=True)
        raise typer.Exit(1) from error
    for row in rows.to_dict("records"):
        run = f"{row['inlier']} {row['noise']} {row['negatives']} shift {row['shift']:g} seed {row['seed']}"
        typer.echo(f"{run} against {row['ood']}: AUROC {row['score']} {row['auroc']:.3f}")


@app.command(name="report")
def write_report(
    files: Annotated[list[Path], typer.Argument(help="Where to: .md, .html or .png.")],
    n_train: Annotated[int | None, typer.Option(help="Training images of the runs; default: see below.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Their epochs.")] = None,
    lr: Annotated[float | None, typer.Option(help="Their learning rate.")] = None,
    preset: Annotated[str | None, typer.Option(help="Size of their networks: light or authors.")] = None,
    results: Annotated[Path, typer.Option(help="The table of results, runs.csv.")] = experiments.RESULTS / "runs.csv",
) -> None:
    """Lay our results beside every number of the paper's tables. Default: the budget that fills the most cells.

    Example: nsvae report scorecard.md scorecard.png --n-train 20000 --epochs 10
    """
    rows = experiments.results(results)
    known = report.budgets(rows)
    chosen = {"n_train": n_train, "epochs": epochs, "lr": lr, "preset": preset}
    for name, value in chosen.items():
        known = known if value is None else known[known[name] == value]
    if known.empty:
        raise typer.BadParameter(f"no runs at this budget; there are:\n{report.budgets(rows).to_string(index=False)}")
    budget = {name: known[name].iloc[0] for name in report.BUDGET}
    card = report.scorecard(rows, **budget)
    said = f"{budget['n_train']:,} training images, {budget['epochs']} epochs, learning rate {budget['lr']:g}"
    said += f", preset {budget['preset']}, {budget['n_test']:,} test images"
    for file in files:
        try:
            report.write_report(card, file, f"The paper's numbers and ours: {said}")
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        typer.echo(f"wrote {file}")
    typer.echo(f"{said}\n{report.summary(card).to_string()}")
