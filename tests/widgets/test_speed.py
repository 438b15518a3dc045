"""How fast the widgets are: what they ask of the processor, which is the same on a busy machine as on a quiet one."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.widgets.gallery import GALLERY

TRIES = 5  # of which the best counts: what else runs empties the processor's caches
FRAME = 16  # ms, from an input to the picture
INTERACTIVE = 1500  # ms, from the address to a page that answers

SLIDERS = """(figure, i) => {
  const sliders = [...figure.querySelectorAll("input[type=range]")].filter((slider) => slider.getClientRects().length);
  const slider = sliders[i % sliders.length];
  const [low, high] = [Number(slider.min), Number(slider.max)];
  slider.value = low + (high - low) * ((i * 0.37) % 1);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""
PEN = """(figure, i) => {
  const arrow = ["ArrowUp", "ArrowRight", "ArrowDown", "ArrowLeft"][(i >> 2) % 4];
  const key = figure.querySelector(".ns-down") ? arrow : " ";
  figure.querySelector("[role=application]").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}"""
# An input with every frame, and a last frame for the picture that comes of it.
BURST = 4
PICTURES = """async ([figure, start, inputs]) => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  for (let i = start; i < start + inputs; i++) {
    (%s)(figure, i);
    await frame();
  }
  await frame();
}"""


class Clock:
    """What a page's main thread has worked since it began, in milliseconds of the processor's time."""

    def __init__(self, page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def __call__(self) -> float:
        found = self.session.send("Performance.getMetrics")["metrics"]
        seconds = {metric["name"]: metric["value"] for metric in found}
        return 1000 * (seconds["TaskDuration"] - seconds["DevToolsCommandDuration"])


def best(measure: Callable[[], float], limit: float) -> float:
    """The smallest of some measurements, of as many as it takes to get below the limit."""
    found = np.inf
    for _ in range(TRIES):
        found = min(found, measure())
        if found <= limit:
            break
    return found


@pytest.mark.parametrize(
    ("name", "inputs"), [*((name, SLIDERS) for name in GALLERY), ("draw", PEN)], ids=[*GALLERY, "draw-pen"]
)
def test_an_input_is_a_picture_within_a_frame(site, open_tab, name, inputs):
    tab = open_tab((site / f"{name}.html").as_uri())
    figure = tab.figure.element_handle()
    clock = Clock(tab.page)

    def measure() -> float:
        times = []
        for i in range(40):
            began = clock()
            tab.page.evaluate(PICTURES % inputs, [figure, i * BURST, BURST])
            times.append((clock() - began) / BURST)
        return float(np.percentile(times, 95))

    found = best(measure, FRAME)
    print(f"{name}: {found:.1f} ms of work from an input to its picture (95th percentile)")
    assert found <= FRAME
    assert tab.errors == []


@pytest.mark.parametrize("name", GALLERY)
def test_page_is_interactive_soon(server, browser, name):
    def measure() -> float:
        context = browser.new_context(viewport={"width": 1280, "height": 900})  # with nothing in its cache
        page = context.new_page()
        clock = Clock(page)
        page.goto(f"{server}/{name}.html", wait_until="commit")
        page.wait_for_selector(".ns-live")
        found = clock()
        context.close()
        return found

    found = best(measure, INTERACTIVE)
    print(f"{name}: live after {found:.0f} ms of work")
    assert found <= INTERACTIVE
