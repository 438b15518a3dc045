"""What `pytest --nbval` needs to run the chapters: the small profile, this Python, and a count at the end."""

import os

import nbformat
import pytest

from tools import notebooks, toc

# Kernels inherit these. The chapters' printed text must hold at any profile; smoke is the quick one.
os.environ.setdefault("NSVAE_PROFILE", "smoke")
os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--colab", choices=["some", "all"], default="some", help="chapters for tests/test_colab.py")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("nbval", False):
        # A kernel installed by the user under the name python3 could be another Python.
        config.option.nbval_current_env = True
        # On a busy machine importing IPython alone may take a minute.
        config.option.nbval_kernel_startup_timeout = max(180, config.option.nbval_kernel_startup_timeout)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        chapter = item.parent
        # Warnings and progress bars hold on one machine only; committed chapters carry none of them. What describes a
        # widget holds trained figures, as pictures do, which are left out too.
        if hasattr(chapter, "skip_compare") and "stderr" not in chapter.skip_compare:
            chapter.skip_compare += ("stderr", notebooks.WIDGET)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("nbval", False):
        return
    terminalreporter.section("notebook cells that print text")
    for chapter in toc.notebooks():
        cells = notebooks.comparison(nbformat.read(chapter, as_version=4))
        terminalreporter.write_line(
            f"{chapter.stem}: {cells.compared} of {cells.printing} compared ({cells.share:.0%}), "
            f"{len(cells.ignored)} ignored{': ' if cells.ignored else ''}{'; '.join(cells.ignored)}"
        )
