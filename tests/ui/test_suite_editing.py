"""The editor of suites without a browser: every action is a step, and what cannot be taken stays where it was typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenlab.evals.suite import load_suite
from qwenlab.ui import suite_actions, suite_editor_view, suite_rules_view
from qwenlab.ui.suite_editing import Desk, open_suite
from qwenlab.ui.texts import Translator
from qwenlab.workspace import SHIPPED, Workspace

EN, ZH = Translator("en"), Translator("zh")
SUITE = {
    "name": "s",
    "system": "be brief",
    "schema": {
        "type": "object",
        "required": ["intent", "n"],
        "properties": {
            "intent": {"enum": ["a", "b"]},
            "n": {"type": ["number", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    },
    "fields": {"/intent": {"rule": "enum", "critical": True}},
    "cases": [
        {"id": "c1", "prompt": "one", "expected": {"intent": "a", "n": 1}, "tags": ["x"]},
        {"id": "c2", "prompt": "two", "expected": {"intent": "b", "n": None}, "tags": ["y"]},
        {"id": "c3", "prompt": "hello", "rule": "contains", "expected": ["good", "day"]},
    ],
}


@pytest.fixture
def desk(workspace: Workspace) -> Desk:
    folder = workspace.suites / "s"
    folder.mkdir()
    (folder / "suite.json").write_text(json.dumps(SUITE), encoding="utf-8")
    return Desk(open_suite(workspace, folder))


def do(desk: Desk, action: str, **data: Any) -> None:
    suite_actions.perform(desk, {"do": action, **data}, EN)


def put(desk: Desk, name: str, text: str, **data: Any) -> None:
    do(desk, "typed", typed=[{"set": name, "text": text, **data}])


def test_what_is_done_can_be_undone_saved_and_found_on_disk(desk: Desk, workspace: Workspace) -> None:
    put(desk, "turn", "one or", at="0")
    put(desk, "turn", "one or more", at="0")
    put(desk, "tags", "x, z， x")
    put(desk, "group", "g")
    do(desk, "form", pointer="/n", kind="number", text="2.50")
    do(desk, "step", by="1")
    do(desk, "duplicate")
    put(desk, "id", "c4")
    put(desk, "turn", "two again", at="0")
    assert desk.editing.edited
    desk.editing.save(workspace)
    assert not desk.editing.edited
    suite = load_suite(desk.editing.path)
    first = suite.by_id["c1"]
    assert (first.prompt, first.tags, first.group, first.expected) == (
        "one or more",
        ["x", "z"],
        "g",
        {"intent": "a", "n": 2.5},
    )
    assert [case.id for case in suite.cases] == ["c1", "c2", "c4", "c3"]
    for _ in range(3):
        do(desk, "undo")
    assert [case.raw["id"] for case in desk.now.cases] == ["c1", "c2", "c3"]
    do(desk, "redo")
    assert len(desk.now.cases) == 4
    for _ in range(10):
        do(desk, "undo")
    assert desk.now.cases[0].raw == SUITE["cases"][0]
    assert desk.editing.edited
    (version,) = desk.editing.versions()
    desk.editing.read_again()
    desk.editing.restore(version)
    desk.editing.save(workspace)
    assert load_suite(desk.editing.path).by_id["c1"].prompt == "one"


def test_a_question_becomes_a_dialogue_and_back(desk: Desk) -> None:
    do(desk, "add_turns")
    put(desk, "turn", "which?", at="1")
    put(desk, "turn", "that one", at="2")
    assert desk.raw["history"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "which?"},
        {"role": "user", "content": "that one"},
    ]
    assert list(desk.raw)[:2] == ["id", "history"]
    do(desk, "drop_turn", at="1")
    do(desk, "drop_turn", at="1")
    assert desk.raw["prompt"] == "one"
    assert "history" not in desk.raw


def test_a_case_can_have_a_system_prompt_of_its_own(desk: Desk) -> None:
    put(desk, "system_kind", "own")
    assert desk.raw["system"] == "be brief"
    put(desk, "system", "")
    assert desk.case is not None
    assert desk.case.messages(desk.editing.examined.suite)[0]["role"] == "user"  # type: ignore[arg-type]
    put(desk, "system_kind", "suite")
    assert "system" not in desk.raw


def test_json_that_is_none_stays_in_the_box_with_the_reason(desk: Desk) -> None:
    before = desk.now
    put(desk, "expected", '{"intent": "a"')
    assert desk.now is before
    assert desk.typed["expected"][0] == '{"intent": "a"'
    html = suite_editor_view.case_form(desk, EN)
    assert "This is not JSON yet" in html
    put(desk, "expected", '{"intent": "a", "n": null}')
    assert desk.typed == {}
    assert desk.raw["expected"]["n"] is None


def test_a_number_that_is_none_stays_in_the_form(desk: Desk) -> None:
    do(desk, "form", pointer="/n", kind="number", text="many")
    assert desk.raw["expected"]["n"] == 1
    assert "“many” is not a number" in suite_editor_view.case_form(desk, EN)


def test_words_typed_for_a_case_that_is_not_open_any_more_are_not_put_into_another(desk: Desk) -> None:
    put(desk, "turn", "lost", at="0", open="1")
    assert desk.now.cases[0].raw["prompt"] == "one"


def test_a_case_is_judged_as_text_once_it_has_a_rule_for_text_and_as_json_again(desk: Desk) -> None:
    put(desk, "rule_of_text", "contains")
    assert desk.raw["rule"] == "contains"
    put(desk, "expected", "yes\nof course")
    assert desk.raw["expected"] == ["yes", "of course"]
    put(desk, "rule_of_text", "equals")
    assert desk.raw["expected"] == "yes\nof course"
    put(desk, "expected", '{"intent": "a", "n": 3}')
    put(desk, "rule_of_text", "json")
    assert "rule" not in desk.raw
    assert desk.raw["expected"] == {"intent": "a", "n": 3}
    assert desk.faults() == []


def test_other_right_values_are_written_one_a_line(desk: Desk) -> None:
    put(desk, "accept_add", "/n")
    put(desk, "accept", "2\n3.5\n", pointer="/n")
    assert desk.raw["accept"] == {"/n": [2, 3.5]}
    put(desk, "accept", "two", pointer="/n")
    assert "breaks the schema" in desk.faults()[0].what
    do(desk, "drop_accept", pointer="/n")
    assert "accept" not in desk.raw


RULES = [
    ([("rule", "number")], {"rule": "number"}),
    ([("rule", "number"), ("tolerance", "0,5")], {"rule": "number", "tolerance": 0.5}),
    ([("rule", "number"), ("tolerance", "0.5"), ("rule", "exact")], {"rule": "exact"}),
    (
        [("weight", "2.5"), ("critical", "true"), ("rule", "number")],
        {"rule": "number", "weight": 2.5, "critical": True},
    ),
    ([("weight", "2"), ("weight", "1"), ("critical", "true"), ("critical", "false")], {"rule": "exact"}),
    ([("rule", "enum"), ("values", "1, 2.5，x")], {"rule": "enum", "values": [1, 2.5, "x"]}),
    ([("rule", "any_of")], {"rule": "any_of", "values": [1]}),
    ([("rule", "regex"), ("pattern", "[0-9]+")], {"rule": "regex", "pattern": "[0-9]+"}),
    ([("rule", "set"), ("items", "text")], {"rule": "set", "items": {"rule": "text"}}),
]


@pytest.mark.parametrize(("steps", "rule"), RULES)
def test_a_rule_is_set_from_the_table(desk: Desk, steps: list[tuple[str, str]], rule: dict[str, Any]) -> None:
    for name, text in steps:
        put(desk, name, text, pointer="/n")
    assert desk.rules().get("/n", {"rule": "exact"}) == rule


@pytest.mark.parametrize(
    ("name", "text"), [("weight", "0"), ("weight", "much"), ("tolerance", "-1"), ("weight", "nan")]
)
def test_a_number_that_a_rule_cannot_have_stays_in_its_box(desk: Desk, name: str, text: str) -> None:
    put(desk, "rule", "number", pointer="/n")
    before = desk.rules()
    put(desk, name, text, pointer="/n")
    assert desk.rules() == before
    assert f'value="{text}"' in suite_rules_view.rules_table(desk, EN)


def test_the_table_says_what_an_error_costs(desk: Desk) -> None:
    put(desk, "weight", "3", pointer="/n")
    put(desk, "rule", "ignore", pointer="/tags")
    html = suite_rules_view.rules_table(desk, EN)
    assert (
        html.index("all of it: the whole answer is lost") < html.index("about 75 of 100") < html.index("nothing</td>")
    )
    assert "整个回答作废" in suite_rules_view.rules_table(desk, ZH)


def test_rules_are_proposed_from_the_expected_answers_and_taken_back(desk: Desk) -> None:
    do(desk, "propose")
    assert desk.rules() == {"/intent": {"rule": "text"}, "/n": {"rule": "number"}}
    do(desk, "undo")
    assert desk.rules() == SUITE["fields"]


def test_what_must_not_be_lost_is_chosen_measure_by_measure(desk: Desk) -> None:
    put(desk, "loss", "sure", key="usable")
    put(desk, "loss", "sure", key="passed")
    assert desk.now.head["not_worse"] == ["usable", "passed"], "as short as it can be written"
    put(desk, "loss", "margin", key="usable")
    assert desk.now.head["not_worse"] == {"usable": 0.02, "passed": None}
    put(desk, "loss_most", "1.5 %", key="usable")
    put(desk, "loss_most", "much", key="usable")
    assert "loss_most usable" in desk.typed
    assert desk.now.head["not_worse"] == {"usable": 0.015, "passed": None}
    assert not desk.editing.examined.faults
    shown = suite_rules_view.settings(desk, EN)
    assert 'value="much"' in shown
    assert shown.count('data-set="loss"') == 6
    put(desk, "loss", "free", key="usable")
    put(desk, "loss", "free", key="passed")
    assert "not_worse" not in desk.now.head


def test_settings_and_thresholds_are_set_and_emptied(desk: Desk) -> None:
    put(desk, "generation", "64", key="max_new_tokens")
    put(desk, "thresholds", "92.5 %", key="usable")
    put(desk, "suite_system", "be kind")
    head = desk.now.head
    assert (head["generation"], head["thresholds"], head["system"]) == (
        {"max_new_tokens": 64},
        {"usable": 0.925},
        "be kind",
    )
    put(desk, "thresholds", "120", key="usable")
    assert "0 to 100" in suite_rules_view.settings(desk, EN)
    put(desk, "thresholds", "", key="usable")
    assert "thresholds" not in desk.now.head
    put(desk, "schema", "[]")
    assert "in curly braces" in suite_rules_view.settings(desk, EN)
    put(desk, "schema", '{"type": "objekt"}')
    assert "not valid" in suite_editor_view.top(desk, EN)


def test_an_answer_is_tried_under_rules_that_are_not_saved(desk: Desk) -> None:
    put(desk, "trial", '{"intent": "a", "n": 1.4}')
    assert "not passed" in suite_editor_view.trial_result(desk, EN)
    put(desk, "rule", "number", pointer="/n")
    put(desk, "tolerance", "0.5", pointer="/n")
    assert "passed" in (shown := suite_editor_view.trial_result(desk, EN))
    assert "not passed" not in shown
    put(desk, "trial", '```json\n{"intent": "b", "n": 1}\n```')
    shown = suite_editor_view.trial_result(desk, ZH)
    assert "代码块" in shown
    assert "错误代价：100 / 100" in shown
    put(desk, "turn", "", at="0")
    assert "请先改正" in suite_editor_view.trial_result(desk, ZH)


def test_the_list_finds_faults_tags_and_words(desk: Desk) -> None:
    assert desk.matches() == [0, 1, 2]
    put(desk, "wanted", "y")
    assert desk.matches() == [1]
    put(desk, "wanted", "")
    put(desk, "search", "HELLO day")
    assert desk.matches() == [2]
    put(desk, "search", "")
    put(desk, "id", "c2")
    put(desk, "wanted", "faults")
    assert desk.matches() == [1]
    html = suite_editor_view.case_list(desk, EN, burned={"c2"})
    assert "to be corrected (1)" in html
    assert "sent to training data" in html


def test_a_new_case_begins_with_the_form_of_the_schema(desk: Desk) -> None:
    do(desk, "add")
    assert desk.raw == {"id": "case-0001", "prompt": "", "expected": {"intent": None, "n": None}}
    assert "question is empty" in suite_editor_view.case_form(desk, EN)
    assert "问题是空的" in suite_editor_view.case_form(desk, ZH)
    do(desk, "delete")
    assert len(desk.now.cases) == 3


def test_all_windows_see_one_history_and_a_file_changed_elsewhere(desk: Desk, workspace: Workspace) -> None:
    other = Desk(open_suite(workspace, desk.editing.path))
    put(desk, "turn", "changed", at="0")
    assert other.raw["prompt"] == "changed"
    desk.editing.undo()
    changed = {**SUITE, "system": "another program"}
    (desk.editing.path / "suite.json").write_text(json.dumps(changed), encoding="utf-8")
    assert desk.editing.outdated
    assert open_suite(workspace, desk.editing.path).now.head["system"] == "another program"


def test_words_of_a_stranger_are_escaped_everywhere(desk: Desk) -> None:
    attack = "<img src=x onerror=alert(1)>\"'"
    for name in ("id", "tags", "group", "trial"):
        put(desk, name, attack)
    put(desk, "turn", attack, at="0")
    put(desk, "suite_system", attack)
    do(desk, "form", pointer="/intent", kind="json", text=json.dumps(attack))
    pages = [suite_editor_view.case_list(desk, EN, burned={attack}), suite_editor_view.case_form(desk, EN)]
    pages += [suite_rules_view.rules_table(desk, EN), suite_rules_view.settings(desk, EN)]
    assert all("<img" not in page for page in pages)


ODD: list[Any] = [
    *(5, "text", None, [], {}, {"id": 5}, {"prompt": {"a": 1}}, {"history": 7, "tags": 3, "accept": [1]}),
    {"id": [], "history": [1, {"role": "x"}], "expected": {"deep": [[{}]]}, "accept": {"/x": 5}},
]
ODD_HEADS: list[dict[str, Any]] = [
    {"fields": 5}, {"fields": {"n": {}}}, {"fields": {"/n": 7}}, {"fields": {"/n": {"rule": "odd", "weight": "x"}}},
    {"generation": []}, {"thresholds": {"usable": "x"}}, {"schema": {"type": 5}}, {"unknown": 1},
]  # fmt: skip


@pytest.mark.parametrize("raw", ODD, ids=[json.dumps(raw) for raw in ODD])
def test_a_case_of_any_shape_can_be_looked_at(workspace: Workspace, raw: Any) -> None:
    folder = workspace.suites / "odd"
    folder.mkdir()
    (folder / "cases.json").write_text(json.dumps([raw, SUITE["cases"][0]]), encoding="utf-8")
    (folder / "suite.json").write_text(json.dumps({**SUITE, "cases": "cases.json"}), encoding="utf-8")
    desk = Desk(open_suite(workspace, folder))
    for t in (EN, ZH):
        assert "class=" in suite_editor_view.case_list(desk, t)
        assert "notice bad" in suite_editor_view.case_form(desk, t)
        suite_rules_view.rules_table(desk, t)


@pytest.mark.parametrize("head", ODD_HEADS, ids=[json.dumps(head) for head in ODD_HEADS])
def test_wrong_settings_are_shown_with_what_to_do(workspace: Workspace, head: dict[str, Any]) -> None:
    folder = workspace.suites / "odd"
    folder.mkdir()
    (folder / "suite.json").write_text(json.dumps({**SUITE, **head}), encoding="utf-8")
    desk = Desk(open_suite(workspace, folder))
    assert "notice bad" in suite_editor_view.top(desk, EN)
    suite_rules_view.rules_table(desk, EN)
    suite_rules_view.settings(desk, ZH)
    suite_editor_view.case_form(desk, EN)


def test_the_shipped_suite_opens_and_is_not_written_in_place(workspace: Workspace) -> None:
    shipped = SHIPPED / "eval_suites" / "after-sales-tickets"
    before = {path.name: path.read_bytes() for path in Path(shipped).iterdir()}
    desk = Desk(open_suite(workspace, shipped))
    assert desk.editing.examined.faults == ()
    put(desk, "group", "mine")
    desk.editing.save(workspace)
    assert desk.editing.path == workspace.suites / "after-sales-tickets"
    assert {path.name: path.read_bytes() for path in Path(shipped).iterdir()} == before
