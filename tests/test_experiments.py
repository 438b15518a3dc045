"""Experiments: what is planned, carried out, written, resumed."""

import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from threading import Thread

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from typer.testing import CliRunner

from nsvae_lib import (
    ELBO,
    Adversarial,
    FromImages,
    Generated,
    Mixture,
    NegativePrior,
    UpperBound,
    cli,
    experiments,
)
from nsvae_lib.checkpoints import read_safetensors
from nsvae_lib.data import load
from nsvae_lib.experiments import EXPERIMENTS, RUN_FIELDS, Run, reproduce, runs, write_rows
from nsvae_lib.training import CHECKPOINT
from tests.conftest import idx
from tests.test_data import write_cifar, write_npz

SMALL = {"n_train": 60, "epochs": 2, "n_test": 30}


# --- runs ------------------------------------------------------------------------------------------


def test_the_papers_table_needs_these_runs():
    planned = runs("I")
    assert len(planned) == len(set(planned)) == 3 * 2 * 4
    assert Run("EMNIST-Letters", "gaussian", "FashionMNIST") in planned
    assert all(run.n_train == 60_000 for run in planned)


def test_each_seed_is_carried_out_once_for_all_models_before_the_next():
    planned = runs("shift", seeds=2, **SMALL)
    assert [run.seed for run in planned] == [0] * 5 + [1] * 5
    assert {run.shift for run in planned} == {2, 4, 6, 8, 10}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_names_of_runs_differ_and_are_file_names(experiment):
    planned = runs(experiment, seeds=2)
    names = {run.name for run in planned}
    assert len(names) == len(set(planned))
    assert not any("/" in name or " " in name for name in names)


def test_choices_differ_from_the_librarys_in_one_field_each():
    usual = {run for run in EXPERIMENTS["choices"] if run in map(_as_the_library, EXPERIMENTS["choices"])}
    for run in set(EXPERIMENTS["choices"]) - usual:
        assert _as_the_library(run) in usual
        assert sum(getattr(run, name) not in values for name, values in experiments.USUAL.items()) == 1


def _as_the_library(run):
    return replace(run, **{name: values[0] for name, values in experiments.USUAL.items()})


@pytest.mark.parametrize(
    ("choice", "built"),
    [
        ({"latent_dim": 3}, lambda vae: vae.latent_dim == 3),
        ({}, lambda vae: vae.latent_dim == 10),
        ({"initialisation": "authors"}, lambda vae: vae.encoder.features[4].weight.std() > 0.1),
        ({}, lambda vae: vae.encoder.features[4].weight.std() < 0.1),
    ],
    ids=["latent_dim=3", "latent_dim", "initialisation=authors", "initialisation"],
)
def test_fields_of_a_run_reach_the_model(root, tmp_path, choice, built):
    vae, _ = experiments.train(Run("MNIST", n_train=50, epochs=1, **choice), root, tmp_path, progress=False)
    assert built(vae)


def test_letters_are_as_a_run_says_wherever_it_needs_them(root, tmp_path):
    letters = tmp_path / "EMNIST" / "raw"
    x = load("MNIST", sample=True, n_train=60, n_test=30)
    for part, images in (("train", x.train), ("test", x.test)):
        idx(letters / f"emnist-letters-{part}-images-idx3-ubyte", images)
    shutil.copytree(root / "FashionMNIST", tmp_path / "FashionMNIST")
    for raw in (False, True):
        for negatives, inlier in (("EMNIST-Letters", "FashionMNIST"), ("none", "EMNIST-Letters")):
            run = Run(inlier, negatives=negatives, raw_orientation=raw, n_train=60, epochs=1, n_test=30)
            (row, *_), _ = experiments.carry_out(run, tmp_path, tmp_path / "work")
            sources = [row[name] for name in ("data", "inlier_source", "ood_source")]
            of_letters = [source for source in sources if source.startswith("EMNIST-Letters, $NSVAE_DATA/EMNIST/raw, ")]
            assert of_letters and all((", transposed:" in source) == raw for source in of_letters)
            if negatives != "none":
                expected = FromImages(x.train if raw else x.train.transpose(2, 3))
                assert row["negative_data"] == repr(expected)


def test_unknown_experiment_lists_the_known():
    with pytest.raises(ValueError, match="unknown experiment 'IV'; known: I, "):
        runs("IV")
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        runs("I", seeds=0)


