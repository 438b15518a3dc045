"""The form of a committed chapter: what it must have, and what running it leaves behind.

    python -m tools.notebooks check [FILE ...]     report what is wrong
    python -m tools.notebooks clean [FILE ...]     remove what running left behind
    python -m tools.notebooks setup [FILE ...]     write badge and set-up cell

Without files, all chapters of _toc.yml.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output

from tools import repository, toc

IGNORE = "nbval-ignore-output"
# Tags that take a cell out of the comparison; each wants its reason beside it.
EXEMPTING = {IGNORE, "nbval-skip", "raises-exception"}
# Tags that papermill adds to cells of its own.
INJECTED = {"injected-parameters", "papermill-error-cell-tag"}
# Comments that would exempt a cell with no reason given.
EXEMPTING_COMMENT = re.compile(r"^\s*#+\s*(NBVAL_\w+|PYTEST_VALIDATE_IGNORE_OUTPUT)\s*$", re.MULTILINE)
# Folders that exist on one machine only; what follows is the rest of the path.
MACHINE_FOLDERS = [
    "/home/",
    "/Users/",
    "/root/",
    "/tmp/",
    "/var/folders/",
    r"C:\Users",
    str(Path.home()),
    str(toc.ROOT),
]
MACHINE_PATH = re.compile(rf"(?:{'|'.join(map(re.escape, MACHINE_FOLDERS))})[^\s'\"]*")
CELL_METADATA = ("tags", "nbval_reason", "mystnb", "jupyter")
LIVE_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET = "application/vnd.nsvae.widget+json"  # as in nsvae_lib.widgets.base, which imports torch
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
BADGE = re.compile(r"^\[!?\[?Open in Colab\].*$", re.MULTILINE)
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
SETUP = """\
# On Colab, or with this notebook alone in a folder, this installs the library.
import importlib.util

if importlib.util.find_spec("nsvae_lib"):
    print("nsvae_lib is here: nothing to install.")
else:
    %pip install -q git+{url}
    import nsvae_lib
    print("Installed nsvae_lib; no restart is needed.")"""
SETUP_PRINTS = "nsvae_lib is here: nothing to install.\n"


def badge(name: str) -> str:
    """The line below the title of the chapter with this name, such as "01_elbo"."""
    return f"[![Open in Colab]({BADGE_IMAGE})]({repository.stated().colab(f'book/{name}')})"


def setup_cell() -> NotebookNode:
    """The first code cell of every chapter, as it leaves an installed library."""
    return new_code_cell(
        SETUP.format(url=repository.stated().url),
        execution_count=1,
        outputs=[new_output("stream", name="stdout", text=SETUP_PRINTS)],
    )


def set_up(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook with the badge below its title and the set-up cell as its first code cell."""
    notebook = nbformat.from_dict(notebook)
    title = notebook.cells[0]
    if BADGE.search(title.source):
        title.source = BADGE.sub(lambda _: badge(name), title.source, count=1)
    else:
        heading, *rest = title.source.split("\n", 1)
        title.source = "\n".join([heading, "", badge(name), *rest])
    cell = setup_cell()
    first = next(n for n, old in enumerate(notebook.cells) if old.cell_type == "code")
    old = notebook.cells[first]
    if "find_spec(" in old.source:
        cell.id = old.id
        notebook.cells[first] = cell
    else:
        notebook.cells.insert(first, cell)
    return notebook


