"""Objectives: their values by hand, and which gradients go where."""

from copy import deepcopy

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.utils.flop_counter import FlopCounterMode

from nsvae_lib.bounds import draw_latents, eubo, log_weights
from nsvae_lib.evaluation import auroc, auroc_monitor
from nsvae_lib.negatives import FromImages, Negatives, UniformNoise
from nsvae_lib.objectives import (
    ELBO,
    Adversarial,
    NegativePrior,
    Objective,
    UpperBound,
    negative_prior,
    prior_distance,
)
from nsvae_lib.scores import score
from nsvae_lib.training import fit
from nsvae_lib.vae import VAE


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def x(tiny_images):
    return tiny_images[:6] / 255


@pytest.fixture
def negatives():
    return torch.rand(6, 1, 12, 12, generator=generator(1))


def gradients(loss: torch.Tensor, part: torch.nn.Module) -> list[bool]:
    """For each parameter, whether the loss has a gradient that is not zero."""
    grads = torch.autograd.grad(loss, list(part.parameters()), allow_unused=True, retain_graph=True)
    return [g is not None and bool(g.abs().max() > 0) for g in grads]


def test_elbo_by_hand(tiny_vae, x):
    terms = ELBO().losses(tiny_vae, x, None, generator()).terms
    q = tiny_vae.encode(x)
    z = draw_latents(q, 1, generator())[0]
    probabilities = tiny_vae.decoder(z).sigmoid()
    log_px_z = (x * probabilities.log() + (1 - x) * (1 - probabilities).log()).sum((1, 2, 3))
    kl = (0.5 * (q.mean**2 + q.variance - q.variance.log() - 1)).sum(1)
    assert terms["reconstruction"].item() == pytest.approx(-log_px_z.mean().item(), rel=1e-5)
    assert terms["kl"].item() == pytest.approx(kl.mean().item(), rel=1e-4)


@pytest.mark.parametrize("shift", [8.0, (1.0, -2.0, 3.0)], ids=["scalar", "vector"])
def test_negative_prior_by_hand(tiny_vae, x, negatives, shift):
    terms = NegativePrior(shift).losses(tiny_vae, x, negatives, generator()).terms
    q = tiny_vae.encode(negatives)
    target = Normal(torch.tensor(shift).expand(3), torch.ones(3))
    assert terms["negative_kl"].item() == pytest.approx(kl_divergence(q, target).sum(1).mean().item(), rel=1e-5)
    plain = ELBO().losses(tiny_vae, x, None, generator()).terms
    assert terms["kl"] == plain["kl"] and terms["reconstruction"] == plain["reconstruction"]


@pytest.mark.parametrize(("shift", "expected"), [(8.0, 96.0), (2.0, 6.0), ((1.0, -2.0, 3.0), 7.0)])
def test_distance_of_the_priors(tiny_vae, shift, expected):
    assert prior_distance(shift, 3) == expected
    q, p = negative_prior(tiny_vae, shift), tiny_vae.prior
    assert kl_divergence(q, p).sum().item() == pytest.approx(expected)


def test_negatives_do_not_move_the_decoder(tiny_vae, x, negatives):
    terms = NegativePrior().losses(tiny_vae, x, negatives, generator()).terms
    assert not any(gradients(terms["negative_kl"], tiny_vae.decoder))
    assert all(gradients(terms["negative_kl"], tiny_vae.encoder))


def test_adversarial_gradients_go_where_they_should(tiny_vae, x):
    losses = Adversarial().losses(tiny_vae, x, None, generator())
    assert not any(gradients(losses.terms["negative_kl"], tiny_vae.decoder))
    assert all(gradients(losses.terms["negative_kl"], tiny_vae.encoder))
    tiny_vae.encoder.requires_grad_(False)  # as `fit` does while it takes the decoder's step
    adversarial = losses.decoder_terms()["adversarial_kl"]
    assert all(gradients(adversarial, tiny_vae.decoder))
    adversarial.backward()
    assert all(p.grad is None for p in tiny_vae.encoder.parameters())


def test_adversarial_by_hand(tiny_vae, x):
    stream = generator()
    losses = Adversarial(5.0).losses(tiny_vae, x, None, stream)
    again = generator()
    draw_latents(tiny_vae.encode(x), 1, again)
    generated = tiny_vae.decode(torch.randn(6, 3, generator=again)).mean
    to_negative = kl_divergence(tiny_vae.encode(generated), Normal(torch.full((3,), 5.0), 1.0)).sum(1).mean()
    to_prior = kl_divergence(tiny_vae.encode(generated), tiny_vae.prior).sum(1).mean()
    assert losses.terms["negative_kl"].item() == pytest.approx(to_negative.item(), rel=1e-5)
    assert losses.decoder_terms()["adversarial_kl"].item() == pytest.approx(to_prior.item(), rel=1e-5)


def test_the_decoder_term_sees_the_encoder_after_its_step(tiny_vae, x):
    losses = Adversarial().losses(tiny_vae, x, None, generator())
    before = losses.decoder_terms()["adversarial_kl"].item()
    with torch.no_grad():
        tiny_vae.encoder.mean.bias += 1
    assert losses.decoder_terms()["adversarial_kl"].item() > before


