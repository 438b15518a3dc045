"""What every widget owes its readers: in a notebook, on a page, with and without JavaScript."""

import copy
import gzip
import json
from base64 import b64encode

import pytest

from nsvae_lib import widgets
from nsvae_lib.widgets import modules
from nsvae_lib.widgets.base import MIME
from nsvae_lib.widgets.weights import pack
from tests.widgets.gallery import GALLERY
from tools import notebooks, toc


def test_the_gallery_has_every_widget():
    assert {getattr(widgets, name).script for name in widgets.__all__} == GALLERY.keys()


# --- Python ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GALLERY)
def test_a_notebook_output_has_what_each_reader_needs(name):
    widget = GALLERY[name]()
    data, metadata = widget.bundle()
    assert data[notebooks.LIVE_VIEW]["model_id"] == widget.model_id
    assert data["text/plain"] == f"Live widget: {widget.title}."
    assert data["image/png"].startswith("iVBOR")
    assert len(metadata["image/png"]["alt"]) > 40
    assert data[MIME]["widget"] == name
    assert len(json.dumps(data[MIME])) < 60_000
    assert MIME == notebooks.WIDGET


@pytest.mark.parametrize("name", GALLERY)
def test_every_trait_can_be_set_from_the_description(name):
    """What a page starts from is a state that the widget takes, with nothing lost."""
    state = GALLERY[name]().description()["state"]
    assert json.loads(json.dumps(state)) == state
    own = {trait for trait in type(GALLERY[name]()).class_own_traits(sync=True) if not trait.startswith("_")}
    assert own <= state.keys()


def test_only_models_of_the_library_unchanged_are_left_to_the_page(vae, clothes):
    widget = widgets.LatentExplorer.from_vae(vae, clothes[:2])
    assert widget.description()["models"] == {"vae": "FashionMNIST_bernoulli_EMNIST-Letters"}
    assert widget.description()["state"]["weights"] == {}
    trained_on = copy.deepcopy(vae)
    trained_on.decoder.dense.bias.data[0] += 1
    described = widgets.LatentExplorer.from_vae(trained_on, clothes[:2]).description()
    assert described["models"] == {}
    assert described["state"]["weights"] == {"vae": {"base64": b64encode(pack(trained_on)).decode()}}


# --- on a page -------------------------------------------------------------------------------------


SMALL_TARGETS = """figure => [...figure.querySelectorAll("button, select, input, .ns-choice > label")]
  .filter((target) => !target.closest("label") || target.tagName === "LABEL")
  .filter((target) => { const box = target.getBoundingClientRect(); return box.height < 43.9 || box.width < 43.9; })
  .map((target) => target.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
@pytest.mark.parametrize("name", GALLERY)
def test_widget_is_live_from_a_folder_and_accessible(site, open_tab, name, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    tab = open_tab((site / f"{name}.html").as_uri(), scheme, width)
    assert not tab.figure.locator("> img, > a").first.is_visible()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.figure.evaluate(SMALL_TARGETS) == []
    tab.page.add_style_tag(content="*, *::before { transition: none !important; animation: none !important }")
    found = Axe().run(tab.page, context="figure.nsvae-widget", options={"preload": False}).response["violations"]
    assert [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]] == []
    assert tab.errors == []
    assert tab.outside == []


@pytest.mark.parametrize("name", GALLERY)
def test_widget_is_live_from_a_server(server, open_tab, name):
    tab = open_tab(f"{server}/{name}.html")
    assert tab.errors == []
    assert tab.outside == []


def test_a_page_in_markdown_shows_the_widget_of_a_chapter(site, open_tab):
    tab = open_tab((site / "index.html").as_uri())
    assert tab.figure.get_attribute("data-widget") == next(iter(GALLERY))
    assert tab.errors == []


@pytest.mark.parametrize("name", GALLERY)
def test_without_javascript_there_is_a_picture_with_words(site, browser, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / f"{name}.html").as_uri())
    figure = page.locator("figure.nsvae-widget")
    assert figure.locator("img").is_visible()
    assert figure.locator("img").get_attribute("alt") == GALLERY[name]().alt()
    assert "still picture of a live widget" in figure.inner_text()
    context.close()


def test_pages_without_widgets_load_nothing_of_them(site):
    html = (site.parent / "search.html").read_text(encoding="utf-8")
    assert "widgets/" not in html


def test_all_scripts_together_are_small():
    texts = [modules.script(path.stem) for path in modules.FOLDER.glob("*.js")]
    texts.append((toc.ROOT / "book" / "_ext" / "hydrate.js").read_text(encoding="utf-8"))
    assert len(gzip.compress("".join(texts).encode())) < 40_000
