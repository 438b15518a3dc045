"""The paper's tables: every printed cell is there, and is what the paper prints."""

import pytest

from nsvae_lib.data import canonical_name
from nsvae_lib.noise import NOISE_MODELS
from nsvae_lib.paper import tables
from nsvae_lib.scores import SCORES

KEY = ["table", "score", "inlier", "ood", "noise", "negatives"]
CELLS = [
    ("I", "bpd", "FashionMNIST", "MNIST", "bernoulli", "none", 0.46, 0.05),
    ("I", "bpd", "FashionMNIST", "MNIST", "gaussian", "none", 0.98, 0.00),
    ("I", "kl", "FashionMNIST", "MNIST", "gaussian", "none", 0.26, 0.03),
    ("I", "bpd", "EMNIST-Letters", "MNIST", "gaussian", "auxiliary", 0.58, 0.20),
    ("I", "kl", "EMNIST-Letters", "MNIST", "gaussian", "adversarial", 0.64, 0.04),
    ("II", "bpd", "CIFAR10", "SVHN", "gaussian", "none", 0.25, 0.02),
    ("II", "kl", "SVHN", "CIFAR10", "gaussian", "adversarial", 0.74, 0.11),
    ("III", "kl", "FashionMNIST", "MNIST", "bernoulli", "inlier+gaussian-noise", 0.70, 0.09),
]


def test_every_cell_once():
    table = tables()
    assert list(table.columns) == [*KEY, "mean", "std"]
    assert table.groupby("table").size().to_dict() == {"I": 72, "II": 24, "III": 10}
    assert not table.duplicated(KEY).any()


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(cell[:6]))
def test_cell_is_as_printed(cell):
    row = tables().set_index(KEY).loc[cell[:6]]
    assert (row["mean"], row["std"]) == cell[6:]


def test_tables_speak_the_library_s_language():
    table = tables()
    assert table["mean"].between(0, 1).all() and table["std"].between(0, 0.5).all()
    assert {canonical_name(name) for name in (*table["inlier"], *table["ood"])} == {*table["inlier"], *table["ood"]}
    assert set(table["noise"]) <= NOISE_MODELS.keys() and set(table["score"]) <= set(SCORES)
