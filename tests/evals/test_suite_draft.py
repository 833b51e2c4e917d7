"""A suite from a data set: what leaves the training data, and that nothing is lost or given away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenlab.conversations import attached
from qwenlab.conversations.dataset import DataSet, versions
from qwenlab.conversations.document import Document
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals import leaks, suite_draft
from qwenlab.evals.suite import load_suite
from qwenlab.workspace import SHIPPED, Workspace

AFTER_SALES = SHIPPED / "data" / "after-sales.train.json"
WORDS = [
    *("kettle", "lamp", "chair", "table", "clock", "radio", "phone", "fan", "stove", "knife", "spoon", "towel"),
    *("mirror", "carpet", "shelf", "sofa"),
]


def asked(name: str, question: str, answer: Any, system: str = "", **raw: Any) -> Sample:
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    turns = [("system", system)] if system else []
    return Sample({**Sample.make(name, [*turns, ("user", question), ("assistant", text)]).raw, **raw})


def tickets(number: int) -> list[Sample]:
    return [
        asked(f"s{at}", f"{WORDS[at % 16]} {WORDS[at // 16]} broke", {"n": at, "what": "x"}) for at in range(number)
    ]


def made(samples: list[Sample], count: int, **more: Any) -> suite_draft.Draft:
    return suite_draft.draft("mine", samples, [Facts(sample) for sample in samples], count, **more)


def opened(workspace: Workspace, samples: list[Sample]) -> Document:
    path = workspace.data / "mine.train.json"
    DataSet.new(path, samples).save()
    return Document.open(path, workspace)


def test_held_out_samples_leave_the_data_set_in_one_step_that_undo_takes_back(workspace: Workspace) -> None:
    document = Document.open(AFTER_SALES, workspace)
    before = [sample.raw for sample in document.samples]
    draft = suite_draft.draft("mine", document.samples, document.facts, 40, 7)
    begun = suite_draft.begin(workspace, document, draft)
    suite = load_suite(begun.folder)
    assert len(suite.cases) == 40
    assert begun.data == workspace.data / AFTER_SALES.name
    on_disk = DataSet.open(begun.data).samples
    assert len(on_disk) == 360
    assert {case.id for case in suite.cases} & {sample.id for sample in on_disk} == set()
    assert {case.id for case in suite.cases} | {sample.id for sample in on_disk} == {raw["id"] for raw in before}
    assert leaks.find(suite, on_disk) == []
    assert len(versions(begun.data)) == 1
    document.undo()
    assert [sample.raw for sample in document.samples] == before
    document.close()


def test_the_same_seed_holds_out_the_same_samples_and_another_one_others() -> None:
    samples = tickets(100)
    same, again, other = (made(samples, 20, seed=seed).held for seed in (1, 1, 2))
    assert [at for at, _ in same] == [at for at, _ in again] != [at for at, _ in other]


def test_each_language_gets_its_share(workspace: Workspace) -> None:
    document = Document.open(AFTER_SALES, workspace)
    cases = suite_draft.draft("mine", document.samples, document.facts, 40).suite.cases
    assert sum(case.language == "zh" for case in cases) == 20
    document.close()


def test_samples_that_are_nearly_equal_or_name_one_group_stay_together() -> None:
    long = "I ordered a kettle on the third of March and it came broken, please send another one to me"
    twins = [asked(f"t{at}", f"{long}{'!' * at}", {"n": 1, "what": "x"}) for at in range(3)]
    grouped = [
        asked(f"g{at}", f"{word} is missing", {"n": 2, "what": "x"}, group="story") for at, word in enumerate(WORDS[:3])
    ]
    samples = [*tickets(60), *twins, *grouped]
    for seed in range(20):
        names = {sample.id for _, sample in made(samples, 12, seed=seed).held}
        for group in (twins, grouped):
            assert len(names & {sample.id for sample in group}) in (0, 3)


def test_a_question_that_stands_within_a_longer_training_text_is_not_held_out() -> None:
    question = "my new red kettle leaks since the very first day and I want my money back"
    samples = [*tickets(30), asked("short", question, {"n": 1, "what": "x"})]
    samples.append(
        asked("long", f"Dear shop, hello, good morning. {question} {' '.join(WORDS)}", {"n": 2, "what": "x"})
    )
    for seed in range(20):
        names = {sample.id for _, sample in made(samples, 10, seed=seed).held}
        assert not ("short" in names and "long" not in names)


def test_what_contradicts_or_is_broken_stays_in_the_data_set() -> None:
    odd = [
        asked("a", "the same question", {"n": 1, "what": "x"}),
        asked("b", "the same question", {"n": 2, "what": "x"}),
        asked("c", "broken JSON", '{"n": 1,'),
        Sample({"id": "d", "conversations": "none"}),
        Sample.make("e", [("user", "no answer yet")]),
    ]
    for seed in range(5):
        draft = made([*tickets(20), *odd], 15, seed=seed)
        assert not {sample.id for _, sample in draft.held} & set("abcde")


def test_plain_answers_among_json_ones_become_text_cases() -> None:
    samples = [
        *tickets(12),
        *(asked(f"p{at}", f"hello {word}", f"Good day, {word}") for at, word in enumerate(WORDS[:8])),
    ]
    suite = made(samples, 18).suite
    texts = [case for case in suite.cases if not suite.as_json(case)]
    assert texts
    assert all(case.rule == "equals" and case.expected.startswith("Good day") for case in texts)


def test_a_data_set_of_text_makes_a_suite_of_text() -> None:
    draft = made([asked(f"p{at}", f"hello {at}", f"Good day {at}", "be kind") for at in range(30)], 10)
    assert draft.content["system"] == "be kind"
    assert "schema" not in draft.content
    assert not draft.suite.is_json


def test_dialogues_and_other_system_prompts_are_kept() -> None:
    turns = [
        ("system", "short"),
        ("user", "hi"),
        ("assistant", "hello"),
        ("user", "and"),
        ("assistant", '{"n": 1, "what": "x"}'),
    ]
    samples = [*tickets(4), *(Sample.make(f"d{at}", [*turns[:3], ("user", f"and {at}"), turns[4]]) for at in range(4))]
    suite = made(samples, 7).suite
    dialogues = [case for case in suite.cases if case.history]
    assert dialogues
    assert [turn["role"] for turn in dialogues[0].messages(suite)] == ["system", "user", "assistant", "user"]
    assert {case.messages(suite)[0]["content"] for case in dialogues} == {"short"}


def test_the_schema_of_the_data_set_is_taken_where_it_has_one() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "what": {"type": "string"}}}
    wrong = asked("w", "wrong by the schema", {"n": "1", "what": "x"})
    draft = made([*tickets(20), wrong], 15, schema=schema)
    assert draft.attached
    assert draft.content["schema"] == schema
    assert "w" not in {sample.id for _, sample in draft.held}
    assert any("break the schema" in remark.en and "不符合" in remark.zh for remark in draft.remarks)


@pytest.mark.parametrize(("number", "count"), [(10, 10), (10, 0), (0, 5), (3, 40)])
def test_more_than_there_are_cannot_be_held_out(number: int, count: int) -> None:
    with pytest.raises(QwenlabError, match="cannot be held out") as caught:
        made(tickets(number), count)
    assert "无法留出" in caught.value.say("zh")[0]


@pytest.mark.parametrize("name", ["", "../x", "a/b", " x", "x" * 80])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(QwenlabError, match="cannot name a suite"):
        suite_draft.draft(name, [], [], 1)


def test_a_name_that_is_taken_leaves_everything_as_it_is(workspace: Workspace) -> None:
    document = opened(workspace, tickets(20))
    (workspace.suites / "mine").mkdir()
    with pytest.raises(QwenlabError, match="already"):
        suite_draft.begin(workspace, document, made(document.samples, 5))
    assert len(document.samples) == 20
    document.close()


def test_a_data_set_changed_meanwhile_is_left_alone(workspace: Workspace) -> None:
    from qwenlab.conversations.journal import Change

    document = opened(workspace, tickets(20))
    draft = made(document.samples, 5)
    at, sample = draft.held[0]
    document.change(Change(at, sample, None))
    with pytest.raises(QwenlabError, match="changed meanwhile"):
        suite_draft.begin(workspace, document, draft)
    assert not (workspace.suites / "mine").exists()
    document.close()


def test_a_data_set_that_another_lab_edits_keeps_its_samples_and_no_suite_appears(workspace: Workspace) -> None:
    from qwenlab.conversations.journal import Change

    document, other = opened(workspace, tickets(20)), Document.open(workspace.data / "mine.train.json", workspace)
    other.change(Change(0, other.samples[0], None))
    with pytest.raises(QwenlabError):
        suite_draft.begin(workspace, document, made(document.samples, 5))
    assert not (workspace.suites / "mine").exists()
    assert len(document.samples) == 20
    document.close()
    other.close()


def test_unsaved_edits_of_others_are_not_saved_along(workspace: Workspace) -> None:
    from qwenlab.conversations.journal import Change

    document = opened(workspace, tickets(20))
    document.change(Change(0, document.samples[0], None))
    begun = suite_draft.begin(workspace, document, made(document.samples, 5))
    assert not begun.saved
    assert document.edited
    assert len(DataSet.open(begun.data).samples) == 20
    document.close()


def test_the_written_suite_says_why_each_rule_is_there(tmp_path: Path) -> None:
    text = suite_draft.written(made(tickets(30), 10), "mine.train.json")["suite.yaml"]
    assert "# seen in 30 of 30; a number: 5 and 5.0 are the same\n  /n: {rule: number}" in text
    assert "held out of mine.train.json" in text


def test_data_set_without_a_schema_takes_that_of_its_new_suite(workspace: Workspace) -> None:
    document = opened(workspace, tickets(20))
    begun = suite_draft.begin(workspace, document, made(document.samples, 5))
    assert document.schema is not None
    assert document.schema.schema == attached.schema_of(begun.data) == begun.draft.content["schema"]
    document.close()


def test_data_set_that_also_answers_in_plain_text_takes_no_schema(workspace: Workspace) -> None:
    from qwenlab.conversations.sample import Sample

    turns = [{"from": "user", "value": "Who are you?"}, {"from": "assistant", "value": "The shop."}]
    document = opened(workspace, [*tickets(20), Sample({"id": "identity", "conversations": turns})])
    suite_draft.begin(workspace, document, made(document.samples, 5))
    assert document.schema is None
    document.close()
