"""The training loop: exactness, seeds, resuming, errors."""

import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch

from nsvae_lib.bounds import draw_latents, kl_divergence
from nsvae_lib.checkpoints import read_safetensors
from nsvae_lib.data import to_float
from nsvae_lib.noise import Gaussian
from nsvae_lib.objectives import ELBO, Losses
from nsvae_lib.training import CHECKPOINT, OPTIMIZERS, _batches, _epoch_generator, fit
from nsvae_lib.vae import VAE


def parameters(vae: VAE) -> list[torch.Tensor]:
    return [p.detach().clone() for p in vae.state_dict().values()]


def same(a: VAE, b: VAE) -> bool:
    return all(torch.equal(p, q) for p, q in zip(parameters(a), parameters(b), strict=True))


def naive_two_pass(vae: VAE, images: torch.Tensor, epochs: int, batch_size: int, lr: float, optimizer: str) -> None:
    """The paper's alternating update as one would first write it: a forward and a backward pass for each network."""
    vae.to(memory_format=torch.channels_last)
    encoder_step = OPTIMIZERS[optimizer](vae.encoder.parameters(), lr)
    decoder_step = OPTIMIZERS[optimizer]([*vae.decoder.parameters(), *vae.noise.parameters()], lr)
    vae.train()
    for epoch in range(1, epochs + 1):
        generator = _epoch_generator(0, epoch, torch.device("cpu"))
        for x in _batches(images, batch_size, generator):
            q = vae.encode(x)
            z = draw_latents(q, 1, generator)[0]
            loss = kl_divergence(q, vae.prior).mean() - vae.decode(z).log_prob(x).mean()
            vae.zero_grad()
            loss.backward()
            encoder_step.step()
            vae.zero_grad()
            (-vae.decode(z.detach()).log_prob(x).mean()).backward()
            decoder_step.step()


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian-learned"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_pass_is_the_naive_two_pass_update_bit_for_bit(tiny_images, noise, optimizer):
    start = VAE.for_images((1, 12, 12), noise, latent_dim=3)
    ours, naive = deepcopy(start), deepcopy(start)
    fit(ours, tiny_images, epochs=2, batch_size=8, lr=1e-3, optimizer=optimizer, device="cpu", progress=False)
    naive_two_pass(naive, tiny_images, 2, 8, 1e-3, optimizer)
    assert same(ours, naive) and not same(ours, start)


def test_alternating_and_simultaneous_agree_without_decoder_terms(tiny_images):
    vaes = [VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2)]
    for vae, update in zip(vaes, ("alternating", "simultaneous"), strict=True):
        fit(vae, tiny_images, epochs=1, update=update, device="cpu", progress=False)
    assert same(*vaes)


@dataclass(frozen=True)
class WithDecoderTerm:
    """ELBO plus a term for the decoder alone that looks through the encoder."""

    uses_negatives = False

    def losses(self, vae: VAE, x: torch.Tensor, negatives: None, generator: torch.Generator) -> Losses:
        terms, _ = ELBO().losses(vae, x, None, generator)
        z = torch.randn(len(x), vae.latent_dim, generator=generator)
        generated = vae.decode(z).mean
        return Losses(terms, lambda: {"adversarial": kl_divergence(vae.encode(generated), vae.prior).mean()})