def test_upper_bound_by_hand_and_its_gradients(tiny_vae, x, negatives):
    stream = generator()
    bound = UpperBound(samples=3, margin=None).losses(tiny_vae, x, negatives, stream).terms["negative_bound"]
    again = generator()
    draw_latents(tiny_vae.encode(x), 1, again)
    expected = eubo(log_weights(tiny_vae, negatives, 3, again)).mean()
    assert bound.item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(gradients(bound, tiny_vae.encoder)) and all(gradients(bound, tiny_vae.decoder))


def test_margin_bounds_the_loss(tiny_vae, x):
    far = 1 - x  # as unlikely as it gets for the model below
    vae = deepcopy(tiny_vae)
    fit(vae, x, epochs=60, lr=2e-3, batch_size=6, device="cpu", progress=False)
    for margin, active in ((1.0, False), (10_000.0, True)):
        terms = UpperBound(margin=margin).losses(vae, x, far, generator()).terms
        assert (terms["negative_bound"] > 0) == active


def test_unusable_arguments():
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        UpperBound(samples=0)
    for margin in (0.0, -5.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="margin must be a positive number"):
            UpperBound(margin=margin)
    for shift in (float("nan"), [[1.0]]):
        with pytest.raises(ValueError, match="shift must be a finite number"):
            NegativePrior(shift)
    for objective in (NegativePrior, Adversarial):
        with pytest.warns(UserWarning, match="nothing separates"):
            objective(0.0)


def test_a_shift_of_another_length(tiny_vae):
    with pytest.raises(ValueError, match="shift has 2 entries, but the model has 3"):
        negative_prior(tiny_vae, (1.0, 2.0))
    with pytest.raises(ValueError, match="2 entries, but latent_dim is 3"):
        prior_distance((1.0, 2.0), 3)


def test_negatives_are_given_exactly_when_they_are_used(tiny_vae, tiny_images, x):
    with pytest.raises(ValueError, match="NegativePrior.*needs negatives, got negatives=None"):
        fit(tiny_vae, tiny_images, NegativePrior(), progress=False)
    with pytest.raises(ValueError, match="ELBO.*uses no negatives"):
        fit(tiny_vae, tiny_images, ELBO(), UniformNoise(), progress=False)
    with pytest.raises(ValueError, match="needs negatives"):
        NegativePrior().losses(tiny_vae, x, None, generator())


def test_negative_training_separates_and_is_reproducible(tiny_images):
    negatives = torch.flip(255 - tiny_images, (3,))
    vaes = [VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2)]
    monitor = auroc_monitor(tiny_images, {"negatives": negatives})
    arguments = {"epochs": 15, "lr": 1e-3, "batch_size": 10, "device": "cpu", "progress": False, "callback": monitor}
    histories = [fit(vae, tiny_images, NegativePrior(), FromImages(negatives), **arguments) for vae in vaes]
    assert all(torch.equal(p, q) for p, q in zip(vaes[0].parameters(), vaes[1].parameters(), strict=True))
    kl = [score(vaes[0], images, ("kl",))["kl"] for images in (tiny_images, negatives)]
    assert auroc(*kl) > 0.99
    # The posterior of the negatives sits near the negative prior, so its KL is near that between the priors.
    assert kl[1].mean().item() == pytest.approx(prior_distance(8.0, 3), rel=0.4)
    assert histories[0]["auroc_kl negatives"][-1] == pytest.approx(auroc(*kl))
    assert histories[0]["negative_kl"][-1] < histories[0]["negative_kl"][0]


def test_adversarial_and_upper_bound_train(tiny_images):
    for objective, negatives in ((Adversarial(4.0), None), (UpperBound(2, 50.0), UniformNoise())):
        vae = VAE.for_images((1, 12, 12), latent_dim=3, spectral_norm=True)
        history = fit(vae, tiny_images, objective, negatives, epochs=4, lr=1e-3, device="cpu", progress=False)
        assert history["reconstruction"][-1] < history["reconstruction"][0]
        assert set(history.rows[0]) >= {"loss", "reconstruction", "kl", "seconds"}


def test_a_step_makes_no_pass_that_it_does_not_need(tiny_vae, x):
    def forward_and_backward(part, inputs, learns: bool) -> int:
        part.requires_grad_(learns)
        with FlopCounterMode(display=False) as counter:
            outputs = part(inputs)
            sum(o.sum() for o in (outputs if isinstance(outputs, tuple) else (outputs,))).backward()
        part.requires_grad_(True)
        return counter.get_total_flops()

    z = torch.randn(6, 3)
    encoder = forward_and_backward(tiny_vae.encoder, x, learns=True)
    looked_through = forward_and_backward(tiny_vae.encoder, x.clone().requires_grad_(), learns=False)
    decoder = forward_and_backward(tiny_vae.decoder, z.clone().requires_grad_(), learns=True)  # back to the encoder
    generator_alone = forward_and_backward(tiny_vae.decoder, z, learns=True)

    def step(objective: Objective, source: Negatives | None = None) -> int:
        with FlopCounterMode(display=False) as counter:
            fit(tiny_vae, x, objective, source, epochs=1, device="cpu", progress=False)  # 6 images: one step
        return counter.get_total_flops()

    elbo = encoder + decoder
    assert step(ELBO()) == elbo
    assert step(NegativePrior(), UniformNoise()) == elbo + encoder
    assert step(UpperBound(3), UniformNoise()) == elbo + encoder + 3 * decoder
    assert step(Adversarial()) == elbo + encoder + looked_through + generator_alone
