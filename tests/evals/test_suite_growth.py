"""A suite that grows by one case keeps its own text, and never ends up unreadable."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import load_suite
from qwenlab.evals.suite_growth import add_case
from qwenlab.models.contestant import Message
from qwenlab.workspace import SHIPPED, Workspace

FORMS = {
    "block": "# mine\nname: s\nschema: {}\ncases:\n  - {id: c1, prompt: q, expected: 1}   # first\nlanguage: en\n",
    "block-long": "name: s\nschema: {}\ncases:\n- id: c1\n  prompt: |\n    q\n  expected: 1\n\nlanguage: en\n",
    "block-last": "name: s\nschema: {}\ncases:\n  - id: c1\n    prompt: q\n    expected: 1",
    "flow": "name: s\nschema: {}\ncases: [\n  {id: c1, prompt: q, expected: 1},\n]\n# the end\n",
    "json": '{"name": "s", "schema": {}, "cases": [{"id": "c1", "prompt": "q", "expected": 1}]}',
    "table": "name: s\nschema: {}\ncases: cases.csv  # a table\n",
    "tables": "name: s\nschema: {}\ncases: [cases.csv]\n",
    "lines": "name: s\nschema: {}\ncases: cases.jsonl\n",
}


def asked(*turns: str, system: str = "") -> list[Message]:
    roles = ("user", "assistant")
    told: list[Message] = [{"role": "system", "content": system}] if system else []
    return told + [Message(role=roles[at % 2], content=text) for at, text in enumerate(turns)]


def make(workspace: Workspace, form: str) -> Path:
    folder = workspace.suites / "s"
    folder.mkdir()
    (folder / ("suite.json" if form == "json" else "suite.yaml")).write_text(FORMS[form], encoding="utf-8")
    (folder / "cases.csv").write_text("id,prompt,expected\nc1,q,1\n", encoding="utf-8")
    (folder / "cases.jsonl").write_text('{"id": "c1", "prompt": "q", "expected": 1}', encoding="utf-8")
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_case_is_added_whatever_the_suite_looks_like(workspace: Workspace, form: str) -> None:
    folder = make(workspace, form)
    for number, words in enumerate(('新问题: {"a"}\n两行', "another"), 1):
        grown = add_case(workspace, folder, asked(words, system="be brief"), '{"x": [null, "值"]}', "from-compare")
        assert (grown.outcome, grown.case) == ("added", f"from-compare-{number:04}")
    suite = load_suite(folder)
    assert [case.id for case in suite.cases] == ["c1", "from-compare-0001", "from-compare-0002"]
    assert suite.cases[1].question == '新问题: {"a"}\n两行'
    assert suite.cases[1].expected == {"x": [None, "值"]}
    assert suite.cases[1].messages(suite)[0]["content"] == "be brief"
    kept = (folder / ("suite.json" if form == "json" else "suite.yaml")).read_text(encoding="utf-8")
    assert all(note in kept for note in ("# mine", "# first", "# the end", "# a table") if note in FORMS[form])


def test_shipped_suite_is_copied_first_and_stays_as_it_is(workspace: Workspace) -> None:
    shipped = SHIPPED / "eval_suites" / "after-sales-tickets"
    before = (shipped / "handwritten.jsonl").read_bytes()
    ticket = json.dumps(load_suite(shipped).cases[0].expected)
    grown = add_case(workspace, shipped, asked("a new complaint", system=load_suite(shipped).system), ticket, "mine")
    assert grown.path == workspace.suites / "after-sales-tickets"
    assert "system" not in load_suite(grown.path).by_id["mine-0001"].model_fields_set
    assert len(load_suite(grown.path).cases) == len(load_suite(shipped).cases) + 1
    assert (shipped / "handwritten.jsonl").read_bytes() == before


@pytest.mark.parametrize(("expected", "outcome"), [("1", "there"), ("2", "contradicts")])
def test_question_that_is_there_is_not_added_again(workspace: Workspace, expected: str, outcome: str) -> None:
    folder = make(workspace, "lines")
    before = (folder / "cases.jsonl").read_bytes()
    assert add_case(workspace, folder, asked(" q "), expected, "mine").outcome == outcome
    assert (folder / "cases.jsonl").read_bytes() == before


def test_dialogue_becomes_a_case_with_its_history(workspace: Workspace) -> None:
    folder = make(workspace, "lines")
    grown = add_case(workspace, folder, asked("hi", "hello", "and now?"), "3", "mine")
    suite = load_suite(folder)
    assert [turn["content"] for turn in suite.by_id[grown.case].messages(suite)] == ["hi", "hello", "and now?"]


def test_case_that_does_not_fit_is_refused_and_nothing_is_written(workspace: Workspace, tmp_path: Path) -> None:
    shipped = SHIPPED / "eval_suites" / "after-sales-tickets"
    with pytest.raises(QwenlabError, match="breaks the schema"):
        add_case(workspace, shipped, asked("x"), '{"intent": 5}', "mine")
    with pytest.raises(QwenlabError, match="expects JSON"):
        add_case(workspace, shipped, asked("x"), "refund please", "mine")
    assert list(workspace.suites.iterdir()) == []


def test_suite_that_is_one_file_grows_too(workspace: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "mine.yaml"
    outside.write_text("name: mine\ncases:\n- {id: a, prompt: hi, expected: hello}\n", encoding="utf-8")
    grown = add_case(workspace, outside, asked("bye"), " good bye ", "mine")
    assert load_suite(grown.path).by_id["mine-0001"].expected == "good bye"
    assert len(load_suite(outside).cases) == 1