def test_a_redrawn_update_sees_the_moved_encoder_and_a_new_z(tiny_images):
    images, lr = tiny_images[:8], 1e-3
    start = VAE.for_images((1, 12, 12), latent_dim=3)
    ours, by_hand = deepcopy(start), deepcopy(start)
    options = {"epochs": 1, "batch_size": 8, "lr": lr, "device": "cpu", "progress": False}
    history = fit(ours, images, WithDecoderTerm(), update="redrawn", **options)

    by_hand.to(memory_format=torch.channels_last).train()
    generator = _epoch_generator(0, 1, torch.device("cpu"))
    (x,) = _batches(images, 8, generator)
    for part in (by_hand.encoder, by_hand.decoder):
        terms, decoder_terms = WithDecoderTerm().losses(by_hand, x, None, generator)
        if part is by_hand.decoder:
            terms = terms | decoder_terms()
        gradients = torch.autograd.grad(torch.stack(list(terms.values())).sum(), list(part.parameters()))
        for p, g in zip(part.parameters(), gradients, strict=True):
            p.grad = g
        OPTIMIZERS["rmsprop"](part.parameters(), lr).step()
    for one, other in zip(parameters(ours), parameters(by_hand), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert history["loss"] == [pytest.approx(sum(terms.values()).item(), rel=1e-5)]


def test_rmsprop_as_in_tensorflow():
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = OPTIMIZERS["rmsprop-tensorflow"]([p], 0.1)
    gradient = torch.tensor([3.0, 0.0])
    expected, mean_square = p.detach().clone(), torch.ones(2)
    for _ in range(3):
        p.grad = gradient
        optimizer.step()
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        expected -= 0.1 * gradient / (mean_square + 1e-10).sqrt()
    assert torch.allclose(p, expected)


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_decoder_terms_move_the_decoder_alone_and_see_the_encoder_at_the_right_time(tiny_images, update):
    images, lr = tiny_images[:8], 1e-3
    start = VAE.for_images((1, 12, 12), latent_dim=3)
    ours = deepcopy(start)
    history = fit(
        ours, images, WithDecoderTerm(), epochs=1, batch_size=8, lr=lr, update=update, device="cpu", progress=False
    )

    by_hand = deepcopy(start)
    by_hand.to(memory_format=torch.channels_last).train()
    generator = _epoch_generator(0, 1, torch.device("cpu"))
    (x,) = _batches(images, 8, generator)
    terms, decoder_terms = WithDecoderTerm().losses(by_hand, x, None, generator)
    encoder, decoder = list(by_hand.encoder.parameters()), list(by_hand.decoder.parameters())
    loss = torch.stack(list(terms.values())).sum()
    gradients = torch.autograd.grad(loss, encoder + decoder, retain_graph=True)
    if update == "simultaneous":
        adversarial = decoder_terms()["adversarial"]
        extra = torch.autograd.grad(adversarial, decoder)
    step = OPTIMIZERS["rmsprop"](encoder, lr)
    for p, g in zip(encoder, gradients, strict=False):
        p.grad = g
    step.step()
    if update == "alternating":
        adversarial = decoder_terms()["adversarial"]
        extra = torch.autograd.grad(adversarial, decoder)
    step = OPTIMIZERS["rmsprop"](decoder, lr)
    for p, g, e in zip(decoder, gradients[len(encoder) :], extra, strict=True):
        p.grad = g + e
    step.step()
    assert same(ours, by_hand)
    assert history["adversarial"] == [pytest.approx(adversarial.item())]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tiny_images):
    vaes = [VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(3)]
    histories = [
        fit(vae, tiny_images, epochs=2, seed=seed, device="cpu", progress=False)
        for vae, seed in zip(vaes, (1, 1, 2), strict=True)
    ]
    assert same(vaes[0], vaes[1]) and not same(vaes[0], vaes[2])
    assert histories[0]["loss"] == histories[1]["loss"] != histories[2]["loss"]


def test_history_adds_up_and_training_helps(tiny_images):
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    history = fit(vae, tiny_images, epochs=5, lr=1e-3, batch_size=10, device="cpu", progress=False)
    assert history["epoch"] == [1, 2, 3, 4, 5]
    assert history["loss"] == pytest.approx(
        [r + k for r, k in zip(history["reconstruction"], history["kl"], strict=True)]
    )
    assert history["loss"][-1] < 0.95 * history["loss"][0]
    assert min(history["images_per_second"]) > 0 and list(history.to_frame().columns)[:2] == ["epoch", "loss"]
    assert "5 epochs" in repr(history) and not vae.training


def test_the_last_smaller_batch_is_used(tiny_images):
    seen = [len(x) for x in _batches(tiny_images, 30, torch.Generator().manual_seed(0))]
    assert seen == [30, 30, 20][: len(seen)] and sum(seen) == len(tiny_images)


def test_each_image_once_an_epoch(tiny_images):
    shuffled = torch.cat(list(_batches(tiny_images, 7, torch.Generator().manual_seed(0))))
    key = torch.rand(144, generator=torch.Generator().manual_seed(1))
    keys = [(images.flatten(1) @ key).sort().values for images in (shuffled, to_float(tiny_images))]
    assert torch.allclose(*keys) and not torch.equal(shuffled, to_float(tiny_images))


def test_a_stopped_run_continues_to_exactly_the_same_parameters(tiny_images, tmp_path):
    class Stop(Exception):
        pass

    def stop_in_the_third_epoch(vae, row):
        if row["epoch"] == 3:
            raise Stop

    whole, stopped = (VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2))
    expected = fit(whole, tiny_images, epochs=4, device="cpu", progress=False)
    path = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        fit(
            stopped,
            tiny_images,
            epochs=4,
            device="cpu",
            progress=False,
            checkpoint=path,
            callback=stop_in_the_third_epoch,
        )
    again = VAE.for_images((1, 12, 12), latent_dim=3)
    history = fit(again, tiny_images, epochs=4, device="cpu", progress=False, checkpoint=path)
    assert same(whole, again) and history["loss"] == expected["loss"]
    # A finished run is not repeated.
    third = VAE.for_images((1, 12, 12), latent_dim=3)
    assert fit(third, tiny_images, epochs=4, device="cpu", progress=False, checkpoint=path).rows == history.rows
    assert same(whole, third)


