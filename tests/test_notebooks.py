"""The form of the chapters, and the tools that check and clean it."""

import re

import nbformat
import pytest
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import build, notebooks, repository, toc


def chapter() -> NotebookNode:
    """A notebook in good form, as a fresh clean run leaves it."""
    ignored = {"tags": ["nbval-ignore-output"], "nbval_reason": "the time of day"}
    figure = new_output("display_data", {"image/png": "iVBORw0="}, metadata={"image/png": {"alt": "A line."}})
    cells = [
        new_markdown_cell(f"# A title\n\n{notebooks.badge('one')}"),
        notebooks.setup_cell(),
        new_code_cell("profile = None", metadata={"tags": ["parameters"]}),
        new_code_cell("print(1)", outputs=[new_output("stream", name="stdout", text="1\n")]),
        new_code_cell("now()", metadata=ignored, outputs=[new_output("stream", name="stdout", text="12:00\n")]),
        new_code_cell("show(fig)", outputs=[figure]),
        new_code_cell("2 + 2", outputs=[new_output("execute_result", {"text/plain": "4"})]),
    ]
    for number, cell in enumerate(cells[1:], start=1):
        cell.execution_count = number
    return notebooks.clean(new_notebook(cells=cells))


def problems(notebook: NotebookNode, name: str = "one") -> str:
    return "\n".join(notebooks.problems(notebook, name))


# --- the chapters themselves ----------------------------------------------------------------------


@pytest.mark.parametrize("path", toc.notebooks(), ids=lambda path: path.stem)
def test_chapter_is_in_form(path):
    assert problems(nbformat.read(path, as_version=4), path.stem) == ""


@pytest.mark.parametrize("path", toc.notebooks(), ids=lambda path: path.stem)
def test_at_least_half_of_the_printing_cells_are_compared(path):
    cells = notebooks.comparison(nbformat.read(path, as_version=4))
    assert cells.printing > 0
    assert cells.share >= 0.5, f"{cells.compared} of {cells.printing} compared; ignored: {cells.ignored}"


# --- check ----------------------------------------------------------------------------------------


def test_check_accepts_a_chapter_in_good_form():
    assert problems(chapter()) == ""


def add_second_parameters(notebook):
    notebook.cells[3].metadata["tags"] = ["parameters"]


def drop_parameters(notebook):
    notebook.cells[2].metadata["tags"] = []


def inject_parameters(notebook):
    notebook.cells[3].metadata["tags"] = ["injected-parameters"]


def fail(notebook):
    notebook.cells[3].outputs = [new_output("error", ename="ValueError", evalue="no", traceback=[])]


def name_a_folder_in_the_output(notebook):
    notebook.cells[3].outputs[0].text = "saved to /home/me/model.json"


def name_a_folder_in_the_source(notebook):
    notebook.cells[3].source = "root = '/Users/me/data'"


def forget_the_alternative_text(notebook):
    notebook.cells[5].outputs[0].metadata = {}


def ignore_without_a_reason(notebook):
    del notebook.cells[4].metadata["nbval_reason"]


def keep_a_reason_without_the_tag(notebook):
    del notebook.cells[4].metadata["tags"]


def ignore_by_a_comment(notebook):
    notebook.cells[3].source = "# NBVAL_IGNORE_OUTPUT\nprint(1)"


def run_out_of_order(notebook):
    notebook.cells[3].execution_count = 7


def leave_a_cell_unrun(notebook):
    notebook.cells[6].execution_count = None


def leave_traces_of_papermill(notebook):
    notebook.metadata["papermill"] = {"duration": 3.0}


def print_a_warning(notebook):
    notebook.cells[3].outputs.append(new_output("stream", name="stderr", text="careful\n"))


def lose_the_badge(notebook):
    notebook.cells[0].source = "# A title"


def point_to_another_repository(notebook):
    path = repository.stated().path
    notebook.cells[0].source = notebook.cells[0].source.replace(path, "somebody/else")


def write_another_set_up(notebook):
    notebook.cells[1].source = notebook.cells[1].source.replace("-q", "--upgrade")


