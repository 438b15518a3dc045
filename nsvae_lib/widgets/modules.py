"""From the JavaScript files of this folder to one text that a browser runs, without a build step.

Each file is written as an ES module; `wrapped` turns it into a function that is called at once and leaves what the file
exports in `nsvae.NAME`. Strung together they are the module that anywidget wants; as plain scripts they also load from
a folder (file://), where browsers refuse ES modules.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)


def needed(name: str) -> list[str]:
    """Names of the modules that NAME.js imports, directly or not, and itself, each after those that it imports."""
    source = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    found = [module for _, imported in IMPORT.findall(source) for module in needed(imported)]
    return list(dict.fromkeys([*found, name]))


def wrapped(name: str) -> str:
    """NAME.js as a statement that defines `nsvae.NAME`; needs an object `nsvae` with the modules that it imports."""
    source = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    exported = EXPORT.findall(source)
    body = EXPORT.sub("", IMPORT.sub(r"const {\1} = nsvae.\2;\n", source))
    return f"nsvae.{name} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n"


def esm(name: str) -> str:
    """The ES module, `anywidget.AnyWidget._esm`, of the widget in NAME.js, which exports `render`."""
    body = "".join(wrapped(module) for module in needed(name))
    return f"const nsvae = {{}};\n{body}export default {{ render: nsvae.{name}.render }};\n"


def script(name: str) -> str:
    """The same file as a plain script for a page; those of `needed` go before it."""
    return f"globalThis.nsvae ??= {{}};\n{wrapped(name)}"
