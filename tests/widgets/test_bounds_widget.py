"""The bounds sandwich."""

import math

import pytest
import torch
from torch.distributions import Normal

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.widgets import modules
from nsvae_lib.widgets.bounds import standard_normals
from tests.widgets.gallery import numbers, sandwich, settled


def values(tab) -> dict[str, tuple[str, str]]:
    """The table: bound -> its distance from log p(x), and what is said of it."""
    found = {}
    for row in tab.figure.locator("tbody tr").all():
        cell = row.locator(".ns-value")
        found[row.locator("th").inner_text()] = (
            cell.locator("b").inner_text(),
            cell.locator(".ns-verdict").inner_text(),
        )
    return found


def as_number(text: str) -> float:
    return float(text.replace("−", "-").replace("∞", "inf"))


def assert_shows(tab, widget: widgets.Bounds) -> None:
    """The table and the readouts give what the library computes, to the digits shown."""
    settled(tab)
    shown = {name: as_number(text) for name, (text, _) in values(tab).items()}
    wanted = {name.replace("_K", str(widget.samples)): gap for name, gap in widget.gaps().items()}
    assert shown == pytest.approx(wanted, abs=0.0051)
    x = torch.tensor([[widget.x]], dtype=torch.float64)
    posterior = widget.model.posterior(x)
    assert numbers(tab) == pytest.approx(
        {
            "log p(x)": widget.model.log_evidence(x).item(),
            "effective sample size": widget.ess(),
            "width of q / of the posterior": widget.scale / posterior.stddev.item(),
        },
        abs=0.051,
    )


@pytest.fixture(scope="module")
def page(browser):
    """A page with the widget's functions, and nothing else."""
    tab = browser.new_page()
    for name in modules.needed("bounds"):
        tab.add_script_tag(content=modules.script(name))
    yield tab
    tab.close()


@pytest.mark.parametrize(("mean", "scale"), [(0.4, 0.8), (1.1, 0.5145), (-1.0, 0.45), (2.5, 1.9)])
def test_exact_gaps_are_those_of_the_integrals(mean, scale):
    widget = sandwich()
    widget.mean, widget.scale = mean, scale
    z = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    q = Normal(*torch.tensor([mean, scale], dtype=torch.float64))
    x = torch.tensor([[1.5]], dtype=torch.float64)
    log_w = widget.model.log_joint(x, z[:, None, None])[:, 0] - q.log_prob(z)
    evidence = torch.trapezoid((log_w + q.log_prob(z)).exp(), z).log()
    posterior = (log_w + q.log_prob(z) - evidence).exp()
    gaps = widget.gaps()
    assert gaps["ELBO"] == pytest.approx((torch.trapezoid(q.log_prob(z).exp() * log_w, z) - evidence).item(), abs=1e-6)
    assert gaps["EUBO"] == pytest.approx((torch.trapezoid(posterior * log_w, z) - evidence).item(), abs=1e-6)
    second = torch.trapezoid((2 * log_w + q.log_prob(z)).exp(), z).log() / 2
    assert gaps["CUBO"] == pytest.approx((second - evidence).item(), abs=1e-6)


def test_cubo_is_infinite_for_a_q_that_is_too_narrow():
    widget = sandwich()
    width = widget.model.posterior(torch.tensor([[1.5]]).double()).stddev.item()
    for share, finite in ((0.7, False), (0.72, True)):
        widget.scale = share * width
        assert math.isfinite(widget.gaps()["CUBO"]) == finite


def test_from_model_refuses_what_is_not_one_dimensional():
    with pytest.raises(ValueError, match=r"weight \[1, 1\], got \[2, 1\]"):
        widgets.Bounds.from_model(ns.LinearGaussian(torch.ones(2, 1), torch.zeros(2), 1.0), 0.0)
    with pytest.raises(ValueError, match="samples: expected one of"):
        widgets.Bounds.from_model(ns.LinearGaussian(torch.ones(1, 1), torch.zeros(1), 1.0), 0.0, samples=3)


def test_pythons_draws_are_the_engines(page):
    for seed in (0, 1, 4_000_000_000):
        found = page.evaluate(
            "seed => { const normal = nsvae.engine.normalSampler(seed); return Array.from({length: 1000}, normal) }",
            seed,
        )
        assert found == pytest.approx(standard_normals(seed, 1000).tolist(), abs=1e-12)


ESTIMATES = """({seed, draws, K, q, posterior}) => {
  const noise = Float64Array.from({length: draws}, nsvae.engine.normalSampler(seed));
  return nsvae.bounds.estimates(noise, K, nsvae.bounds.logWeight(q, posterior));
}"""


