"""Colab, as near as it can be had elsewhere: its versions of the packages, and each notebook alone in an empty folder.

The environment is made anew, with PyTorch linked in from this one. The set-up cell runs unchanged: git is told to take
the repository's address for a copy of this tree, and pip does the rest. Each run takes the chapters of `SOME`;
`pytest tests/test_colab.py --colab=all` takes all of them, as a scheduled workflow does.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import notebooks, repository, toc
from tools.colab import PACKAGES, pins, take_over

LINKED = ("torch", "torchvision")  # 3 GB
SOME = ("01_elbo", "11_your_own_images")  # widgets and training; files and the command line

STUB = '''"""Stands in for Colab's own package, which kernels there have imported when the first cell runs."""
from google.colab import output
'''
STUB_OUTPUT = '''"""What anywidget asks for: a manager of widgets, enabled, and where it is installed."""
from types import SimpleNamespace

_widgets = SimpleNamespace(_installed_url=None)

def enable_custom_widget_manager():
    _widgets._installed_url = "https://example.org/widgets.js"
'''


def versions() -> dict[str, str]:
    """Package -> version on Colab."""
    return pins(PACKAGES.read_text(encoding="utf-8"))


def run(*command: object, **options) -> str:
    """What a command prints; its complaints fail the test."""
    finished = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def behind(name: str, extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """A package of this environment, and all that it requires and Colab's list does not have."""
    yield name
    for requirement in map(Requirement, distribution(name).requires or []):
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in ("", *extras))
        if wanted and canonicalize_name(requirement.name) not in versions():
            yield from behind(requirement.name, frozenset(requirement.extras))


def link(name: str, site: Path) -> None:
    """Lend a package of this environment to another, which takes it for the version of Colab."""
    for dependency in behind(name):
        package = distribution(dependency)
        tops = {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}
        for top in (top for top in tops if not top.endswith(".dist-info") and not (site / top).exists()):
            (site / top).symlink_to(Path(str(package.locate_file(top))).resolve())
    described = site / f"{name}-{versions()[name]}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {versions()[name]}\n")
    (described / "RECORD").touch()


@dataclass(frozen=True)
class Colab:
    """An environment like Colab's, and the name of its Jupyter kernel."""

    python: Path
    kernel: str = "colab"

    def packages(self) -> dict[str, str]:
        listed = json.loads(run(self.python, "-m", "pip", "list", "--format", "json"))
        return {canonicalize_name(package["name"]): package["version"] for package in listed}

    def execute(self, notebook: Path, folder: Path) -> nbformat.NotebookNode:
        """Run a copy of a notebook that is alone in a folder."""
        alone = shutil.copy(notebook, folder)
        return papermill.execute_notebook(alone, alone, cwd=folder, kernel_name=self.kernel, progress_bar=False)


@pytest.fixture(scope="session")
def colab(tmp_path_factory: pytest.TempPathFactory, package_tree: Path) -> Iterator[Colab]:
    """Colab as it is before a notebook runs: without the library."""
    if sys.version_info >= (3, 13):
        pytest.skip("Colab has Python 3.12, and some of its packages cannot be had for a later one")
    folder = tmp_path_factory.mktemp("colab")
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", folder / "env", "--python", sys.executable)
    python = folder / "env" / "bin" / "python"
    wanted = folder / "packages.txt"
    wanted.write_text("".join(f"{name}=={version}\n" for name, version in versions().items() if name not in LINKED))
    install = [*uv, "pip", "install", "--python", python, "--no-deps", "--only-binary", ":all:", "-r", wanted]
    if "CI" not in os.environ and subprocess.run([*install, "--dry-run"], capture_output=True).returncode:
        pytest.skip("Colab's packages are not on this machine, and there is no network to fetch them")
    run(*install)
    [site] = (folder / "env" / "lib").glob("python*/site-packages")
    for name in LINKED:
        link(name, site)
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").write_text(STUB)
    (site / "google" / "colab" / "output.py").write_text(STUB_OUTPUT)
    (site / "colab.pth").write_text("import google.colab\n")

    spec = folder / "jupyter" / "kernels" / "colab"
    spec.mkdir(parents=True)
    environment = {
        "NSVAE_PROFILE": "smoke",
        "NSVAE_DATA": "",
        "OMP_NUM_THREADS": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{published(package_tree).as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": repository.stated().url,
    }
    launch = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": launch, "display_name": "Colab", "language": "python", "env": environment}
    (spec / "kernel.json").write_text(json.dumps(kernel))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        yield Colab(python)


def published(folder: Path) -> Path:
    """What git finds at the repository's address: a tree, committed."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    git = ["git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@example.org"]
    run(*git, "init", "--quiet")
    run(*git, "add", "--all")
    run(*git, "commit", "--quiet", "--message", "This tree")
    return folder


@dataclass(frozen=True)
class SetUp:
    """What the set-up cell printed in each of two runs, the seconds that it took, and the packages around the first."""

    colab: Colab
    printed: list[str]
    seconds: list[float]
    before: dict[str, str]
    after: dict[str, str]


@pytest.fixture(scope="session")
def set_up(colab: Colab, tmp_path_factory: pytest.TempPathFactory) -> SetUp:
    notebook = tmp_path_factory.mktemp("set-up") / "set_up.ipynb"
    # The library must be there at once: no restart lies between the two cells.
    cells = [notebooks.setup_cell(), new_code_cell("print(nsvae_lib.load('MNIST', n_train=9).train.shape)")]
    nbformat.write(new_notebook(cells=cells), notebook)
    before = colab.packages()
    printed, seconds = [], []
    for run_number in ("first", "second"):
        if run_number == "second":
            cells[1].source = f"import nsvae_lib\n{cells[1].source}"
            nbformat.write(new_notebook(cells=cells), notebook)
        executed = colab.execute(notebook, tmp_path_factory.mktemp(run_number))
        outputs = [output for cell in executed.cells for output in cell.outputs if output.get("name") == "stdout"]
        printed.append("".join(output.text for output in outputs))
        seconds.append(executed.cells[0].metadata.papermill.duration)
    return SetUp(colab, printed, seconds, before, colab.packages())


def test_colab_has_what_the_library_asks_for():
    project = repository.project()
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(versions()[canonicalize_name(requirement.name)]), requirement


def test_versions_are_taken_over_from_what_colab_publishes():
    freeze = "# generated\nTorch==2.12.0+cu130\njupyter_client==8.0\nother==1\nxla @ https://example.org/xla-2.whl\n"
    ours = "# ours\njupyter-client==7.4.9\nnumpy==2.1.3\ntorch==2.11.0\n"
    assert take_over(ours, freeze) == "# ours\njupyter-client==8.0\nnumpy==2.1.3\ntorch==2.12.0\n"
    with pytest.raises(ValueError, match="nothing of the kind"):
        take_over(ours, "<html>404</html>")


def test_environment_has_the_versions_of_colab(colab: Colab):
    assert colab.packages() == versions()


def test_set_up_installs_the_library_and_changes_nothing(set_up: SetUp):
    assert {name: version for name, version in set_up.after.items() if name in set_up.before} == set_up.before
    # IPython has always asked for jedi; pip notices when it installs something else.
    assert set_up.after.keys() - set_up.before.keys() <= {"nsvae-lib", "jedi"}


def test_set_up_takes_less_than_a_minute(set_up: SetUp):
    print(f"set-up cell: {set_up.seconds[0]:.1f} s, the second time {set_up.seconds[1]:.1f} s")
    assert max(set_up.seconds) < 60


def test_set_up_says_what_it_did_and_needs_no_restart(set_up: SetUp):
    first, second = set_up.printed
    assert "Installed nsvae_lib; no restart is needed.\ntorch.Size([9, 1, 28, 28])\n" in first
    assert second == f"{notebooks.SETUP_PRINTS}torch.Size([9, 1, 28, 28])\n"


def test_the_chapters_of_every_run_exist():
    assert set(SOME) <= {path.stem for path in toc.notebooks()}


@pytest.mark.parametrize("path", toc.notebooks(), ids=lambda path: path.stem)
def test_chapter_runs_alone(path: Path, set_up: SetUp, tmp_path: Path, request: pytest.FixtureRequest):
    if request.config.getoption("colab") == "some" and path.stem not in SOME:
        pytest.skip("one of the chapters for --colab=all")
    executed = set_up.colab.execute(path, tmp_path)
    assert [cell for cell in executed.cells if cell.cell_type == "code" and cell.execution_count is None] == []
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
