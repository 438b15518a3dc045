"""Every exercise has a solution, and every solution runs in the namespace of its chapter."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from tools import toc

SOLUTION = re.compile(r"<details>\s*<summary>[^<]*Solution[^<]*</summary>(.*?)</details>", re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXERCISE = re.compile(r"^(?:#+\s*|\*\*)Exercise \d", re.MULTILINE)


def markdown(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def solutions(notebook: NotebookNode) -> list[str]:
    """The Python code of each solution, in the order of the page."""
    return ["\n".join(CODE.findall(text)) for text in SOLUTION.findall(markdown(notebook))]


def checks_something(code: str) -> bool:
    asserts = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assert)]
    return any(not isinstance(node.test, ast.Constant) for node in asserts)


# Appendices are for looking things up: they have no exercises.
CHAPTERS = [path for path in toc.notebooks() if not path.stem.startswith("appendix_")]


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request) -> NotebookNode:
    return nbformat.read(request.param, as_version=4)


def test_every_exercise_has_a_solution_that_checks_itself(chapter: NotebookNode):
    found = solutions(chapter)
    assert 3 <= len(found) <= 5
    assert len(found) == len(EXERCISE.findall(markdown(chapter)))
    for code in found:
        assert checks_something(code), f"a solution without an assert:\n{code}"


def test_solutions_run_after_their_chapter(chapter: NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NSVAE_PROFILE", "smoke")
    chapter.cells += [nbformat.v4.new_code_cell(code) for code in solutions(chapter)]
    # An empty folder, as for a reader who has the notebook alone.
    NotebookClient(
        chapter, kernel_name="python3", timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()


@pytest.mark.parametrize(
    ("code", "expected"),
    [("assert x == 1", True), ("assert True", False), ("print('assert x')", False)],
    ids=["checks", "constant", "none"],
)
def test_an_assert_that_cannot_fail_does_not_count(code: str, expected: bool):
    assert checks_something(code) is expected
