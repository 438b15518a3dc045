"""KL geometry."""

import re

import pytest
import torch
import traitlets

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.objectives import prior_distance
from tests.widgets.gallery import numbers, settled

FORWARDS, BACKWARDS, BPD = "KL(q ‖ p)", "KL(p ‖ q)", "KL(q ‖ p) as BPD, 28 × 28 pixels"


def expected(q: tuple[float, float], p: tuple[float, float], dims: int) -> dict[str, float]:
    """The readouts for means and scales of q and p."""
    q, p = (
        torch.distributions.Normal(*(torch.full((dims,), v, dtype=torch.float64) for v in values)) for values in (q, p)
    )
    forwards = ns.kl_divergence(q, p)
    bits = ns.bits_per_dim(-forwards, (1, 28, 28)).item()
    return {FORWARDS: forwards.item(), BACKWARDS: ns.kl_divergence(p, q).item(), BPD: bits}


def stand(tab) -> tuple[tuple[float, float], tuple[float, float]]:
    """Mean and scale of q and of p, as the sliders say."""
    value = {
        (part, name): float(tab.figure.get_by_role("slider", name=f"{part} of {name}").input_value())
        for part in ("mean", "scale")
        for name in "qp"
    }
    return (value["mean", "q"], value["scale", "q"]), (value["mean", "p"], value["scale", "p"])


def last_line(tab) -> float:
    return float(tab.figure.locator(".ns-formula b").inner_text().split()[0].replace("−", "-"))


@pytest.mark.parametrize(
    ("q", "p", "dims"),
    [
        ((3.0, 0.5), (0.0, 1.0), 10),
        ((8.0, 1.0), (0.0, 1.0), 1),
        ((-2.0, 0.1), (10.0, 3.0), 2),
        ((1.0, 2.0),) * 2 + (100,),
    ],
    ids=["default", "negative prior", "far apart", "the same"],
)
def test_numbers_are_pythons(on_bench, q, p, dims):
    widget = widgets.KLGeometry(q_mean=q[0], q_scale=q[1], p_mean=p[0], p_scale=p[1], dims=dims)
    wanted = expected(q, p, dims)
    assert widget.divergences() == pytest.approx((wanted[FORWARDS], wanted[BACKWARDS]))
    tab = on_bench(widget)
    assert numbers(tab) == pytest.approx(wanted, abs=5.1e-5)
    assert last_line(tab) == pytest.approx(wanted[FORWARDS], abs=5.1e-5)
    tab.set(backwards=True)
    assert last_line(tab) == pytest.approx(wanted[BACKWARDS], abs=5.1e-5)


