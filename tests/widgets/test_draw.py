"""The widget "draw anything"."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

import nsvae_lib as ns
from nsvae_lib import widgets
from nsvae_lib.vae import VAE
from nsvae_lib.widgets.weights import rounded
from tests.widgets.gallery import Tab, drawing_board, settled


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


def test_kernel_takes_a_picture_as_a_browser_sends_it(board):
    before = board.get_state(["picture", "decoded"])
    board.set_state({"picture": memoryview(bytes(range(196)) * 4), "decoded": {"none": memoryview(bytes(784))}})
    assert board.picture == bytes(range(196)) * 4
    assert board.decoded == {"none": bytes(784)}
    board.set_state(before)


def test_board_loads_weights_once_and_only_when_somebody_plays(site, open_tab, board):
    tab = open_tab((site / "draw.html").as_uri())
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(Path(urlsplit(request.url).path).stem))
    assert verdicts(tab) == expected_verdicts(drawn(tab), board)
    assert asked == []
    for name in ("a shoe", "a digit"):
        tab.figure.get_by_role("radio", name=name).check()
        settled(tab)
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
    tab.figure.get_by_label("your own file").set_input_files(tmp_path / "half.png")
    wanted = torch.zeros(28, 28)
    wanted[7:21, :14] = 255
    tab.page.wait_for_function("() => !document.querySelector('.ns-choice input:checked[value=\"0\"]')")
    settled(tab)
    assert (drawn(tab)[0, 0].float() - wanted).abs().mean() < 5
    answered(tab, expected_verdicts(drawn(tab), board))
    tab.figure.get_by_label("your own file").set_input_files(tmp_path / "words.png")
    tab.figure.get_by_text("words.png is no picture that this browser can read").wait_for()


def test_alarm_rate_moves_the_verdict(site, open_tab, board):
    tab = open_tab((site / "draw.html").as_uri())
    slider = tab.figure.get_by_role("slider", name="False alarms")
    for key, board.alarm in (("End", 0.2), ("Home", 0.01)):
        slider.press(key)
        settled(tab)
        assert verdicts(tab) == expected_verdicts(drawn(tab), board)
    board.alarm = 0.05
