"""Every widget once, as a notebook shows it, and what its tests do with it on a page."""

from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import nbformat
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.widgets import modules
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


@cache
def two_models_scores() -> dict[str, dict[str, dict[str, torch.Tensor]]]:
    """Model -> set of images -> score -> 300 scores; each model's inliers come first."""
    sets = {name: ns.load(name, sample=True).test[:300] for name in ("FashionMNIST", "MNIST")}
    sets["Glyphs"] = ns.load("Glyphs", n_train=0, n_test=300).test
    vaes = {name: ns.pretrained(name, "bernoulli", device="cpu") for name in ("FashionMNIST", "MNIST")}
    return {name: {other: ns.score(vae, sets[other]) for other in {name: None, **sets}} for name, vae in vaes.items()}


def thresholds() -> Widget:
    return widgets.ROC.from_scores(two_models_scores())


def sandwich() -> Widget:
    model = ns.LinearGaussian(torch.ones(1, 1), torch.zeros(1), sigma=0.6)
    return widgets.Bounds.from_model(model, 1.5, torch.distributions.Normal(0.4, 0.8))


# A run that was stopped half-way through its fourth epoch.
_COLUMNS = ("epoch", "loss", "reconstruction", "kl", "seconds", "auroc_kl MNIST")
_ROWS = [
    (1, 341.4, 336.4, 5.0, 2.0, float("nan")),
    (2, 290.5, 279.7, 10.8, 2.0, 0.25),
    (3, 268.0, 255.0, 13.0, 2.0, 0.375),
    (3.5, 261.5, 248.0, 13.5, 1.0, 0.4375),
]
HISTORY = ns.History([dict(zip(_COLUMNS, row, strict=True)) for row in _ROWS])


GALLERY: dict[str, Callable[[], Widget]] = {
    "bounds": sandwich,
    "draw": drawing_board,
    "kl_geometry": widgets.KLGeometry,
    "latent_explorer": explorer,
    "pixel_cost": widgets.PixelCost,
    "roc": thresholds,
    "training": lambda: widgets.Training.from_history(HISTORY),
}


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


class Bench:
    """A widget alone on an empty page, with a model in the place of a kernel's: what the one sets, the other sees."""

    MOUNT = """({ widget, state }) => {
        const target = new EventTarget();
        window.model = {
            get: (name) => state[name],
            set(name, value) { state[name] = value; target.dispatchEvent(new Event(`change:${name}`)); },
            save_changes() {},
            on: (event, callback) => target.addEventListener(event, callback),
            off: (event, callback) => target.removeEventListener(event, callback),
        };
        nsvae[widget].render({ model: window.model, el: document.body });
    }"""

    def __init__(self, browser, widget: Widget) -> None:
        self.page = browser.new_page()
        self.figure = self.page.locator("body")
        for name in modules.needed(widget.script):
            self.page.add_script_tag(content=modules.script(name))
        self.page.evaluate(self.MOUNT, widget.description())
        settled(self)

    def set(self, **values: Any) -> None:
        """What a kernel does when it sets traits."""
        for name, value in values.items():
            self.page.evaluate("([name, value]) => model.set(name, value)", [name, value])
        settled(self)

    def get(self, name: str) -> Any:
        """What a kernel sees of a trait."""
        return self.page.evaluate("name => model.get(name)", name)


def numbers(tab: Tab | Bench) -> dict[str, float]:
    """The readouts of a widget, by their labels."""
    rows = tab.figure.locator(".ns-readouts > div").all()
    texts = [(row.locator("dt").inner_text(), row.locator("dd").inner_text()) for row in rows]
    return {label: float(text.split()[0].replace("−", "-")) for label, text in texts}


def settled(tab: Tab | Bench) -> None:
    tab.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
