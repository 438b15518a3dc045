"""The widgets in a running JupyterLab: the kernel sees what the reader does, and the reader what the kernel does."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

LAB = Path(sys.executable).with_name("jupyter-lab")

# What readers of a notebook run, cell by cell.
CELLS = {
    "make": """
import torch
import nsvae_lib as ns
from nsvae_lib import widgets
torch.set_num_threads(1)
clothes = ns.load("FashionMNIST", sample=True).test[:40]
vae = ns.pretrained("FashionMNIST", "bernoulli", device="cpu")
explorer = widgets.LatentExplorer.from_vae(vae, clothes[:3])
board = widgets.Draw.from_vaes({"none": vae}, clothes, {"a shoe": clothes[0]})""",
    "explorer": "explorer",
    "board": "board",
    "seen": """
from nsvae_lib.widgets.weights import rounded
picture = torch.tensor(list(board.picture), dtype=torch.uint8).view(1, 1, 28, 28)
bpd = ns.score(rounded(vae), picture)["bpd"].item()
print(explorer.picked, round(explorer.z[1], 2), int(picture.sum()), len(board.decoded["none"]))
print(abs(board.scores["none"]["bpd"] - bpd) < 1e-4)""",
    "set": """
explorer.z = [0.5] * vae.latent_dim
board.picture = bytes(784)""",
}

PIXELS = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
  .reduce((sum, value, i) => sum + (i % 4 === 0 ? value : 0), 0)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a notebook of these cells, in a JupyterLab with a kernel of this Python that runs already."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = new_notebook(cells=[new_code_cell(source.strip(), id=name) for name, source in CELLS.items()])
    notebook.metadata.kernelspec = {"name": "this", "display_name": "this", "language": "python"}
    nbformat.write(notebook, folder / "notebook.ipynb")
    kernel = folder / "share" / "kernels" / "this"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "this", "language": "python"}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {name: str(folder / name) for name in ("config", "data", "runtime", "settings")}
    environment = os.environ | {
        "JUPYTER_PATH": os.pathsep.join([str(folder / "share"), str(Path(sys.prefix) / "share" / "jupyter")]),
        "JUPYTER_CONFIG_DIR": own["config"],
        "JUPYTER_DATA_DIR": own["data"],
        "JUPYTER_RUNTIME_DIR": own["runtime"],
        "JUPYTERLAB_SETTINGS_DIR": own["settings"],
        "JUPYTERLAB_WORKSPACES_DIR": own["settings"],
    }
    options = [
        f"--ServerApp.port={port}",
        "--ServerApp.token=",
        "--ServerApp.disable_check_xsrf=True",
        "--no-browser",
        "--allow-root",
        "--LabApp.extension_manager=readonly",
    ]
    command = [str(LAB), *options, f"--ServerApp.root_dir={folder}"]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", server, folder / "log.txt")
        # On a busy machine JupyterLab asks which kernel to start if a cell is run while it starts one.
        session = {"path": "notebook.ipynb", "name": "", "type": "notebook", "kernel": {"name": "this"}}
        urlopen(Request(f"http://127.0.0.1:{port}/api/sessions", json.dumps(session).encode()), timeout=180).close()
        yield f"http://127.0.0.1:{port}/lab/tree/notebook.ipynb"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        try:
            urlopen(address, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


def _wait_for_reader(lab: str) -> None:
    for _ in range(360):
        with urlopen(f"{lab.partition('/lab/')[0]}/api/kernels", timeout=5) as answer:
            (kernel,) = json.load(answer)
        if kernel["connections"]:
            return
        time.sleep(0.5)
    raise AssertionError(f"the notebook did not connect to its kernel: {kernel}")


def test_kernel_and_reader_see_each_other_in_jupyterlab(lab, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 1600})
    page.set_default_timeout(180_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(lab)
    _wait_for_reader(lab)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    question = page.locator("dialog.jp-Dialog")

    def run(name: str):
        cell = cells.nth(list(CELLS).index(name))
        waiting = cell.locator(".jp-InputPrompt", has_text="[ ]:")
        waiting.wait_for()
        while waiting.count():  # JupyterLab drops what it is asked while it starts
            assert not question.count(), f"JupyterLab asks: {question.first.inner_text()}"
            cell.locator(".cm-content").click()
            page.keyboard.press("Control+Enter")
            page.wait_for_timeout(1000)
        return cell

    run("make")
    explorer, board = (run(name).locator(".nsvae") for name in ("explorer", "board"))
    explorer.get_by_role("radio", name="image 3").check()
    slider = explorer.get_by_role("slider", name="z, dimension 2")
    slider.press("PageUp")
    canvas = board.get_by_role("application")
    gauge = board.locator(".ns-value b").first.element_handle()
    before, answer = page.evaluate(PIXELS, canvas.element_handle()), gauge.inner_text()
    canvas.click(position={"x": 20, "y": 20})
    page.wait_for_function(f"([canvas, before]) => ({PIXELS})(canvas) > before", arg=[canvas.element_handle(), before])
    page.wait_for_function("([gauge, before]) => gauge.innerText !== before", arg=[gauge, answer])
    wanted = f"2 {float(slider.input_value())} {page.evaluate(PIXELS, canvas.element_handle())} 784\nTrue"
    cell = run("seen")
    output = cell.locator(".jp-OutputArea-output pre")
    for _ in range(30):  # a change that comes while the kernel is busy with another waits for it
        output.wait_for()
        if output.inner_text().strip() == wanted:
            break
        cell.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(1000)
    assert output.inner_text().strip() == wanted
    run("set")
    page.wait_for_function(f"canvas => ({PIXELS})(canvas) === 0", arg=canvas.element_handle())
    page.wait_for_function("slider => slider.value === '0.5'", arg=slider.element_handle())
    assert errors == []
    page.close()
