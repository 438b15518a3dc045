"""The files around the library agree with each other, and the Makefile behaves on machines unlike this one."""

import os
import re
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tools import toc

ROOT = toc.ROOT
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]


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


def test_every_link_to_the_repository_has_the_address_of_the_configuration():
    owner, name = REPOSITORY.removeprefix("https://github.com/").split("/")
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*.cff"), *ROOT.glob("*.toml"), *(ROOT / "book").glob("*.*")]
    found = {
        (path.name, address)
        for path in texts
        for address in re.findall(rf"github(?:\.com)?/([\w.-]+/{re.escape(name)})\b", path.read_text(encoding="utf-8"))
    }
    assert {address for _, address in found} == {f"{owner}/{name}"}, found


def test_citation_names_this_project_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["repository-code"] == REPOSITORY
    [paper] = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Csiszárik", "Benkő", "Varga"]


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
