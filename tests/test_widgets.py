"""The live widgets: their engine against PyTorch, and each of them on a page, in a browser."""

import copy
import http.server
import json
import shutil
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook, new_output
from torch import nn

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.vae import VAE
from nsvae_lib.widgets import modules
from nsvae_lib.widgets.base import MIME, Widget
from nsvae_lib.widgets.weights import pack, round_to_int8, rounded
from tools import build, notebooks, toc


@pytest.fixture(scope="module")
def clothes() -> torch.Tensor:
    return ns.load("FashionMNIST", sample=True).test


@pytest.fixture(scope="module")
def vae() -> VAE:
    return ns.pretrained("FashionMNIST", "bernoulli", "EMNIST-Letters", device="cpu")


# --- the gallery: every widget once, as a notebook shows it ---------------------------------------


def explorer() -> Widget:
    vae = ns.pretrained("FashionMNIST", "bernoulli", "EMNIST-Letters", device="cpu")
    return widgets.LatentExplorer.from_vae(vae, ns.load("FashionMNIST", sample=True).test[:8], shift=8)


def drawing_board() -> Widget:
    vaes = {n: ns.pretrained("FashionMNIST", "bernoulli", n, device="cpu") for n in ("none", "EMNIST-Letters")}
    sets = {name: ns.load(name, sample=True).test for name in ("MNIST", "FashionMNIST")}
    pictures = {"a digit": sets["MNIST"][2], "a shoe": sets["FashionMNIST"][0]}
    return widgets.Draw.from_vaes(vaes, sets["FashionMNIST"][:300], pictures)


GALLERY: dict[str, Callable[[], Widget]] = {"draw": drawing_board, "latent_explorer": explorer}


def test_the_gallery_has_every_widget():
    assert {getattr(widgets, name).script for name in widgets.__all__} == GALLERY.keys()


