"""What all widgets have in common: how they are shown, live and still."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, ClassVar

import anywidget
import traitlets
from IPython.display import display
from matplotlib.figure import Figure

from ..book import png
from ..experiments import Run
from ..vae import VAE
from ..zoo import model_name, pretrained, pretrained_names
from . import modules
from .weights import pack

# What an output says of a widget to pages without a kernel: its script, its state and the models that it needs.
MIME = "application/vnd.nsvae.widget+json"


class Binary(traitlets.Bytes):
    """Bytes, which come from a browser as a memoryview."""

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, bytes(value) if isinstance(value, memoryview) else value)


class Widget(anywidget.AnyWidget):
    """Base of the widgets.

    A subclass names its JavaScript file and a title, declares its state as traits with `sync=True` (numbers, texts,
    lists, dictionaries, bytes), and draws a still picture of itself for pages where nothing can run.

    Attributes: `script`, the name of its file in this folder without the ending, which exports `render({model, el})`;
    `title`, what readers call it; `weights`, name -> packed VAE, see `use`.
    """

    script: ClassVar[str]
    title: ClassVar[str]
    _css = (modules.FOLDER / "widgets.css").read_text(encoding="utf-8")

    weights = traitlets.Dict().tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        # Not in the classes that traitlets derives of its own accord, where _esm has become a trait.
        if "script" in vars(cls):
            cls._esm = modules.esm(cls.script)
        super().__init_subclass__(**options)

    def still(self) -> Figure:
        """A picture of the widget as it stands, for print, GitHub and browsers without JavaScript."""
        raise NotImplementedError

    def alt(self) -> str:
        """What the still picture shows, in a sentence or two."""
        raise NotImplementedError

    def use(self, vaes: Mapping[str, VAE]) -> None:
        """Give the widget VAEs to compute with, rounded to int8, under names of its own.

        Raises:
            ValueError: a VAE that the widgets' engine cannot compute.
        """
        self.weights = {name: pack(vae) for name, vae in vaes.items()}
        self._shipped = {name: _shipped(vae, self.weights[name]) for name, vae in vaes.items()}

    def description(self) -> dict[str, Any]:
        """The widget for a page without a kernel, as JSON: `widget` (its script), `title`, `state`, `models`.

        `models` names the trained models that come with the library, which all pages share. The weights of any other
        model are part of the state; they make a notebook 0.4 MB longer.
        """
        names = set(self.trait_names(sync=True)) - set(anywidget.AnyWidget.class_trait_names())
        state = {name: getattr(self, name) for name in sorted(names) if not name.startswith("_")}
        models = {name: shipped for name, shipped in getattr(self, "_shipped", {}).items() if shipped}
        state["weights"] = {name: data for name, data in self.weights.items() if name not in models}
        described = {"widget": self.script, "title": self.title, "state": state, "models": models}
        plain: dict[str, Any] = json.loads(json.dumps(described, default=_base64))
        return plain

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a notebook's output holds of the widget, and its metadata: the live view, and what works without it."""
        data, metadata = self._repr_mimebundle_() or ({}, {})
        data |= {
            MIME: self.description(),
            "image/png": png(self.still()),
            "text/plain": f"Live widget: {self.title}.",
        }
        return data, {**metadata, "image/png": {"alt": self.alt()}}

    def _ipython_display_(self, **options: Any) -> None:
        data, metadata = self.bundle()
        display(data, metadata=metadata, raw=True)


def _shipped(vae: VAE, packed: bytes) -> str | None:
    """The name of the model if it comes with the library, unchanged."""
    inlier, noise, negatives, preset = (
        str(vae.provenance.get(key)) for key in ("inlier", "noise", "negatives", "preset")
    )
    name = model_name(Run(inlier, noise, negatives, preset=preset))
    unchanged = name in pretrained_names() and pack(pretrained(inlier, noise, negatives, preset, "cpu")) == packed
    return name if unchanged else None


def _base64(data: object) -> dict[str, str]:
    """Bytes in JSON."""
    if isinstance(data, bytes | memoryview):
        return {"base64": b64encode(data).decode()}
    raise TypeError(f"a widget's state must be JSON or bytes, not {type(data).__name__}")
