"""The address of the repository, and what follows from it.

    python -m tools.repository            take over the address of git's remote "origin"
    python -m tools.repository ADDRESS    take over another, such as https://github.com/OWNER/NAME

The address stands in pyproject.toml, [project.urls]. Badges, set-up cells, the README and the citation repeat it:
this command writes them all. The book's configuration holds none of it; `tools.build` fills it in.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import toc

BRANCH = "main"
# Every file that may name the address.
PLACES = ("pyproject.toml", "*.md", "*.cff", "book/*.md", "book/*.ipynb")
GITHUB = re.compile(r"(?:https://github\.com/|(?:ssh://)?git@github\.com[:/])([\w.-]+)/([\w.-]+?)(?:\.git)?/?")


class AddressError(ValueError):
    """An address that is none of a GitHub repository."""


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, where Colab and GitHub Pages find it."""

    owner: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def url(self) -> str:
        return f"https://github.com/{self.path}"

    @property
    def site(self) -> str:
        """Where GitHub Pages serves the book, with a slash at the end."""
        host = f"{self.owner.lower()}.github.io"
        return f"https://{host}/" if self.name.lower() == host else f"https://{host}/{self.name}/"

    def colab(self, document: str) -> str:
        """The address that opens a document, such as "book/01_elbo", on Colab."""
        return f"https://colab.research.google.com/github/{self.path}/blob/{BRANCH}/{document}.ipynb"


def parse(address: str) -> Repository:
    """The repository behind an address as browsers and git write it.

    Raises:
        AddressError: for anything but a repository on GitHub.
    """
    match = GITHUB.fullmatch(address.strip())
    if match is None:
        raise AddressError(f"expected https://github.com/OWNER/NAME, received {address.strip()!r}.")
    return Repository(match[1], match[2])


def project(root: Path = toc.ROOT) -> dict[str, Any]:
    """What pyproject.toml says of the project: its version, its requirements, its address."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def stated(root: Path = toc.ROOT) -> Repository:
    """The repository that pyproject.toml names."""
    return parse(project(root)["urls"]["Repository"])


def remote(root: Path = toc.ROOT) -> Repository:
    """The repository that git pushes to.

    Raises:
        AddressError: without git, without a remote "origin", or where that is not on GitHub.
    """
    try:
        asked = subprocess.run(["git", "remote", "get-url", "origin"], cwd=root, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise AddressError("git is not installed: give the address as an argument.") from error
    if asked.returncode:
        raise AddressError(f'git knows no remote "origin" ({asked.stderr.strip()}): give the address as an argument.')
    return parse(asked.stdout)


def move(new: Repository, root: Path = toc.ROOT) -> list[Path]:
    """Write another address wherever the one of pyproject.toml stands; the files that changed."""
    old = stated(root)
    # The path of one repository may be the beginning of another's.
    path = re.compile(rf"(?<![\w.-]){re.escape(old.path)}(?![\w-])")
    changed = []
    for file in sorted(file for place in PLACES for file in root.glob(place)):
        before = file.read_text(encoding="utf-8")
        after = path.sub(new.path, before.replace(old.site, new.site))
        if after != before:
            file.write_text(after, encoding="utf-8", newline="\n")
            changed.append(file)
    return changed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the address of the repository wherever it is needed.")
    parser.add_argument("address", nargs="?", help='default: the address of git\'s remote "origin"')
    options = parser.parse_args(arguments)
    try:
        new = parse(options.address) if options.address else remote()
    except AddressError as error:
        print(f"repository: {error}", file=sys.stderr)
        return 1
    changed = move(new)
    for file in changed:
        print(f"written: {file.relative_to(toc.ROOT)}")
    print(f"{new.url}: {len(changed)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
