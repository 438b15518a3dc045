"""The `nsvae` command."""

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor
from typer.core import TyperGroup

from . import detector, evaluation, experiments, noise, plots, report, training, zoo
from .checkpoints import write_whole
from .data import ImageData, canonical_name, load
from .files import PARTS, SETS
from .folders import fit_shape, read_pictures, thumbnails
from .negatives import FromImages
from .objectives import ELBO, Adversarial, NegativePrior, Objective
from .vae import VAE


class ClearErrors(TyperGroup):
    """Commands that end with a message instead of a traceback.

    Exit code 2: what was asked for cannot be done; 1: it went wrong on the way.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (OSError, ValueError, ImportError, FloatingPointError) as error:
            typer.echo(f"nsvae: {error}", err=True)
            raise typer.Exit(1 if isinstance(error, FloatingPointError) else 2) from error


app = typer.Typer(
    cls=ClearErrors, help="Negative sampling in variational autoencoders.", no_args_is_help=True, add_completion=False
)

Root = Annotated[Path | None, typer.Option(help="Folder with the image sets; default: $NSVAE_DATA.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]
Model = Annotated[Path, typer.Argument(help="A file that nsvae train made.")]
Work = Annotated[Path, typer.Option(help="Folder for checkpoints; an interrupted run goes on from there.")]
By = Annotated[str, typer.Option(help=f"What decides: {', '.join(detector.CRITERIA)}.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps. Default: the best there is.")]
FalseAlarms = Annotated[float, typer.Option(help="Share of unsuspicious pictures that may be flagged, 0 to 1.")]

# Pictures that `train` sees unless told how many epochs: one to four minutes of two CPU cores for grey ones.
TRAINING_PICTURES = 60_000
# Shift of the negative prior, optimizer, and what else adversarial models need, by number of channels: the paper's.
BY_CHANNELS: Mapping[int, Mapping[str, Any]] = {
    1: {"shift": 8.0, "optimizer": "rmsprop", "adversarial": {}},
    3: {"shift": 25.0, "optimizer": "adam", "adversarial": {"spectral_norm": True, "batch_norm": "none"}},
}


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nsvae_lib {version('nsvae_lib')}, torch {torch.__version__}")
        raise typer.Exit


@app.callback()
def main(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Negative sampling in variational autoencoders.

    For your own images: train, score, evaluate. The others make the book's models and tables.
    """
    warnings.showwarning = lambda message, *_: typer.echo(f"note: {message}", err=True)


