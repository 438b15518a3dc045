"""Sphinx extension: the live widgets of the chapters on pages without a kernel.

A widget's output holds its description (`nsvae_lib.widgets.base.MIME`) beside its still picture. On a page the two
become a figure, which `hydrate.js` brings to life. A page in Markdown takes a widget from a chapter:

    ```{widget} 06_adversarial_negatives draw
    ```
"""

import html
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from nsvae_lib.widgets import modules
from nsvae_lib.widgets.base import MIME
from nsvae_lib.widgets.weights import pack
from nsvae_lib.zoo import pretrained

FOLDER = "widgets"  # below _static
SENTENCE = "This is a still picture of a live widget. Where JavaScript runs, you can play with it."

_render_unhandled = NbElementRenderer.render_unhandled


def render_unhandled(self: NbElementRenderer, data: MimeData) -> list[nodes.Element]:
    """Keep a widget's description for `replace_outputs`."""
    if data.mime_type == MIME:
        return [nodes.container(widget=data.content)]
    return _render_unhandled(self, data)


def figure(description: dict[str, Any], image: nodes.image) -> list[nodes.Node]:
    """A widget on a page: its still picture, and in a script element what bringing it to life takes."""
    text = json.dumps(description, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    title = html.escape(description["title"])
    start = f'<figure class="nsvae-widget" data-widget="{description["widget"]}" role="group" aria-label="{title}">'
    end = f'<noscript><p>{SENTENCE}</p></noscript><script type="application/json">{text}</script></figure>'
    opening = nodes.raw("", start, format="html", widget=description)
    return [opening, image, nodes.raw("", end, format="html")]


def replace_outputs(app: Sphinx, doctree: nodes.document) -> None:
    """Turn outputs with a widget into figures, and note for the page what its widgets need."""
    for bundle in list(doctree.findall(nodes.container)):
        if bundle.get("nb_element") != "mime_bundle":
            continue
        for node in bundle.findall(nodes.container):
            if "widget" in node:
                [image] = bundle.findall(nodes.image)
                bundle.replace_self(figure(node["widget"], image))
                break
    used = [node["widget"] for node in doctree.findall(nodes.raw) if "widget" in node]
    if used:
        app.env.metadata[app.env.docname]["widgets"] = {
            "scripts": sorted({description["widget"] for description in used}),
            "models": sorted({name for description in used for name in description["models"].values()}),
        }


class WidgetDirective(SphinxDirective):
    """The widget of a chapter, named by the chapter and the widget's script."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        chapter, script = self.arguments
        _, path = self.env.relfn2path(f"{chapter}.ipynb")
        self.env.note_dependency(path)
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                if data.get(MIME, {}).get("widget") == script:
                    alt = output.metadata["image/png"]["alt"]
                    image = nodes.image(uri=f"data:image/png;base64,{data['image/png'].strip()}", alt=alt)
                    return figure(data[MIME], image)
        raise self.error(f"no output of {chapter} holds the widget {script!r}")


def add_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Give a page with widgets their scripts, in the order in which they need each other."""
    needs = app.env.metadata.get(page, {}).get("widgets")
    if not needs or doctree is None:
        return
    names = dict.fromkeys(module for script in needs["scripts"] for module in modules.needed(script))
    for name in [*names, "hydrate"]:
        # Before MathJax, which keeps a page of formulas busy for half a second.
        app.add_js_file(f"{FOLDER}/{name}.js", priority=400, loading_method="defer")
    app.add_css_file(f"{FOLDER}/widgets.css")


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write the scripts and the weights that pages ask for."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    needs = [metadata["widgets"] for metadata in app.env.metadata.values() if "widgets" in metadata]
    for name in {module for need in needs for script in need["scripts"] for module in modules.needed(script)}:
        (folder / f"{name}.js").write_text(modules.script(name), encoding="utf-8")
    for name in {name for need in needs for name in need["models"]}:
        packed = b64encode(pack(pretrained(*name.split("_"), device="cpu"))).decode()
        (folder / f"{name}.js").write_text(f'nsvae.packed["{name}"] = "{packed}";\n', encoding="utf-8")
    if needs:
        hydrate = Path(__file__).with_name("hydrate.js").read_text(encoding="utf-8")
        (folder / "hydrate.js").write_text(hydrate, encoding="utf-8")
        (folder / "widgets.css").write_text((modules.FOLDER / "widgets.css").read_text("utf-8"), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    NbElementRenderer.render_unhandled = render_unhandled
    app.add_directive("widget", WidgetDirective)
    app.connect("doctree-read", replace_outputs)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