def make_invalid(notebook):
    notebook.cells[3].cell_type = "poem"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (add_second_parameters, "2 cells tagged 'parameters': expected exactly one"),
        (drop_parameters, "0 cells tagged 'parameters': expected exactly one"),
        (inject_parameters, "left behind by papermill"),
        (fail, "its output is an error, ValueError: no"),
        (name_a_folder_in_the_output, "a path of one machine, /home/me/model.json"),
        (name_a_folder_in_the_source, "a path of one machine, /Users/me/data"),
        (forget_the_alternative_text, "an image/png output without alternative text"),
        (ignore_without_a_reason, "tagged nbval-ignore-output without its reason"),
        (keep_a_reason_without_the_tag, "gives a reason (nbval_reason) but has none of the tags"),
        (ignore_by_a_comment, "an nbval comment"),
        (run_out_of_order, "not executed from top to bottom"),
        (leave_a_cell_unrun, "not executed from top to bottom"),
        (leave_traces_of_papermill, "carries traces of a run"),
        (print_a_warning, "carries traces of a run"),
        (lose_the_badge, "no badge below its title"),
        (point_to_another_repository, "no badge below its title, or another's: expected [![Open in Colab]"),
        (write_another_set_up, "its first code cell is not the set-up cell of all chapters"),
        (make_invalid, "not a valid notebook"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_check_finds(damage, message):
    notebook = chapter()
    damage(notebook)
    assert message in problems(notebook)


def test_check_reports_the_file_and_fails(tmp_path, capsys):
    notebook = chapter()
    drop_parameters(notebook)
    nbformat.write(chapter(), tmp_path / "one.ipynb")
    nbformat.write(notebook, tmp_path / "bad.ipynb")
    assert notebooks.main(["check", str(tmp_path / "one.ipynb")]) == 0
    assert notebooks.main(["check", str(tmp_path / "one.ipynb"), str(tmp_path / "bad.ipynb")]) == 1
    assert "bad.ipynb: 0 cells tagged 'parameters'" in capsys.readouterr().out


# --- clean ----------------------------------------------------------------------------------------


def as_papermill_leaves_it() -> NotebookNode:
    notebook = chapter()
    injected = new_code_cell("profile = 'smoke'", metadata={"tags": ["injected-parameters"]}, execution_count=3)
    notebook.cells.insert(3, injected)
    for cell in notebook.cells:
        cell.metadata.update(papermill={"duration": 0.1, "start_time": "2026-01-01T00:00:00"}, execution={"shell": ""})
    for number, cell in enumerate(cell for cell in notebook.cells if cell.cell_type == "code"):
        cell.execution_count = number + 1
    notebook.cells[4].outputs = [
        new_output("stream", name="stderr", text="  0%|          | 0/3"),
        new_output("stream", name="stdout", text="1"),
        new_output("stream", name="stderr", text="100%|##########| 3/3"),
        new_output("stream", name="stdout", text="\n"),
    ]
    notebook.cells[7].outputs[0].execution_count = 6
    notebook.metadata.update(papermill={"duration": 3.0}, language_info={"name": "python", "version": "3.11.7"})
    return notebook


def test_clean_undoes_what_papermill_and_the_kernel_left():
    notebook = as_papermill_leaves_it()
    cleaned = notebooks.clean(notebook)
    for cell, wanted in zip(cleaned.cells, chapter().cells, strict=True):
        wanted.id = cell.id
        assert cell == wanted
    assert cleaned.metadata == chapter().metadata


def test_clean_changes_nothing_the_second_time_and_not_its_argument():
    notebook = as_papermill_leaves_it()
    before = nbformat.from_dict(notebook)
    once = notebooks.clean(notebook)
    assert notebook == before
    assert notebooks.clean(once) == once


def test_clean_removes_live_views_and_leaves_what_works_without_a_kernel():
    notebook = chapter()
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {}}}}
    bundle = {notebooks.LIVE_VIEW: {"model_id": "a"}, notebooks.WIDGET: {"state": {}}, "text/plain": "A widget."}
    notebook.cells[3].outputs.append(new_output("display_data", bundle))
    cleaned = notebooks.clean(notebook)
    assert "widgets" not in cleaned.metadata
    assert cleaned.cells[3].outputs[-1].data == {notebooks.WIDGET: {"state": {}}, "text/plain": "A widget."}


def test_clean_command_writes_only_what_changed(tmp_path, capsys):
    nbformat.write(as_papermill_leaves_it(), tmp_path / "run.ipynb")
    nbformat.write(chapter(), tmp_path / "good.ipynb")
    good = (tmp_path / "good.ipynb").read_bytes()
    assert notebooks.main(["clean", str(tmp_path / "run.ipynb"), str(tmp_path / "good.ipynb")]) == 0
    assert capsys.readouterr().out == "run.ipynb: written\n"
    assert (tmp_path / "good.ipynb").read_bytes() == good
    assert problems(nbformat.read(tmp_path / "run.ipynb", as_version=4)) == ""


# --- set-up ---------------------------------------------------------------------------------------


def lose_the_set_up(notebook):
    del notebook.cells[1]


@pytest.mark.parametrize("damage", [lose_the_badge, point_to_another_repository, write_another_set_up, lose_the_set_up])
def test_setup_writes_badge_and_first_cell_and_nothing_else(damage):
    notebook = chapter()
    damage(notebook)
    repaired = notebooks.set_up(notebook, "one")
    assert problems(repaired) == ""
    for cell, wanted in zip(repaired.cells, chapter().cells, strict=True):
        wanted.id = cell.id
        assert cell == wanted
    assert notebooks.set_up(repaired, "one") == repaired