@app.command()
def train(
    source: Annotated[str, typer.Argument(help="A folder of pictures of the usual kind, or the name of an image set.")],
    out: Annotated[Path | None, typer.Option(help="The model's file. Default: NAME.safetensors, here.")] = None,
    negatives: Annotated[
        str,
        typer.Option(
            help="What the model learns to push away: adversarial (its own pictures), none, or pictures of another "
            "kind: a folder or the name of an image set. Several with + between."
        ),
    ] = "adversarial",
    noise_model: Annotated[
        str, typer.Option("--noise", help=f"How pixels scatter: {', '.join(noise.NOISE_MODELS)}.")
    ] = "bernoulli",
    shift: Annotated[
        float | None, typer.Option(help="Of the negative prior. Default: 8 for grey, 25 for colour.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Height and width. Default: 28 for grey, 32 for colour.")] = None,
    colour: Annotated[
        bool | None, typer.Option("--colour/--grey", help="Default: grey if nine in ten of the pictures are.")
    ] = None,
    held_out: Annotated[
        float | None, typer.Option(help="Share of a folder's pictures that tell what is usual, 0 to 1. Default: 0.2.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help=f"Passes through the pictures. Default: until {TRAINING_PICTURES:,} are seen.")
    ] = None,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option(help="Fixes everything that is random.")] = 0,
    device: Device = None,
    root: Root = None,
    force: Force = False,
) -> None:
    """Train a detector on a folder of pictures. Interrupted, the same command goes on from the last whole epoch.

    Examples: nsvae train holiday-photos

    nsvae train scans --negatives Glyphs --out scans.safetensors
    """
    out = out or Path(f"{_name(source)}.safetensors")
    _check_free(force, out)
    # A mistake is found before reading.
    _check_device(device)
    VAE.for_images((3 if colour else 1, size or 32, size or 32), noise_model)
    training.check_arguments(1 if epochs is None else epochs, 1, lr, "adam", "alternating", seed)
    others = () if negatives in ("adversarial", "none") else negatives.split("+")
    for name in others:
        _set_name(name)
    if negatives == "none" and shift is not None:
        raise ValueError("--shift is of the negative prior, and with --negatives none there is none")
    images = _images(source, root, size=size, colour=colour, held_out=held_out)
    settings = BY_CHANNELS[images.shape[0]]
    shift = settings["shift"] if shift is None else shift
    model = settings["adversarial"] if negatives == "adversarial" else {}
    vae = VAE.for_images(images.shape, noise_model, seed=seed, **model)
    objective: Objective = ELBO()
    drawn: FromImages | None = None
    if negatives == "adversarial":
        objective = Adversarial(shift)
    elif negatives != "none":
        objective = NegativePrior(shift)
        drawn = FromImages(*(_pictures(name, images.shape, root, "train")[0] for name in others))
    if epochs is None:
        epochs = min(100, max(3, math.ceil(TRAINING_PICTURES / len(images.train))))
    typer.echo(images.source)
    typer.echo(f"{vae}, negatives {negatives}, {epochs} epochs")
    lowest = 2 / (len(images.test) + 1)  # two scores, each at half the rate
    typer.echo(f"{len(images.test):,} pictures held out: enough for false-alarm rates down to {lowest:.2%}")
    checkpoint = out.with_name(f".{out.name}.checkpoint")
    options: dict[str, Any] = {"epochs": epochs, "lr": lr, "optimizer": settings["optimizer"], "seed": seed}
    try:
        history = training.fit(vae, images, objective, drawn, **options, device=device, checkpoint=checkpoint)
    except KeyboardInterrupt as stop:
        typer.echo(f"\nstopped; the same command goes on from {checkpoint}", err=True)
        raise typer.Exit(130) from stop
    seen = torch.cat([images.train, *(shown.cpu() for shown in (drawn.sets if drawn else ()))])
    made = detector.Detector.calibrate(vae, images.test, seen)
    options["seconds"] = round(sum(history["seconds"]))
    facts = {"source": images.source, "negatives": negatives, "objective": repr(objective)}
    made.save(out, **facts, **options, date=date.today().isoformat())
    checkpoint.unlink()
    typer.echo(f"wrote {out} after {options['seconds']} s of training")