def page_of(widget: Widget) -> nbformat.NotebookNode:
    data, metadata = widget.bundle()
    cell = new_code_cell("widget", outputs=[new_output("display_data", data, metadata=metadata)])
    return notebooks.clean(new_notebook(cells=[nbformat.v4.new_markdown_cell(f"# {widget.title}"), cell]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book with a page for each widget, and a page in Markdown that takes one of them from there."""
    root = tmp_path_factory.mktemp("a book") / "source"
    shutil.copytree(toc.ROOT / "book", root / "book", ignore=shutil.ignore_patterns("*.ipynb", "*.md", "images"))
    shutil.copy(toc.ROOT / "_config.yml", root)
    first = next(iter(GALLERY))
    (root / "book" / "index.md").write_text(f"# Start\n\n```{{widget}} {first} {first}\n```\n")
    files = "".join(f"  - file: book/{name}\n" for name in GALLERY)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n{files}")
    for name, make in GALLERY.items():
        nbformat.write(page_of(make()), root / "book" / f"{name}.ipynb")
    return build.render(root, root.parent / "output") / "book"


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


@pytest.mark.parametrize("negatives", ["none", "EMNIST-Letters", "adversarial"])
def test_rounding_leaves_the_auroc_as_it_was(negatives, clothes):
    digits = ns.load("MNIST", sample=True).test
    vae = ns.pretrained("FashionMNIST", "bernoulli", negatives, device="cpu")
    scores = [[ns.score(model, images) for images in (clothes, digits)] for model in (vae, rounded(vae))]
    for name in ("bpd", "kl"):
        before, after = (ns.auroc(inlier[name], ood[name]) for inlier, ood in scores)
        assert abs(before - after) < 0.005, name


# --- the engine -----------------------------------------------------------------------------------


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


# --- every widget on a page -----------------------------------------------------------------------


class Tab:
    """A page with a live widget, and what the browser reports of it."""

    def __init__(self, browser, address: str, scheme: str = "light", width: int = 1280) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 600
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url}"))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address, wait_until="load")
        self.figure = self.page.locator("figure.nsvae-widget")
        self.figure.scroll_into_view_if_needed()
        self.page.wait_for_selector("figure.nsvae-widget.ns-live")

    def _asked(self, address: str) -> None:
        if urlsplit(address).scheme not in ("file", "data", "blob") and urlsplit(address).hostname != "127.0.0.1":
            self.outside.append(address)


def numbers(tab: Tab) -> dict[str, float]:
    """The readouts of a widget, by their labels."""
    rows = tab.figure.locator(".ns-readouts > div").all()
    texts = [(row.locator("dt").inner_text(), row.locator("dd").inner_text()) for row in rows]
    return {label: float(text.split()[0].replace("−", "-")) for label, text in texts}


def settled(tab: Tab) -> None:
    tab.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.fixture
def open_tab(browser) -> Iterator[Callable[..., Tab]]:
    tabs: list[Tab] = []

    def open_one(*arguments, **options) -> Tab:
        tabs.append(Tab(browser, *arguments, **options))
        return tabs[-1]

    yield open_one
    for tab in tabs:
        tab.context.close()


@pytest.fixture(scope="module")
def server(site) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site.parent))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/book"
        running.shutdown()


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
    import gzip

    texts = [modules.script(path.stem) for path in modules.FOLDER.glob("*.js")]
    texts.append((toc.ROOT / "book" / "_ext" / "hydrate.js").read_text(encoding="utf-8"))
    assert len(gzip.compress("".join(texts).encode())) < 40_000


# --- draw anything --------------------------------------------------------------------------------


def drawn(tab: Tab) -> torch.Tensor:
    """The picture on the drawing board, uint8 [1, 1, 28, 28]."""
    pixels = tab.figure.locator(".ns-board canvas").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0)"
    )
    return torch.tensor(pixels, dtype=torch.uint8).view(1, 1, 28, 28)


def verdicts(tab: Tab) -> dict[str, list[str]]:
    """For each model what its two gauges say, such as "0.209 fits in"."""
    rows = tab.figure.locator("tbody tr").all()
    return {
        row.locator("th span").inner_text(): [" ".join(v.split()) for v in row.locator(".ns-value").all_inner_texts()]
        for row in rows
    }


def expected_verdicts(picture: torch.Tensor, board: widgets.Draw) -> dict[str, list[str]]:
    """The same from the library's own scores."""
    found = {}
    for name in ("none", "EMNIST-Letters"):
        scores = ns.score(rounded(ns.pretrained("FashionMNIST", "bernoulli", name, device="cpu")), picture)
        found[name] = [
            f"{scores[key].item():.{digits}f} {'alarm' if scores[key] > board.threshold(name, key) else 'fits in'}"
            for key, digits in (("bpd", 3), ("kl", 1))
        ]
    return found


def answered(tab: Tab, wanted: dict[str, list[str]]) -> None:
    """Wait until the gauges say what they should; where they do not, show what they say."""
    for _ in range(200):
        if verdicts(tab) == wanted:
            return
        tab.page.wait_for_timeout(50)
    assert verdicts(tab) == wanted


@pytest.fixture(scope="module")
def board() -> widgets.Draw:
    return drawing_board()


def test_threshold_lets_the_chosen_share_of_inliers_be_alarms(board, clothes):
    scores = ns.score(rounded(ns.pretrained("FashionMNIST", "bernoulli", device="cpu")), clothes[:300])
    for board.alarm in (0.2, 0.05, 0.01):
        for name in ("bpd", "kl"):
            share = (scores[name] > board.threshold("none", name)).double().mean().item()
            assert share == pytest.approx(board.alarm, abs=1.5 / 300)
    board.alarm = 0.05


def test_board_starts_with_the_scores_of_the_library(board):
    picture = ns.load("MNIST", sample=True).test[2:3]
    for name, scores in board.scores.items():
        wanted = ns.score(rounded(ns.pretrained("FashionMNIST", "bernoulli", name, device="cpu")), picture)
        assert scores == pytest.approx({key: value.item() for key, value in wanted.items()})


def test_board_refuses_what_does_not_fit_together(vae, clothes):
    with pytest.raises(ValueError, match="at least one model and one picture, got 0 and 1"):
        widgets.Draw.from_vaes({}, clothes, {"a": clothes[0]})
    with pytest.raises(ValueError, match="alike in shape and latent_dim"):
        widgets.Draw.from_vaes({"a": vae, "b": VAE.for_images(vae.shape, latent_dim=3)}, clothes, {"a": clothes[0]})
    with pytest.raises(ValueError, match=r"pictures: expected shape \[N, 1, 28, 28\]"):
        widgets.Draw.from_vaes({"a": vae}, clothes, {"a": clothes[0, :, :20]})


def test_board_loads_weights_once_and_only_when_somebody_plays(site, open_tab, board):
    tab = open_tab((site / "draw.html").as_uri())
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(Path(urlsplit(request.url).path).stem))
    assert verdicts(tab) == expected_verdicts(drawn(tab), board)
    assert asked == []
    for name in ("a shoe", "a digit"):
        tab.figure.get_by_role("radio", name=name).check()
        answered(tab, expected_verdicts(drawn(tab), board))
    assert sorted(asked) == ["FashionMNIST_bernoulli_EMNIST-Letters", "FashionMNIST_bernoulli_none"]
    assert tab.errors == []


def test_board_is_drawn_on_with_keys(site, open_tab, board):
    tab = open_tab((site / "draw.html").as_uri())
    tab.figure.get_by_role("button", name="clear").press("Enter")
    settled(tab)
    assert drawn(tab).max() == 0
    canvas = tab.figure.get_by_role("application")
    canvas.press("ArrowUp")
    settled(tab)
    assert drawn(tab).max() == 0  # the pen is up
    for key in ["Space", *["ArrowLeft"] * 6, "Space", *["ArrowDown"] * 4]:
        canvas.press(key)
    settled(tab)
    rows, columns = (drawn(tab)[0, 0] > 128).nonzero().T
    assert (rows.min().item(), rows.max().item()) == (12, 14)
    assert (columns.min().item(), columns.max().item()) == (7, 15)
    answered(tab, expected_verdicts(drawn(tab), board))
    assert tab.errors == []


@pytest.mark.parametrize("width", [1280, 390])
def test_board_is_drawn_on_with_mouse_or_finger(site, open_tab, board, width):
    tab = open_tab((site / "draw.html").as_uri(), width=width)
    before = drawn(tab)
    box = tab.figure.locator(".ns-board canvas").bounding_box()
    place = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in ((0.1, 0.1), (0.9, 0.2))]
    if width == 390:
        for x, y in place:
            tab.page.touchscreen.tap(x, y)
    else:
        tab.page.mouse.move(*place[0])
        tab.page.mouse.down()
        tab.page.mouse.move(*place[1], steps=5)
        tab.page.mouse.up()
    settled(tab)
    added = (drawn(tab).int() - before.int())[0, 0]
    assert added.min() >= 0
    assert added[2:4, 2:4].min() > 128
    assert added[5, 24:26].min() > 128
    assert (added[3:5, 10:18].max() > 128) == (width == 1280)  # a line, or two dots
    answered(tab, expected_verdicts(drawn(tab), board))
    assert tab.errors == []