KILLED_RUN = """
import sys, torch
from nsvae_lib.training import fit
from nsvae_lib.vae import VAE
torch.set_num_threads(1)
images = torch.load(sys.argv[1])
vae = VAE.for_images((1, 12, 12), latent_dim=3)
fit(vae, images, epochs=1000, batch_size=8, device="cpu", progress=False, checkpoint=sys.argv[2])
"""


def test_a_killed_run_continues_to_exactly_the_same_parameters(tiny_images, tmp_path):
    path = tmp_path / "run.safetensors"
    torch.save(tiny_images, tmp_path / "images.pt")
    process = subprocess.Popen([sys.executable, "-c", KILLED_RUN, tmp_path / "images.pt", path])
    while not path.exists():
        time.sleep(0.01)
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    done = len(read_safetensors(path, CHECKPOINT)[1]["history"])
    killed, whole = (VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2))
    arguments = {"epochs": done + 2, "batch_size": 8, "device": "cpu", "progress": False}
    fit(killed, tiny_images, checkpoint=path, **arguments)
    fit(whole, tiny_images, **arguments)
    assert same(whole, killed)


def test_a_run_interrupted_within_a_step_continues_with_the_same_model(tiny_images, tmp_path):
    """In a notebook the model outlives the interrupt, and half a step has frozen its encoder."""

    @dataclass(frozen=True)
    class Interrupted(WithDecoderTerm):
        interrupt: list

        def losses(self, vae, x, negatives, generator):
            terms, decoder_terms = super().losses(vae, x, negatives, generator)

            def interrupted():
                if self.interrupt:
                    raise KeyboardInterrupt
                return decoder_terms()

            return Losses(terms, interrupted)

        def __repr__(self) -> str:
            return "the same objective"

    def after_two(vae, row):
        if row["epoch"] == 2:
            pending.append(True)

    pending: list[bool] = []
    whole, stopped = (VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2))
    options = {"epochs": 4, "batch_size": 10, "device": "cpu", "progress": False}
    fit(whole, tiny_images, Interrupted([]), **options)
    path = tmp_path / "run.safetensors"
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, tiny_images, Interrupted(pending), **options, checkpoint=path, callback=after_two)
    assert not stopped.training and all(p.requires_grad for p in stopped.parameters())
    pending.clear()
    fit(stopped, tiny_images, Interrupted(pending), **options, checkpoint=path)
    assert same(whole, stopped)


def test_a_checkpoint_of_more_epochs_is_refused(tiny_images, tmp_path):
    """Its parameters are not those that the same call without a checkpoint would give."""
    path = tmp_path / "run.safetensors"
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    fit(vae, tiny_images, epochs=2, device="cpu", progress=False, checkpoint=path)
    with pytest.raises(ValueError, match="2 epochs, more than the 1 asked for"):
        fit(vae, tiny_images, epochs=1, device="cpu", progress=False, checkpoint=path)