@app.command()
def train_zoo(
    only: Annotated[list[str] | None, typer.Option(help="Names of models; default: all.")] = None,
    root: Root = None,
    work: Work = Path("runs/zoo"),
    out: Annotated[Path, typer.Option(help="Folder for the finished models.")] = zoo.MODELS,
    force: Annotated[bool, typer.Option(help="Make models again that are there already.")] = False,
) -> None:
    """Train the models that come with the library, on the full real images.

    Example: nsvae train-zoo --only FashionMNIST_bernoulli_none
    """
    recipes = {zoo.model_name(run): run for run in zoo.RECIPES}
    unknown = sorted(set(only or []) - set(recipes))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(recipes)}")
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
        str | None, typer.Option(help="Size of the networks: small, light or authors; default: as the runs have it.")
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
    work: Work = Path("runs/experiments"),
    out: Annotated[Path, typer.Option(help="Folder of the tables runs.csv and epochs.csv.")] = Path("results"),
) -> None:
    """Carry out experiments and add their rows to the tables of results; what is there is not run again.

    Examples: nsvae reproduce shift sources --n-train 10000 --epochs 5 --workers 2
    nsvae reproduce I --inlier MNIST --noise gaussian --negatives adversarial --seeds 3
    """
    given = {"n_test": n_test, "preset": preset, "lr": lr}
    settings = {field: value for field, value in given.items() if value is not None}
    planned = [run for name in names for run in experiments.runs(name, n_train, epochs, seeds, **settings)]
    for field, value in {"inlier": inlier, "noise": noise, "negatives": negatives}.items():
        planned = [run for run in planned if value in (None, getattr(run, field))]
    if not planned:
        raise ValueError(f"none of the runs of {', '.join(names)} is of this kind")
    try:
        rows = experiments.reproduce(planned, root, work, out, workers, engine=engine, gpus=gpus)
    except RuntimeError as error:  # a worker was killed
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
    preset: Annotated[str | None, typer.Option(help="Size of their networks: small, light or authors.")] = None,
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
        raise ValueError(f"no runs at this budget; there are:\n{report.budgets(rows).to_string(index=False)}")
    budget = {name: known[name].iloc[0] for name in report.BUDGET}
    card = report.scorecard(rows, **budget)
    said = f"{budget['n_train']:,} training images, {budget['epochs']} epochs, learning rate {budget['lr']:g}"
    said += f", preset {budget['preset']}, {budget['n_test']:,} test images"
    for file in files:
        report.write_report(card, file, f"The paper's numbers and ours: {said}")
        typer.echo(f"wrote {file}")
    typer.echo(f"{said}\n{report.summary(card).to_string()}")