@pytest.mark.parametrize(
    ("run", "objective", "sources"),
    [
        (Run("MNIST"), ELBO(), None),
        (Run("MNIST", negatives="adversarial", shift=5), Adversarial(5), None),
        (Run("MNIST", negatives="FashionMNIST", shift=2), NegativePrior(2), FromImages),
        (Run("MNIST", negatives="FashionMNIST+uniform-noise"), NegativePrior(8), Mixture),
        (Run("MNIST", negatives="FashionMNIST", bound_samples=4), UpperBound(4), FromImages),
        (Run("MNIST", negatives="generated"), NegativePrior(8), Generated),
    ],
    ids=lambda value: value.negatives if isinstance(value, Run) else "",
)
def test_objective_and_negatives_of_a_run(root, tmp_path, run, objective, sources):
    assert run.objective == objective
    negatives = experiments._negatives(run, root, tmp_path, False)
    assert negatives is None if sources is None else isinstance(negatives, sources)


def test_unknown_negatives_list_the_known(root, tmp_path):
    with pytest.raises(ValueError, match="unknown negatives 'mist'; known: none, uniform-noise"):
        experiments.train(Run("MNIST", negatives="mist", **SMALL), root, tmp_path)


def test_the_fixed_generator_is_the_same_run_without_negatives(root, tmp_path):
    run = Run("MNIST", negatives="fixed-generator", **SMALL)
    generated = experiments._negatives(run, root, tmp_path, False)
    plain, _ = experiments.train(Run("MNIST", **SMALL), root, tmp_path, progress=False)
    for one, other in zip(generated.generator_vae.parameters(), plain.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_with_a_fixed_generator_goes_on_the_next_day(root, tmp_path, monkeypatch):
    run = Run("MNIST", negatives="fixed-generator", **SMALL)
    first, _ = experiments.train(run, root, tmp_path, progress=False)

    class Tomorrow(experiments.date):
        @classmethod
        def today(cls):
            return cls(2099, 1, 1)

    monkeypatch.setattr(experiments, "date", Tomorrow)
    again, _ = experiments.train(run, root, tmp_path, progress=False)
    assert again.provenance["date"] == "2099-01-01"
    assert again.provenance["negative_data"] == first.provenance["negative_data"]


# --- carrying out ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def carried_out(root, tmp_path_factory):
    """The folder of the tables, and the rows, of four runs."""
    out = tmp_path_factory.mktemp("out")
    planned = [
        Run("FashionMNIST", negatives=negatives, **SMALL) for negatives in ("none", "MNIST", "KMNIST", "adversarial")
    ]
    rows = reproduce(planned, root, out / "work", out, workers=2, progress=False)
    return out, planned, rows


def test_one_row_for_each_run_ood_set_and_score(carried_out):
    _, planned, rows = carried_out
    assert not rows.duplicated([*RUN_FIELDS, "ood", "score"]).any()
    found = rows.groupby("negatives")["ood"].unique().map(set).to_dict()
    everything = {"MNIST", "KMNIST", "Glyphs"}
    # KMNIST has its test images alone here: as negatives they are seen, and not scored.
    assert found == {"none": everything, "MNIST": everything, "KMNIST": {"MNIST", "Glyphs"}, "adversarial": everything}
    assert rows["auroc"].between(0, 1).all()
    assert {"data", "negative_data", "device", "seconds", "date", "torch", "nsvae_lib", "commit"} <= set(rows)
    assert rows["data_sha256"].str.fullmatch("[0-9a-f]{16}").all() and rows["data_sha256"].nunique() == 1
    assert set(experiments._as_runs(rows)) == set(planned)


def test_every_epoch_has_a_row_and_adversarial_runs_their_auroc(carried_out):
    out, _, _ = carried_out
    table = experiments.epochs(out / "epochs.csv")
    assert table.groupby("negatives")["epoch"].apply(list).map(lambda found: found == [1, 2]).all()
    assert table.loc[table["negatives"] == "adversarial", "auroc_kl MNIST"].between(0, 1).all()
    assert table.loc[table["negatives"] == "none", "auroc_kl MNIST"].isna().all()
    averaged = table[table["negatives"] == "adversarial"].set_index("epoch")["averaged auroc_kl MNIST"]
    assert averaged.notna().to_dict() == {1: False, 2: True}


def test_what_is_in_the_table_is_not_run_again(carried_out, root, tmp_path):
    out, planned, _ = carried_out
    before = (out / "runs.csv").read_bytes()
    again = reproduce(planned[:1], tmp_path / "no images here", tmp_path / "no work", out, progress=False)
    assert (out / "runs.csv").read_bytes() == before
    assert set(again["negatives"]) == {"none"}


def test_a_killed_run_goes_on_to_the_same_rows(carried_out, root, tmp_path):
    _, _, undisturbed = carried_out
    script = (
        "import sys; from nsvae_lib.experiments import Run, carry_out; from pathlib import Path\n"
        "run = Run('FashionMNIST', negatives='MNIST', n_train=60, epochs=2, n_test=30)\n"
        "carry_out(run, sys.argv[1], Path(sys.argv[2]))"
    )
    work = tmp_path / "work"
    process = subprocess.Popen([sys.executable, "-c", script, str(root), str(work)])
    try:
        deadline = time.monotonic() + 120
        while not list(work.glob("*.training.safetensors")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    run = Run("FashionMNIST", negatives="MNIST", **SMALL)
    rows = reproduce([run], root, work, tmp_path / "out", progress=False)
    expected = undisturbed[undisturbed["negatives"] == "MNIST"]
    assert rows["auroc"].tolist() == pytest.approx(expected["auroc"].tolist(), abs=2e-3)  # other numbers of threads


START = (
    "import sys; from pathlib import Path; from nsvae_lib.experiments import Run, reproduce\n"
    "if __name__ == '__main__':\n"
    "    planned = [Run('FashionMNIST', negatives=n, n_train=60, epochs=40, n_test=30) for n in sys.argv[4:]]\n"
    "    root, work, out = map(Path, sys.argv[1:4])\n"
    "    reproduce(planned, root, work, out, workers=2, progress=False)"
)


def test_everything_killed_at_once_goes_on_with_no_row_lost_and_none_twice(root, tmp_path):
    script, work, out = tmp_path / "start.py", tmp_path / "work", tmp_path / "out"
    script.write_text(START)
    kinds = ["none", "MNIST", "noisy-inliers"]
    command = [sys.executable, str(script), str(root), str(work), str(out), *kinds]
    process = subprocess.Popen(command)

    def epochs_done() -> int:
        files = work.glob("*.training.safetensors")
        return sum(len(read_safetensors(file, CHECKPOINT)[1]["history"]) for file in files)

    try:
        deadline = time.monotonic() + 180
        while epochs_done() < 6:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()  # the parent alone, with no time to tell its workers
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive, "workers that nobody waits for"
    finally:
        process.kill()
        process.wait()
    before = epochs_done()
    assert 6 <= before < 120 and not (out / "runs.csv").exists()

    planned = [Run("FashionMNIST", negatives=kind, **(SMALL | {"epochs": 40})) for kind in kinds]
    rows = reproduce(planned, root, work, out, workers=2, progress=False)
    assert not rows.duplicated([*RUN_FIELDS, "ood", "score"]).any()
    assert rows.groupby("negatives").size().to_dict() == dict.fromkeys(kinds, 6)
    table = experiments.epochs(out / "epochs.csv")
    assert table.groupby("negatives")["epoch"].apply(list).map(lambda found: found == list(range(1, 41))).all()


def test_a_killed_worker_ends_the_work_with_a_remedy_and_costs_no_row(root, tmp_path):
    planned = [Run("FashionMNIST", seed=seed, **(SMALL | {"epochs": 30})) for seed in range(3)]
    work, out = tmp_path / "work", tmp_path / "out"

    def kill_one() -> None:
        while not list(work.glob("*.training.safetensors")):
            time.sleep(0.01)
        trainings = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
        trainings[0].kill()

    killer = Thread(target=kill_one)
    killer.start()
    with pytest.raises(RuntimeError, match="a worker was killed, .* run the same again to go on"):
        reproduce(planned, root, work, out, workers=2, progress=False)
    killer.join()
    rows = reproduce(planned, root, work, out, workers=2, progress=False)
    assert set(experiments._as_runs(rows)) == set(planned)


def test_images_of_another_kind_never_share_a_table(carried_out, root, tmp_path):
    out, _, _ = carried_out
    other = tmp_path / "other images"
    shutil.copytree(root / "MNIST", other / "FashionMNIST")  # digits under the name of clothes
    copy = shutil.copytree(out, tmp_path / "out")
    before = (copy / "runs.csv").read_bytes()
    new = Run("FashionMNIST", negatives="uniform-noise", **SMALL)
    with pytest.raises(ValueError, match="has rows of other FashionMNIST images; write to another folder"):
        reproduce([new], other, tmp_path / "work", copy, progress=False)
    assert (copy / "runs.csv").read_bytes() == before and not (tmp_path / "work").exists()


def test_what_comes_with_the_library_is_enough_for_a_cell(tmp_path, monkeypatch):
    monkeypatch.setenv("NSVAE_DATA", str(tmp_path / "nothing here"))
    rows = reproduce([Run("FashionMNIST", **SMALL)], "sample", tmp_path / "work", tmp_path / "out", progress=False)
    assert set(rows["ood"]) == {"MNIST", "Glyphs"}
    assert rows["data"].str.contains("embedded sample: 60 of 60,000 train").all()
    with pytest.raises(FileNotFoundError, match="EMNIST-Letters"):
        reproduce([Run("EMNIST-Letters", **SMALL)], "sample", tmp_path / "work", tmp_path / "out", progress=False)


def test_progress_says_how_much_time_is_left(root, tmp_path, capfd):
    reproduce([Run("MNIST", **SMALL)], root, tmp_path / "work", tmp_path / "out")
    said = capfd.readouterr().err
    assert "2/2" in said and "epoch" in said and re.search(r"\[\d+:\d+<\d+:\d+", said)


def test_absent_images_are_named_before_anything_is_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="MNIST"):
        reproduce([Run("MNIST", **SMALL)], tmp_path / "empty", tmp_path / "work", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_run_that_nothing_can_be_scored_against_is_not_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "fit", lambda *_, **__: pytest.fail("has begun to train"))
    with pytest.raises(FileNotFoundError, match="no images to score SynthDigits models against: CIFAR10"):
        experiments.carry_out(Run("SynthDigits", **SMALL), "sample", tmp_path)


def test_workers_are_checked(tmp_path):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        reproduce([], workers=0)


@pytest.mark.parametrize("layout", ["torchvision", "npz"])
def test_sources_name_no_folder_of_this_machine(layout, tmp_path, monkeypatch):
    if layout == "torchvision":
        write_cifar("CIFAR10", tmp_path, monkeypatch)
    else:
        write_npz("CIFAR10", tmp_path, train_x=np.zeros((3, 32, 32, 3), np.uint8))
    source = experiments._load("CIFAR10", tmp_path).source
    assert source.startswith("CIFAR10, $NSVAE_DATA") and str(tmp_path) not in source


# --- tables ----------------------------------------------------------------------------------------


def test_rows_replace_those_of_the_same_key_and_new_columns_are_added(tmp_path):
    path = tmp_path / "table.csv"
    write_rows([{"a": "x", "b": 1.5, "value": 1}, {"a": "y", "b": 2.0, "value": 2}], path, ["a", "b"])
    write_rows([{"a": "x", "b": 1.5, "value": 3, "more": 0.5}], path, ["a", "b"])
    table = pd.read_csv(path)
    assert table["value"].tolist() == [2, 3]
    assert table["more"].isna().tolist() == [True, False]


def test_tables_from_before_a_field_existed(tmp_path):
    path = tmp_path / "runs.csv"
    run = asdict(Run("MNIST")) | {"ood": "KMNIST", "score": "kl", "auroc": 0.5, "data_sha256": "", "commit": ""}
    older = {name: value for name, value in run.items() if name not in experiments.USUAL or name == "optimizer"}
    write_rows([older], path, ["inlier", "ood", "score"])
    assert set(experiments.USUAL) - set(pd.read_csv(path)) == set(experiments.USUAL) - {"optimizer"}
    assert experiments._as_runs(experiments.results(path)) == [Run("MNIST")]

    key = [*RUN_FIELDS, "ood", "score"]
    write_rows([run | {"auroc": 0.6}, run | {"latent_dim": 2, "auroc": 0.7}], path, key)
    write_rows([older | {"auroc": 0.8}], path, key)
    table = experiments.results(path, choices=True).set_index("latent_dim")
    assert table["auroc"].to_dict() == {2: 0.7, 0: 0.8}
    assert experiments.results(path)["auroc"].tolist() == [0.8]


def test_a_failed_write_leaves_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_rows([{"a": 1}], path, ["a"])

    def fail(self, target, index):
        target.write_text("half of")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        write_rows([{"a": 2}], path, ["a"])
    assert path.read_text() == "a\n1\n"
    assert [file for file in tmp_path.iterdir() if file.suffix != ".lock"] == [path]


def test_processes_that_write_to_one_table_lose_no_rows(tmp_path):
    path = tmp_path / "table.csv"
    program = """
import sys, time
from pathlib import Path
from nsvae_lib.experiments import write_rows

path, who = Path(sys.argv[1]), sys.argv[2]
path.with_name(f"{who}.ready").touch()
while len(list(path.parent.glob("*.ready"))) < 2:
    time.sleep(0.01)
for i in range(100):
    write_rows([{"who": who, "i": i}], path, ["who", "i"])
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, path, who]) for who in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    assert sorted(map(tuple, pd.read_csv(path).to_numpy())) == [(who, i) for who in "ab" for i in range(100)]


def test_the_tables_in_the_package_are_sound():
    table = experiments.results(choices=True)
    for column in ("data", "negative_data", "inlier_source", "ood_source"):
        # Folders of one machine say nothing on another.
        assert not table[column].str.contains(r"(?:^|[ '])[~/]", regex=True).any()
    assert table["auroc"].between(0, 1).all() and (table["inlier"] != table["ood"]).all()
    assert not table.duplicated([*RUN_FIELDS, "ood", "score"]).any()
    assert not experiments.epochs(choices=True).duplicated([*RUN_FIELDS, "epoch"]).any()


# --- command ---------------------------------------------------------------------------------------


def test_what_a_command_leaves_out_is_as_the_runs_have_it(monkeypatch, tmp_path):
    planned = []
    monkeypatch.setattr(
        experiments, "reproduce", lambda *arguments, **_: planned.extend(arguments[0]) or pd.DataFrame()
    )
    arguments = ["reproduce", "choices-preset", "--n-train", "50", "--epochs", "1"]
    for more in ([], ["--preset", "light", "--lr", "0.5"]):
        assert CliRunner().invoke(cli.app, [*arguments, *more]).exit_code == 0
    listed, set_by_hand = set(planned[:6]), set(planned[6:])
    assert listed == set(runs("choices-preset", n_train=50, epochs=1))
    assert {(run.preset, run.lr) for run in set_by_hand} == {("light", 0.5)}


def test_reproduce_command(carried_out, root, tmp_path):
    out, _, _ = carried_out
    copy = shutil.copytree(out, tmp_path / "out")
    options = [
        "--n-train",
        "60",
        "--epochs",
        "2",
        "--root",
        str(root),
        "--out",
        str(copy),
        "--work",
        str(copy / "work"),
    ]
    result = CliRunner().invoke(cli.app, ["reproduce", "III", *options])
    assert result.exit_code == 0, result.output
    assert "FashionMNIST bernoulli uniform-noise shift 8 seed 0 against MNIST: AUROC kl" in result.output
    one = CliRunner().invoke(cli.app, ["reproduce", "III", "--negatives", "uniform-noise", *options])
    assert "uniform-noise" in one.output and "noisy-inliers" not in one.output
    none = CliRunner().invoke(cli.app, ["reproduce", "III", "--inlier", "MNIST", *options])
    assert none.exit_code == 2 and "none of the runs of III is of this kind" in none.output
    unknown = CliRunner().invoke(cli.app, ["reproduce", "IX", *options])
    assert unknown.exit_code == 2 and "known: I, " in unknown.output


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"n_train": 10**7}, "n_train=10,000,000, but"),
        ({"negatives": "gnomes"}, "unknown negatives 'gnomes'"),
        ({"negatives": "CIFAR10"}, "CIFAR10 is not in"),
    ],
)
def test_what_is_wrong_with_a_later_run_is_found_before_the_first(second, message, root, tmp_path):
    planned = [Run("FashionMNIST", **SMALL), Run("FashionMNIST", **(SMALL | second))]
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        reproduce(planned, root, tmp_path / "work", tmp_path / "out", progress=False)
    assert not (tmp_path / "work").exists()


def test_the_commit_is_that_of_the_librarys_own_repository(tmp_path, monkeypatch):
    """Installed in an environment inside somebody else's repository it has none."""
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path, *command], check=True)
    (tmp_path / "installed.py").touch()
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "installed.py"))
    assert experiments._commit() == ""
    subprocess.run(["git", "-C", tmp_path, "add", "installed.py"], check=True)
    assert re.fullmatch("[0-9a-f]{7,40}\\+", experiments._commit())
