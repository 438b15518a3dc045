"""The pages of the book, as _toc.yml lists them."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
NOTEBOOK, PAGE = ".ipynb", ".md"


class MissingPageError(FileNotFoundError):
    """_toc.yml lists a page that is not there, or that is there twice."""


def documents(root: Path = ROOT) -> list[str]:
    """Document names in reading order, relative to the root and without suffix."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [entry for part in toc["parts"] for entry in part["chapters"]]
    return [toc["root"], *(entry["file"] for entry in chapters)]


def pages(root: Path = ROOT) -> list[Path]:
    """The file behind each document, in reading order.

    Raises:
        MissingPageError: if a document has no file, or both a notebook and a Markdown page.
    """
    found = []
    for document in documents(root):
        files = [file for suffix in (NOTEBOOK, PAGE) if (file := root / (document + suffix)).is_file()]
        if len(files) != 1:
            received = "both of them are there" if files else "neither is there"
            raise MissingPageError(
                f"_toc.yml lists {document}: expected {document}{NOTEBOOK} or {document}{PAGE}; {received}."
            )
        found += files
    return found


def notebooks(root: Path = ROOT) -> list[Path]:
    """The chapters that are notebooks, in reading order."""
    return [page for page in pages(root) if page.suffix == NOTEBOOK]
