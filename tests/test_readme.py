"""What the README says holds: its code runs, its files exist."""

import re
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from nsvae_lib import cli, load

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_ten_lines_run_and_say_what_the_readme_says(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(code, names)
    shown = capsys.readouterr().out
    assert "Evaluation(auroc=" in shown
    assert names["ns"].auroc(names["inlier"]["kl"], names["ood"]["kl"]) > 0.8
    assert float(shown.splitlines()[-1]) < 0.5


def test_the_commands_for_your_own_images_make_the_files_that_they_promise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "TRAINING_PICTURES", 600)  # 3 epochs
    clothes = load("FashionMNIST", sample=True, n_train=250, n_test=10)
    for folder, images in (("clothes", clothes.train), ("incoming", clothes.test)):
        Path(folder).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image[0].numpy()).save(Path(folder, f"{i}.png"))
    commands = re.findall(r"^nsvae (.*?) *# (.*)$", README, re.MULTILINE)
    assert [arguments.split()[0] for arguments, _ in commands] == ["train", "score"]
    for arguments, comment in commands:
        before = set(Path().iterdir())
        result = CliRunner().invoke(cli.app, arguments.split())
        assert result.exit_code == 0, result.output
        promised = set(re.findall(r"\b[\w-]+\.(?:safetensors|csv|png)\b", comment))
        assert {path.name for path in set(Path().iterdir()) - before} == promised


def test_local_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert len(links) > 4
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_commands_are_those_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= targets