def clean(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what running it left behind: papermill's cells and metadata, timestamps,
    versions of the machine, progress bars and warnings (stderr), and live views, which are gone with their kernel:
    what a widget shows without one is beside them in its output."""
    notebook = nbformat.from_dict(notebook)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.cells = [cell for cell in notebook.cells if not INJECTED & set(tags(cell))]
    run = 0
    for cell in notebook.cells:
        kept = {name: cell.metadata[name] for name in CELL_METADATA if cell.metadata.get(name)}
        cell.metadata = nbformat.from_dict(kept)
        if cell.cell_type != "code":
            continue
        # Papermill's own cells, now gone, had numbers too.
        if cell.execution_count is not None:
            run += 1
            cell.execution_count = run
        cell.outputs = _quiet(cell.outputs, cell.execution_count)
    return notebook


def _quiet(outputs: list[NotebookNode], execution_count: int | None) -> list[NotebookNode]:
    """Outputs without stderr; neighbouring pieces of standard output become one."""
    quiet: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if output.output_type == "stream" and quiet and quiet[-1].output_type == "stream":
            quiet[-1].text += output.text
            continue
        if output.output_type == "execute_result":
            output.execution_count = execution_count
        output.get("data", {}).pop(LIVE_VIEW, None)
        quiet.append(output)
    return quiet


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def problems(notebook: NotebookNode, name: str) -> Iterator[str]:
    """What keeps the notebook from being the chapter with this name, one readable line each."""
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        yield f"not a valid notebook: {str(error).splitlines()[0]}"
        return
    if (notebook.nbformat, notebook.nbformat_minor) < (4, 5):
        yield f"format {notebook.nbformat}.{notebook.nbformat_minor}: expected 4.5 or later (cells with ids)"
    if badge(name) not in notebook.cells[0].source.splitlines():
        yield f"no badge below its title, or another's: expected {badge(name)}: run make format"
    first = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if first is None or (first.source, first.outputs) != (setup_cell().source, setup_cell().outputs):
        yield "its first code cell is not the set-up cell of all chapters: run make format"
    parameters = sum("parameters" in tags(cell) for cell in notebook.cells)
    if parameters != 1:
        yield f"{parameters} cells tagged 'parameters': expected exactly one"
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        yield "not executed from top to bottom in one go: run make refresh"
    if notebook != clean(notebook):
        yield "carries traces of a run (papermill or machine metadata, stderr, pieces of streams): run make format"
    for number, cell in enumerate(notebook.cells):
        for problem in _cell_problems(cell):
            first_line = cell.source.strip().split("\n")[0][:60]
            yield f"cell {number} ({first_line!r}): {problem}"


def _cell_problems(cell: NotebookNode) -> Iterator[str]:
    for path in sorted(set(MACHINE_PATH.findall(_text(cell)))):
        yield f"a path of one machine, {path}"
    if injected := INJECTED & set(tags(cell)):
        yield f"left behind by papermill ({', '.join(sorted(injected))})"
    if cell.cell_type != "code":
        return
    exempt = EXEMPTING & set(tags(cell))
    reason = str(cell.metadata.get("nbval_reason", "")).strip()
    if exempt and not reason:
        yield f"tagged {', '.join(sorted(exempt))} without its reason in the cell's metadata, 'nbval_reason'"
    if reason and not exempt:
        yield f"gives a reason (nbval_reason) but has none of the tags {', '.join(sorted(EXEMPTING))}"
    if EXEMPTING_COMMENT.search(cell.source):
        yield "an nbval comment: use the tag and give its reason in the cell's metadata, 'nbval_reason'"
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"its output is an error, {output.ename}: {output.evalue}"
        for mime in output.get("data", {}):
            if mime.startswith("image/") and not output.metadata.get(mime, {}).get("alt", "").strip():
                yield f"an {mime} output without alternative text: display it with nsvae_lib.book.show"


def _text(cell: NotebookNode) -> str:
    """Everything of a cell that a reader reads."""
    parts = [cell.source]
    for output in cell.get("outputs", []):
        parts.append(output.get("text", ""))
        parts += [str(value) for mime, value in output.get("data", {}).items() if mime.startswith("text/")]
    return "\n".join(parts)


@dataclass(frozen=True)
class Comparison:
    """How many of a notebook's cells that print text nbval compares, and why it leaves out the rest."""

    compared: int
    ignored: tuple[str, ...]

    @property
    def printing(self) -> int:
        return self.compared + len(self.ignored)

    @property
    def share(self) -> float:
        """Compared cells as a part of those that print text, in [0, 1]; 1 where none prints."""
        return self.compared / self.printing if self.printing else 1.0


def comparison(notebook: NotebookNode) -> Comparison:
    """Which cells that print text are compared with what a fresh run prints."""
    printing = [cell for cell in notebook.cells if cell.cell_type == "code" and _prints(cell)]
    ignored = [cell for cell in printing if EXEMPTING & set(tags(cell))]
    reasons = (str(cell.metadata.get("nbval_reason", "no reason given")) for cell in ignored)
    return Comparison(len(printing) - len(ignored), tuple(reasons))


def _prints(cell: NotebookNode) -> bool:
    """Whether a cell prints text. Figures and widgets do not count, and neither does source shown as Markdown."""
    return any(
        (output.output_type == "stream" and output.name == "stdout")
        or (
            bool({"text/plain", "text/html", "text/latex"} & output.get("data", {}).keys())
            and WIDGET not in output.data
        )
        for output in cell.outputs
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("command", choices=["check", "clean", "setup"])
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    found = 0
    for file in options.files or toc.notebooks():
        notebook = nbformat.read(file, as_version=4)
        if options.command != "check":
            repaired = clean(notebook) if options.command == "clean" else set_up(notebook, file.stem)
            if repaired != notebook:
                nbformat.write(repaired, file)
                print(f"{file.name}: written")
            continue
        for problem in problems(notebook, file.stem):
            print(f"{file.name}: {problem}")
            found += 1
    if options.command == "check":
        print(f"notebook format: {found or 'no'} problem{'' if found == 1 else 's'}")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
