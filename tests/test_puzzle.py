"""The front page says what the model says."""

import re

import pytest
from PIL import Image

from nsvae_lib import auroc
from tools import puzzle, toc

PAGE = (toc.ROOT / "book" / "index.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made() -> puzzle.Puzzle:
    return puzzle.make_puzzle()


def test_the_page_names_the_ranking_and_its_ends(made):
    order = made.ranking
    first_row, second_row = (", ".join(row) for row in (order[:4], order[4:]))
    assert f"the order {first_row} in the first row and {second_row} in the second" in PAGE
    assert f"It is {order[0]}," in PAGE
    low, high = made.bpd.min().item(), made.bpd.max().item()
    assert f"The one costs {low:.2f} bits per dimension, the pullover {high:.2f}" in PAGE


def test_digits_win_in_about_two_of_three_pairs(made):
    assert [len(scores) for scores in made.all_bpd.values()] == [2000, 2000]
    assert 0.60 < 1 - auroc(made.all_bpd["FashionMNIST"], made.all_bpd["MNIST"]) < 0.70


def test_pictures_are_written_where_the_page_looks_for_them(tmp_path):
    written = {path.name for path in puzzle.write(tmp_path)}
    assert written - {"card.png"} == set(re.findall(r"images/(\w+\.png)", PAGE))
    assert written == {path.name for place in ("puzzle*.png", "card.png") for path in puzzle.IMAGES.glob(place)}


def test_the_card_has_the_size_that_other_sites_want():
    assert Image.open(puzzle.IMAGES / "card.png").size == (1200, 630)
