"""The only training loop. Explained in chapter 1.

The paper alternates: per mini-batch one encoder step, then one decoder step. The decoder's reconstruction term uses
the z drawn *before* the encoder step, and the encoder step does not touch the decoder, so one backward pass gives
exactly the gradients of both steps at half the cost. Only what an objective hands over as `decoder_terms` is computed
after the encoder has moved.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from .checkpoints import read_safetensors, write_safetensors
from .data import ImageData, check_images, digest, to_float
from .negatives import Negatives
from .objectives import ELBO, Objective
from .vae import VAE, best_device

CHECKPOINT = "nsvae-training-1"
STEPS_BETWEEN_CHECKS = 50


class TensorFlowRMSProp(Optimizer):
    """RMSProp as in TensorFlow 1, which the authors used.

    The running mean of squared gradients starts at 1, not at 0 as in PyTorch, so that the first steps are small; eps is
    added under the root. Otherwise it is "rmsprop".
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float):
        super().__init__(parameters, {"lr": lr, "alpha": 0.9, "eps": 1e-10})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step for every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if not self.state[p]:
                    self.state[p]["square_avg"] = torch.ones_like(p)
                square_avg = self.state[p]["square_avg"].mul_(group["alpha"])
                square_avg.addcmul_(p.grad, p.grad, value=1 - group["alpha"])
                p.addcdiv_(p.grad, (square_avg + group["eps"]).sqrt(), value=-group["lr"])


# alpha and eps of "rmsprop" are those of TensorFlow 1; "rmsprop-pytorch" has PyTorch's own, 0.99 and 1e-8.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "rmsprop": lambda parameters, lr: torch.optim.RMSprop(parameters, lr=lr, alpha=0.9, eps=1e-10),
    "rmsprop-pytorch": lambda parameters, lr: torch.optim.RMSprop(parameters, lr=lr),
    "rmsprop-tensorflow": TensorFlowRMSProp,
    "adam": lambda parameters, lr: torch.optim.Adam(parameters, lr=lr),
}
UPDATES = ("alternating", "simultaneous", "redrawn")


