"""Fixtures of the widgets' tests: a model, images, a book with a page for each widget, and tabs to open them in."""

import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch

import nsvae_lib as ns
from nsvae_lib.vae import VAE
from nsvae_lib.widgets.base import Widget
from tests.widgets.gallery import GALLERY, Bench, Tab, page_of
from tools import build, toc


@pytest.fixture(scope="session")
def clothes() -> torch.Tensor:
    return ns.load("FashionMNIST", sample=True).test


@pytest.fixture(scope="session")
def vae() -> VAE:
    return ns.pretrained("FashionMNIST", "bernoulli", "EMNIST-Letters", device="cpu")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book with a page for each widget, and a page in Markdown that takes one of them from there."""
    root = tmp_path_factory.mktemp("a book") / "source"
    shutil.copytree(toc.ROOT / "book", root / "book", ignore=shutil.ignore_patterns("*.ipynb", "*.md"))
    (root / "_config.yml").write_text(build.configuration(toc.ROOT), encoding="utf-8")
    first = next(iter(GALLERY))
    (root / "book" / "index.md").write_text(f"# Start\n\n```{{widget}} {first} {first}\n```\n")
    files = "".join(f"  - file: book/{name}\n" for name in GALLERY)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: book/index\nchapters:\n{files}")
    for name, make in GALLERY.items():
        nbformat.write(page_of(make()), root / "book" / f"{name}.ipynb")
    return build.render(root, root.parent / "output") / "book"


@pytest.fixture
def open_tab(browser) -> Iterator[Callable[..., Tab]]:
    tabs: list[Tab] = []

    def open_one(*arguments, **options) -> Tab:
        tabs.append(Tab(browser, *arguments, **options))
        return tabs[-1]

    yield open_one
    for tab in tabs:
        tab.context.close()


@pytest.fixture
def on_bench(browser) -> Iterator[Callable[[Widget], Bench]]:
    benches: list[Bench] = []

    def put(widget: Widget) -> Bench:
        benches.append(Bench(browser, widget))
        return benches[-1]

    yield put
    for bench in benches:
        bench.page.close()


@pytest.fixture(scope="session")
def server(site) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site.parent))) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/book"
        running.shutdown()
