"""Take over Colab's versions of the packages in tests/colab.txt.

python -m tools.colab < pip-freeze.gpu.txt    from github.com/googlecolab/backend-info
"""

import re
import sys

from packaging.utils import canonicalize_name

from tools import toc

PACKAGES = toc.ROOT / "tests" / "colab.txt"
PIN = re.compile(r"^([\w.-]+)==([^\s+]+)(?:\+\S*)?$", re.MULTILINE)  # less the build, as in 2.11.0+cu128


def pins(text: str) -> dict[str, str]:
    """Package, as pip writes its name -> version, of the lines that pin one."""
    return {canonicalize_name(name): version for name, version in PIN.findall(text)}


def take_over(packages: str, freeze: str) -> str:
    """The list with the versions of what `pip freeze` printed; packages that this does not have stay as they are.

    Raises:
        ValueError: if it has none of them, as any page but the one expected has.
    """
    known = pins(freeze)
    if not known.keys() & pins(packages).keys():
        raise ValueError("expected what pip freeze prints on Colab; received nothing of the kind.")
    return PIN.sub(lambda pin: f"{pin[1]}=={known.get(pin[1], pin[2])}", packages)


if __name__ == "__main__":
    before = PACKAGES.read_text(encoding="utf-8")
    after = take_over(before, sys.stdin.read())
    PACKAGES.write_text(after, encoding="utf-8", newline="\n")
    for name, version in pins(after).items():
        if version != pins(before)[name]:
            print(f"{name}: {pins(before)[name]} -> {version}")
