"""The pictures say what the numbers say: what is drawn, where and with which label."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal

from nsvae_lib import auroc, plots


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


def test_bound_and_gap_shades_between_the_curve_and_log_p_and_marks_the_best():
    values = np.linspace(-1, 1, 5)
    left, right = plots.bound_and_gap({"mean": (values, -1 - values**2), "std": (values, -3 + values)}, -1.0).axes
    evidence, bound, best = left.lines
    assert set(evidence.get_ydata()) == {-1.0} and np.allclose(bound.get_ydata(), -1 - values**2)
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (0.0, -1.0)
    assert (right.lines[2].get_xdata()[0], right.lines[2].get_ydata()[0]) == (1.0, -2.0)
    shaded = left.collections[0].get_paths()[0].vertices
    assert (shaded[:, 1].min(), shaded[:, 1].max()) == (-2.0, -1.0)
    assert (left.get_xlabel(), right.get_xlabel()) == ("mean", "std")


def test_vae_diagram_shows_image_latents_and_decoded_image():
    image, decoded = torch.rand(1, 8, 8), torch.rand(1, 8, 8)
    q = Normal(torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.1, 0.2, 0.3]))
    first, middle, last = plots.vae_diagram(image, q, decoded).axes
    assert np.allclose(first.images[0].get_array(), image[0]) and np.allclose(last.images[0].get_array(), decoded[0])
    dots, (bars,) = middle.containers[0][0], middle.containers[0][2]
    assert np.allclose(dots.get_xdata(), [0.5, -1.0, 2.0])
    assert np.allclose([np.ptp(segment[:, 0]) / 2 for segment in bars.get_segments()], [0.1, 0.2, 0.3])


def test_posteriors_draws_the_chosen_dimensions_two_standard_deviations_wide():
    q = Normal(torch.tensor([[0.0, 1.0, -1.0]]), torch.tensor([[9.0, 0.5, 0.25]]))
    (ax,) = plots.posteriors(q, dims=(1, 2)).axes
    prior, ellipse = ax.patches
    assert (prior.width, prior.height) == (4, 4)
    assert (ellipse.center, ellipse.width, ellipse.height) == ((1.0, -1.0), 2.0, 1.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("latent dimension 1", "latent dimension 2")


INLIER, OOD = [0.1, 0.4, 0.4, 0.7], [0.3, 0.4, 0.9]


def test_cells_won_in_the_pair_grid_make_the_auroc():
    (ax,) = plots.pair_grid(INLIER, OOD).axes
    cells = [{"0": 0.0, "½": 0.5, "1": 1.0}[text.get_text()] for text in ax.texts]
    assert len(cells) == 12
    assert np.mean(cells) == pytest.approx(auroc(INLIER, OOD))


def test_area_under_the_line_in_the_pair_grid_is_the_auroc():
    (line,) = plots.pair_grid(INLIER, OOD).axes[0].lines
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) / 12 == pytest.approx(auroc(INLIER, OOD))


def test_area_under_the_roc_curve_is_the_auroc():
    _guessing, line = plots.roc_curves({"score": (INLIER, OOD)}).axes[0].lines
    assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(auroc(INLIER, OOD))


def test_scatter_gives_each_set_its_own_marker():
    (ax,) = plots.score_scatter({"clothes": ([1, 2], [3, 4]), "digits": ([5], [6])}, "x", "y").axes
    assert [len(points.get_offsets()) for points in ax.collections] == [2, 1]
    circle, square = (points.get_paths()[0].vertices for points in ax.collections)
    assert circle.shape != square.shape


def test_heat_maps_put_each_pair_in_its_cell():
    results = pd.DataFrame(
        [("A", "B", "bpd", 0.1), ("A", "C", "bpd", 0.2), ("B", "A", "bpd", 0.3), ("A", "B", "kl", 0.9)],
        columns=["inlier", "ood", "score", "auroc"],
    )
    bpd, kl = plots.auroc_heatmaps(results, ["C", "B", "A"]).axes
    assert [label.get_text() for label in bpd.get_xticklabels()] == ["C", "B", "A"]
    assert [label.get_text() for label in bpd.get_yticklabels()] == ["B", "A"]
    assert {(text.get_position(), text.get_text()) for text in bpd.texts} == {
        ((2.5, 0.5), "0.30"), ((0.5, 1.5), "0.20"), ((1.5, 1.5), "0.10"),
    }  # fmt: skip
    assert [text.get_text() for text in kl.texts] == ["0.90"]


def test_the_game_shows_both_images_and_who_learns_in_which_move():
    image, generated = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    (ax,) = plots.adversarial_game(image, generated).axes
    drawn = [inset.images[0].get_array().mean() for inset in ax.child_axes]
    assert drawn == [0, 1, 1]
    frames = [(text.get_text(), text.get_bbox_patch().get_linewidth()) for text in ax.texts if text.get_bbox_patch()]
    learning = [name for name, width in frames if width == max(width for _, width in frames)]
    assert learning == ["encoder", "decoder"]


def test_heatmap_stars_the_cells_asked_for_and_leaves_missing_ones_blank():
    table = pd.DataFrame({"MNIST": [0.25, 1.0], "KMNIST": [0.5, np.nan]}, index=["none", "KMNIST"])
    seen = pd.DataFrame({"MNIST": [False, False], "KMNIST": [True, True]}, index=table.index)
    (ax,) = plots.auroc_heatmap(table, starred=seen).axes
    assert [text.get_text() for text in ax.texts] == ["0.25", "0.50*", "1.00"]


def test_plane_map_has_lines_at_its_levels_and_all_points():
    grid = np.linspace(0, 1, 21)
    inliers, negatives = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), np.array([[0.9, 0.1]])
    (ax,) = plots.plane_map(np.add.outer(grid, 2 * grid), inliers, negatives, levels=[1.0, 2.0]).axes
    crosses, dots = ax.lines
    assert (crosses.get_marker(), dots.get_marker()) == ("x", ".")
    assert np.allclose(dots.get_xydata(), inliers) and np.allclose(crosses.get_xydata(), negatives)
    for level, path in zip([1.0, 2.0], ax.collections[-1].get_paths(), strict=True):
        vertices = path.vertices[~np.isnan(path.vertices).any(1)]
        assert np.allclose(vertices[:, 1] + 2 * vertices[:, 0], level, atol=1e-6)  # columns are x, rows are y
    assert {text.get_text() for text in ax.texts} == {"1", "2"}


def test_aurocs_along_a_setting_have_their_intervals():
    table = pd.DataFrame({"auroc": [0.6, 0.9], "auroc_low": [0.5, 0.8], "auroc_high": [0.65, 0.95]}, index=[20, 320])
    (ax,) = plots.aurocs_along({"BPD": table, "KL": table + 0.01}, "nats").axes
    line, _caps, (bars,) = ax.containers[0]
    assert np.allclose(line.get_xydata(), [[20, 0.6], [320, 0.9]])
    assert np.allclose([segment[:, 1] for segment in bars.get_segments()], [[0.5, 0.65], [0.8, 0.95]])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["BPD", "KL"]


def test_levels_are_named_at_their_height_and_infinite_ones_left_out():
    _, (ax,) = plots.new_figure()
    plots.levels({"ELBO": -2.0, "CUBO": float("inf")}, ax=ax)
    assert [tuple(line.get_ydata()) for line in ax.lines] == [(-2.0, -2.0)]
    assert [(text.get_text(), text.xy[1]) for text in ax.texts] == [("ELBO", -2.0)]


def test_dumbbells_join_the_two_numbers_of_a_row():
    table = pd.DataFrame({"encoder": [-5.0, -9.0], "refitted": [-4.0, -3.0]}, index=["clothes", "digits"])
    (ax,) = plots.dumbbells(table, "nats").axes
    squares, dots = ax.lines
    assert np.allclose(squares.get_xdata(), [-5, -9]) and squares.get_marker() == "s"
    assert np.allclose(dots.get_xdata(), [-4, -3]) and dots.get_marker() == "o"
    assert np.allclose(ax.collections[0].get_segments(), [[(-5, 0), (-4, 0)], [(-9, 1), (-3, 1)]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["clothes", "digits"] and ax.yaxis_inverted()
