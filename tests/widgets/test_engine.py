"""The widgets' JavaScript engine and the weights it computes with, against PyTorch."""

from base64 import b64encode
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

import nsvae_lib as ns
from nsvae_lib.vae import VAE
from nsvae_lib.widgets import modules
from nsvae_lib.widgets.weights import pack, round_to_int8, rounded


def test_weights_take_a_byte_each_and_no_more_than_a_page_may_load(vae):
    parameters = sum(p.numel() for p in vae.parameters())
    assert parameters < len(pack(vae)) < 350_000


def test_rounding_is_to_the_nearest_of_255_levels():
    weight = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    whole, scales = round_to_int8(weight)
    assert whole.dtype == np.int8
    assert np.abs(whole).max(0).tolist() == [127, 127, 127]
    assert (np.abs(whole * scales - weight) <= scales / 2 * 1.0001).all()


@pytest.mark.parametrize(
    ("vae", "message"),
    [
        (lambda: VAE.for_images((3, 32, 32)), "grey images"),
        (lambda: VAE.for_images((1, 28, 28), noise=nn.Identity()), "noise models"),
    ],
    ids=["colour", "noise"],
)
def test_a_vae_that_the_engine_cannot_compute_is_refused(vae, message):
    with pytest.raises(ValueError, match=message):
        pack(vae())


@pytest.mark.parametrize("preset", ["small", "light"])
@pytest.mark.parametrize("negatives", ["none", "EMNIST-Letters", "adversarial"])
def test_rounding_leaves_the_auroc_as_it_was(negatives, preset, clothes):
    digits = ns.load("MNIST", sample=True).test
    vae = ns.pretrained("FashionMNIST", "bernoulli", negatives, preset, device="cpu")
    scores = [[ns.score(model, images) for images in (clothes, digits)] for model in (vae, rounded(vae))]
    for name in ("bpd", "kl"):
        before, after = (ns.auroc(inlier[name], ood[name]) for inlier, ood in scores)
        assert abs(before - after) < 0.005, name


class Engine:
    """The JavaScript engine, called from Python."""

    def __init__(self, tab) -> None:
        self.tab = tab
        tab.add_script_tag(content=modules.script("engine"))
        tab.evaluate("""() => {
            const decoded = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            window.read = (text) => nsvae.engine.readNetwork(decoded(text));
        }""")

    def load(self, vae: VAE, bits: int) -> None:
        self.tab.evaluate("text => { window.network = read(text) }", b64encode(pack(vae, bits)).decode())

    def __call__(self, expression: str, argument=None):
        return self.tab.evaluate(f"argument => {{ const e = nsvae.engine; return {expression} }}", argument)


@pytest.fixture(scope="module")
def engine(browser) -> Iterator[Engine]:
    tab = browser.new_page()
    yield Engine(tab)
    tab.close()


def close(found, wanted, tolerance=1e-5) -> bool:
    return torch.allclose(torch.as_tensor(found).double(), torch.as_tensor(wanted).double(), tolerance, tolerance)


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian", "gaussian-learned", "continuous-bernoulli"])
def test_engine_agrees_with_torch(engine, noise, clothes):
    """In double precision, so that the engine is held to the mathematics and not to float32's last digits."""
    trained = ns.pretrained("FashionMNIST", "bernoulli", device="cpu")
    vae = VAE.for_images(trained.shape, noise, preset="light")
    vae.load_state_dict(trained.state_dict(), strict=False)
    engine.load(vae, bits=32)
    vae.double()
    x = clothes[:4].double() / 255
    with torch.no_grad():
        mean, log_variance = vae.encoder(x)
        z = mean + torch.linspace(-1, 1, vae.latent_dim)
        p = vae.decode(z)
        logits = vae.decoder(z).flatten(1)
    for i, image in enumerate(x.flatten(1).tolist()):
        q = engine("e.encode(network, argument)", image)
        assert close(q["mean"], mean[i])
        assert close(q["scale"], (log_variance[i] / 2).exp())
        assert close(engine("Array.from(e.decode(network, argument))", z[i].tolist()), logits[i])
        found = engine("e.logProbability(network, argument[0], argument[1])", [image, logits[i].tolist()])
        assert close(found, p.log_prob(x)[i])


def test_engine_takes_the_authors_preset_and_other_sizes(engine):
    vae = VAE.for_images((1, 12, 20), latent_dim=3, preset="authors")
    engine.load(vae, bits=32)
    x = torch.rand(1, 1, 12, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vae.double()
    with torch.no_grad():
        mean, _ = vae.encoder(x)
        logits = vae.decoder(mean)
    assert close(engine("e.encode(network, argument).mean", x.flatten().tolist()), mean[0])
    assert close(engine("Array.from(e.decode(network, argument))", mean[0].tolist()), logits.flatten())


def test_engine_with_int8_weights_computes_the_rounded_vae(engine, vae, clothes):
    engine.load(vae, bits=8)
    q = engine("e.encode(network, argument)", (clothes[0].flatten() / 255).tolist())
    with torch.no_grad():
        wanted = rounded(vae).double().encoder(clothes[:1].double() / 255)[0]
    assert close(q["mean"], wanted[0])


@pytest.mark.parametrize("shift", [0.0, 8.0])
def test_engine_divergence_agrees_with_torch(engine, shift):
    generator = torch.Generator().manual_seed(0)
    q = torch.distributions.Normal(torch.randn(10, generator=generator) * 3, torch.rand(10, generator=generator) + 0.01)
    p = torch.distributions.Normal(torch.full((10,), shift), torch.ones(10))
    named = {"mean": q.mean.tolist(), "scale": q.stddev.tolist()}
    found = engine(f"e.klDivergence(argument, e.standardNormal(10, {shift}))", named)
    assert found == pytest.approx(ns.kl_divergence(q, p).item(), rel=1e-4)
    bits = engine("e.bitsPerDim(argument, 784)", -found)
    assert bits == pytest.approx(ns.bits_per_dim(torch.tensor(-found), (1, 28, 28)).item(), rel=1e-4)


def test_sampler_is_standard_normal_and_repeats_itself(engine):
    from scipy import stats

    numbers = engine("(() => { const n = e.normalSampler(7); return Array.from({length: 4000}, n) })()")
    assert stats.kstest(numbers, "norm").pvalue > 0.01
    assert abs(np.corrcoef(numbers[1:], numbers[:-1])[0, 1]) < 0.05
    again = "(() => { const n = e.normalSampler(7); return Array.from({length: 3}, n) })()"
    assert engine(again) == numbers[:3]
    assert engine(again.replace("7", "8", 1)) != numbers[:3]
