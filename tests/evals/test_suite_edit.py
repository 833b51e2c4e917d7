"""A suite changed by hand or on the page: what is written, what stays as it was, and how it comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.evals import suite_edit, suite_store
from qwenlab.evals.suite import load_suite
from qwenlab.evals.suite_files import Written, read_written
from qwenlab.workspace import SHIPPED, Workspace

SHIPPED_SUITE = SHIPPED / "eval_suites" / "after-sales-tickets"
CASE = {"id": "c1", "prompt": "q", "expected": {"n": 1}}
HEAD = "# mine\nname: s   # a name\nschema: {type: object, properties: {n: {type: integer}}}\nfields:\n  /n: number\n"
FORMS = {
    "inline": {"suite.yaml": f"{HEAD}cases:\n  # the first\n  - {json.dumps(CASE)}\n"},
    "lines": {"suite.yaml": f"{HEAD}cases: cases.jsonl\n", "cases.jsonl": json.dumps(CASE) + "\n"},
    "yaml": {"suite.yaml": f"{HEAD}cases: [c.yaml]\n", "c.yaml": "# c\n- id: c1\n  prompt: q\n  expected: {n: 1}\n"},
    "table": {"suite.yaml": f"{HEAD}cases: cases.csv\n", "cases.csv": "id,prompt,expected.n\nc1,q,1\n"},
    "json": {"suite.json": json.dumps({"name": "s", "schema": {}, "cases": [CASE]})},
}  # fmt: skip


def make(workspace: Workspace, form: str) -> Path:
    folder = workspace.suites / "s"
    folder.mkdir()
    for name, text in FORMS[form].items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def edited(written: Written) -> Written:
    """The first case changed, one added, and a rule."""
    raw = {**written.cases[0].raw, "expected": {"n": 7}}
    after = suite_edit.with_new_case(suite_edit.with_case(written, 0, raw), 1, {**CASE, "id": "c2", "prompt": "q2"})
    return suite_edit.with_head(after, fields={"/n": {"rule": "number", "tolerance": 2}})


@pytest.mark.parametrize("form", FORMS)
def test_an_edit_is_written_whatever_the_suite_looks_like_and_can_be_brought_back(
    workspace: Workspace, form: str
) -> None:
    folder = make(workspace, form)
    before, old = read_written(folder), load_suite(folder)
    assert suite_edit.save(workspace, folder, before, edited(before)) == folder
    suite = load_suite(folder)
    assert [(case.id, case.expected) for case in suite.cases] == [("c1", {"n": 7}), ("c2", {"n": 1})]
    assert suite.fields["/n"].tolerance == 2
    if form != "json":
        assert "# mine" in (folder / "suite.yaml").read_text(encoding="utf-8")
    (version,) = suite_store.versions(folder)
    now = read_written(folder)
    suite_edit.save(workspace, folder, now, suite_edit.with_content_of(now, read_written(version)))
    assert load_suite(folder).fingerprint() == old.fingerprint()
    assert len(suite_store.versions(folder)) == 2


def test_cases_of_a_table_move_into_lines_and_the_table_stays(workspace: Workspace) -> None:
    folder = make(workspace, "table")
    before = read_written(folder)
    suite_edit.save(workspace, folder, before, edited(before))
    assert (folder / "cases.csv").read_text(encoding="utf-8") == FORMS["table"]["cases.csv"]
    assert len((folder / "cases.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert "cases: cases.jsonl" in (folder / "suite.yaml").read_text(encoding="utf-8")


def test_one_changed_case_of_the_shipped_suite_changes_one_line_of_a_copy(workspace: Workspace) -> None:
    before = read_written(SHIPPED_SUITE)
    shipped = {path.name: path.read_bytes() for path in SHIPPED_SUITE.iterdir()}
    after = suite_edit.with_case(before, 90, {**before.cases[90].raw, "tags": ["hard"]})
    own = suite_edit.save(workspace, SHIPPED_SUITE, before, after)
    assert own == workspace.suites / SHIPPED_SUITE.name
    assert {path.name: path.read_bytes() for path in SHIPPED_SUITE.iterdir()} == shipped
    changed = [name for name, content in shipped.items() if (own / name).read_bytes() != content]
    assert changed == ["handwritten.jsonl"]
    old, new = shipped["handwritten.jsonl"].splitlines(), (own / changed[0]).read_bytes().splitlines()
    assert [at for at, (one, other) in enumerate(zip(old, new, strict=True)) if one != other] == [10]
    (version,) = suite_store.versions(own)
    assert load_suite(version).fingerprint() == load_suite(SHIPPED_SUITE).fingerprint()


def test_nothing_changed_writes_nothing(workspace: Workspace) -> None:
    folder = make(workspace, "inline")
    before = read_written(folder)
    suite_edit.save(workspace, folder, before, suite_edit.with_case(before, 0, dict(before.cases[0].raw)))
    assert suite_store.versions(folder) == []


FAULTY: list[tuple[dict[str, Any], str]] = [
    ({"expected": {"n": "one"}}, "breaks the schema at /n"),
    ({"prompt": ""}, "question is empty"),
    ({"id": ""}, "must not be empty"),
]


@pytest.mark.parametrize(("change", "words"), FAULTY)
def test_a_suite_with_a_fault_is_not_written(workspace: Workspace, change: dict[str, Any], words: str) -> None:
    folder = make(workspace, "lines")
    before = read_written(folder)
    with pytest.raises(QwenlabError, match=words):
        suite_edit.save(workspace, folder, before, suite_edit.with_case(before, 0, {**CASE, **change}))
    assert read_written(folder).stamp == before.stamp


def test_files_that_another_program_wrote_meanwhile_are_not_overwritten(workspace: Workspace) -> None:
    folder = make(workspace, "lines")
    before = read_written(folder)
    (folder / "cases.jsonl").write_text(json.dumps({**CASE, "prompt": "another"}) + "\n", encoding="utf-8")
    with pytest.raises(QwenlabError, match="changed meanwhile"):
        suite_edit.save(workspace, folder, before, edited(before))
    assert load_suite(folder).cases[0].prompt == "another"


def test_a_suite_of_one_file_elsewhere_becomes_a_folder_with_what_it_names(
    workspace: Workspace, tmp_path: Path
) -> None:
    outside = tmp_path / "mine.yaml"
    outside.write_text(FORMS["lines"]["suite.yaml"], encoding="utf-8")
    (tmp_path / "cases.jsonl").write_text(FORMS["lines"]["cases.jsonl"], encoding="utf-8")
    before = read_written(outside)
    own = suite_edit.save(workspace, outside, before, edited(before))
    assert own == workspace.suites / "mine"
    assert [case.id for case in load_suite(own).cases] == ["c1", "c2"]
    assert len(load_suite(outside).cases) == 1


def test_only_so_many_versions_are_kept(workspace: Workspace) -> None:
    folder = make(workspace, "lines")
    for number in range(5):
        (folder / "cases.jsonl").write_text(json.dumps({**CASE, "prompt": f"q{number}"}) + "\n", encoding="utf-8")
        suite_store.keep_version(folder, most=3)
        suite_store.keep_version(folder, most=3)  # the same again is no version
    prompts = [load_suite(version).cases[0].prompt for version in suite_store.versions(folder)]
    assert prompts == ["q4", "q3", "q2"]


def test_a_free_name_is_found_for_a_new_case(workspace: Workspace) -> None:
    written = read_written(make(workspace, "lines"))
    written = suite_edit.with_new_case(written, 1, {**CASE, "id": "case-0001"})
    assert suite_edit.free_id(written, "case") == "case-0002"
    assert len(suite_edit.without_case(written, 0).cases) == 1
