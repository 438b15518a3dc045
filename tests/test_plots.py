"""The pictures say what the numbers say: what is drawn, where and with which label."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from nsvae_lib import plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_contours_are_labelled_lines_at_the_levels_asked_for():
    x, y = np.linspace(0, 1, 20), np.linspace(0, 2, 30)
    fig = plots.contours(x, y, y[:, None] - x, levels=[0.5, 1.25], xlabel="m", ylabel="x")
    (ax,) = fig.axes
    (lines,) = ax.collections
    assert [path.vertices.shape[0] > 2 for path in lines.get_paths()] == [True, True]
    for level, path in zip([0.5, 1.25], lines.get_paths(), strict=True):
        vertices = path.vertices[~np.isnan(path.vertices).any(1)]
        assert np.allclose(vertices[:, 1] - vertices[:, 0], level, atol=1e-6)
    assert {text.get_text() for text in ax.texts} == {"0.5", "1.25"}


def test_stacked_bars_start_where_the_previous_column_ended():
    table = pd.DataFrame({"floor": [0.3, 0.1], "excess": [0.1, 0.2]}, index=["clothes", "digits"])
    (ax,) = plots.stacked_bars(table, "bits").axes
    starts_and_widths = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    assert np.allclose(starts_and_widths, [(0, 0.3), (0, 0.1), (0.3, 0.1), (0.1, 0.2)])
    assert len({bar.get_hatch() for bar in ax.patches}) == 2  # told apart without colour
    assert [text.get_text() for text in ax.texts] == ["0.30", "0.10", "0.10", "0.20"]


def test_beside_paper_draws_both_numbers_on_their_row():
    table = pd.DataFrame({"ours": [0.3, 0.9], "paper": [0.4, 1.0], "std": [0.1, 0.0]}, index=["a / b", "c / d"])
    (ax,) = plots.beside_paper(table, "AUROC").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a / b", "c / d"]
    bars, squares, dots = ax.containers[0][2][0], ax.containers[0][0], ax.lines[-1]
    assert np.allclose(squares.get_xdata(), [0.4, 1.0]) and squares.get_marker() == "s"
    assert np.allclose(dots.get_xdata(), [0.3, 0.9]) and dots.get_marker() == "o"
    assert np.allclose(bars.get_segments(), [[(0.3, 0), (0.5, 0)], [(1.0, 1), (1.0, 1)]])
    assert ax.yaxis_inverted()  # the first row at the top
