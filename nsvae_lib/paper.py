"""The paper's printed numbers, to lay beside one's own. See chapter 3."""

from importlib.resources import files

import pandas as pd


def tables() -> pd.DataFrame:
    """Tables I, II and III of the paper, one row per printed cell: 106 rows.

    Source: Csiszárik, Benkő and Varga, "Negative sampling in variational autoencoders", 2022.

    Returns:
        Columns `table` ("I": grey images, "II": colour images, "III": sources of negatives), `score` ("bpd" or "kl"),
        `inlier`, `ood` (names of image sets), `noise` (see `noise.NOISE_MODELS`), `negatives` ("none": the baseline,
        "auxiliary", "adversarial", in Table III also their source), and `mean`, `std`: AUROC in [0, 1] over 10 runs.
        Table III does not print its noise model; its baseline equals the Bernoulli rows of Table I, so it stands as
        "bernoulli".
    """
    with (files("nsvae_lib") / "assets" / "paper" / "tables.csv").open() as file:
        return pd.read_csv(file)
