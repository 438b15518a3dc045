"""The pictures of the front page: which images does a model trained on clothes find likely?

python -m tools.puzzle    write book/images/puzzle*.png, and card.png, which other sites show beside a link
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from nsvae_lib import load, plots, pretrained, score
from tools import toc

IMAGES = toc.ROOT / "book" / "images"
SETS = ("FashionMNIST", "MNIST")
LETTERS = "ABCDEFGH"
TITLE = "Negative sampling\nin variational autoencoders"
QUESTION = "A model has learnt from 60,000 pictures of clothes.\nWhich of these does it find the most likely?"


@dataclass(frozen=True)
class Puzzle:
    """Eight pictures, clothes and digits in turn, as a model trained on clothes sees them.

    images: uint8 [8, 1, 28, 28]: the first four test images of each set in the fixed order, chosen by nobody.
    bpd: their bits per dimension [8]; lower = more likely.
    all_bpd: bits per dimension of every test image of each set in the embedded sample.
    """

    images: Tensor
    bpd: Tensor
    all_bpd: dict[str, Tensor]

    @property
    def ranking(self) -> str:
        """The letters of the pictures, the most likely picture first."""
        return "".join(LETTERS[i] for i in self.bpd.argsort().tolist())


def make_puzzle() -> Puzzle:
    """Score the embedded test images with the shipped Bernoulli model trained on Fashion-MNIST."""
    vae = pretrained("FashionMNIST", "bernoulli", device="cpu")
    images = {name: load(name, sample=True).test for name in SETS}
    all_bpd = {name: score(vae, x, ("bpd",))["bpd"] for name, x in images.items()}
    in_turn = [torch.stack([values[name][:4] for name in SETS], dim=1).flatten(0, 1) for values in (images, all_bpd)]
    return Puzzle(in_turn[0], in_turn[1], all_bpd)


def figures(puzzle: Puzzle) -> dict[str, Figure]:
    """File name -> figure: the question, the same pictures from most to least likely, all test images."""
    order = puzzle.bpd.argsort()
    ranked = [f"{LETTERS[i]}: {puzzle.bpd[i]:.2f}" for i in order.tolist()]
    labelled = {"clothes (Fashion-MNIST)": puzzle.all_bpd["FashionMNIST"], "digits (MNIST)": puzzle.all_bpd["MNIST"]}
    return {
        "puzzle_question.png": plots.image_grid(puzzle.images, columns=4, titles=list(LETTERS)),
        "puzzle_answer.png": plots.image_grid(puzzle.images[order], columns=4, titles=ranked),
        "puzzle.png": plots.score_histograms(labelled, "bits per dimension (further left: more likely)"),
    }


def card(puzzle: Puzzle) -> Figure:
    """Title and question for a link to the book, 10 by 5.25 inches: 1,200 by 630 pixels."""
    fig = Figure(figsize=(10, 5.25), facecolor="white")
    fig.text(0.05, 0.93, TITLE, fontsize=29, fontweight="bold", va="top", color="#12305c", linespacing=1.25)
    fig.text(0.05, 0.605, QUESTION, fontsize=19, va="top", color="#333333", linespacing=1.35)
    for i, image in enumerate(puzzle.images):
        ax = fig.add_axes((0.05 + i * 0.1145, 0.09, 0.1, 0.1 * 10 / 5.25))
        ax.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=255)
        ax.set_axis_off()
    return fig


def write(folder: Path = IMAGES) -> list[Path]:
    """Draw the pictures into `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    puzzle = make_puzzle()
    written = [folder / "card.png"]
    card(puzzle).savefig(written[0], dpi=120, metadata={"Software": None})
    for name, fig in figures(puzzle).items():
        # Without the version stamp, the same picture is the same file under any matplotlib.
        fig.savefig(folder / name, dpi=120, bbox_inches="tight", metadata={"Software": None})
        written.append(folder / name)
    return written


if __name__ == "__main__":
    for path in write():
        print(f"written: {path.relative_to(toc.ROOT)}")
