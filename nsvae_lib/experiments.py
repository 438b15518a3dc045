"""Experiments as data: which models are trained, on what they are scored, and the table of results.

A `Run` is one training. An experiment is a list of runs; `reproduce` carries them out, several at a time, and writes
one row per (run, OOD set, score). Interrupted, it goes on where it was; what is in the table is not run again.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from .checkpoints import write_whole
from .data import ImageData, digest, load
from .engines import ENGINES, on_processes, on_ray, report
from .evaluation import auroc_monitor, evaluate
from .files import SAMPLES, SETS, readable
from .negatives import FromImages, Generated, Mixture, Negatives, NoisyInliers, UniformNoise
from .objectives import ELBO, Adversarial, NegativePrior, Objective, UpperBound
from .scores import score
from .training import History, fit
from .vae import VAE, best_device

RESULTS = Path(__file__).parent / "assets" / "results"
# The test sets that every model is scored on.
TEST_SETS = {
    1: ("FashionMNIST", "MNIST", "EMNIST-Letters", "KMNIST", "Glyphs"),
    3: ("CIFAR10", "SVHN", "CIFAR100", "SynthDigits"),
}
# Those of AUROC per epoch.
MONITORED = {1: ("FashionMNIST", "MNIST", "EMNIST-Letters"), 3: ("CIFAR10", "SVHN", "SynthDigits")}
# Negatives that need no images of another kind.
MADE: Mapping[str, Callable[[], Negatives]] = {
    "uniform-noise": UniformNoise,
    "noisy-inliers": NoisyInliers,
    "generated": Generated,
}
# At most so many test images of each set for AUROC per epoch, of runs whose AUROC moves from epoch to epoch.
N_MONITORED = 2_000


@dataclass(frozen=True)
class Run:
    """One training: on which images, with which noise model, negatives and objective, and for how long.

    negatives: "none", "adversarial", "fixed-generator" (images of a trained plain VAE, the same run without negatives),
        or sources joined by "+" ("KMNIST+uniform-noise"), each of which makes an equal share: names of image sets,
        "uniform-noise", "noisy-inliers", "generated" (the model's own images, the decoder not playing).
    shift: of the negative prior.
    bound_samples: 0 for the negative prior; K >= 1 for the upper bound EUBO_K with its default margin instead.
    spectral_norm, batch_norm, preset, initialisation: of the networks, see `VAE.for_images`.
    n_train: training images.
    epochs, batch_size, lr, optimizer, update, seed: of the training, see `training.fit`.
    n_test: images of each test set that the model is scored on, or what there is; the paper: 10,000.
    latent_dim: D, the number of latent dimensions; 0 for the library's default, 10 for grey and 100 for colour images.
    raw_orientation: of EMNIST-Letters, wherever the run needs them, see `data.load`.
    """

    inlier: str
    noise: str = "bernoulli"
    negatives: str = "none"
    shift: float = 8.0
    bound_samples: int = 0
    spectral_norm: bool = False
    batch_norm: str = "trained"
    n_train: int = 60_000
    epochs: int = 10
    batch_size: int = 50
    lr: float = 3e-4
    optimizer: str = "rmsprop"
    preset: str = "light"
    seed: int = 0
    n_test: int = 10_000
    latent_dim: int = 0
    initialisation: str = "preset"
    update: str = "alternating"
    raw_orientation: bool = False

    @property
    def name(self) -> str:
        """The run's name in file names, INLIER_NOISE_NEGATIVES and every other field that is not at its default."""
        parts = [self.inlier, self.noise, self.negatives]
        for field in fields(self)[3:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}={value}")
        return "_".join(parts)

    @property
    def objective(self) -> Objective:
        """What the run minimises."""
        if self.negatives == "none":
            return ELBO()
        if self.negatives == "adversarial":
            return Adversarial(self.shift)
        return UpperBound(self.bound_samples) if self.bound_samples else NegativePrior(self.shift)

    @property
    def negative_sets(self) -> list[str]:
        """Names of the image sets among the negatives."""
        return [name for name in self.negatives.split("+") if name in SETS]


RUN_FIELDS = [field.name for field in fields(Run)]
# What the paper leaves open (the appendix "Paper versus code"), and how the library does it otherwise.
USUAL: Mapping[str, tuple[Any, ...]] = {
    "optimizer": ("rmsprop", "adam"),
    **{name: (getattr(Run(""), name),) for name in ("latent_dim", "initialisation", "update", "raw_orientation")},
}


def runs(experiment: str, n_train: int = 60_000, epochs: int = 10, seeds: int = 1, **settings: Any) -> list[Run]:
    """The runs of an experiment, in the order in which they are carried out.

    Args:
        experiment: a name in `EXPERIMENTS`.
        n_train, epochs, settings: put into every run (see `Run`).
        seeds: so many of each, with seeds 0, 1, ...

    Raises:
        ValueError: no such experiment, seeds < 1.
    """
    if experiment not in EXPERIMENTS:
        raise ValueError(f"unknown experiment {experiment!r}; known: {', '.join(EXPERIMENTS)}")
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    listed = [replace(run, n_train=n_train, epochs=epochs, **settings) for run in EXPERIMENTS[experiment]]
    return [replace(run, seed=seed) for seed in range(seeds) for run in listed]


GREY = MONITORED[1]
# The paper's Table I in its cheapest order: a model without negatives, or an adversarial one, serves two OOD sets; an
# auxiliary set is whichever of the three is neither inlier nor OOD set.
_TABLE_I = [
    Run(inlier, noise, negatives)
    for inlier in GREY
    for noise in ("bernoulli", "gaussian")
    for negatives in ("none", *(other for other in GREY if other != inlier), "adversarial")
]
# The paper's settings for colour. Its auxiliary set is a downscaled ImageNet; its adversarial models have spectral
# norm, and in the authors' code no batch norm.
COLOUR: Mapping[str, Any] = {"shift": 25.0, "optimizer": "adam"}
COLOUR_ADVERSARIAL: Mapping[str, Any] = {**COLOUR, "spectral_norm": True, "batch_norm": "none"}


def _colour(inliers: Iterable[str], auxiliary: str) -> list[Run]:
    return [
        Run(inlier, noise, negatives, **(COLOUR_ADVERSARIAL if negatives == "adversarial" else COLOUR))
        for inlier in inliers
        for noise in ("bernoulli", "gaussian")
        for negatives in ("none", auxiliary, "adversarial")
    ]


# Other choices where the paper leaves them open, one at a time.
_CHOICES: Sequence[Mapping[str, Any]] = [
    {"latent_dim": 2},
    {"latent_dim": 50},
    {"initialisation": "authors"},
    {"optimizer": "rmsprop-tensorflow"},
    {"optimizer": "rmsprop-pytorch"},
]
_PRESETS: Sequence[Mapping[str, Any]] = [{}, {"preset": "authors", "initialisation": "pytorch"}, {"preset": "authors"}]

EXPERIMENTS: Mapping[str, Sequence[Run]] = {
    "I": _TABLE_I,
    "II": _colour(("CIFAR10", "SVHN"), "ImageNet32"),
    "III": [
        Run("FashionMNIST", negatives=negatives)
        for negatives in ("none", "uniform-noise", "noisy-inliers", "KMNIST", "adversarial")
    ],
    "sources": [
        Run("FashionMNIST", negatives=negatives)
        for negatives in (
            *("none", "EMNIST-Letters", "KMNIST", "Glyphs", "uniform-noise", "noisy-inliers", "generated"),
            *("fixed-generator", "EMNIST-Letters+uniform-noise"),
        )
    ],
    "shift": [Run("FashionMNIST", negatives="EMNIST-Letters", shift=shift) for shift in (2.0, 4.0, 6.0, 8.0, 10.0)],
    "several-sets": [
        Run("EMNIST-Letters", negatives=negatives)
        for negatives in ("none", "FashionMNIST", "KMNIST", "FashionMNIST+KMNIST")
    ],
    "adversarial": [Run("FashionMNIST", negatives="adversarial")],
    "adversarial-variants": [
        Run("FashionMNIST", negatives="adversarial", spectral_norm=True),
        Run("FashionMNIST", negatives="adversarial", lr=1e-4),
    ],
    "colour": _colour(("CIFAR10", "SynthDigits"), "TinyImageNet32"),
    "shift-colour": [
        Run("SynthDigits", negatives="TinyImageNet32", **{**COLOUR, "shift": shift, "batch_norm": "frozen"})
        for shift in (5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
    ],
    "batch-norm": [
        Run("CIFAR10", noise, negatives, **{**COLOUR, "batch_norm": batch_norm})
        for noise in ("bernoulli", "gaussian")
        for negatives in ("none", "TinyImageNet32")
        for batch_norm in ("trained", "frozen", "none")
    ],
    # A learning rate for budgets of a few thousand images.
    "choices": [
        *(
            Run("FashionMNIST", negatives=negatives, lr=1e-3, **choice)
            for choice in ({}, *_CHOICES)
            for negatives in ("none", "EMNIST-Letters")
        ),
        Run("FashionMNIST", negatives="EMNIST-Letters", lr=1e-3, raw_orientation=True),
        *(Run("EMNIST-Letters", lr=1e-3, raw_orientation=raw) for raw in (False, True)),
        *(
            Run("FashionMNIST", negatives="adversarial", lr=1e-3, update=update)
            for update in ("alternating", "simultaneous", "redrawn")
        ),
        Run("FashionMNIST", lr=1e-3, update="redrawn"),
    ],
    # The authors' 256-channel layer costs ten times as much per image: a budget of its own.
    "choices-preset": [
        Run("FashionMNIST", negatives=negatives, lr=1e-3, **choice)
        for choice in _PRESETS
        for negatives in ("none", "EMNIST-Letters")
    ],
    # Table I with the letters as EMNIST's files have them, on their side, as inliers or only as a test set.
    "orientation": [
        Run(inlier, noise, negatives, raw_orientation=True)
        for noise in ("bernoulli", "gaussian")
        for inlier, negatives in (
            *((inlier, "none") for inlier in GREY),
            *(("EMNIST-Letters", negatives) for negatives in ("FashionMNIST", "MNIST")),
        )
    ],
    # RMSProp as in TensorFlow 1, where the running mean starts at 1: Table I without negatives.
    "optimizer": [
        Run(inlier, noise, optimizer="rmsprop-tensorflow") for noise in ("bernoulli", "gaussian") for inlier in GREY
    ],
    "upper-bound": [Run("FashionMNIST", negatives="EMNIST-Letters", bound_samples=k) for k in (1, 4)],
}


def train(
    run: Run,
    root: str | Path | None,
    work: Path,
    callback: Callable[[VAE, dict[str, float]], None] | None = None,
    progress: bool = True,
) -> tuple[VAE, History]:
    """Carry out the training of a run; it resumes from its checkpoint in `work`, if any.

    Args:
        run: what to train.
        root: see `reproduce`.
        work: folder for the checkpoint.
        callback, progress: see `training.fit`.

    Returns:
        The model, with the run, its data, device and time in `provenance`, and the history.

    Raises:
        FileNotFoundError: the images are not there.
        ValueError: there are fewer images than the run says, or a field of the run cannot work.
    """
    images = _load(run.inlier, root, n_train=run.n_train, raw_orientation=run.raw_orientation)
    negatives = _negatives(run, root, work, progress)
    vae = VAE.for_images(
        images.shape,
        run.noise,
        run.latent_dim or None,
        preset=run.preset,
        seed=run.seed,
        spectral_norm=run.spectral_norm,
        batch_norm=run.batch_norm,
        initialisation=run.initialisation,
    )
    history = fit(
        vae,
        images,
        run.objective,
        negatives,
        epochs=run.epochs,
        batch_size=run.batch_size,
        lr=run.lr,
        optimizer=run.optimizer,
        update=run.update,
        seed=run.seed,
        checkpoint=work / f"{run.name}.training.safetensors",
        progress=progress,
        callback=callback,
    )
    vae.provenance = asdict(run) | {
        "data": images.source,
        "data_sha256": digest(images.train)[:16],
        "negative_data": repr(negatives) if negatives else "",
        "device": torch.cuda.get_device_name() if best_device().type == "cuda" else str(best_device()),
        "seconds": round(sum(history["seconds"])),
        "history": [{k: round(v, 4) for k, v in row.items()} for row in history.rows],
        "date": date.today().isoformat(),
    }
    return vae, history


def _negatives(run: Run, root: str | Path | None, work: Path, progress: bool) -> Negatives | None:
    """Where the run's negatives come from.

    Raises:
        ValueError: a name that is no source of negatives.
    """
    if not run.objective.uses_negatives:
        return None
    if run.negatives == "fixed-generator":
        return Generated(train(replace(run, negatives="none"), root, work, progress=progress)[0])
    sources: list[Negatives] = []
    for name in run.negatives.split("+"):
        if name in MADE:
            sources.append(MADE[name]())
        elif name in SETS:
            sources.append(FromImages(_negative_images(name, root, run.raw_orientation)))
        else:
            raise ValueError(
                f"unknown negatives {name!r}; known: none, {', '.join(MADE)}, fixed-generator, adversarial, "
                f"and the image sets {', '.join(SETS)}"
            )
    return sources[0] if len(sources) == 1 else Mixture(*sources)


def _negative_images(name: str, root: str | Path | None, raw_orientation: bool) -> Tensor:
    """Training images; the test images of a set whose training part is not at hand (it is then not scored)."""
    images = _load(name, root, raw_orientation=raw_orientation)
    return images.train if len(images.train) else images.test


def evaluations(
    vae: VAE,
    inlier_name: str,
    root: str | Path | None,
    n_test: int = 10_000,
    without: Iterable[str] = (),
    raw_orientation: bool = False,
) -> Iterator[dict[str, Any]]:
    """How well a model separates its test images from each other test set: one dictionary per (OOD set, score).

    n_test images of each set are scored, or what there is; EMNIST-Letters in `raw_orientation` or upright. Sets whose
    images are not at hand are left out, and those in `without`.

    Raises:
        FileNotFoundError: the model's own test images are not there.
    """
    inlier = _test_set(inlier_name, root, n_test, raw_orientation)
    inlier_scores = score(vae, inlier.test)
    for ood in _ood_sets(_others(inlier_name, without), root, n_test, raw_orientation):
        ood_scores = score(vae, ood.test)
        for which in inlier_scores:
            result = evaluate(inlier_scores[which], ood_scores[which])
            yield {
                "ood": ood.name,
                "score": which,
                "auroc": round(result.auroc, 4),
                "auroc_low": round(result.auroc_interval[0], 4),
                "auroc_high": round(result.auroc_interval[1], 4),
                "aupr": round(result.aupr, 4),
                "fpr95": round(result.fpr95, 4),
                "n_inlier": result.n_inlier,
                "n_ood": result.n_ood,
                "inlier_source": inlier.source,
                "ood_source": ood.source,
            }


def _test_set(name: str, root: str | Path | None, n: int, raw_orientation: bool) -> ImageData:
    """The first n test images in the order of `load`, or all where there are fewer; no training images."""
    images = _load(name, root, n_train=0, raw_orientation=raw_orientation)
    if len(images.test) <= n:
        return images
    return _load(name, root, n_train=0, n_test=n, raw_orientation=raw_orientation)


def _others(inlier: str, without: Iterable[str] = ()) -> list[str]:
    """What models of an image set are scored against."""
    return [name for name in TEST_SETS[SETS[inlier].shape[0]] if name not in {inlier, *without}]


def _ood_sets(
    names: Iterable[str], root: str | Path | None, n: int, raw_orientation: bool = False
) -> Iterator[ImageData]:
    """The test sets whose images are at hand."""
    for name in names:
        try:
            yield _test_set(name, root, n, raw_orientation)
        except FileNotFoundError:
            continue


def results(path: Path = RESULTS / "runs.csv", choices: bool = False) -> pd.DataFrame:
    """The results of the runs that were carried out: one row per (run, OOD set, score).

    Runs that do something else than the library by default where the paper leaves it open (fields in `USUAL`) are there
    with `choices=True` only.

    Columns: the fields of `Run`; `ood`, `score` ("bpd" or "kl"), `auroc` with its 95 % bootstrap interval `auroc_low`,
    `auroc_high`, `aupr`, `fpr95` (see `evaluation.Evaluation`), `n_inlier`, `n_ood`, `inlier_source`, `ood_source`; and
    how the run was made: `data`, `data_sha256` (the start of the hash of the training images), `negative_data`,
    `device`, `seconds`, `date`, `torch`, `nsvae_lib`, `commit`. What was not recorded at the time is empty.
    """
    # Left to itself, pandas takes hashes such as 12e4567890 for numbers.
    table = pd.read_csv(path, keep_default_na=False, dtype={"data_sha256": str, "commit": str})
    return _runs_of(table, choices)


def epochs(path: Path = RESULTS / "epochs.csv", choices: bool = False) -> pd.DataFrame:
    """The runs epoch by epoch: one row per (run, epoch), with the fields of `Run` and the columns of `History`.

    choices: as in `results`.

    Adversarial runs also have `auroc_bpd NAME` and `auroc_kl NAME` on 2,000 test images of each of two sets, and newer
    ones `averaged auroc_bpd NAME` and so on, of the mean of the weights after each epoch of the second half.
    """
    return _runs_of(pd.read_csv(path, keep_default_na=False, na_values=[""]), choices)


def _runs_of(table: pd.DataFrame, choices: bool) -> pd.DataFrame:
    table = _with_columns(table, RUN_FIELDS)
    return table if choices else table[table[[*USUAL]].isin(USUAL).all(axis=1)]


def _with_columns(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """A table with those fields of `Run` among `names` that it lacks, at their defaults: it is older than they are."""
    defaults = asdict(Run(""))
    return table.assign(**{name: defaults[name] for name in names if name in defaults and name not in table})


def write_rows(rows: Sequence[dict[str, Any]], path: Path, key: Sequence[str]) -> None:
    """Put rows into a CSV table in place of those that agree with them in the columns `key`; written whole.

    Processes that write to the same table wait for each other, with the help of the file .NAME.lock beside it.
    """
    table = _with_columns(pd.DataFrame(rows), key)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")), write_whole(path) as temporary:
        if path.exists():
            old = _with_columns(pd.read_csv(path, keep_default_na=False, dtype=str), key).astype(str)
            replaced = set(table[[*key]].astype(str).itertuples(index=False, name=None))
            kept = [row not in replaced for row in old[[*key]].itertuples(index=False, name=None)]
            table = pd.concat([old[kept], table.astype(str).replace("nan", "")], ignore_index=True)
        table.to_csv(temporary, index=False)


def reproduce(
    planned: Sequence[Run],
    root: str | Path | None = None,
    work: Path = Path("runs"),
    out: Path = Path("results"),
    workers: int = 1,
    progress: bool = True,
    engine: str = "processes",
    gpus: float = 0.0,
) -> pd.DataFrame:
    """Carry out runs, several at a time, and write their rows to `out`; runs whose rows are there are left out.

    A run that is interrupted goes on from its last epoch when `reproduce` is called again. A run's rows are written
    together, after its training, or not at all.

    Args:
        planned: runs, carried out in this order; see `runs`.
        root: folder with the full image sets; default: NSVAE_DATA. "sample" for those that come with the library.
        work: folder for checkpoints; on a cluster, one that all machines share.
        out: folder of the tables runs.csv and epochs.csv. Calls at the same time may share it, if their runs differ.
        workers: trainings at a time; they share the processor's cores. On a GPU: 1.
        progress: show a progress bar over all epochs.
        engine: "processes" of this machine, or "ray": a Ray cluster (see `engines.on_ray`), which sets the number of
            trainings at a time itself.
        gpus: with "ray", the share of a GPU that a training takes.

    Returns:
        The rows of `planned`, as in `results`.

    Raises:
        FileNotFoundError: images that are not there.
        ValueError: workers < 1, an unknown engine, a run that cannot work, or a table with rows of other images.
        RuntimeError: a worker was killed.
        ImportError: engine "ray" without Ray.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    planned = list(dict.fromkeys(planned))
    table = out / "runs.csv"
    done = set(_as_runs(results(table, choices=True))) if table.exists() else set()
    missing = [run for run in planned if run not in done]
    _check_data(missing, table, root)
    task = partial(carry_out, root=root, work=work)
    total = sum(run.epochs for run in missing)
    finished = 0
    with tqdm(total=total, unit="epoch", disable=not progress) as bar:
        done_by = on_ray(task, missing, gpus) if engine == "ray" else on_processes(task, missing, workers, bar.update)
        for run, (rows_of_run, by_epoch) in done_by:
            write_rows(by_epoch, out / "epochs.csv", [*RUN_FIELDS, "epoch"])
            write_rows(rows_of_run, table, [*RUN_FIELDS, "ood", "score"])
            finished += run.epochs
            bar.update(max(0, finished - bar.n))
    rows = results(table, choices=True)
    wanted = set(planned)
    return rows[[run in wanted for run in _as_runs(rows)]]


def carry_out(run: Run, root: str | Path | None, work: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train a run and score its model: its rows for runs.csv and for epochs.csv.

    Raises:
        FileNotFoundError: the images are not there, or those of no other set to score the model against.
    """
    # A set whose test images may have served as negatives cannot also be what was never seen.
    without = [name for name in run.negative_sets if not len(_load(name, root).train)]
    others = _others(run.inlier, without)
    if not any(_ood_sets(others, root, run.n_test)):
        raise FileNotFoundError(f"there are no images to score {run.inlier} models against: {', '.join(others)}")
    reported = 0
    monitor = _monitor(run, root)

    def after_epoch(vae: VAE, row: dict[str, float]) -> None:
        nonlocal reported
        if monitor is not None:
            monitor(vae, row)
        report(int(row["epoch"]) - reported)
        reported = int(row["epoch"])

    vae, history = train(run, root, work, callback=after_epoch, progress=False)
    report(run.epochs - reported)
    kept = ("data", "data_sha256", "negative_data", "device", "seconds", "date")
    made = {key: vae.provenance[key] for key in kept}
    made |= {"torch": torch.__version__, "nsvae_lib": version("nsvae_lib"), "commit": _commit()}
    scored = evaluations(vae, run.inlier, root, run.n_test, without, run.raw_orientation)
    rows = [asdict(run) | row | made for row in scored]
    by_epoch = [asdict(run) | {k: round(v, 4) for k, v in row.items()} for row in history.rows]
    return rows, by_epoch


def _load(name: str, root: str | Path | None, **options: Any) -> ImageData:
    """A full image set, never its sample in place of it; with root "sample" what comes with the library alone.

    Its source, which goes into tables, names no folder of this machine: what `root` says, $NSVAE_DATA could say.
    """
    if str(root) == "sample":
        return load(name, SAMPLES, **options)
    images = load(name, root, sample=False, **options)
    if root is None:
        return images
    found = f"{images.name}, {readable(Path(root).expanduser())}"
    return replace(images, source=images.source.replace(found, f"{images.name}, $NSVAE_DATA"))


def _check_data(planned: Iterable[Run], table: Path, root: str | Path | None) -> None:
    """Before any run begins: that the images of all of them are there, and are those that the table was made with.

    Raises:
        FileNotFoundError: images that are not there.
        ValueError: fewer images than a run says, unknown negatives, or rows in the table of runs on as many images of
            the same set that were others.
    """
    rows = results(table, choices=True) if table.exists() else None
    which = ["inlier", "n_train", "raw_orientation"]
    for inlier, n_train, raw in dict.fromkeys((run.inlier, run.n_train, run.raw_orientation) for run in planned):
        found = digest(_load(inlier, root, n_train=n_train, raw_orientation=raw).train)[:16]
        if rows is None:
            continue
        there = set(rows.loc[(rows[which] == [inlier, n_train, raw]).all(axis=1), "data_sha256"]) - {""}
        if there and found not in there:
            raise ValueError(f"{table} has rows of other {inlier} images; write to another folder, or use those images")
    # Made only to see that they can be. Those of a fixed generator take a training.
    for run in {run.negatives: run for run in planned if run.negatives != "fixed-generator"}.values():
        _negatives(run, root, Path(), progress=False)


def _commit() -> str:
    """The commit of the library's source, with "+" if files of it were changed since; "" outside a repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        # Another project's repository may hold the environment in which this is installed.
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        described = [*git, "describe", "--always", "--abbrev=10", "--dirty=+"]
        return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _monitor(run: Run, root: str | Path | None) -> Callable[[VAE, dict[str, float]], None] | None:
    """AUROC after each epoch, also of averaged weights, for the runs where it moves most."""
    if run.negatives != "adversarial":
        return None
    names = MONITORED[SETS[run.inlier].shape[0]]
    n = min(N_MONITORED, run.n_test)
    others = _ood_sets((name for name in names if name != run.inlier), root, n, run.raw_orientation)
    return auroc_monitor(
        _test_set(run.inlier, root, n, run.raw_orientation).test,
        {ood.name: ood.test for ood in others},
        average_from=run.epochs // 2 + 1,
    )


def _as_runs(rows: pd.DataFrame) -> list[Run]:
    return [Run(**fields) for fields in rows[RUN_FIELDS].to_dict("records")]
