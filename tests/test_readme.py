"""What the README says holds: its code runs, its files exist."""

import re
from pathlib import Path

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


def test_local_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert len(links) > 4
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_commands_are_those_of_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= targets