@app.command()
def score(
    model: Model,
    source: Annotated[str, typer.Argument(help="A folder of pictures to judge, or the name of an image set.")],
    out: Annotated[Path | None, typer.Option(help="The table. Default: NAME.csv, here.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="The contact sheet. Default: beside the table, .png.")] = None,
    false_alarms: FalseAlarms = 0.05,
    by: By = "either",
    top: Annotated[int, typer.Option(help="Pictures on the contact sheet.")] = 48,
    device: Device = None,
    root: Root = None,
    force: Force = False,
) -> None:
    """Score pictures with a trained detector: a table of all, the most suspicious first, and a contact sheet of those.

    Columns: path; bpd (bits per dimension); kl (nats); percentile (how many of 100 held-out pictures of the usual kind
    score lower); excess (how far it lies above them, in standard deviations); verdict (flagged or passed).

    Example: nsvae score holiday-photos.safetensors incoming --false-alarms 0.01
    """
    out = out or Path(f"{_name(source)}.csv")
    sheet = sheet or out.with_suffix(".png")
    if sheet == out:
        raise ValueError(f"{out} cannot be both the table and the contact sheet: give another --out or --sheet")
    _check_free(force, out, sheet)
    _check_device(device)
    judge = detector.Detector.load(model, device)
    judge.thresholds(false_alarms, by)  # a rate that the model cannot keep is found before any work
    images, paths = _pictures(source, judge.vae.shape, root)
    table = judge.judge(images, false_alarms, by)
    table.insert(0, "path", paths)
    table = table.sort_values(["percentile", "excess"], ascending=False)
    first = table.head(max(1, top))
    shown = images[first.index.to_numpy()] if _set_name(source) else thumbnails(source, first["path"])
    figure = plots.contact_sheet(shown, first)
    verdict = table.pop("flagged").map({True: "flagged", False: "passed"})
    with write_whole(out) as temporary:
        table.assign(verdict=verdict).to_csv(temporary, index=False, float_format="%.6g")
    with write_whole(sheet) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    flagged, seen = int((verdict == "flagged").sum()), int(judge.has_seen(images).sum())
    typer.echo(f"{len(table):,} pictures, {flagged:,} flagged at a false-alarm rate of {false_alarms:.2%}")
    if seen:
        typer.echo(f"note: the model was trained on {seen:,} of them; these score too low to be compared", err=True)
    typer.echo(f"wrote {out} and {sheet}")


@app.command()
def evaluate(
    model: Model,
    inlier: Annotated[str, typer.Argument(help="Pictures of the usual kind: a folder, or the name of an image set.")],
    ood: Annotated[str, typer.Argument(help="Pictures of another kind: a folder, or the name of an image set.")],
    false_alarms: FalseAlarms = 0.05,
    by: By = "either",
    device: Device = None,
    root: Root = None,
) -> None:
    """Tell how well a detector separates two kinds of pictures. Pictures that it was trained on are left out.

    AUROC: the chance that a picture of the other kind scores higher, with its 95 % interval. AUPR: average precision.
    FPR95: share of the usual kind that is flagged at the threshold that finds 95 % of the other.

    Example: nsvae evaluate holiday-photos.safetensors holiday-photos screenshots
    """
    _check_device(device)
    judge = detector.Detector.load(model, device)
    judge.thresholds(false_alarms, by)
    tables = []
    for source in (inlier, ood):
        images, _ = _pictures(source, judge.vae.shape, root)
        new = images[~judge.has_seen(images)]
        left_out = f", {len(images) - len(new):,} left out, since the model was trained on them"
        if not len(new):
            raise ValueError(f"the model was trained on all pictures in {source}: give it others")
        typer.echo(f"{source}: {len(new):,} pictures{left_out if len(new) < len(images) else ''}")
        tables.append(judge.judge(new, false_alarms, by))
    typer.echo("score  AUROC   95 % interval   AUPR    FPR95")
    for name in detector.SCORES:
        found = evaluation.evaluate(*(table[name] for table in tables))
        low, high = found.auroc_interval
        typer.echo(f"{name:5s}  {found.auroc:.3f}  {low:.3f} to {high:.3f}  {found.aupr:.3f}  {found.fpr95:.3f}")
    shares = [table["flagged"].mean() for table in tables]
    typer.echo(f"flagged by {by}: {shares[0]:.1%} of {inlier}, {shares[1]:.1%} of {ood}")


def _set_name(source: str) -> str | None:
    """The name of the image set that is meant, None for a folder (also ./MNIST); FileNotFoundError if it is neither."""
    try:
        return canonical_name(source)
    except ValueError:
        if not Path(source).exists():
            known = ", ".join(SETS)
            raise FileNotFoundError(f"{source} is neither a folder nor an image set; the sets are {known}") from None
        return None


def _name(source: str) -> str:
    """What to call files made from a source."""
    return _set_name(source) or Path(source).resolve().name


def _images(source: str, root: Path | None, **options: Any) -> ImageData:
    """Both parts of a folder or a set; the options are those of a folder."""
    given = {name: value for name, value in options.items() if value is not None}
    if _set_name(source) is None:
        return ImageData.from_folder(source, progress=True, **given)
    if given:
        raise ValueError(f"--size, --colour and --held-out are for folders; {source} has a size and parts of its own")
    images = load(source, root)
    for part in PARTS:
        if not len(getattr(images, part)):
            raise ValueError(
                f"a detector needs train and test images, and there are no {part} images in {images.source}"
            )
    return images


def _pictures(
    source: str, shape: tuple[int, int, int], root: Path | None, part: str = "test"
) -> tuple[Tensor, Sequence[str]]:
    """All pictures of a folder, or a part of a set, in the given shape, and what to call them."""
    name = _set_name(source)
    if name is None:
        found = read_pictures(source, shape, progress=True)
        return found.images, found.paths
    images = fit_shape(getattr(load(name, root), part), shape)
    return images, [f"{name}/{i}" for i in range(len(images))]


def _check_device(name: str | None) -> None:
    """That tensors can be put there."""
    try:
        torch.empty(0, device=name)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"cannot use the device {name!r}: {str(error).splitlines()[0]}") from None


def _check_free(force: bool, *files: Path) -> None:
    """That these files can be written, and would not replace others."""
    for file in files:
        if file.is_dir():
            raise IsADirectoryError(f"{file} is a folder; expected the name of a file to write")
        if file.exists() and not force:
            raise FileExistsError(f"{file} is there already: choose another name, or replace it with --force")
        file.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(file.parent, os.W_OK):
            raise PermissionError(f"cannot write {file}: its folder is write-protected")
