"""The editor without a page: edits, history, filters, saving."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenlab.conversations import document as documents
from qwenlab.conversations.dataset import DataSet, new_data_set, sidecar
from qwenlab.conversations.document import Document
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.conversations.words import DataError
from qwenlab.ui.editor import EditorState
from qwenlab.workspace import Workspace

Make = Callable[..., EditorState]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """An editor on a new data set of `number` samples ("q0" -> "a0"), or of the given raw samples."""
    made: list[Document] = []

    def build(number: int = 3, raw: list[Any] | None = None, schema: Any = None) -> EditorState:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        path = folder / "shop.train.json"
        pairs = [Sample.make(f"s{at}", [("user", f"q{at}"), ("assistant", f"a{at}")]).raw for at in range(number)]
        path.write_text(json.dumps(raw if raw is not None else pairs), encoding="utf-8")
        if schema is not None:
            (folder / "schema.json").write_text(json.dumps(schema))
            sidecar(path).write_text(json.dumps({"schema": "schema.json"}))
        made.append(Document.open(path, Workspace(folder / "home")))
        return EditorState(made[-1])

    yield build
    for document in made:
        document.close()


def texts(state: EditorState) -> list[str]:
    return [turn.text for turn in state.sample.turns] if state.sample else []


def ids(state: EditorState) -> list[str]:
    return [sample.id for sample in state.document.samples]


def test_typing_in_one_turn_is_one_step_back(make: Make) -> None:
    state = make()
    for text in ("h", "he", "hel"):
        state.set_text(0, text)
    state.document.seal()
    state.set_text(0, "hello")
    state.undo()
    assert texts(state)[0] == "hel"
    state.undo()
    assert texts(state)[0] == "q0"
    assert not state.document.edited
    state.redo()
    state.redo()
    assert texts(state)[0] == "hello"
    assert not state.document.can_redo


def test_typing_in_another_turn_or_sample_is_another_step(make: Make) -> None:
    state = make()
    state.set_text(0, "x")
    state.set_text(1, "y")
    state.at = 1
    state.set_text(1, "z")
    for _ in range(3):
        assert state.document.can_undo
        state.undo()
    assert not state.document.edited


def test_same_text_is_no_edit(make: Make) -> None:
    state = make()
    state.set_text(0, "q0")
    state.set_id("s0")
    state.move_turn(0, -1)
    assert not state.document.can_undo


def test_undo_shows_where_it_was(make: Make) -> None:
    state = make(60)
    state.open(50)
    state.set_role(0, "system")
    state.open(0)
    state.undo()
    assert state.at == 50
    assert state.page == 2


def test_turns_are_added_moved_and_deleted(make: Make) -> None:
    state = make()
    state.add_turn("user")
    state.add_turn("system")
    assert [turn.role for turn in state.sample.turns] == ["system", "user", "assistant", "user"]
    state.move_turn(3, -1)
    assert [turn.role for turn in state.sample.turns] == ["system", "user", "user", "assistant"]
    state.delete_turn(2)
    state.delete_turn(0)
    assert texts(state) == ["q0", "a0"]


def test_new_sample_takes_over_the_system_turn(make: Make) -> None:
    state = make(raw=[Sample.make("a", [("system", "be brief"), ("user", "q"), ("assistant", "a")]).raw])
    state.new_sample()
    assert [(turn.role, turn.text) for turn in state.sample.turns] == [
        ("system", "be brief"),
        ("user", ""),
        ("assistant", ""),
    ]
    assert state.at == 1


def test_duplicate_and_delete_keep_their_place_and_come_back(make: Make) -> None:
    state = make()
    state.open(1)
    state.duplicate()
    state.duplicate()
    assert ids(state) == ["s0", "s1", "s1-1", "s1-1-1", "s2"]
    state.delete_sample()
    state.delete_sample()
    assert ids(state) == ["s0", "s1", "s1-1"]
    for _ in range(4):
        state.undo()
    assert ids(state) == ["s0", "s1", "s2"]


def test_last_sample_can_be_deleted_and_a_new_one_begun(make: Make) -> None:
    state = make(1)
    state.delete_sample()
    assert state.sample is None
    assert state.rows() == []
    assert state.verdicts() == []
    state.step(1)
    state.delete_sample()
    state.new_sample()
    assert len(state.document.samples) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["text", "role", "add", "drop", "up", "new", "copy", "delete", "open", "id"]),
            st.integers(0, 5),
        ),
        max_size=25,
    )
)
def test_any_edits_can_all_be_undone_and_redone(make: Make, steps: list[tuple[str, int]]) -> None:
    state = make()
    before = state.document.dataset.to_bytes()
    for action, number in steps:
        turns = len(texts(state))
        if action == "open":
            state.open(number)
        elif action == "new":
            state.new_sample()
        elif state.sample is None:
            continue
        elif action in ("copy", "delete"):
            state.duplicate() if action == "copy" else state.delete_sample()
        elif action == "add":
            state.add_turn(("system", "user", "assistant")[number % 3])
        elif action == "id":
            state.set_id(f"n{number}")
        elif turns:
            turn = number % turns
            {
                "text": lambda turn=turn, number=number: state.set_text(turn, f"t{number}"),
                "role": lambda turn=turn: state.set_role(turn, "user"),
                "drop": lambda turn=turn: state.delete_turn(turn),
                "up": lambda turn=turn: state.move_turn(turn, -1),
            }[action]()
    after = [sample.raw for sample in state.document.samples]
    while state.document.can_undo:
        state.undo()
    assert state.document.dataset.to_bytes() == before
    while state.document.can_redo:
        state.redo()
    assert [sample.raw for sample in state.document.samples] == after


def test_search_and_filter_choose_the_rows(make: Make) -> None:
    state = make(60)
    assert state.rows() == list(range(25))
    assert state.pages() == 3
    state.page = 9
    assert state.rows() == list(range(50, 60))
    state.look_for("Q5 a5", "")
    assert state.matches() == [5, *range(50, 60)]
    state.look_for("", "any")
    assert state.matches() == []
    state.open(7)
    state.set_text(1, "")
    assert state.matches() == [7]
    assert state.document.counts() == {"any": 1, "empty_turn": 1}


def test_next_and_previous_follow_the_filtered_list(make: Make) -> None:
    state = make(60)
    state.look_for("q5", "")
    state.open(5)
    state.step(1)
    assert state.at == 50
    state.step(-1)
    state.step(-1)
    assert state.at == 5


def test_large_set_is_checked_as_a_whole_only_when_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "CHECKED_AT_ONCE", 2)
    state = make(raw=[Sample.make("", [("user", "q"), ("assistant", "a")]).raw] * 3)
    assert state.document.problems() == []
    state.open(2)
    state.set_text(1, "")
    assert [(problem.sample_index, problem.code) for problem in state.document.problems()] == [(2, "empty_turn")]
    state.document.check()
    assert {problem.code for problem in state.document.problems()} >= {"empty_turn", "duplicate"}


@pytest.mark.parametrize(
    ("answer", "schema", "kinds"),
    [
        ('{"a": 1}', None, [("ok", "json_ok")]),
        ('{"a": 1}', {"required": ["a"]}, [("ok", "schema_ok")]),
        ("{}", {"required": ["a"]}, [("bad", "schema")]),
        ("hello", {"required": ["a"]}, [("bad", "not_json")]),
        ("{oops", None, [("warn", "not_json")]),
        ("hello", None, []),
        ("", None, [("bad", "empty_turn")]),
    ],
)
def test_verdict_on_an_answer(make: Make, answer: str, schema: Any, kinds: list[tuple[str, str]]) -> None:
    state = make(schema=schema, raw=[Sample.make("a", [("user", "q"), ("assistant", answer)]).raw])
    assert [(verdict.kind, verdict.code) for verdict in state.verdicts()[1]] == kinds


def test_pretty_print_goes_to_and_fro_and_refuses_what_is_no_json(make: Make) -> None:
    state = make(raw=[Sample.make("a", [("user", "q"), ("assistant", '{"名": 1}')]).raw])
    state.pretty(1)
    assert texts(state)[1] == '{\n  "名": 1\n}'
    state.pretty(1)
    assert texts(state)[1] == '{"名": 1}'
    with pytest.raises(NotJsonError):
        state.pretty(0)


def test_broken_sample_is_repaired_as_json_text(make: Make) -> None:
    state = make(raw=["text", {"id": "b", "conversations": []}])
    with pytest.raises(IndexError):
        state.set_text(0, "x")
    with pytest.raises(NotJsonError):
        state.set_raw("{oops")
    state.set_raw('{"id": "a", "conversations": [{"from": "user", "value": "q"}]}')
    assert texts(state) == ["q"]


def test_save_keeps_a_version_and_notes_the_time(make: Make) -> None:
    state = make()
    state.set_text(0, "new")
    state.document.save()
    assert not state.document.edited
    assert state.document.saved is not None
    assert DataSet.open(state.document.dataset.path).samples[0].turns[0].text == "new"
    state.undo()
    assert state.document.edited


def test_save_beside_a_change_of_another_program_offers_a_copy(make: Make) -> None:
    state = make()
    state.set_text(0, "mine")
    path = state.document.dataset.path
    path.write_text("[]")
    with pytest.raises(DataError):
        state.document.save()
    state.document.save_copy()
    assert state.document.dataset.path != path
    assert path.read_text() == "[]"
    assert DataSet.open(state.document.dataset.path).samples[0].turns[0].text == "mine"


def test_second_window_notices_an_edit_of_the_first(make: Make) -> None:
    first = make()
    second = EditorState(first.document)
    first.shown, second.shown = first.sample, second.sample
    first.set_text(0, "x")
    assert second.stale()


def test_new_data_sets_never_replace_each_other(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    paths = [new_data_set(workspace, "mine", []) for _ in range(3)]
    assert len(set(paths)) == 3
    assert all(DataSet.open(path).samples == [] for path in paths)
