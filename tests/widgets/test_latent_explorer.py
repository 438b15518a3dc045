"""The latent explorer."""

import pytest
import torch

import nsvae_lib as ns
from nsvae_lib.vae import VAE
from nsvae_lib.widgets.weights import rounded
from tests.widgets.gallery import numbers, settled


def bound_of(vae: VAE, x: torch.Tensor, z: list[float]) -> dict[str, float]:
    """What the explorer should say of an image [1, 1, H, W] in [0, 1] for one z."""
    with torch.no_grad():
        q = vae.encode(x)
        logp = vae.decode(torch.tensor(z)[None]).log_prob(x)
    kl = ns.kl_divergence(q, vae.prior)
    far = torch.distributions.Normal(vae.prior.mean + 8, vae.prior.stddev)
    return {
        "log p(x|z)": logp.item(),
        "KL(q ‖ prior)": kl.item(),
        "KL(q ‖ negative prior)": ns.kl_divergence(q, far).item(),
        "BPD": ns.bits_per_dim(logp - kl, vae.shape).item(),
    }


def test_explorer_answers_to_keys_with_pythons_numbers(site, open_tab, vae, clothes):
    tab = open_tab((site / "latent_explorer.html").as_uri())
    tab.figure.get_by_role("radio", name="image 3").check()
    settled(tab)
    vae, x = rounded(vae), clothes[2:3] / 255
    with torch.no_grad():
        z = vae.encode(x).mean[0].tolist()
    assert numbers(tab) == pytest.approx(bound_of(vae, x, z), abs=0.051)
    slider = tab.figure.get_by_role("slider", name="z, dimension 2")
    for _ in range(3):
        slider.press("PageUp")
    settled(tab)
    moved = float(slider.input_value())
    assert moved != pytest.approx(z[1], abs=0.1)
    assert numbers(tab) == pytest.approx(bound_of(vae, x, [z[0], moved, *z[2:]]), abs=0.051)
