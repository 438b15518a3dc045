"""The appendix on data sets and its pictures."""

import re

import torch

from nsvae_lib.data import ImageData, load
from nsvae_lib.files import SETS, has_sample
from tools import datasets, toc

PAGE = (toc.ROOT / "book" / "appendix_datasets.md").read_text()


def test_the_table_has_every_set_with_its_shape_and_sizes():
    table = PAGE[PAGE.index("| name |") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert [row[0] for row in rows] == list(SETS)
    for name, shape, train, test, without_network in rows:
        known = SETS[name]
        assert shape == "×".join(map(str, known.shape))
        assert (train, test) == (f"{known.sizes[0]:,}", f"{known.sizes[1]:,}")
        if has_sample(name):
            assert without_network == "6,000 + 2,000"
        else:
            assert without_network == ("" if known.files else "all")


def test_pictures_have_a_column_for_each_class():
    labels = torch.tensor([2, 0, 1, 1, 2, 0, 2, 1, 0])
    images = torch.arange(9, dtype=torch.uint8).reshape(9, 1, 1, 1)
    data = ImageData("nine", images[:0], images, None, labels, "nine numbered images")
    assert datasets.by_class(data, rows=2).flatten().tolist() == [1, 2, 0, 5, 3, 4]


def test_the_pictures_of_the_page(tmp_path):
    shown = set(re.findall(r"\{image\} images/(datasets_\w+\.png)", PAGE))
    drawn = datasets.write(tmp_path)
    assert {path.name for path in drawn} == shown
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG") and (toc.ROOT / "book" / "images" / path.name).is_file()


def test_what_the_page_says_of_mnist():
    assert 0.79 < (load("MNIST", sample=True).train == 0).float().mean() < 0.82  # "four pixels in five are exactly 0"
