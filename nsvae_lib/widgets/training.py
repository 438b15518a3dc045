"""Widget 7, training: the loss terms while a model learns, a button that stops it, and the recorded run to replay."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .. import plots, training
from ..data import ImageData
from ..negatives import Negatives
from ..objectives import ELBO, Objective
from ..training import History
from ..vae import VAE
from .base import Widget

SECONDS_BETWEEN_LOOKS = 0.2
NOT_SHOWN = ("epoch", "loss", "seconds", "images_per_second")

Row = dict[str, float]


class Training(Widget):
    """See a model learn: its loss terms, and what a callback adds (AUROC), epoch by epoch.

    `Training().fit(...)` trains as `nsvae_lib.fit` does, shows the curves as they grow, with a button that stops the
    run, and returns the history. `from_history` makes one of a run that is over, to be replayed: what `fit` leaves
    behind, too. A kernel sees what the reader does, and may set it: `stopped` (ends the run after the next step) and
    `at` (epochs of the replay that are shown).
    """

    script = "training"
    title = "Training"

    columns = traitlets.List(traitlets.Unicode()).tag(sync=True)  # what is drawn, in its order
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)  # of the history, a NaN as None
    part = traitlets.Dict().tag(sync=True)  # the row of the epoch that is under way, so far
    epochs = traitlets.Float(1).tag(sync=True)  # the run's length
    at = traitlets.Float(0).tag(sync=True)
    running = traitlets.Bool(False).tag(sync=True)
    stopped = traitlets.Bool(False).tag(sync=True)

    @classmethod
    def from_history(cls, history: History) -> "Training":
        """The replay of a run that is over.

        Raises:
            ValueError: a history without epochs.
        """
        if not history.rows:
            raise ValueError("the history has no epochs to replay: train first, with fit")
        rows = [_shown(row) for row in history.rows]
        return cls(columns=_columns(rows[0]), rows=rows, epochs=rows[-1]["epoch"], at=rows[-1]["epoch"])

    def fit(
        self,
        vae: VAE,
        images: ImageData | Tensor,
        objective: Objective = ELBO(),  # noqa: B008 (as in training.fit)
        negatives: Negatives | None = None,
        *,
        epochs: int,
        callback: Callable[[VAE, Row], None] | None = None,
        **options: Any,
    ) -> History:
        """Train as `training.fit` does, with the same arguments and to the same parameters, and show it.

        The reader's button ends the run after the step at hand; what comes back then is described in `training.fit`.
        It is heard where a kernel keeps its messages as ipykernel 6 and 7 do, which includes JupyterLab and Colab.

        Args:
            vae, images, objective, negatives, callback: as in `training.fit`.
            epochs: passes through the images.
            options: further arguments of `training.fit`, except `on_step`. There is no progress bar unless asked for.

        Raises:
            ValueError, FloatingPointError: as `training.fit`.
        """
        terms: list[dict[str, Tensor]] = []
        looked = time.monotonic()

        def on_step(epoch: float, step: dict[str, Tensor]) -> bool:
            nonlocal looked
            terms.append(step)
            if time.monotonic() - looked > SECONDS_BETWEEN_LOOKS:
                means = {name: torch.stack([t[name] for t in terms]).mean().item() for name in step}
                self.part = _shown({"epoch": epoch} | means)
                self.columns = self.columns or _columns(self.part)
                hear_reader()
                looked = time.monotonic()
            return self.stopped

        def on_epoch(vae: VAE, row: Row) -> None:
            if callback is not None:
                callback(vae, row)
            self.rows = [*self.rows, _shown(row)]
            self.columns = _columns(self.rows[0])
            self.part = {}
            terms.clear()

        self.columns, self.rows, self.epochs, self.at = [], [], epochs, 0
        self.stopped, self.running = False, True
        live, _ = self._repr_mimebundle_() or ({}, {})
        shown = display(live, raw=True, display_id=True)
        try:
            history = training.fit(
                vae,
                images,
                objective,
                negatives,
                epochs=epochs,
                callback=on_epoch,
                on_step=on_step,
                **{"progress": False, **options},
            )
            self.rows = [_shown(row) for row in history.rows]  # those of a checkpoint, too
            return history
        finally:
            self.running = False
            self.part = {}
            if self.rows:
                self.epochs = self.at = self.rows[-1]["epoch"]
                data, metadata = self.bundle()
                if shown is not None:
                    shown.update(data, metadata=metadata, raw=True)

    def still(self) -> Figure:
        """The curves of the whole run."""
        panels = _panels(self.columns)
        fig, axes = plots.new_figure(max(1, len(panels)), height=2.6)
        for ax, (title, names) in zip(axes, panels.items(), strict=False):
            # None becomes NaN here, and a gap in the curve.
            curves = {_label(name): np.array([row.get(name) for row in self.rows], dtype=float) for name in names}
            plots.lines([row["epoch"] for row in self.rows], curves, xlabel="epoch", ylabel=title, ax=ax)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            if len(curves) > 1:
                ax.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
        return fig

    def alt(self) -> str:
        """What the still picture shows."""
        if not self.rows:
            return "A training run that has not begun: its curves appear here, epoch by epoch."
        first, last = self.rows[0], self.rows[-1]
        changes = ", ".join(
            f"{_label(name)} from {first[name]:.4g} to {last[name]:.4g}"
            for name in self.columns
            if first.get(name) is not None and last.get(name) is not None
        )
        return f"Curves of a training run of {last['epoch']:.4g} epochs: {changes}."


def _shown(row: Row) -> dict[str, float | None]:
    """A row as a page gets it: without what is not drawn, few digits, None for what is no number."""
    kept = {name: value for name, value in row.items() if name == "epoch" or name not in NOT_SHOWN}
    return {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in kept.items()}


def _columns(row: Mapping[str, float | None]) -> list[str]:
    return [name for name in row if name != "epoch"]


def _panels(columns: list[str]) -> dict[str, list[str]]:
    """The columns that share a panel, by the label of its axis: the KL terms, the AUROCs, any other by itself."""
    panels: dict[str, list[str]] = {}
    for name in columns:
        kind = "AUROC" if "auroc" in name else f"{'KL' if name.endswith('kl') else _label(name)}, nats"
        panels.setdefault(kind, []).append(name)
    return panels


def _label(name: str) -> str:
    """ "auroc_kl MNIST" -> "AUROC KL MNIST", "negative_kl" -> "negative KL"."""
    words = name.replace("_", " ").split(" ")
    return " ".join(word.upper() if word in ("auroc", "bpd", "kl") else word for word in words)


def hear_reader() -> None:
    """Let the kernel's widgets hear the reader now, in the middle of a cell.

    What a page sends waits until the cell that runs is done. This takes the messages to widgets out of the line and
    handles them. All others, such as the request to run the next cell, go on waiting in their order.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    stream = _incoming(kernel)
    if kernel is None or stream is None or threading.current_thread() is not threading.main_thread():
        return
    deliver = stream._recv_callback
    others: list[Any] = []

    def sort(frames: Any) -> None:
        sender, parts = kernel.session.feed_identities(frames, copy=False)
        if kernel.session.unpack(parts[1].bytes)["msg_type"] != "comm_msg":
            others.append(frames)
            return
        message = kernel.session.deserialize(parts, copy=False)
        kernel.shell_handlers["comm_msg"](stream, sender, message)
        # The page sends the next change only when it hears that this one is done with.
        kernel._publish_status("idle", "shell", message)

    stream.on_recv(sort, copy=False)
    try:
        stream.flush()
    finally:
        stream.on_recv(deliver, copy=False)
        for frames in others:
            stream._run_callback(deliver, frames)


def _incoming(kernel: Any) -> Any:
    """The stream that brings a kernel's main thread what pages send; None for a kernel that has none."""
    thread = getattr(kernel, "shell_channel_thread", None)
    if thread is not None:  # ipykernel 7
        return thread.manager.get_shell_channel_to_subshell_pair(None).to_stream
    return getattr(kernel, "shell_stream", None)
