"""The latent explorer."""

import pytest
import torch

import nsvae_lib as ns
from nsvae_lib.vae import VAE
from nsvae_lib.widgets.weights import rounded
from tests.widgets.gallery import Tab, numbers, settled


def said(vae: VAE, x: torch.Tensor, z: list[float], q: torch.distributions.Normal) -> dict[str, float]:
    """What the explorer should say of an image [1, 1, H, W] in [0, 1] for one z and one q."""
    with torch.no_grad():
        logp = vae.decode(torch.tensor(z)[None]).log_prob(x)
    kl = ns.kl_divergence(q, vae.prior)
    far = torch.distributions.Normal(vae.prior.mean + 8, vae.prior.stddev)
    return {
        "log p(x|z)": logp.item(),
        "KL(q ‖ prior)": kl.item(),
        "KL(q ‖ negative prior)": ns.kl_divergence(q, far).item(),
        "BPD": ns.bits_per_dim(logp - kl, vae.shape).item(),
    }


def encoded(vae: VAE, x: torch.Tensor) -> tuple[torch.distributions.Normal, list[float]]:
    """q of an image, and its mean."""
    with torch.no_grad():
        q = vae.encode(x)
    return q, q.mean[0].tolist()


def decoded_on(tab: Tab) -> torch.Tensor:
    """The decoded picture that is shown, uint8 [28, 28]."""
    pixels = tab.figure.get_by_role("img", name="the decoder's answer").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0)"
    )
    return torch.tensor(pixels).view(28, 28)


def check(tab: Tab, vae: VAE, x: torch.Tensor, z: list[float], q: torch.distributions.Normal) -> None:
    """Numbers and pixels are Python's."""
    settled(tab)
    assert numbers(tab) == pytest.approx(said(vae, x, z, q), abs=0.051)
    with torch.no_grad():
        mean = vae.decode(torch.tensor(z)[None]).mean[0, 0]
    assert (decoded_on(tab) - (mean * 255).round()).abs().max() <= 1
    assert tab.errors == []


def test_explorer_answers_to_keys(site, open_tab, vae, clothes):
    tab = open_tab((site / "latent_explorer.html").as_uri())
    tab.figure.get_by_role("radio", name="image 3").check()
    vae, x = rounded(vae), clothes[2:3] / 255
    q, z = encoded(vae, x)
    check(tab, vae, x, z, q)
    slider = tab.figure.get_by_role("slider", name="z, dimension 2")
    for _ in range(3):
        slider.press("PageUp")
    moved = float(slider.input_value())
    assert moved != pytest.approx(z[1], abs=0.1)
    check(tab, vae, x, [z[0], moved, *z[2:]], q)


@pytest.mark.parametrize("width", [1280, 390])
def test_explorer_answers_to_mouse_or_finger(site, open_tab, vae, clothes, width):
    tab = open_tab((site / "latent_explorer.html").as_uri(), width=width)
    vae, x = rounded(vae), clothes[:1] / 255
    q, z = encoded(vae, x)
    before = decoded_on(tab)
    slider = tab.figure.get_by_role("slider", name="z, dimension 3")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    low, high = float(slider.get_attribute("min")), float(slider.get_attribute("max"))
    y = box["y"] + box["height"] / 2
    start, end = (box["x"] + box["width"] * (value - low) / (high - low) for value in (z[2], 2.5))
    if width == 390:
        tab.page.touchscreen.tap(end, y)
    else:
        tab.page.mouse.move(start, y)
        tab.page.mouse.down()
        tab.page.mouse.move(end, y, steps=8)
        tab.page.mouse.up()
    moved = float(slider.input_value())
    assert moved == pytest.approx(2.5, abs=0.4)
    check(tab, vae, x, [*z[:2], moved, *z[3:]], q)
    assert (decoded_on(tab) - before).abs().max() > 20


def test_moving_the_posterior_moves_its_divergence_and_carries_z_along(site, open_tab, vae, clothes):
    tab = open_tab((site / "latent_explorer.html").as_uri())
    vae, x = rounded(vae), clothes[:1] / 255
    q, z = encoded(vae, x)
    tab.figure.get_by_role("radio", name="the mean of q").check()
    tab.figure.get_by_role("slider", name="mean of q, dimension 2").press("End")  # 12
    mean = torch.tensor([[z[0], 12.0, *z[2:]]])
    check(tab, vae, x, mean[0].tolist(), torch.distributions.Normal(mean, q.stddev))
    tab.figure.get_by_role("button", name="back to the encoder").click()
    tab.figure.get_by_role("radio", name="the scale of q").check()
    tab.figure.get_by_role("slider", name="scale of q, dimension 2").press("End")  # mean + scale is 12
    scale = q.stddev.clone()
    scale[0, 1] = 12 - q.mean[0, 1]
    check(tab, vae, x, z, torch.distributions.Normal(q.mean, scale))
    tab.figure.get_by_role("button", name="q = prior").click()
    check(tab, vae, x, [0.0] * vae.latent_dim, vae.prior)
