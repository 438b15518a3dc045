"""Sphinx extension of this book.

Notebook figures get their alternative text, docstrings of the library their lists of fields, and finished
pages the repairs that let them open from a folder without errors.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import stringify_annotation

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


# "name: what it is", at the start of a line; further lines of the same entry are usually indented.
FIELD = re.compile(r"([a-z]\w*(?:, [a-z]\w*)*): (\S.*)")


def list_fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn the plain "name: what it is" lines of the library's docstrings into a list."""
    listed: list[str] = []
    in_field = False
    for line in lines:
        field = FIELD.match(line)
        after_blank = not listed or not listed[-1].strip()
        if field and (in_field or after_blank):
            listed.append(f"* **{field[1]}**: {field[2]}")
            in_field = True
        elif in_field and line.strip():
            listed.append(f"  {line.strip()}")
        else:
            listed.append(line)
            in_field = False
    lines[:] = listed


# The signature of numpy's ArrayLike, spelt out by autodoc over three lines.
ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")


def shorten_signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write ArrayLike as the source does."""
    return signature and signature.replace(ARRAY_LIKE, "ArrayLike"), returns


# A chapter's number is in its file name, so that it stays when chapters around it come and go.
CHAPTER = re.compile(r"(?:.*/)?(\d\d)_\w+$")


def number_chapters(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give chapters the number of their file name in place of that of their order; the pages that show it."""
    changed = []
    for document, title in env.titles.items():
        match = CHAPTER.match(document)
        if match is None or not title.get("secnumber"):
            continue
        number = int(match[1])
        numbered = [title, *(ref for ref in env.tocs[document].findall(nodes.reference) if ref.get("secnumber"))]
        for node in numbered:
            node["secnumber"] = (number, *node["secnumber"][1:])
        sections = env.toc_secnumbers.get(document, {})
        sections |= {anchor: (number, *old[1:]) for anchor, old in sections.items() if old}
        changed.append(document)
    return changed


REPAIRS = [
    # The theme asks the browser to fetch its icon fonts early, across origins, which a page opened from a
    # folder (file://) may not do: three errors on each page. The style sheet loads the same fonts anyway.
    (re.compile(r'<link rel="preload" as="font"[^>]*>\n?'), ""),
    # Docutils gives entries of a bibliography a role that the list around them does not allow.
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
    # A wide table scrolls in a box of its own, which a keyboard must reach.
    (
        re.compile(r'<div class="pst-scrollable-table-container">'),
        '<div class="pst-scrollable-table-container" tabindex="0">',
    ),
    # The corner of a pandas table is no header of anything.
    (re.compile(r"<th></th>"), "<td></td>"),
]


def repair_pages(app: Sphinx, exception: Exception | None) -> None:
    """Repair in the finished pages what other packages write and offer no setting for."""
    if exception is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        for pattern, replacement in REPAIRS:
            html = pattern.sub(replacement, html)
        page.write_text(html, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    NbElementRenderer.render_image = render_image
    app.connect("autodoc-process-docstring", list_fields, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("env-get-updated", number_chapters, priority=900)  # after the numbers of their order
    app.connect("build-finished", repair_pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
