"""The pictures of the appendix on data sets, from what the library carries: the samples and the rendered sets.

python -m tools.datasets    write book/images/datasets_*.png
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from nsvae_lib import ImageData, load, plots
from tools import toc

IMAGES = toc.ROOT / "book" / "images"


def by_class(data: ImageData, rows: int) -> Tensor:
    """The first `rows` test images of each class, uint8 `[rows * classes, C, H, W]`: a column for each class."""
    assert data.test_labels is not None
    order = data.test_labels.argsort(stable=True)
    firsts = torch.bincount(data.test_labels).cumsum(0).roll(1)
    firsts[0] = 0
    return data.test[order[(firsts + torch.arange(rows)[:, None]).flatten()]]


def figures() -> dict[str, Figure]:
    """File name -> figure: the embedded samples, the rendered letters, the rendered digits."""
    samples = [by_class(load(name, sample=True), rows=3) for name in ("MNIST", "FashionMNIST")]
    letters = by_class(load("Glyphs", n_train=0), rows=3)
    return {
        "datasets_samples.png": plots.image_grid(
            torch.cat(samples), columns=10, row_labels=["MNIST", "", "", "FashionMNIST", "", ""]
        ),
        "datasets_glyphs.png": plots.image_grid(
            letters.unflatten(0, (3, 2, 13)).transpose(0, 1).flatten(0, 2), columns=13
        ),
        "datasets_synth_digits.png": plots.image_grid(by_class(load("SynthDigits", n_train=0), rows=3), columns=10),
    }


def write(folder: Path = IMAGES) -> list[Path]:
    """Draw the pictures into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, fig in figures().items():
        # Without the version stamp, the same picture is the same file under any matplotlib.
        fig.savefig(folder / name, dpi=120, bbox_inches="tight", metadata={"Software": None})
    return sorted(folder.glob("datasets_*.png"))


if __name__ == "__main__":
    for path in write():
        print(f"written: {path.relative_to(toc.ROOT)}")