def test_setup_command_keeps_what_is_right(tmp_path, capsys):
    nbformat.write(chapter(), tmp_path / "one.ipynb")
    nbformat.write(chapter(), tmp_path / "two.ipynb")
    assert notebooks.main(["setup", str(tmp_path / "one.ipynb"), str(tmp_path / "two.ipynb")]) == 0
    assert capsys.readouterr().out == "two.ipynb: written\n"
    assert problems(nbformat.read(tmp_path / "two.ipynb", as_version=4), "two") == ""


def test_set_up_cell_fits_a_phone_and_names_the_repository_once():
    source = notebooks.setup_cell().source
    assert max(map(len, source.splitlines())) <= 80
    assert source.count(repository.stated().url) == 1


# --- comparison -----------------------------------------------------------------------------------


def test_comparison_counts_cells_that_print_text():
    cells = notebooks.comparison(chapter())
    assert (cells.compared, cells.ignored, cells.printing) == (3, ("the time of day",), 4)
    assert cells.share == pytest.approx(3 / 4)


def test_comparison_counts_no_widget_as_text():
    outputs = [new_output("display_data", {notebooks.WIDGET: {}, "text/plain": "A widget."})]
    assert notebooks.comparison(new_notebook(cells=[new_code_cell("w", outputs=outputs)])).printing == 0


def test_comparison_of_a_notebook_that_prints_nothing():
    assert notebooks.comparison(new_notebook(cells=[new_code_cell("1;")])).share == 1.0


# --- table of contents and execution --------------------------------------------------------------


@pytest.fixture
def small_book(tmp_path):
    """A book of one page and one chapter, in a folder with a space in its name."""
    root = tmp_path / "small book"
    (root / "book").mkdir(parents=True)
    (root / "_config.yml").write_text("title: small\n")
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n  - chapters:\n      - file: book/one\n", encoding="utf-8"
    )
    (root / "book" / "index.md").write_text("# Start\n")
    cells = [
        new_code_cell("profile = None", metadata={"tags": ["parameters"]}),
        new_code_cell("import os, sys\nprint(sorted(os.listdir()), os.environ['NSVAE_PROFILE'], sys.prefix)"),
    ]
    nbformat.write(new_notebook(cells=cells), root / "book" / "one.ipynb")
    return root


def test_pages_are_found_in_reading_order(small_book):
    assert [page.name for page in toc.pages(small_book)] == ["index.md", "one.ipynb"]
    assert [page.name for page in toc.notebooks(small_book)] == ["one.ipynb"]


def test_a_missing_page_is_named(small_book):
    (small_book / "book" / "one.ipynb").unlink()
    with pytest.raises(toc.MissingPageError, match=r"lists book/one: expected .*; neither is there"):
        build.stage(small_book / "staged", small_book)


def test_a_page_that_is_there_twice_is_named(small_book):
    (small_book / "book" / "one.md").write_text("# One\n")
    with pytest.raises(toc.MissingPageError, match="both of them are there"):
        toc.pages(small_book)


def test_staging_fills_in_what_stands_elsewhere(small_book):
    build.stage(small_book / "staged", small_book)
    config = yaml.safe_load((small_book / "staged" / "_config.yml").read_text(encoding="utf-8"))
    home, version = repository.stated(), repository.project()["version"]
    assert config["title"] == "small"
    assert config["repository"] == {"url": home.url, "branch": "main"}
    assert config["sphinx"]["config"]["html_baseurl"] == home.site
    assert re.fullmatch(
        rf"Version {re.escape(version)}(, commit [0-9a-f]{{7,}})?", config["sphinx"]["config"]["release"]
    )


def test_execution_runs_alone_in_this_python_and_leaves_the_original_alone(small_book, monkeypatch):
    import sys

    monkeypatch.setenv("NSVAE_PROFILE", "smoke")
    original = (small_book / "book" / "one.ipynb").read_bytes()
    [staged] = build.stage(small_book / "_build" / "source", small_book)
    assert build.execute(staged) > 0
    executed = nbformat.read(staged, as_version=4)
    assert executed.cells[1].outputs[0].text == f"[] smoke {sys.prefix}\n"
    assert executed == notebooks.clean(executed)
    assert (small_book / "book" / "one.ipynb").read_bytes() == original


def test_execution_names_the_chapter_that_failed(small_book):
    chapter = small_book / "book" / "one.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), chapter)
    with pytest.raises(build.BuildError, match=r"(?s)one stopped with an error.*ZeroDivisionError"):
        build.execute(chapter)


def test_refresh_refuses_an_unknown_chapter(capsys):
    assert build.main(["refresh", "99_nothing"]) == 1
    assert "no chapter 99_nothing; there are" in capsys.readouterr().err
