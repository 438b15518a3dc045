"""What a pixel costs."""

import math

import pytest
import torch
import traitlets
from scipy.optimize import minimize_scalar

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.noise import entropy_floor, pixel_cost
from tests.widgets.gallery import settled

NOISES = ("Bernoulli", "Gaussian", "continuous Bernoulli")
# Numbers are shown with four digits after the point.
DIGITS = {"abs": 5.1e-5}


def table(tab) -> dict[str, list[list[float]]]:
    """The widget's table: noise model -> charge, lowest charge, and what is above it, each in nats and in bits."""
    found = {}
    for row in tab.figure.locator("tbody tr").all():
        cells = [cell.locator("span, small").all_inner_texts() for cell in row.locator("td").all()]
        numbers = [[float(t.split()[0].replace("−", "-").replace("∞", "inf")) for t in texts] for texts in cells]
        found[row.locator("th").inner_text().strip()] = numbers
    return found


def expected_charges(x: float, m: float, sigma: float) -> list[float]:
    noises = [ns.Bernoulli(), ns.Gaussian(sigma), ns.ContinuousBernoulli()]
    value, prediction = torch.tensor([x, m], dtype=torch.float64)
    return [pixel_cost(noise.double(), value, prediction).item() for noise in noises]


def lowest_continuous_bernoulli(x: float) -> float:
    """By a search over logits."""

    def cost(logit: float) -> float:
        logits = torch.full((1, 1, 1, 1), logit, dtype=torch.float64)
        return -ns.ContinuousBernoulli()(logits).log_prob(torch.full_like(logits, x)).item()

    return minimize_scalar(cost, bounds=(-500, 500), method="bounded", options={"xatol": 1e-9}).fun


@pytest.mark.parametrize(
    ("x", "m", "sigma"),
    [(0.5, 0.5, 1.0), (0.0, 0.005, 1.0), (1.0, 0.005, 0.1), (0.25, 0.9, 0.35), (0.995, 0.995, 0.1), (0.01, 0.5, 0.62)],
)
def test_charges_and_floors_are_pythons(on_bench, x, m, sigma):
    tab = on_bench(widgets.PixelCost(x=x, m=m, sigma=sigma))
    found = table(tab)
    assert list(found) == list(NOISES)
    charges = [rows[0][0] for rows in found.values()]
    assert charges == pytest.approx(expected_charges(x, m, sigma), **DIGITS)
    assert charges == pytest.approx(list(widgets.PixelCost(x=x, m=m, sigma=sigma).charges().values()), **DIGITS)
    floor = entropy_floor(torch.full((1, 1, 1, 1), x, dtype=torch.float64)).item()
    assert found["Bernoulli"][1][0] == pytest.approx(floor, **DIGITS)
    assert found["Gaussian"][1][0] == pytest.approx(math.log(2 * math.pi * sigma**2) / 2, **DIGITS)
    if 0 < x < 1:
        lowest = lowest_continuous_bernoulli(x)
        assert found["continuous Bernoulli"][1][0] == pytest.approx(lowest, **DIGITS)
    else:
        assert found["continuous Bernoulli"][1:] == [[-math.inf] * 2, [math.inf] * 2]
    for charge, lowest, above in found.values():
        for nats, bits in (charge, lowest, above):
            assert bits == pytest.approx(nats / math.log(2), abs=2e-4)
        if math.isfinite(lowest[0]):
            assert above[0] == pytest.approx(charge[0] - lowest[0], abs=1.1e-4)


def test_values_outside_are_refused():
    for wrong in ({"x": 1.1}, {"m": 0.0}, {"sigma": 0.0}):
        with pytest.raises(traitlets.TraitError, match="value"):
            widgets.PixelCost(**wrong)


def test_kernel_and_reader_see_what_the_other_does(on_bench):
    tab = on_bench(widgets.PixelCost())
    tab.set(x=0.75, m=0.6, sigma=0.5)
    assert [rows[0][0] for rows in table(tab).values()] == pytest.approx(expected_charges(0.75, 0.6, 0.5), **DIGITS)
    assert tab.figure.get_by_role("slider", name="pixel x").input_value() == "0.75"
    tab.figure.get_by_role("slider", name="pixel x").press("ArrowRight")
    assert tab.get("x") == pytest.approx(0.755)


def test_keys_move_pixel_prediction_and_sigma(site, open_tab):
    tab = open_tab((site / "pixel_cost.html").as_uri())
    for name, key in (("pixel x", "End"), ("prediction m", "Home"), ("Gaussian's σ", "Home")):
        tab.figure.get_by_role("slider", name=name).press(key)
    settled(tab)
    assert [rows[0][0] for rows in table(tab).values()] == pytest.approx(expected_charges(1, 0.005, 0.1), **DIGITS)
    assert tab.errors == []


@pytest.mark.parametrize("width", [1280, 390])
def test_plots_are_dragged_with_mouse_or_finger(site, open_tab, width):
    tab = open_tab((site / "pixel_cost.html").as_uri(), width=width)
    for i, name in enumerate(("prediction m", "pixel x")):
        plot = tab.figure.locator(".ns-plot").nth(i)
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        middle = box["y"] + box["height"] / 2
        if width == 390:
            tab.page.touchscreen.tap(box["x"] + 0.75 * box["width"], middle)
        else:
            tab.page.mouse.move(box["x"] + 0.3 * box["width"], middle)
            tab.page.mouse.down()
            tab.page.mouse.move(box["x"] + 0.75 * box["width"], middle, steps=4)
            tab.page.mouse.up()
        settled(tab)
        moved = float(tab.figure.get_by_role("slider", name=name).input_value())
        assert moved == pytest.approx((0.75 * 360 - 44) / (360 - 44 - 8), abs=0.01)
    x, m = (float(tab.figure.get_by_role("slider", name=n).input_value()) for n in ("pixel x", "prediction m"))
    assert [rows[0][0] for rows in table(tab).values()] == pytest.approx(expected_charges(x, m, 1), **DIGITS)
    assert tab.errors == []


@pytest.mark.parametrize(("across", "up"), [(2, 10), (10, 2)], ids=["up", "sideways"])
def test_a_finger_scrolls_the_page_or_drags_but_not_both(site, open_tab, across, up):
    tab = open_tab((site / "pixel_cost.html").as_uri(), width=390)
    tab.page.set_viewport_size({"width": 390, "height": 500})
    plot = tab.figure.locator(".ns-plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    x, y = box["x"] + 0.3 * box["width"], box["y"] + 0.8 * box["height"]
    slider = tab.figure.get_by_role("slider", name="prediction m")
    before = slider.input_value(), tab.page.evaluate("scrollY")
    finger = tab.context.new_cdp_session(tab.page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})
        tab.page.wait_for_timeout(20)

    touch("touchStart", (x, y))
    for i in range(1, 11):
        touch("touchMove", (x + i * across, y - i * up))
    touch("touchEnd")
    tab.page.wait_for_timeout(300)
    dragged, scrolled = slider.input_value() != before[0], tab.page.evaluate("scrollY") != before[1]
    assert (dragged, scrolled) == (across > up, up > across)
