"""Support for the chapters: profiles, figures with alternative text, library source on the page.

Of the library only the widgets use this module; no others need IPython.
"""

import ast
import inspect
import io
import os
import textwrap
from base64 import b64encode
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure

PROFILES = ("smoke", "standard", "paper")


def settings(
    profile: str | None = None,
    *,
    smoke: dict[str, Any],
    standard: dict[str, Any],
    paper: dict[str, Any],
) -> SimpleNamespace:
    """The sizes and budgets that a chapter runs with.

    Args:
        profile: "smoke" (under a minute, for tests), "standard" (what the committed outputs show) or
            "paper" (the paper's budgets, for a GPU). None takes the environment variable
            NSVAE_PROFILE, and "standard" where that is unset or empty.
        smoke, standard, paper: the values of each profile, all with the same names.

    Returns:
        The chosen values as attributes, and the profile's name as ``.profile``.

    Raises:
        ValueError: for an unknown profile, or where the three profiles do not name the same values.
    """
    choices = {"smoke": smoke, "standard": standard, "paper": paper}
    chosen = profile or os.environ.get("NSVAE_PROFILE") or "standard"
    if chosen not in choices:
        raise ValueError(
            f"unknown profile {chosen!r}: expected one of {', '.join(PROFILES)}. "
            "Set it in the chapter's parameters cell or in the environment variable NSVAE_PROFILE."
        )
    for name, values in choices.items():
        if different := values.keys() ^ standard.keys():
            raise ValueError(
                f"profile {name!r} and profile 'standard' must name the same values; "
                f"only one of them has {', '.join(sorted(different))}."
            )
    return SimpleNamespace(profile=chosen, **choices[chosen])


def show(fig: Figure, alt: str) -> None:
    """Display a figure once, as a PNG that carries its alternative text, and close it.

    Args:
        fig: a matplotlib figure.
        alt: what the picture shows, in a sentence or two, for readers who cannot see it. It is kept in
            the output's metadata, under ``{"image/png": {"alt": ...}}``.

    Raises:
        ValueError: if the alternative text is empty.
    """
    if not alt.strip():
        raise ValueError("a figure needs alternative text: say in a sentence what it shows. Received an empty one.")
    # No text/plain beside the picture: alternative text may quote measured figures, which a strict
    # comparison of notebooks (nbval) would then hold to the last digit.
    display({"image/png": png(fig)}, metadata={"image/png": {"alt": alt}}, raw=True)


def png(fig: Figure) -> str:
    """A figure as a PNG in base64; it is closed."""
    file = io.BytesIO()
    # Without the version stamp, the same picture is the same file under any matplotlib.
    fig.savefig(file, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None})
    plt.close(fig)
    return b64encode(file.getvalue()).decode()


def show_source(*objects: Any) -> None:
    """Display the source of library objects, docstrings left out, as one highlighted block.

    Args:
        objects: functions, methods, properties or classes, in the order of display.

    Raises:
        TypeError: for an object that has no Python source, such as a number or a dictionary.
    """
    lines: list[str] = []
    previous = None
    for item in objects:
        # A property or a cached function hides the function that was written in the file.
        item = inspect.unwrap(getattr(item, "fget", item))
        try:
            file, source = inspect.getsourcefile(item), inspect.getsource(item)
        except TypeError as error:
            raise TypeError(
                f"show_source needs functions, methods, properties or classes; received {item!r}."
            ) from error
        if file != previous:
            lines.append(f"# {_short_path(file)}")
        lines += [_without_docstrings(textwrap.dedent(source)).strip("\n"), "", ""]
        previous = file
    text = "\n".join(lines).rstrip("\n")
    display({"text/markdown": f"```python\n{text}\n```"}, raw=True)


def _short_path(file: str | None) -> str:
    """A library file as the reader finds it in the repository, with no folder of this machine."""
    path = Path(file or "<unknown>")
    package = Path(__file__).parent
    return path.relative_to(package.parent).as_posix() if package in path.parents else path.name


def _without_docstrings(source: str) -> str:
    lines = source.splitlines()
    doomed: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node) is None:
            continue
        docstring = node.body[0]
        first, last = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        if len(node.body) == 1:
            # The docstring was the whole body; a body is still needed to read as Python.
            lines[first] = " " * docstring.col_offset + "..."
            first += 1
        elif last < len(lines) and not lines[last].strip():
            last += 1
        doomed.update(range(first, last))
    return "\n".join(line for number, line in enumerate(lines) if number not in doomed)