def test_numbers_filled_in_make_the_result(on_bench):
    """The third line of the formula, worked out by hand."""
    tab = on_bench(widgets.KLGeometry(q_mean=-1.5, q_scale=0.7, p_mean=-2.0, p_scale=1.3, dims=2))
    line = tab.figure.locator(".ns-formula p").nth(2).inner_text().replace("−", "-")
    dims, first, second, half, total = (float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", line.replace("- ", "-")))
    assert (dims, half) == (2, -0.5)
    assert dims * (first + second + half) == pytest.approx(total, abs=5e-4)
    assert "(-1.50 - (-2.00))²" in tab.figure.locator(".ns-formula p").nth(1).inner_text().replace("−", "-")


@pytest.mark.parametrize("backwards", [False, True])
def test_area_is_the_divergence_in_one_dimension(on_bench, backwards):
    widget = widgets.KLGeometry(q_mean=2.0, q_scale=0.8, p_mean=3.0, p_scale=1.5, backwards=backwards)
    tab = on_bench(widget)
    plot = tab.figure.locator(".ns-plot").nth(1)
    labels = [
        (float(text.text_content().replace("−", "-")), float(text.get_attribute("x")), float(text.get_attribute("y")))
        for text in plot.locator(".ns-axes text").all()
        if re.fullmatch(r"−?[\d.]+", text.text_content())
    ]
    across = [label for label in labels if label[2] == labels[0][2]]
    up = [label for label in labels if label not in across]
    unit = (across[-1][1] - across[0][1]) / (across[-1][0] - across[0][0])
    unit *= (up[-1][2] - up[0][2]) / (up[0][0] - up[-1][0])

    def polygon(style: str) -> float:
        d = plot.locator(f".{style}").get_attribute("d")
        x, y = torch.tensor([float(n) for n in re.findall(r"[\d.]+", d)], dtype=torch.float64).view(-1, 2).T
        return abs((x * y.roll(-1) - x.roll(-1) * y).sum().item()) / 2 / unit

    found = polygon("ns-gain") - polygon("ns-loss")
    assert found == pytest.approx(widget.divergences()[backwards] / widget.dims, rel=0.02)


def test_values_outside_are_refused():
    for wrong in ({"q_scale": 0.0}, {"p_mean": 11.0}, {"dims": 0}):
        with pytest.raises(traitlets.TraitError, match="value"):
            widgets.KLGeometry(**wrong)


def test_kernel_and_reader_see_what_the_other_does(on_bench):
    tab = on_bench(widgets.KLGeometry())
    tab.set(q_mean=1.0, p_scale=2.0, dims=3)
    assert numbers(tab) == pytest.approx(expected((1.0, 0.5), (0.0, 2.0), 3), abs=5.1e-5)
    tab.figure.get_by_role("slider", name="scale of q").press("ArrowRight")
    assert tab.get("q_scale") == pytest.approx(0.55)
    tab.figure.get_by_role("radio", name="100").check()
    assert tab.get("dims") == 100


def test_negative_prior_is_half_D_times_the_squared_shift_away(site, open_tab):
    tab = open_tab((site / "kl_geometry.html").as_uri())
    for name in ("p = negative prior", "q = p", "p = prior"):
        tab.figure.get_by_role("button", name=name).press("Enter")
    settled(tab)
    assert numbers(tab)[FORWARDS] == pytest.approx(prior_distance(8, 10)) == 320
    tab.figure.get_by_role("button", name="swap q and p").click()
    settled(tab)
    assert stand(tab) == ((0, 1), (8, 1))
    assert "negative prior, s = 8.00" in tab.figure.locator(".ns-plot").first.text_content()
    assert tab.errors == []


def test_keys_move_and_stretch(site, open_tab):
    tab = open_tab((site / "kl_geometry.html").as_uri())
    for name, key in (("mean of q", "End"), ("scale of q", "Home"), ("mean of p", "PageUp"), ("scale of p", "End")):
        tab.figure.get_by_role("slider", name=name).press(key)
    tab.figure.get_by_role("radio", name="KL(p ‖ q)").check()
    settled(tab)
    q, p = stand(tab)
    assert (q, p[1]) == ((10, 0.1), 3)
    assert p[0] > 0
    assert numbers(tab) == pytest.approx(expected(q, p, 10), abs=5.1e-5)
    assert last_line(tab) == pytest.approx(expected(q, p, 10)[BACKWARDS], abs=5.1e-5)
    assert tab.errors == []


@pytest.mark.parametrize("width", [1280, 390])
def test_bells_are_dragged_and_stretched_with_mouse_or_finger(site, open_tab, width):
    tab = open_tab((site / "kl_geometry.html").as_uri(), width=width)
    plot = tab.figure.locator(".ns-plot").first
    box = plot.bounding_box()
    scale = box["width"] / 360

    def place(z: float, y: float) -> tuple[float, float]:
        """Of a latent z, and of a height in the plot's own units."""
        return box["x"] + scale * (44 + (z + 7) / 22 * (360 - 44 - 8)), box["y"] + scale * y

    def drag(part: int, z: float) -> None:
        """A grip (0 and 1: top and side of q; 2 and 3: of p) to another z."""
        grip = tab.figure.locator(".ns-plot").first.locator(".ns-grip").nth(part).bounding_box()
        start = (grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
        end = (place(z, 0)[0], start[1])
        if width == 390:
            # The grip nearest to the finger jumps to it.
            tab.page.touchscreen.tap(start[0] + (end[0] - start[0]) * 0.3, start[1])
        else:
            tab.page.mouse.move(*start)
            tab.page.mouse.down()
            tab.page.mouse.move(*end, steps=4)
            tab.page.mouse.up()
        settled(tab)

    before = stand(tab)
    drag(0, 5.0)
    drag(1, 6.5)
    q, p = stand(tab)
    assert p == before[1]
    if width == 1280:
        assert q == pytest.approx((5.0, 1.5), abs=0.06)
    else:
        assert q[0] == pytest.approx(3.6, abs=0.1)
        assert q[1] > before[0][1]
    assert numbers(tab) == pytest.approx(expected(q, p, 10), abs=5.1e-5)
    assert tab.errors == []
