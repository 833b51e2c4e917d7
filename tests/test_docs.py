"""What the docs say is what the program does."""

from __future__ import annotations

import importlib.util
import random
import re
import shlex
from pathlib import Path

import pytest

from qwenlab.evals.suite import load_suite

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
assert SPEC
assert SPEC.loader
generate = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate)


@pytest.mark.parametrize("name", list(generate.PAGES))
def test_generated_page_is_fresh(name: str) -> None:
    stands = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert stands == generate.PAGES[name](), "run `make docs`"


def test_every_direct_dependency_is_explained() -> None:
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for file in ("requirements.txt", "requirements-gptq.txt"):
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
            name = re.match(r"[A-Za-z][\w.-]*", line)
            assert name is None or f"`{name[0]}`" in explained, f"docs/dependencies.md does not say why {line} is here"


def test_relative_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "data" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("number", [0, 1])
def test_suites_of_the_guide_load(tmp_path: Path, number: int) -> None:
    written = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "suites.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "suite.yaml").write_text(written[number], encoding="utf-8")
    assert len(load_suite(tmp_path).cases) == (3, 2)[number]


@pytest.mark.parametrize(("page", "language"), [("tutorial.md", 0), ("tutorial.zh.md", 1)])
def test_tutorial_names_what_stands_on_the_page(page: str, language: int) -> None:
    from qwenlab.training.presets import ABOUT
    from qwenlab.ui.texts import TEXTS

    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", text))
    assert len(named) > 8
    assert named <= {both[language] for both in TEXTS.values()} | {about[language][0] for about in ABOUT.values()}


WORDS = [f"{first}{second}" for first in ("ba", "do", "ki", "mu", "sel") for second in ("ran", "tik", "vol", "peg")]


@pytest.mark.parametrize("page", ["tutorial.md", "tutorial.zh.md"])
def test_commands_of_the_tutorial_work_on_its_table(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import openpyxl

    from qwenlab import cli

    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (\{.+\}) \|$", text, re.MULTILINE)
    book = openpyxl.Workbook()
    book.active.append(["message", "answer"])
    for number in range(60):
        message, answer = rows[number % len(rows)]
        story = " ".join(random.Random(f"{number} {at}").choice(WORDS) for at in range(12))
        book.active.append([f"{message} {story}", answer.replace("R-1041", f"R-{number}")])
    book.save(tmp_path / "repairs.xlsx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QWENLAB_HOME", str(tmp_path / "home"))
    commands = [shlex.split(line)[1:] for line in re.findall(r"^    (qwenlab .+)$", text, re.MULTILINE)]
    parser = cli.parser()
    for command in commands:
        parser.parse_args(command)
    assert cli.main(commands[0]) == 0
    assert cli.main(commands[1]) in (0, 1)  # samples that are this much alike are named
    assert cli.main([*commands[2][:-1], "10"]) == 0, capsys.readouterr().err
    assert cli.main(["suite", "check", "repairs"]) == 0
