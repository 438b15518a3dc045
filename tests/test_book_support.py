"""The helpers that chapters use: profiles, figures with alternative text, source on the page."""

import base64
import io
import struct
from functools import cache

import matplotlib.pyplot as plt
import pytest

from nsvae_lib import book

BUDGETS = {"smoke": {"epochs": 1}, "standard": {"epochs": 3}, "paper": {"epochs": 100}}


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook would have received, in order."""
    outputs = []
    monkeypatch.setattr(book, "display", lambda data, **options: outputs.append((data, options)))
    return outputs


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", book.PROFILES)
def test_settings_chooses_by_argument(profile, monkeypatch):
    monkeypatch.setenv("NSVAE_PROFILE", "paper")
    chosen = book.settings(profile, **BUDGETS)
    assert (chosen.profile, chosen.epochs) == (profile, BUDGETS[profile]["epochs"])


def test_settings_falls_back_to_the_environment_then_to_standard(monkeypatch):
    monkeypatch.setenv("NSVAE_PROFILE", "smoke")
    assert book.settings(None, **BUDGETS).epochs == 1
    monkeypatch.setenv("NSVAE_PROFILE", "")
    assert book.settings(None, **BUDGETS).epochs == 3
    monkeypatch.delenv("NSVAE_PROFILE")
    assert book.settings(None, **BUDGETS).profile == "standard"


@pytest.mark.parametrize("through", ["argument", "environment"])
def test_settings_rejects_an_unknown_profile(through, monkeypatch):
    monkeypatch.setenv("NSVAE_PROFILE", "quick")
    with pytest.raises(ValueError, match="unknown profile 'quick'.*smoke, standard, paper"):
        book.settings("quick" if through == "argument" else None, **BUDGETS)


def test_settings_wants_the_same_names_in_every_profile():
    with pytest.raises(ValueError, match="profile 'paper'.*epochs, steps"):
        book.settings("smoke", **{**BUDGETS, "paper": {"steps": 1}})


# --- show -----------------------------------------------------------------------------------------


def test_show_displays_one_png_with_its_alternative_text_and_closes_the_figure(displayed):
    fig, ax = plt.subplots(figsize=(2, 1))
    ax.plot([0, 1])
    book.show(fig, "A rising line.")
    [(data, options)] = displayed
    assert options == {"metadata": {"image/png": {"alt": "A rising line."}}, "raw": True}
    assert list(data) == ["image/png"]
    png = base64.b64decode(data["image/png"])
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", io.BytesIO(png[16:24]).read())
    assert width > height > 50
    assert not plt.fignum_exists(fig.number)


def test_show_gives_the_same_bytes_for_the_same_figure(displayed):
    for _ in range(2):
        fig, ax = plt.subplots(figsize=(1, 1))
        ax.plot([1, 0])
        book.show(fig, "A falling line.")
    assert displayed[0] == displayed[1]


def test_show_refuses_a_figure_without_alternative_text(displayed):
    fig = plt.figure()
    with pytest.raises(ValueError, match="alternative text"):
        book.show(fig, "  ")
    plt.close(fig)
    assert displayed == []


# --- show_source ----------------------------------------------------------------------------------


class Sample:
    """Has a docstring."""

    size = 3  # a comment that stays

    def double(self) -> int:
        """Twice the size.

        Over several lines.
        """

        return 2 * self.size

    @property
    def half(self) -> float:
        """Half the size."""
        return self.size / 2

    def nothing(self) -> None:
        """Only a docstring."""


@cache
def answer() -> int:
    return 42


def shown(displayed) -> str:
    [(data, _)] = displayed
    return data["text/markdown"]


def test_show_source_leaves_out_docstrings_and_keeps_comments(displayed):
    book.show_source(Sample)
    assert shown(displayed) == (
        "```python\n"
        "# test_book_support.py\n"
        "class Sample:\n"
        "    size = 3  # a comment that stays\n"
        "\n"
        "    def double(self) -> int:\n"
        "        return 2 * self.size\n"
        "\n"
        "    @property\n"
        "    def half(self) -> float:\n"
        "        return self.size / 2\n"
        "\n"
        "    def nothing(self) -> None:\n"
        "        ...\n"
        "```"
    )


def test_show_source_names_each_file_once_and_takes_methods_properties_and_caches(displayed):
    book.show_source(Sample.double, Sample.half, answer)
    text = shown(displayed)
    assert text.count("# test_book_support.py") == 1
    assert "\ndef double(self) -> int:\n    return 2 * self.size\n" in text
    assert "\n@property\ndef half(self) -> float:\n    return self.size / 2\n" in text
    assert "@cache\ndef answer() -> int:\n    return 42\n```" in text


def test_show_source_names_library_files_from_the_package_on(displayed):
    book.show_source(book.settings)
    assert shown(displayed).startswith("```python\n# nsvae_lib/book.py\ndef settings(")
    compile(shown(displayed).removeprefix("```python").removesuffix("```"), "shown", "exec")


def test_show_source_explains_what_it_cannot_show(displayed):
    with pytest.raises(TypeError, match="functions, methods, properties or classes; received 3"):
        book.show_source(3)