@dataclass
class History:
    """What happened in training: one row per epoch.

    Each row has `epoch` (from 1), the loss terms and their sum `loss` (means over the epoch, nats per image),
    `seconds` and `images_per_second`. `history["kl"]` is one column as a list. Where `on_step` stopped training within
    an epoch, the last row is about the steps since the last whole one, and its `epoch` is a fraction such as 2.4.
    """

    rows: list[dict[str, float]] = field(default_factory=list)

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas table."""
        return pd.DataFrame(self.rows)

    def __repr__(self) -> str:
        if not self.rows:
            return "History(no epochs)"
        return (
            f"History({len(self.rows)} epochs, {sum(self['seconds']):.0f} s, "
            f"last loss {self.rows[-1]['loss']:.1f} nats per image)"
        )


def fit(
    vae: VAE,
    images: ImageData | Tensor,
    objective: Objective = ELBO(),  # noqa: B008 (frozen, so one for all calls is fine)
    negatives: Negatives | None = None,
    *,
    epochs: int = 10,
    batch_size: int = 50,
    lr: float = 1e-4,
    optimizer: str = "rmsprop",
    update: str = "alternating",
    seed: int = 0,
    device: str | torch.device | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    callback: Callable[[VAE, dict[str, float]], None] | None = None,
    on_step: Callable[[float, dict[str, Tensor]], bool | None] | None = None,
) -> History:
    """Train `vae` in place. The same arguments give the same parameters, on a CPU bit for bit.

    (With the same number of threads: it decides in which order numbers are added up.)

    Args:
        vae: the model; it is moved to `device` and left there.
        images: training images [N, C, H, W], uint8 or in [0, 1], or an ImageData, of which `train` is used.
        objective: what to minimise.
        negatives: where negative samples come from (see `negatives`), for objectives that use them.
        epochs: passes through the images, counted from the very first, also when a checkpoint is continued.
        batch_size: images per step; the paper: 50.
        lr: learning rate; the paper: 1e-4.
        optimizer: "rmsprop" (the paper, grey images) or "adam" (colour); "rmsprop-tensorflow" and "rmsprop-pytorch"
            are the first as these two libraries have it.
        update: "alternating", as in the paper; "simultaneous": what the decoder alone minimises is computed before the
            encoder moves; "redrawn": all that the decoder minimises is computed anew after the encoder has moved, from
            a new z. Without a term for the decoder alone (ELBO) the first two are the same.
        seed: fixes shuffling and sampling; 0 or more.
        device: where to train; default: CUDA, else MPS, else the CPU.
        checkpoint: a file written after each epoch. If it is there already, training goes on from it to exactly the
            parameters that an uninterrupted run would have reached; it must not hold more epochs than that.
        progress: show a progress bar.
        callback: called after each epoch with the model and the epoch's row; what it adds to the row is kept.
        on_step: called after each step with the epochs done, such as 2.4, and the step's loss terms. If it answers
            True, training ends there, after one more call of `callback`; see `History` for the row. A checkpoint keeps
            whole epochs only, so the same call, made again, goes on from the last of them.

    Returns:
        The history, one row per epoch.

    Raises:
        ValueError: images or arguments that cannot work, a checkpoint of other arguments; before any training.
        FloatingPointError: a loss that is not finite; the message names epoch and step.
    """
    images = check_images(images.train if isinstance(images, ImageData) else images, vae.shape)
    check_arguments(epochs, batch_size, lr, optimizer, update, seed)
    if objective.uses_negatives != (negatives is not None):
        needs, remedy = "uses no", "leave them out"
        if objective.uses_negatives:
            needs, remedy = "needs", "give a source of them, such as FromImages(load('Glyphs'))"
        raise ValueError(f"{objective} {needs} negatives, got negatives={negatives}: {remedy}")
    device = torch.device(device or best_device())
    vae.to(device).to(memory_format=torch.channels_last)
    if negatives is not None:
        negatives.prepare(vae)
    optimizers = {
        "encoder": OPTIMIZERS[optimizer](vae.encoder.parameters(), lr),
        "decoder": OPTIMIZERS[optimizer]([*vae.decoder.parameters(), *vae.noise.parameters()], lr),
    }
    history = History()
    run: dict[str, Any] = {}
    if checkpoint is not None:
        run = {"objective": repr(objective), "batch_size": batch_size, "lr": lr, "optimizer": optimizer}
        run |= {"update": update, "seed": seed, "model": repr(vae), "noise": repr(vae.noise)}
        run |= {"architecture": vae.architecture, "images": digest(images), "negatives": repr(negatives)}
        if Path(checkpoint).exists():
            history = _resume(checkpoint, vae, optimizers, run)
    images = images.to(device)
    steps = math.ceil(len(images) / batch_size)
    done = len(history.rows)
    if done > epochs:
        raise ValueError(
            f"{checkpoint} holds {done} epochs, more than the {epochs} asked for; choose another file or delete it"
        )
    bar = tqdm(total=epochs * steps, initial=done * steps, unit="step", disable=not progress)
    with bar, _training_mode(vae):
        for epoch in range(done + 1, epochs + 1):
            start = time.perf_counter()
            generator = _epoch_generator(seed, epoch, device)
            terms: list[dict[str, Tensor]] = []
            for x in _batches(images, batch_size, generator):
                terms.append(_step(vae, objective, x, negatives, optimizers, update, generator))
                place = epoch - 1 + len(terms) / steps
                stopped = on_step is not None and bool(on_step(place, terms[-1]))
                if stopped or len(terms) % STEPS_BETWEEN_CHECKS == 0 or len(terms) == steps:
                    _check_finite(terms, epoch)
                    bar.set_description(f"epoch {epoch}/{epochs}", refresh=False)
                    bar.set_postfix({k: f"{v:.1f}" for k, v in terms[-1].items()}, refresh=False)
                bar.update()
                if stopped:
                    break
            whole = len(terms) == steps
            row = {"epoch": epoch if whole else place} | _means(terms)
            row["seconds"] = time.perf_counter() - start
            row["images_per_second"] = min(len(terms) * batch_size, len(images)) / row["seconds"]
            if callback is not None:
                callback(vae, row)
                vae.train()
            history.rows.append(row)
            if checkpoint is not None and whole:
                _save(checkpoint, vae, optimizers, run, history)
            if stopped:
                break
    return history


@contextmanager
def _training_mode(vae: VAE) -> Iterator[None]:
    """Training mode until the end, or until an interrupt: a notebook's model outlives it."""
    vae.train()
    try:
        yield
    finally:
        vae.encoder.requires_grad_(True)  # half a step has frozen it
        vae.eval()


