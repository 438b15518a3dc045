"""Every widget once, as a notebook shows it, and what its tests do with it on a page."""

from collections.abc import Callable
from urllib.parse import urlsplit

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.widgets.base import Widget
from tools import notebooks


def explorer() -> Widget:
    vae = ns.pretrained("FashionMNIST", "bernoulli", "EMNIST-Letters", device="cpu")
    return widgets.LatentExplorer.from_vae(vae, ns.load("FashionMNIST", sample=True).test[:8], shift=8)


def drawing_board() -> Widget:
    vaes = {n: ns.pretrained("FashionMNIST", "bernoulli", n, device="cpu") for n in ("none", "EMNIST-Letters")}
    sets = {name: ns.load(name, sample=True).test for name in ("MNIST", "FashionMNIST")}
    pictures = {"a digit": sets["MNIST"][2], "a shoe": sets["FashionMNIST"][0]}
    return widgets.Draw.from_vaes(vaes, sets["FashionMNIST"][:300], pictures)


GALLERY: dict[str, Callable[[], Widget]] = {"draw": drawing_board, "latent_explorer": explorer}


def page_of(widget: Widget) -> nbformat.NotebookNode:
    data, metadata = widget.bundle()
    cell = new_code_cell("widget", outputs=[new_output("display_data", data, metadata=metadata)])
    return notebooks.clean(new_notebook(cells=[new_markdown_cell(f"# {widget.title}"), cell]))


class Tab:
    """A page with a live widget, and what the browser reports of it."""

    def __init__(self, browser, address: str, scheme: str = "light", width: int = 1280) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 600
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address, wait_until="load")
        self.figure = self.page.locator("figure.nsvae-widget")
        self.figure.scroll_into_view_if_needed()
        self.page.wait_for_selector("figure.nsvae-widget.ns-live")

    def _asked(self, address: str) -> None:
        if urlsplit(address).scheme not in ("file", "data", "blob") and urlsplit(address).hostname != "127.0.0.1":
            self.outside.append(address)


def numbers(tab: Tab) -> dict[str, float]:
    """The readouts of a widget, by their labels."""
    rows = tab.figure.locator(".ns-readouts > div").all()
    texts = [(row.locator("dt").inner_text(), row.locator("dd").inner_text()) for row in rows]
    return {label: float(text.split()[0].replace("−", "-")) for label, text in texts}


def settled(tab: Tab) -> None:
    tab.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
