"""The training widget: the same run as `fit`, stopped from a page in the middle of a cell, replayed afterwards."""

import json
import time
from queue import Empty

import pytest
import torch
from jupyter_client.manager import KernelManager

from nsvae_lib import VAE, History, fit, widgets
from nsvae_lib.widgets.base import MIME
from tests.widgets.gallery import HISTORY, numbers, settled

# --- in Python ------------------------------------------------------------------------------------


def test_training_is_that_of_fit_and_its_rows_are_shown(tiny_images):
    plain, watched = (VAE.for_images((1, 12, 12), latent_dim=3) for _ in range(2))
    options = {"epochs": 3, "lr": 1e-3, "device": "cpu"}

    def callback(vae, row):
        row["auroc_kl none"] = 0.1 * row["epoch"]

    widget = widgets.Training()
    history = widget.fit(watched, tiny_images, callback=callback, **options)
    expected = fit(plain, tiny_images, callback=callback, progress=False, **options)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True))
    assert history["loss"] == expected["loss"]
    names = ("epoch", "reconstruction", "kl", "auroc_kl none")
    assert widget.rows == [pytest.approx({name: row[name] for name in names}, rel=1e-5) for row in history.rows]
    assert (widget.epochs, widget.at, widget.running, widget.part) == (3, 3, False, {})