def _step(
    vae: VAE,
    objective: Objective,
    x: Tensor,
    negatives: Negatives | None,
    optimizers: dict[str, Optimizer],
    update: str,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """One mini-batch: encoder step, decoder step. Returns the loss terms, detached."""
    for opt in optimizers.values():
        opt.zero_grad()
    drawn = None if negatives is None else negatives.draw(x, vae, generator)
    terms, decoder_terms = objective.losses(vae, x, drawn, generator)
    _backward(terms)
    if update != "simultaneous":
        optimizers["encoder"].step()
    # From here on the encoder is only looked through: its own gradients are neither wanted nor paid for.
    vae.encoder.requires_grad_(False)
    if update == "redrawn":
        optimizers["decoder"].zero_grad()
        terms, decoder_terms = objective.losses(vae, x, drawn, generator)
        _backward(terms)
    if decoder_terms is not None:
        extra = decoder_terms()
        _backward(extra)
        terms = terms | extra
    vae.encoder.requires_grad_(True)
    if update == "simultaneous":
        optimizers["encoder"].step()
    optimizers["decoder"].step()
    return {name: term.detach() for name, term in terms.items()}


def _backward(terms: dict[str, Tensor]) -> None:
    torch.stack(list(terms.values())).sum().backward()


def _batches(images: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Shuffled mini-batches [B, C, H, W], float in [0, 1]; images stay uint8 until here."""
    order = torch.randperm(len(images), generator=generator, device=images.device)
    for index in order.split(batch_size):
        yield to_float(images[index])


def _epoch_generator(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    # Each epoch has a random stream of its own, so that a run continued from a checkpoint needs no saved state.
    state = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state >> np.uint64(1)))


def _means(terms: list[dict[str, Tensor]]) -> dict[str, float]:
    means = {name: torch.stack([t[name] for t in terms]).mean().item() for name in terms[0]}
    return {"loss": sum(means.values())} | means


def _check_finite(terms: list[dict[str, Tensor]], epoch: int) -> None:
    """Look back over the steps since the last check. Looking at every step would make a GPU wait."""
    since = (len(terms) - 1) // STEPS_BETWEEN_CHECKS * STEPS_BETWEEN_CHECKS
    recent = torch.stack([torch.stack(list(t.values())) for t in terms[since:]])
    finite = recent.isfinite().all(1)
    if not finite.all():
        first = int((~finite).nonzero()[0, 0])
        values = {name: float(value) for name, value in terms[since + first].items()}
        raise FloatingPointError(
            f"the loss is not finite at epoch {epoch}, step {since + first + 1}: {values}. "
            "The parameters are lost; try a smaller learning rate."
        )


def check_arguments(epochs: int, batch_size: int, lr: float, optimizer: str, update: str, seed: int) -> None:
    """ValueError if `fit` could not work with these."""
    if epochs < 1 or batch_size < 1:
        raise ValueError(f"epochs and batch_size must be at least 1, got {epochs} and {batch_size}")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr must be a positive number, got {lr}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {optimizer!r}; known: {', '.join(OPTIMIZERS)}")
    if update not in UPDATES:
        raise ValueError(f"unknown update {update!r}; known: {', '.join(UPDATES)}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")


def _save(path: str | Path, vae: VAE, optimizers: dict[str, Optimizer], run: dict[str, Any], history: History) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in vae.state_dict().items()}
    for part, opt in optimizers.items():
        for index, state in opt.state_dict()["state"].items():
            tensors |= {f"{part}.{index}.{key}": value for key, value in state.items()}
    write_safetensors(path, tensors, CHECKPOINT, {"run": run, "history": history.rows})


def _resume(path: str | Path, vae: VAE, optimizers: dict[str, Optimizer], run: dict[str, Any]) -> History:
    tensors, description = read_safetensors(path, CHECKPOINT)
    differing = [name for name, value in run.items() if description["run"].get(name) != value]
    if differing:
        details = "; ".join(f"{n}: {description['run'].get(n)!r} there, {run[n]!r} here" for n in differing)
        raise ValueError(f"{path} is the checkpoint of another run ({details}); choose another file or delete it")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "encoder": {}, "decoder": {}}
    for name, tensor in tensors.items():
        part, key = name.split(".", 1)
        parts[part][key] = tensor
    vae.load_state_dict(parts["model"])
    for part, opt in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts[part].items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = tensor
        opt.load_state_dict({"state": state, "param_groups": opt.state_dict()["param_groups"]})
    return History(description["history"])