@pytest.mark.parametrize("samples", [1, 4, 256])
@pytest.mark.parametrize(("mean", "scale"), [(0.4, 0.8), (1.1, 0.15), (-2.9, 0.3)])
def test_sampled_gaps_on_the_page_are_the_librarys(page, samples, mean, scale):
    widget = sandwich()
    widget.mean, widget.scale, widget.samples = mean, scale, samples
    exact = widget.model.posterior(torch.tensor([[widget.x]]).double())
    options = {"seed": widget.seed, "draws": widget.draws, "K": samples, "q": {"mean": mean, "scale": scale}}
    options["posterior"] = {"mean": exact.mean.item(), "scale": exact.stddev.item()}
    found = page.evaluate(ESTIMATES, options)
    gaps = widget.gaps()
    for name in ("IWAE_K", "EUBO_K", "CUBO_K"):
        assert found[name]["mean"] == pytest.approx(gaps[name], rel=1e-9, abs=1e-9)
    assert found["ess"] == pytest.approx(widget.ess(), rel=1e-9)


def test_sandwich_answers_to_keys_with_pythons_numbers(site, open_tab):
    tab, widget = open_tab((site / "bounds.html").as_uri()), sandwich()
    assert_shows(tab, widget)
    mean, scale, samples = (tab.figure.get_by_role("slider", name=name) for name in ("mean", "width", "samples"))
    for _ in range(2):
        mean.press("PageUp")
        scale.press("PageDown")
        samples.press("ArrowRight")
    widget.mean, widget.scale, widget.samples = float(mean.input_value()), float(scale.input_value()), 16
    assert widget.mean > 0.5
    assert widget.scale < 0.7
    assert samples.get_attribute("aria-valuetext") == "16"
    assert_shows(tab, widget)
    assert tab.errors == []


def test_what_is_called_an_upper_bound_is_found_out(site, open_tab):
    """With one sample every estimate is the ELBO; with a narrow q even many samples are not above log p(x)."""
    tab = open_tab((site / "bounds.html").as_uri())
    tab.figure.get_by_role("radio", name="half as wide").check()
    tab.figure.get_by_role("slider", name="samples").press("Home")
    settled(tab)
    table = values(tab)
    assert table["CUBO"] == ("∞", "no help")
    assert table["EUBO1"][0] == table["CUBO1"][0] == table["IWAE1"][0]
    assert as_number(table["EUBO1"][0]) == pytest.approx(as_number(table["ELBO"][0]), abs=0.02)
    assert table["EUBO1"][1] == table["CUBO1"][1] == "no bound"
    assert table["EUBO"][1] == "above"
    tab.figure.get_by_role("radio", name="the posterior").check()
    settled(tab)
    assert {verdict for _, verdict in values(tab).values()} == {"exact"}


def test_new_draws_change_the_estimates_and_nothing_else(site, open_tab):
    tab, widget = open_tab((site / "bounds.html").as_uri()), sandwich()
    before = tab.figure.locator(".ns-dot").get_attribute("d")
    tab.figure.get_by_role("button", name="new draws").press("Enter")
    widget.seed += 1
    assert_shows(tab, widget)
    assert tab.figure.locator(".ns-dot").get_attribute("d") != before


@pytest.mark.parametrize("width", [1280, 390])
def test_q_is_dragged_and_stretched(site, open_tab, width):
    tab, widget = open_tab((site / "bounds.html").as_uri(), width=width), sandwich()
    box = tab.figure.locator(".ns-plot").bounding_box()
    left, right = (tab.figure.locator(".ns-grip").nth(i).bounding_box() for i in (1, 2))
    middle, edge = (grip["x"] + grip["width"] / 2 for grip in (left, right))
    y = left["y"] + left["height"] / 2
    nat = (edge - middle) / widget.scale
    if width == 390:
        tab.page.touchscreen.tap(middle + 0.2 * nat, y)
    else:
        tab.page.mouse.move(middle, y)
        tab.page.mouse.down()
        tab.page.mouse.move(middle + 0.2 * nat, y, steps=3)
        tab.page.mouse.up()
    settled(tab)
    mean, scale = (float(tab.figure.get_by_role("slider", name=n).input_value()) for n in ("mean", "width"))
    assert (mean, scale) == pytest.approx((0.6, 0.8), abs=0.06)
    new_edge = middle + 0.2 * nat + 0.8 * nat
    if width == 390:
        tab.page.touchscreen.tap(new_edge + 0.3 * nat, y)
    else:
        tab.page.mouse.move(new_edge, y)
        tab.page.mouse.down()
        tab.page.mouse.move(new_edge + 0.3 * nat, y, steps=3)
        tab.page.mouse.up()
    settled(tab)
    mean, scale = (float(tab.figure.get_by_role("slider", name=n).input_value()) for n in ("mean", "width"))
    assert (mean, scale) == pytest.approx((0.6, 1.1), abs=0.06)
    assert box["width"] > 250
    assert tab.errors == []
