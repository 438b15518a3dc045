"""Execute the chapters and build the HTML.

    python -m tools.build book                   execute all chapters, then build
    python -m tools.build html                   build from the committed outputs
    python -m tools.build links                  ask for every address that the pages link to
    python -m tools.build refresh [CHAPTER ...]  execute, then write the outputs back into book/

Sphinx never sees the working tree: pages are copied into _build/source and chapters are executed there,
so a build cannot touch a committed notebook and finds no stray file.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import papermill
import yaml
from papermill.exceptions import PapermillExecutionError

from tools import notebooks, repository, toc

BUILD = toc.ROOT / "_build"
BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
COPIED = shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints", "__pycache__")


class BuildError(Exception):
    """What went wrong, in words for the reader of the terminal."""


def stage(target: Path, root: Path = toc.ROOT) -> list[Path]:
    """Copy configuration, pages and chapters into an empty folder; the copies of the chapters."""
    chapters = toc.notebooks(root)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root / "book", target / "book", ignore=COPIED)
    shutil.copy(root / "_toc.yml", target)
    (target / "_config.yml").write_text(configuration(root), encoding="utf-8")
    return [Path(shutil.copy(chapter, target / chapter.relative_to(root))) for chapter in chapters]


def configuration(root: Path) -> str:
    """The book's configuration with what stands elsewhere: where the repository and the site are, and the version."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    home = repository.stated()
    config["repository"] = {"url": home.url, "branch": repository.BRANCH}
    sphinx = config.setdefault("sphinx", {}).setdefault("config", {})
    sphinx |= {"html_baseurl": home.site, "release": version()}
    return yaml.safe_dump(config, allow_unicode=True, sort_keys=False)


def version() -> str:
    """The version, and the commit where there is git."""
    number = f"Version {repository.project()['version']}"
    try:
        asked = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, cwd=toc.ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return number
    return f"{number}, commit {commit}"


def execute(chapter: Path) -> float:
    """Run a chapter in place, in a kernel of this Python; the seconds it took.

    The kernel starts in an empty folder: a chapter works alone, as it does on Colab.
    """
    print(f"\n== {chapter.stem}: executing ==", flush=True)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as empty:
        try:
            papermill.execute_notebook(
                chapter,
                chapter,
                cwd=empty,
                kernel_name="python3",
                progress_bar=True,
                extra_arguments=["--log-level=ERROR"],
            )
        except PapermillExecutionError as error:
            raise BuildError(
                f"{chapter.stem} stopped with an error. The notebook up to it: {chapter}\n{error}"
            ) from error
    seconds = time.perf_counter() - began
    nbformat.write(notebooks.clean(nbformat.read(chapter, as_version=4)), chapter)
    print(f"== {chapter.stem}: {seconds:.0f} s ==", flush=True)
    return seconds


def execute_all(chapters: list[Path]) -> None:
    profile = os.environ.setdefault("NSVAE_PROFILE", "standard")
    print(f"Executing {len(chapters)} chapters at profile {profile!r}.")
    times = {chapter.stem: execute(chapter) for chapter in chapters}
    print("\nSeconds per chapter:")
    for name, seconds in [*times.items(), ("all", sum(times.values()))]:
        print(f"  {name:28s}{seconds:7.1f}")


def render(source: Path, output: Path) -> Path:
    """Build the HTML of a staged book, any warning being an error; the folder with the pages."""
    pages = output / "_build" / "html"
    shutil.rmtree(pages, ignore_errors=True)
    options = ["-W", "-n", "--keep-going", "--all", "--path-output", str(output)]
    finished = subprocess.run([*BOOK, "build", str(source), *options])
    if finished.returncode or not (pages / "index.html").is_file():
        raise BuildError("the HTML build failed: see the warnings and errors above.")
    return pages


def build(execute_first: bool) -> None:
    chapters = stage(BUILD / "source")
    if execute_first:
        execute_all(chapters)
    pages = render(BUILD / "source", BUILD.parent)
    print(f"\nThe book is ready. Open it with a browser:\n  {(pages / 'index.html').as_uri()}")


def links() -> None:
    """Ask for every address on the pages, without executing the chapters."""
    stage(BUILD / "links")
    asked = subprocess.run([*BOOK, "build", str(BUILD / "links"), "--builder", "linkcheck"])
    if asked.returncode:
        raise BuildError("some links lead nowhere: see the lines marked as broken above.")


def refresh(names: list[str]) -> None:
    """Execute chapters and write their outputs back; nothing is written unless all succeed."""
    originals = {chapter.stem: chapter for chapter in toc.notebooks()}
    if unknown := sorted(set(names) - originals.keys()):
        raise BuildError(f"no chapter {', '.join(unknown)}; there are {', '.join(originals)}.")
    staged = [chapter for chapter in stage(BUILD / "refresh") if not names or chapter.stem in names]
    execute_all(staged)
    for chapter in staged:
        shutil.copy(chapter, originals[chapter.stem])
        print(f"written: {originals[chapter.stem].relative_to(toc.ROOT)}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("command", choices=["book", "html", "links", "refresh"])
    parser.add_argument("chapters", nargs="*", help="for refresh: some chapters, such as 01_elbo")
    options = parser.parse_args(arguments)
    try:
        if options.command == "refresh":
            refresh(options.chapters)
        elif options.command == "links":
            links()
        else:
            build(execute_first=options.command == "book")
    except (BuildError, toc.MissingPageError) as error:
        print(f"\nbook: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
