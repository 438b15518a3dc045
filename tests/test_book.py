"""The rendered book: built once from the committed outputs, then read as files and in a browser."""

import json
import posixpath
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from PIL import Image

import nsvae_lib
from tools import build, repository, toc

# Something that only this page says: a page that is there but empty is worse than none.
PHRASES = {
    "book/index": "the negative samples of",
    "book/01_elbo": "A gradient through a random draw",
    "book/02_likelihood_puzzle": "AUROC: counting pairs",
    "book/03_noise_models": "A grey pixel is never free",
    "book/04_negative_prior": "A plain rival",
    "book/05_upper_bounds": "The evidence from above",
    "book/06_adversarial_negatives": "What everybody pays",
    "book/07_colour_images": "What a nat is worth",
    "book/08_where_negatives_come_from": "A plane on which everything is visible",
    "book/09_reproduction": "A training that can be interrupted",
    "book/10_other_scores": "Compared with its own kind",
    "book/11_your_own_images": "Same file, same side",
    "book/appendix_notation": "importance-weighted bound",
    "book/appendix_paper_versus_code": "A floor under the probabilities",
    "book/appendix_datasets": "stand in for EMNIST-Letters",
    "book/appendix_api": "nsvae_lib.bounds.elbo",
    "book/appendix_references": "arXiv:1910.02760",
}
PAGES = [f"{document}.html" for document in toc.documents()]
THEME_PAGES = ["index.html", "search.html"]  # a redirect to the first page, and the search

# Rules that axe-core finds broken by the theme itself, where, and why that is accepted.
ACCEPTED = {
    "region": (".sidebar-primary-item", "the book's title in the sidebar stands outside the theme's landmarks"),
}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path | Exception:
    """The folder of the HTML, or what kept it from being built."""
    folder = tmp_path_factory.mktemp("a book")  # with a space in its path
    try:
        build.stage(folder / "source")
        return build.render(folder / "source", folder / "output")
    except (build.BuildError, toc.MissingPageError) as error:
        return error


@pytest.fixture(scope="session")
def site(built: Path | Exception) -> Path:
    """The folder of the HTML; without it there is nothing to test, and the first test has failed."""
    if isinstance(built, Exception):
        pytest.skip("the book was not built")
    return built


# --- the pages as files ---------------------------------------------------------------------------


def test_the_book_builds_without_a_warning_or_a_dangling_reference(built):
    assert isinstance(built, Path), built