def test_a_run_that_fails_leaves_the_widget_at_rest(tiny_images):
    def callback(vae, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    widget = widgets.Training()
    with pytest.raises(KeyboardInterrupt):
        widget.fit(VAE.for_images((1, 12, 12), latent_dim=3), tiny_images, epochs=5, device="cpu", callback=callback)
    assert (len(widget.rows), widget.at, widget.running) == (1, 1, False)


def test_stopped_may_be_set_from_python(tiny_images):
    widget = widgets.Training()

    def callback(vae, row):
        widget.stopped = row["epoch"] == 2

    vae = VAE.for_images((1, 12, 12), latent_dim=3)
    history = widget.fit(vae, tiny_images, epochs=50, batch_size=10, device="cpu", callback=callback)
    assert history["epoch"] == [1, 2, 2.125]
    assert widget.at == 2.125


def test_what_is_no_number_is_none_and_the_state_is_small():
    widget = widgets.Training.from_history(HISTORY)
    assert widget.rows[0] == {"epoch": 1, "reconstruction": 336.4, "kl": 5, "auroc_kl MNIST": None}
    long = History([{"epoch": e, "reconstruction": 200 + 1 / e, "kl": 10 / e} for e in range(1, 101)])
    assert len(json.dumps(widgets.Training.from_history(long).description())) < 8_000


def test_a_history_without_epochs_is_refused():
    with pytest.raises(ValueError, match="no epochs to replay"):
        widgets.Training.from_history(History())


# --- in a kernel ----------------------------------------------------------------------------------

LONG_RUN = """
import torch
from nsvae_lib import VAE, widgets
torch.set_num_threads(1)
images = torch.zeros(80, 1, 12, 12, dtype=torch.uint8)
live = widgets.Training()
history = live.fit(VAE.for_images((1, 12, 12), latent_dim=3), images, epochs=1_000_000, device="cpu")
print("stopped:", live.stopped, "epochs shown:", live.at == float(f"{history['epoch'][-1]:.6g}"))
"""


def test_a_click_stops_a_run_in_a_kernel_and_the_next_cells_follow_in_order():
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        cells = [client.execute(code) for code in (LONG_RUN, "print('second')", "print('third')")]
        comm, click, printed, shown, finished = None, None, [], [], []
        end = time.monotonic() + 240
        while len(finished) < 3 and time.monotonic() < end:
            try:
                message = client.get_iopub_msg(timeout=5)
            except Empty:
                continue
            kind, content, parent = message["msg_type"], message["content"], message["parent_header"].get("msg_id")
            if kind == "comm_open" and "stopped" in content["data"]["state"]:
                comm = content["comm_id"]
            elif kind == "comm_msg" and comm == content["comm_id"] and click is None:
                if content["data"].get("state", {}).get("part"):  # training is under way
                    click = client.session.msg(
                        "comm_msg",
                        {"comm_id": comm, "data": {"method": "update", "state": {"stopped": True}, "buffer_paths": []}},
                    )
                    client.shell_channel.send(click)
            elif kind == "stream" and content["name"] == "stdout":
                printed.append(content["text"].strip())
            elif kind in ("display_data", "update_display_data"):
                shown.append((kind, MIME in content["data"]))
            elif kind == "error":
                pytest.fail("\n".join(content["traceback"]))
            elif kind == "status" and content["execution_state"] == "idle":
                if click is not None and parent == click["header"]["msg_id"]:
                    finished_before_click = list(finished)
                if parent in cells:
                    finished.append(parent)
        assert finished == cells
        assert finished_before_click == []  # it was heard while the first cell ran
        assert printed == ["stopped: True epochs shown: True", "second", "third"]
        # First the live view alone, in the end with what a page without a kernel needs.
        assert shown == [("display_data", False), ("update_display_data", True)]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


# --- on a page ------------------------------------------------------------------------------------


def test_replay_is_scrubbed_with_keys(site, open_tab):
    tab = open_tab((site / "training.html").as_uri())
    assert numbers(tab) == {"reconstruction": 248.0, "KL": 13.5, "AUROC KL MNIST": 0.438}
    slider = tab.figure.get_by_role("slider", name="Epochs")
    assert slider.get_attribute("aria-valuetext") == "3.5"
    slider.press("Home")
    settled(tab)
    assert set(tab.figure.locator("dd").all_inner_texts()) == {"–"}
    for epoch, row in enumerate(HISTORY.rows[:3], 1):
        slider.press("ArrowRight")
        settled(tab)
        assert slider.input_value() == str(epoch)
        texts = tab.figure.locator("dd").all_inner_texts()
        wanted = [f"{row['reconstruction']:.1f} nats", f"{row['kl']:.1f} nats"]
        assert texts[:2] == wanted
        assert texts[2] == ("–" if epoch == 1 else f"{row['auroc_kl MNIST']:.3f}")
    assert tab.errors == []


def test_replay_plays_to_the_end_and_can_be_paused(site, open_tab):
    tab = open_tab((site / "training.html").as_uri())
    place = tab.figure.locator("input[type=range]")
    tab.figure.get_by_role("button", name="play").click()
    tab.page.wait_for_function(
        "() => { const v = Number(document.querySelector('.ns-playback input').value); return v > 0 && v < 3 }"
    )
    tab.figure.get_by_role("button", name="pause").press("Space")
    settled(tab)
    held = [place.input_value() for _ in range(3) if tab.page.wait_for_timeout(200) is None]
    assert len(set(held)) == 1
    tab.figure.get_by_role("button", name="play").press("Enter")
    tab.figure.get_by_role("button", name="pause").wait_for()
    tab.figure.get_by_role("button", name="play").wait_for()  # once the end is reached
    settled(tab)
    assert numbers(tab) == {"reconstruction": 248.0, "KL": 13.5, "AUROC KL MNIST": 0.438}


def test_with_reduced_motion_whole_epochs_appear(site, open_tab):
    tab = open_tab((site / "training.html").as_uri())
    tab.page.emulate_media(reduced_motion="reduce")
    tab.page.evaluate("""() => {
        window.seen = new Set();
        const look = () => {
            seen.add(document.querySelector(".ns-readouts dd").textContent);
            requestAnimationFrame(look);
        };
        look();
    }""")
    tab.figure.get_by_role("button", name="play").click()
    tab.page.wait_for_function("() => document.querySelector('.ns-playback output').textContent === '0'")
    tab.page.wait_for_function("() => document.querySelector('.ns-playback output').textContent === '3.5'")
    settled(tab)
    seen = set(tab.page.evaluate("() => [...seen]"))
    assert seen <= {"–", *(f"{row['reconstruction']:.1f} nats" for row in HISTORY.rows)}
    assert len(seen) >= 4


def test_while_a_kernel_trains_there_is_a_button_to_stop_it(browser):
    """With a model as a kernel gives it; the page then says what it has asked for."""
    from nsvae_lib.widgets import modules

    tab = browser.new_page()
    for name in modules.needed("training"):
        tab.add_script_tag(content=modules.script(name))
    tab.evaluate("""() => {
        window.state = {columns: ["reconstruction", "kl"], rows: [],
            part: {epoch: 0.25, reconstruction: 400, kl: 2}, epochs: 6, at: 0,
            running: true, stopped: false};
        const target = new EventTarget();
        window.set = (name, value) => { state[name] = value; target.dispatchEvent(new Event(`change:${name}`)) };
        const model = {get: (name) => state[name], set, save_changes() { window.saved = true },
            on: (...a) => target.addEventListener(...a), off: (...a) => target.removeEventListener(...a)};
        document.body.innerHTML = "<div></div>";
        nsvae.training.render({model, el: document.querySelector("div")});
    }""")
    stop = tab.get_by_role("button", name="stop")
    stop.wait_for()
    assert tab.get_by_role("slider").count() == 0
    assert tab.locator("dd").all_inner_texts() == ["400.0 nats", "2.0 nats"]
    assert tab.get_by_role("progressbar").evaluate("bar => bar.position") == pytest.approx(0.25 / 6, rel=1e-3)
    stop.press("Enter")
    assert tab.evaluate("() => saved && state.stopped")
    tab.get_by_role("button", name="stopping").wait_for()
    tab.evaluate("""() => {
        set("rows", [{epoch: 0.5, reconstruction: 380, kl: 3}]); set("part", {}); set("epochs", 0.5); set("at", 0.5);
        set("running", false);
    }""")
    tab.get_by_role("slider").wait_for()
    assert tab.get_by_role("button", name="stop").count() == 0
    assert tab.locator("dd").all_inner_texts() == ["380.0 nats", "3.0 nats"]
    tab.close()
