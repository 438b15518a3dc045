"""The files around the library agree with each other, and the Makefile behaves on machines unlike this one."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tools import repository, toc
from tools.repository import Repository

ROOT = toc.ROOT
PROJECT = repository.project()
HOME = repository.stated()


def requirements(*extras: str) -> list[Requirement]:
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return [Requirement(line) for lines in lists for line in lines]


# --- dependencies ---------------------------------------------------------------------------------


def test_constraints_pin_every_requirement_within_its_bounds():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ \n;]+)", text, re.MULTILINE):
        pins.setdefault(name.lower().replace("_", "-"), []).append(version)
    for requirement in requirements("book", "test", "cluster"):
        versions = pins.get(requirement.name.lower().replace("_", "-"), [])
        assert versions, f"constraints.txt does not pin {requirement.name}: run make constraints"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement} but constraints.txt has {version}"


def test_library_has_lower_bounds_only():
    for requirement in requirements():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">="}, f"{requirement}: another bound would force upgrades on readers' machines"


def test_conda_environment_has_the_content_of_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    python = next(Requirement(entry) for entry in environment["dependencies"] if str(entry).startswith("python"))
    assert str(python.specifier) == PROJECT["requires-python"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [constraint, editable] = [entry.split() for entry in pip]
    assert constraint == ["--constraint", "constraints.txt"]
    assert editable == ["--editable", ".[book,test,cluster]"]
    assert f'--constraint {constraint[1]} --editable "{editable[1]}"' in makefile


# --- the repository's address ---------------------------------------------------------------------


def texts() -> dict[Path, str]:
    """Every text of the repository that could name its address."""
    suffixes = {".cff", ".css", ".ipynb", ".js", ".md", ".py", ".toml", ".yml", ""}
    folders = [ROOT, *(ROOT / name for name in ("book", "book/_ext", "nsvae_lib", "tools", ".github/workflows", ".ci"))]
    files = (file for folder in folders for file in folder.glob("*") if file.is_file() and file.suffix in suffixes)
    return {file: file.read_text(encoding="utf-8") for file in files}


def test_every_link_to_the_repository_has_the_address_of_the_project():
    address = re.compile(rf"github(?:\.com)?/([\w.-]+/{re.escape(HOME.name)})\b")
    found = {(file.name, path) for file, text in texts().items() for path in address.findall(text)}
    assert {path for _, path in found} == {HOME.path}, found


def test_no_file_names_the_address_but_those_that_the_command_writes():
    written = {file for place in repository.PLACES for file in ROOT.glob(place)}
    naming = {file for file, text in texts().items() if HOME.path in text or HOME.site in text}
    assert naming - written == set()
    assert ROOT / "_config.yml" not in naming


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A copy of all that names the address."""
    for place in repository.PLACES:
        for file in ROOT.glob(place):
            copy = tmp_path / file.relative_to(ROOT)
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(file, copy)
    return tmp_path


def test_a_fork_takes_over_its_address_and_nothing_else(fork):
    mine = Repository("someone", "else.book")
    changed = repository.move(mine, fork)
    assert repository.stated(fork) == mine
    for file in (file for file in fork.rglob("*") if file.is_file()):
        before = (ROOT / file.relative_to(fork)).read_text(encoding="utf-8")
        after = file.read_text(encoding="utf-8")
        assert HOME.path not in after and HOME.site not in after
        assert (before != after) == (file in changed)
    assert repository.move(HOME, fork) == changed
    assert all(file.read_bytes() == (ROOT / file.relative_to(fork)).read_bytes() for file in changed)


def test_the_address_is_taken_from_git(tmp_path, capsys):
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    with pytest.raises(repository.AddressError, match='no remote "origin"'):
        repository.remote(tmp_path)
    subprocess.run(["git", "remote", "add", "origin", "git@github.com:someone/else.git"], cwd=tmp_path, check=True)
    assert repository.remote(tmp_path) == Repository("someone", "else")
    assert repository.main(["https://example.org/someone/else"]) == 1
    assert "expected https://github.com/OWNER/NAME, received 'https://example.org" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("https://github.com/Some-One/a.book", "https://some-one.github.io/a.book/"),
        ("https://github.com/someone/book.git", "https://someone.github.io/book/"),
        ("git@github.com:someone/book.git\n", "https://someone.github.io/book/"),
        ("ssh://git@github.com/someone/book", "https://someone.github.io/book/"),
        ("https://github.com/someone/someone.github.io", "https://someone.github.io/"),
    ],
)
def test_the_address_of_the_site_follows(address, site):
    assert repository.parse(address).site == site


def test_citation_names_this_project_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["repository-code"] == HOME.url
    [paper] = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Csiszárik", "Benkő", "Varga"]
    page = (ROOT / "book" / "appendix_references.md").read_text(encoding="utf-8")
    assert f"version = {{{PROJECT['version']}}}" in page
    assert f"title   = {{{citation['title']}}}" in page
    assert f"{{{{{citation['authors'][0]['name']}}}}}" in page


# --- the Makefile ---------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that decide on installing, in a folder with a space in its name."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Options of an outer make, which may be running these tests, are not meant for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True)


def test_help_lists_every_target(checkout):
    makefile = (checkout / "Makefile").read_text(encoding="utf-8")
    [targets] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    listed = re.findall(r"^  make (\w+) ", make(checkout, "help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(targets.split())


def test_an_old_python_is_refused_with_a_remedy(checkout):
    old = checkout / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    finished = make(checkout, "book", "PYTHON=./python3.9")
    assert finished.returncode != 0
    assert "needs Python 3.11 or newer; './python3.9' is Python 3.9.2" in finished.stdout
    assert "make PYTHON=python3.12 book" in finished.stdout
    assert not (checkout / ".venv").exists()


def test_the_second_run_installs_nothing_until_the_requirements_change(checkout):
    assert "pip install" in make(checkout, "--dry-run", "install").stdout
    stamp = checkout / ".venv" / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    assert "pip install" not in make(checkout, "--dry-run", "install", "book", "test").stdout
    later = time.time() + 10
    os.utime(checkout / "constraints.txt", (later, later))
    assert "pip install" in make(checkout, "--dry-run", "test").stdout
