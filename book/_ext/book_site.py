"""Sphinx extension: what pages need on the web, where search engines, chats and other sites show them.

Descriptions, cards, a sitemap, the badge, and the foot of every page. `tools.build` tells the address and the version.
"""

import html
import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from docutils import nodes
from sphinx.application import Sphinx

COLAB = "https://colab.research.google.com/"
CARD = "card.png"  # at the root of the site, 1,200 by 630 pixels as chats and other sites want it
CARD_SAYS = "Four pictures of clothes and four digits. Which of them does a model of clothes find the most likely?"
LONGEST = 200  # characters that search results show
TAG = '<meta {kind}="{name}" content="{content}" />'


def draw_badges(app: Sphinx, doctree: nodes.document) -> None:
    """Make the badges links in words: their picture is on another host, and pages ask no other host for anything."""
    for reference in list(doctree.findall(nodes.reference)):
        if reference.get("refuri", "").startswith(COLAB) and isinstance(reference[0], nodes.image):
            address, words = html.escape(reference["refuri"]), html.escape(reference[0]["alt"])
            reference.replace_self(nodes.raw("", f'<a class="badge-link" href="{address}">{words}</a>', format="html"))


def summary(doctree: nodes.document) -> str:
    """The first sentences of a page, as many as search results show."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().replace(r"\times", "×").split())
        sentences = re.split(r"(?<=[.?!]) (?=[A-Z])", text)
        if not text or text.startswith("<a "):  # a badge
            continue
        chosen = sentences[0]
        for sentence in sentences[1:]:
            if len(chosen) + 1 + len(sentence) > LONGEST:
                break
            chosen += f" {sentence}"
        return chosen
    return ""


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Give a page its description and its card, and every page its foot."""
    context["theme_extra_footer"] = foot(app, page)
    if doctree is None:
        return
    if context["title"] == context["docstitle"]:
        # Once is enough for the front page's name; the link in the sidebar keeps its text.
        context["theme_logo"] = {**context["theme_logo"], "text": context["docstitle"]}
        context["docstitle"] = ""
    site, description = app.config.html_baseurl, summary(doctree)
    named = {"description": description, "twitter:card": "summary_large_image"}
    properties = {
        "og:type": "article",
        "og:site_name": app.config.html_title,
        "og:title": html.unescape(re.sub(r"<[^>]*>", "", context["title"])),
        "og:description": description,
        "og:url": f"{site}{app.builder.get_target_uri(page)}",
        "og:image": f"{site}{CARD}",
        "og:image:alt": CARD_SAYS,
    }
    tags = [("name", *tag) for tag in named.items()] + [("property", *tag) for tag in properties.items()]
    context["metatags"] += "\n".join(
        TAG.format(kind=kind, name=name, content=html.escape(content)) for kind, name, content in tags
    )


def foot(app: Sphinx, page: str) -> str:
    """Version, how to cite, and the licences."""
    references = app.builder.get_relative_uri(page, "book/appendix_references")
    cite = f'<a href="{references}#how-to-cite">How to cite</a>'
    licence = '<a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>'
    return f"<p>{app.config.release}. {cite}. Text and figures: {licence}. Code: MIT.</p>"


def write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    """List the pages for search engines."""
    if exception is not None or app.builder.format != "html":
        return
    addresses = [f"{app.config.html_baseurl}{app.builder.get_target_uri(page)}" for page in sorted(app.env.found_docs)]
    entries = "\n".join(f"<url><loc>{escape(address)}</loc></url>" for address in addresses)
    start = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
    (Path(app.outdir) / "sitemap.xml").write_text(f"{start}{entries}\n</urlset>\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", draw_badges)
    app.connect("html-page-context", describe)
    app.connect("build-finished", write_sitemap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