class Page(HTMLParser):
    """The text, links and images of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.ids: set[str] = set()
        self.meta: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.ids.add(attributes.get("id") or "")
        for name in ("href", "src"):
            if link := attributes.get(name):
                self.links.append(link)
        if tag == "meta":
            self.meta[attributes.get("name") or attributes.get("property") or ""] = attributes.get("content") or ""
        if tag == "img":
            self.images.append(attributes)

    def handle_data(self, data: str) -> None:
        self.text += data


@cache
def read(site: Path, page: str) -> Page:
    return Page((site / page).read_text(encoding="utf-8"))


def test_the_book_has_exactly_the_pages_of_its_table_of_contents(site):
    built = {page.relative_to(site) for page in site.rglob("*.html")} - {
        page.relative_to(site) for page in (site / "_static").rglob("*.html")
    }
    assert {page.as_posix() for page in built} == {*PAGES, *THEME_PAGES}


def test_every_page_has_a_phrase_to_look_for():
    assert PHRASES.keys() == set(toc.documents())


@pytest.mark.parametrize("document", PHRASES)
def test_page_and_no_other_says_what_it_should(site, document):
    saying = [page for page in PAGES if PHRASES[document] in " ".join(read(site, page).text.split())]
    assert saying == [f"{document}.html"]


@pytest.mark.parametrize("document", [name for name in toc.documents() if re.match(r"book/\d\d_", name)])
def test_chapters_have_the_number_of_their_file_name(site, document):
    number = str(int(document.removeprefix("book/")[:2]))
    page = (site / f"{document}.html").read_text(encoding="utf-8")
    assert f'<h1><span class="section-number">{number}. </span>' in page
    assert f'href="#">{number}. ' in " ".join(page.split())


@pytest.mark.parametrize("page", [*PAGES, *THEME_PAGES])
def test_links_within_the_book_lead_somewhere(site, page):
    broken = []
    for link in read(site, page).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (site / page).parent / unquote(parts.path) if parts.path else site / page
        anchors = read(site, str(target.relative_to(site))).ids if target.suffix == ".html" and parts.fragment else None
        if not target.is_file() or (anchors is not None and unquote(parts.fragment) not in anchors):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_images_have_alternative_text(site, page):
    without = [image["src"] for image in read(site, page).images if not (image.get("alt") or "").strip()]
    assert without == []


def test_figures_carry_the_alternative_text_of_their_outputs(site):
    for chapter in toc.notebooks():
        notebook = json.loads(chapter.read_text(encoding="utf-8"))
        outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
        wanted = [output["metadata"]["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]
        page = read(site, f"{chapter.relative_to(toc.ROOT).with_suffix('').as_posix()}.html")
        shown = [image.get("alt") for image in page.images]
        assert [alt for alt in wanted if alt not in shown] == [], chapter.name


def test_the_api_reference_has_every_module_and_every_public_name(site):
    ids = read(site, "book/appendix_api.html").ids
    modules = {path.stem for path in Path(nsvae_lib.__file__).parent.glob("*.py")} - {"__init__", "cli"}
    assert sorted(module for module in modules if f"module-nsvae_lib.{module}" not in ids) == []
    objects = {name: getattr(nsvae_lib, name) for name in nsvae_lib.__all__}
    assert sorted(name for name, item in objects.items() if f"{item.__module__}.{name}" not in ids) == []


def test_fields_of_docstrings_become_lists(site):
    assert "<li><p><strong>aupr</strong>: area under" in (site / "book/appendix_api.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("chapter", toc.documents()[1:])
def test_launch_buttons_follow_the_address_of_the_repository(site, chapter):
    if not (toc.ROOT / f"{chapter}.ipynb").is_file():
        pytest.skip("a page without code has no launch button")
    home = repository.stated()
    links = read(site, f"{chapter}.html").links
    assert links.count(home.colab(chapter)) == 2  # the badge, and the theme's button
    assert home.url in links


# --- the pages on the web -------------------------------------------------------------------------


def test_pages_say_what_they_are_about(site):
    described = {page: read(site, page).meta["description"] for page in PAGES}
    assert len(set(described.values())) == len(PAGES)
    for page, description in described.items():
        assert 40 <= len(description) <= 200, f"{page}: {description}"
        assert description[-1] in ".?:" and "\\" not in description, f"{page}: {description}"


@pytest.mark.parametrize("page", PAGES)
def test_page_has_a_card_and_an_address(site, page):
    meta = read(site, page).meta
    address = f"{repository.stated().site}{page}"
    assert meta["og:url"] == address
    assert f'<link rel="canonical" href="{address}" />' in (site / page).read_text(encoding="utf-8")
    assert meta["og:description"] == meta["description"]
    assert meta["og:title"] and meta["og:image:alt"]
    picture = site / meta["og:image"].removeprefix(repository.stated().site)
    assert Image.open(picture).size == (1200, 630)


def test_titles_name_the_page_and_the_book_once(site):
    titles = {page: re.findall("<title>(.*)</title>", (site / page).read_text(encoding="utf-8")) for page in PAGES}
    assert all(len(found) == 1 and found[0].count("Negative sampling in var") == 1 for found in titles.values()), titles
    assert len({title for [title] in titles.values()}) == len(PAGES)


def test_the_sitemap_lists_the_pages(site):
    listed = re.findall("<loc>(.*?)</loc>", (site / "sitemap.xml").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(f"{repository.stated().site}{page}" for page in PAGES)


@pytest.mark.parametrize("page", [*PAGES, "search.html"])
def test_every_page_names_its_version_and_how_to_cite_it(site, page):
    text = " ".join(read(site, page).text.split())
    assert f"Version {repository.project()['version']}" in text
    own = page == "book/appendix_references.html"
    link = "#how-to-cite" if own else posixpath.relpath("book/appendix_references.html#how-to-cite", Path(page).parent)
    assert link in read(site, page).links


# --- the pages in a browser -----------------------------------------------------------------------


@dataclass(frozen=True)
class Visit:
    """What a browser reports of one page."""

    page: str
    scheme: str
    width: int
    outside: list[str]
    failed: list[str]
    errors: list[str]
    facts: dict
    violations: list[str]


# What can be measured in the page itself, once its maths is set.
MEASURE = """async () => {
  if (window.MathJax?.startup) await MathJax.startup.promise;
  const luminance = (element) => {
    const [r, g, b] = getComputedStyle(element).backgroundColor.match(/[\\d.]+/g).map(Number);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  };
  const left = (element) => element.getBoundingClientRect().left;
  return {
    width: document.documentElement.scrollWidth,
    luminance: luminance(document.body),
    formulas: document.querySelectorAll("span.math, div.math").length,
    unset: [...document.querySelectorAll("span.math, div.math")]
      .filter((formula) => !formula.querySelector("mjx-container")).map((formula) => formula.textContent),
    wrong: [...document.querySelectorAll("mjx-merror")].map((error) => error.textContent),
    cut: [...document.querySelectorAll("div.math")]
      .filter((box) => box.querySelector("mjx-math") && left(box.querySelector("mjx-math")) < left(box) - 1)
      .map((box) => box.textContent),
    broken: [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
    dimmed: [...document.querySelectorAll("article img")]
      .filter((image) => getComputedStyle(image).filter !== "none").map((image) => image.alt),
  };
}"""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((page, scheme, width), id=f"{Path(page).stem}-{scheme}-{width}")
        for page in [*PAGES, "search.html"]
        for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390))
    ],
)
def visit(request, site, browser) -> Visit:
    """One page, opened as a reader opens it: from its folder, with no server."""
    from axe_playwright_python.sync_playwright import Axe

    page, scheme, width = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    tab.set_default_timeout(120_000)
    outside: list[str] = []
    failed: list[str] = []
    errors: list[str] = []

    def asked(address: str) -> None:
        if urlsplit(address).scheme not in ("file", "data", "blob"):
            outside.append(address)

    tab.on("request", lambda request: asked(request.url))
    tab.on("requestfailed", lambda request: failed.append(request.url))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto((site / page).as_uri(), wait_until="load")
    facts = tab.evaluate(MEASURE)
    # A colour half-way through its transition would be judged as it stands.
    tab.add_style_tag(content="*, *::before, *::after { transition: none !important; animation: none !important }")
    # Without preload: axe-core would fetch the style sheets again, which a page from a folder may not.
    found = Axe().run(tab, options={"preload": False}).response["violations"]
    context.close()
    return Visit(page, scheme, width, outside, failed, errors, facts, [line for rule in found for line in _lines(rule)])


def _lines(rule: dict) -> list[str]:
    """A violated rule, one line for each place that is not an accepted one."""
    place, _ = ACCEPTED.get(rule["id"], (None, None))
    nodes = [node for node in rule["nodes"] if not (place and all(place in target for target in node["target"]))]
    return [f"{rule['id']} ({rule['help']}): {node['target']} {node['html'][:200]}" for node in nodes]


def test_page_asks_no_other_host(visit):
    assert visit.outside == []


def test_page_loads_without_errors(visit):
    assert visit.errors == []
    assert visit.failed == []
    assert visit.facts["broken"] == []


def test_maths_is_set(visit):
    assert visit.facts["unset"] == []
    assert visit.facts["wrong"] == []
    assert visit.facts["cut"] == []  # the left end of a formula that is too wide for a phone cannot be scrolled to
    if visit.page == "book/appendix_notation.html":
        assert visit.facts["formulas"] > 20


def test_page_does_not_scroll_sideways(visit):
    assert visit.facts["width"] <= visit.width


def test_page_follows_the_colour_scheme(visit):
    assert visit.facts["luminance"] > 0.9 if visit.scheme == "light" else visit.facts["luminance"] < 0.2
    assert visit.facts["dimmed"] == []


def test_page_is_accessible(visit):
    assert visit.violations == []


def test_search_finds_a_page(site, browser):
    tab = browser.new_page()
    errors: list[str] = []
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.goto(f"{(site / 'search.html').as_uri()}?q=posterior", wait_until="load")
    results = tab.locator("#search-results a", has_text="Notation")
    results.first.wait_for(timeout=60_000)
    target = results.first.get_attribute("href") or ""
    tab.close()
    assert re.search(r"book/appendix_notation\.html", target)
    assert errors == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def served(site, tmp_path) -> Iterator[str]:
    """The address of the book below a folder of a server, as GitHub Pages serves it."""
    (tmp_path / "repo-name").symlink_to(site)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/repo-name/"
    server.shutdown()
    server.server_close()


def test_the_book_works_below_a_folder_of_a_server(served, browser):
    tab = browser.new_page()
    requests: list[str] = []
    failed: list[str] = []

    def note_failure(request) -> None:
        if request.failure != "net::ERR_ABORTED":  # leaving the page stopped it
            failed.append(request.url)

    tab.on("request", lambda request: requests.append(request.url))
    tab.on("requestfailed", note_failure)
    tab.on("response", lambda response: failed.append(response.url) if response.status >= 400 else None)
    tab.on("pageerror", lambda error: failed.append(str(error)))
    for page in ("", *PAGES, "search.html?q=posterior"):
        tab.goto(f"{served}{page}", wait_until="networkidle")
        # MathJax asks for its fonts late.
        tab.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }")
        tab.wait_for_load_state("networkidle")
    tab.close()
    assert failed == []
    assert [address for address in requests if not address.startswith((served, "data:", "blob:"))] == []
    assert len(requests) > len(PAGES)


def test_the_first_file_leads_to_the_first_page(site, browser):
    tab = browser.new_page()
    tab.goto((site / "index.html").as_uri(), wait_until="load")
    tab.wait_for_url("**/book/index.html", timeout=60_000)
    title = tab.title()
    tab.close()
    assert "Negative sampling" in title
