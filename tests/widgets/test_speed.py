"""How fast the widgets are. The limits are for a quiet machine; on a busy one the best of some tries counts."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.widgets.gallery import GALLERY

TRIES = 6
INPUT_TO_PICTURE = 16  # ms, one frame
INTERACTIVE = 1500  # ms

# A hundred inputs, each with all the work up to the new picture: drawing is not put off until the next frame, and the
# layout is part of it.
MEASURE = """async ([figure, act]) => {
  const later = window.requestAnimationFrame;
  window.requestAnimationFrame = (draw) => { draw(performance.now()); return 0; };
  const times = [];
  for (let i = 0; i < 100; i++) {
    await new Promise((done) => setTimeout(done));
    const input = act(figure, i);
    const began = performance.now();
    input.target.dispatchEvent(input.event);
    figure.getBoundingClientRect();
    times.push(performance.now() - began);
  }
  window.requestAnimationFrame = later;
  return times;
}"""
SLIDERS = """(figure, i) => {
  const sliders = [...figure.querySelectorAll("input[type=range]")].filter((slider) => slider.getClientRects().length);
  const slider = sliders[i % sliders.length];
  const [low, high] = [Number(slider.min), Number(slider.max)];
  slider.value = low + (high - low) * ((i * 0.37) % 1);
  return { target: slider, event: new Event("input", { bubbles: true }) };
}"""
PEN = """(figure, i) => {
  const target = figure.querySelector("[role=application]");
  const key = i === 0 ? " " : ["ArrowUp", "ArrowRight", "ArrowDown", "ArrowLeft"][(i >> 2) % 4];
  return { target, event: new KeyboardEvent("keydown", { key, bubbles: true }) };
}"""
WHEN_LIVE = """new MutationObserver(() => {
  if (document.querySelector(".ns-live")) window.liveAfter ??= performance.now();
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["class"] })"""


def best(measure: Callable[[], float], limit: float) -> float:
    """The smallest of some measurements, of as many as it takes to get below the limit."""
    found = np.inf
    for _ in range(TRIES):
        found = min(found, measure())
        if found <= limit:
            break
    return found


def inputs(name: str) -> list[str]:
    return [SLIDERS, PEN] if name == "draw" else [SLIDERS]


@pytest.mark.parametrize("name", GALLERY)
def test_an_input_is_a_picture_within_a_frame(site, open_tab, name):
    tab = open_tab((site / f"{name}.html").as_uri())
    figure = tab.figure.element_handle()
    for act in inputs(name):
        measure = f"(figure) => ({MEASURE})([figure, {act}])"
        found = best(lambda measure=measure: float(np.percentile(figure.evaluate(measure), 95)), INPUT_TO_PICTURE)
        print(f"{name}: {found:.1f} ms from input to picture (95 of 100 inputs)")
        assert found <= INPUT_TO_PICTURE
    assert tab.errors == []


@pytest.mark.parametrize("name", GALLERY)
def test_page_is_interactive_soon(server, browser, name):
    def measure() -> float:
        context = browser.new_context(viewport={"width": 1280, "height": 900})  # with nothing in its cache
        page = context.new_page()
        page.add_init_script(WHEN_LIVE)
        page.goto(f"{server}/{name}.html")
        page.wait_for_function("window.liveAfter", timeout=60_000)
        found = page.evaluate("window.liveAfter")
        context.close()
        return found

    found = best(measure, INTERACTIVE)
    print(f"{name}: live after {found:.0f} ms")
    assert found <= INTERACTIVE
