"""What the docs say is what the program does."""

from __future__ import annotations

import importlib.util
import re
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
