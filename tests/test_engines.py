"""Work that ends before its time: an item that fails, and a Ray cluster of two nodes, one of which is lost."""

import os
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from nsvae_lib import engines, experiments
from nsvae_lib.experiments import RUN_FIELDS, Run, reproduce

SIZES = {"n_train": 60, "epochs": 30, "n_test": 30}


@pytest.fixture(scope="module")
def cluster():
    """A head and one more node, on this machine, with room for one task each."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'nsvae_lib[cluster]'")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        try:
            cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
            second = cluster.add_node(**node)
            ray.init(cluster.address, log_to_driver=False)
        except Exception as error:  # no shared memory, no local network: nothing of ours
            pytest.skip(f"Ray does not start on this machine: {error!r}")
        yield cluster, second
        ray.shutdown()
        cluster.shutdown()


def test_a_lost_node_costs_no_row_and_doubles_none(cluster, root, tmp_path):
    planned = [Run("FashionMNIST", negatives="MNIST", seed=seed, **SIZES) for seed in range(4)]
    work, machines = tmp_path / "work", cluster

    def kill_when_both_are_busy() -> None:
        deadline = time.monotonic() + 180
        while len(list(work.glob("*.training.safetensors"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        machines[0].remove_node(machines[1], allow_graceful=False)
        killed.append(len(list(work.glob("*.training.safetensors"))))

    killed: list[int] = []
    killer = Thread(target=kill_when_both_are_busy)
    killer.start()
    rows = reproduce(planned, root, work, tmp_path, progress=False, engine="ray")
    killer.join()
    assert killed and killed[0] < len(planned)
    assert not rows.duplicated([*RUN_FIELDS, "ood", "score"]).any()
    assert set(experiments._as_runs(rows)) == set(planned)
    assert rows.groupby("seed").size().nunique() == 1
    epochs = experiments.epochs(tmp_path / "epochs.csv")
    assert epochs.groupby("seed")["epoch"].apply(list).map(lambda found: found == list(range(1, 31))).all()


def leave_a_mark(path: Path) -> str:
    if path.name == "fails":
        raise ValueError("this one fails")
    time.sleep(0.3)
    path.touch()
    return path.name


@pytest.mark.parametrize("ends", ["an item fails", "nobody asks for more"])
def test_work_that_ends_early_begins_no_other_item(ends, tmp_path):
    items = [tmp_path / name for name in ("fails" if ends == "an item fails" else "first", *map(str, range(40)))]
    results = engines.on_processes(leave_a_mark, items, workers=2, progressed=lambda steps: None)
    if ends == "an item fails":
        with pytest.raises(ValueError, match="this one fails"):
            list(results)
    else:
        next(results)
        results.close()
    marks = len(list(tmp_path.iterdir()))
    assert marks < 30
    time.sleep(1)
    assert len(list(tmp_path.iterdir())) == marks


def test_without_a_share_of_a_gpu_ray_hides_them(cluster):
    assert list(engines.on_ray(os.getenv, ["CUDA_VISIBLE_DEVICES"])) == [("CUDA_VISIBLE_DEVICES", "")]


def test_unknown_engine_lists_the_known(tmp_path):
    with pytest.raises(ValueError, match="unknown engine 'clouds'; known: processes, ray"):
        reproduce([], out=tmp_path, engine="clouds")


def test_without_ray_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'nsvae_lib\[cluster\]'"):
        list(engines.on_ray(abs, [1]))