def test_a_checkpoint_of_another_run_is_refused(tiny_images, tmp_path):
    path = tmp_path / "run.safetensors"
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    fit(vae, tiny_images, epochs=1, device="cpu", progress=False, checkpoint=path)
    with pytest.raises(ValueError, match="lr: 0.0001 there, 0.01 here"):
        fit(vae, tiny_images, epochs=1, lr=0.01, device="cpu", progress=False, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint of another run .*images"):
        fit(vae, tiny_images[1:], epochs=1, device="cpu", progress=False, checkpoint=path)
    for name, other in {
        "seed": VAE.for_images((1, 12, 12), latent_dim=3, seed=1),
        "initialisation": VAE.for_images((1, 12, 12), latent_dim=3, initialisation="authors"),
        "spectral_norm": VAE.for_images((1, 12, 12), latent_dim=3, spectral_norm=True),
    }.items():
        with pytest.raises(ValueError, match=f"architecture: .*'{name}'"):
            fit(other, tiny_images, epochs=2, device="cpu", progress=False, checkpoint=path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="not a safetensors file"):
        fit(vae, tiny_images, epochs=1, device="cpu", progress=False, checkpoint=path)


def test_a_loss_that_is_not_finite_names_its_step(tiny_images):
    @dataclass(frozen=True)
    class Breaks(ELBO):
        calls: list

        def losses(self, vae, x, negatives, generator):
            self.calls.append(1)
            terms, _ = super().losses(vae, x, negatives, generator)
            return Losses({k: v / (len(self.calls) != 13) for k, v in terms.items()})

    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    with pytest.raises(FloatingPointError, match="not finite at epoch 2, step 3: .*inf"):
        fit(vae, tiny_images, Breaks([]), epochs=2, batch_size=8, device="cpu", progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs and batch_size must be at least 1"),
        ({"batch_size": 0}, "epochs and batch_size must be at least 1"),
        ({"lr": 0.0}, "lr must be a positive number"),
        ({"lr": float("nan")}, "lr must be a positive number"),
        ({"optimizer": "sgd"}, "unknown optimizer 'sgd'; known: rmsprop, rmsprop-pytorch, "),
        ({"update": "both"}, "unknown update 'both'"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
    ],
)
def test_bad_arguments_stop_before_any_work(tiny_images, arguments, message):
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    before = parameters(vae)
    with pytest.raises(ValueError, match=message):
        fit(vae, tiny_images, progress=False, **arguments)
    assert all(torch.equal(p, q) for p, q in zip(before, parameters(vae), strict=True))


def test_bad_images_stop_before_any_work(tiny_images):
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    for images in (tiny_images[:0], tiny_images / 100, tiny_images[:, :, :8], torch.full((2, 1, 12, 12), float("nan"))):
        with pytest.raises(ValueError, match="images"):
            fit(vae, images, progress=False)


def test_callback_can_add_to_the_row(tiny_images):
    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    history = fit(
        vae,
        tiny_images,
        epochs=2,
        device="cpu",
        progress=False,
        callback=lambda v, row: row.update(extra=row["epoch"] * 2),
    )
    assert history["extra"] == [2, 4]


def test_on_step_stops_training_within_an_epoch_and_a_checkpoint_goes_on(tiny_images, tmp_path):
    seen = []

    def stop_in_the_third_epoch(epoch, terms):
        seen.append((epoch, sum(terms.values()).item()))
        return epoch >= 2.4

    whole, stopped = (VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2))
    options = {"epochs": 4, "batch_size": 10, "device": "cpu", "progress": False}
    expected = fit(whole, tiny_images, **options)
    path = tmp_path / "run.safetensors"
    history = fit(stopped, tiny_images, **options, checkpoint=path, on_step=stop_in_the_third_epoch)
    steps = [epoch for epoch, _ in seen]
    assert steps == pytest.approx([step / 8 for step in range(1, 21)])
    assert history["epoch"] == [1, 2, 2.5]
    assert history["loss"][:2] == expected["loss"][:2]
    assert history["loss"][2] == pytest.approx(sum(loss for _, loss in seen[16:]) / 4)
    assert not stopped.training
    again = VAE.for_images((1, 12, 12), latent_dim=3)
    assert fit(again, tiny_images, **options, checkpoint=path)["loss"] == expected["loss"]
    assert same(whole, again)


def test_a_run_stopped_after_an_epoch_is_the_shorter_run(tiny_images):
    short, stopped = (VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2))
    options = {"device": "cpu", "progress": False}
    expected = fit(short, tiny_images, epochs=2, **options)
    history = fit(stopped, tiny_images, epochs=5, on_step=lambda epoch, terms: epoch == 2, **options)
    assert history["epoch"] == [1, 2] and history["loss"] == expected["loss"]
    assert same(short, stopped)


def test_progress_bar(tiny_images, capsys):
    fit(VAE.for_images((1, 12, 12), latent_dim=3), tiny_images, epochs=2, batch_size=10, device="cpu")
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown and "kl=" in shown and "16/16" in shown


def test_a_checkpoint_knows_a_fixed_sigma_and_not_a_learned_one(tiny_images, tmp_path):
    options = {"device": "cpu", "progress": False}
    path = tmp_path / "fixed.safetensors"
    fit(VAE.for_images((1, 12, 12), Gaussian(0.1)), tiny_images, epochs=1, checkpoint=path, **options)
    with pytest.raises(ValueError, match=r"sigma=0\.1.* there, .*sigma=1.* here"):
        fit(VAE.for_images((1, 12, 12), "gaussian"), tiny_images, epochs=2, checkpoint=path, **options)
    path = tmp_path / "learned.safetensors"
    fit(VAE.for_images((1, 12, 12), "gaussian-learned"), tiny_images, epochs=1, checkpoint=path, **options)
    fit(VAE.for_images((1, 12, 12), "gaussian-learned"), tiny_images, epochs=2, checkpoint=path, **options)
