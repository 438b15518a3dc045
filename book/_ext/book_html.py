"""Sphinx extension of this book: alternative text of notebook figures, and pages that open from a folder."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from sphinx.application import Sphinx

_render_image = NbElementRenderer.render_image


def render_image(self: NbElementRenderer, data: MimeData) -> list[nodes.Element]:
    """Render a notebook image with the alternative text that its output carries.

    myst-nb reads alternative text from the metadata of the cell, so two figures of one cell would share
    it; ``nsvae_lib.book.show`` keeps it with each output, as IPython does.
    """
    rendered = _render_image(self, data)
    alt = data.output_metadata.get(data.mime_type, {}).get("alt")
    if alt:
        for image in rendered:
            image["alt"] = alt
    return rendered


# The theme asks the browser to fetch its icon fonts early, across origins, which a page opened from a
# folder (file://) may not do: three errors on each page. The style sheet loads the same fonts anyway.
FONT_PRELOAD = re.compile(r'<link rel="preload" as="font"[^>]*>\n?')


def drop_font_preloads(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            page.write_text(FONT_PRELOAD.sub("", page.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    NbElementRenderer.render_image = render_image
    app.connect("build-finished", drop_font_preloads)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