def test_board_takes_a_file_and_shrinks_it(site, open_tab, board, tmp_path):
    from PIL import Image

    picture = Image.new("RGB", (560, 280), "white")
    picture.paste("black", (280, 0, 560, 280))
    picture.save(tmp_path / "half.png")
    (tmp_path / "words.png").write_text("no picture")
    tab = open_tab((site / "draw.html").as_uri())
    tab.figure.get_by_label("your own picture").set_input_files(tmp_path / "half.png")
    wanted = torch.zeros(28, 28)
    wanted[7:21, :14] = 255
    tab.page.wait_for_function("() => !document.querySelector('.ns-choice input:checked[value=\"0\"]')")
    settled(tab)
    assert (drawn(tab)[0, 0].float() - wanted).abs().mean() < 5
    answered(tab, expected_verdicts(drawn(tab), board))
    tab.figure.get_by_label("your own picture").set_input_files(tmp_path / "words.png")
    tab.figure.get_by_text("words.png is no picture that this browser can read").wait_for()


def test_alarm_rate_moves_the_verdict(site, open_tab, board):
    tab = open_tab((site / "draw.html").as_uri())
    slider = tab.figure.get_by_role("slider", name="False alarms")
    for key, board.alarm in (("End", 0.2), ("Home", 0.01)):
        slider.press(key)
        settled(tab)
        assert verdicts(tab) == expected_verdicts(drawn(tab), board)
    board.alarm = 0.05


# --- latent explorer ------------------------------------------------------------------------------


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
