"""The lab's shared state: what is chosen survives a restart, what is open follows the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.ui.editor import EditorState
from qwenlab.ui.lab import Lab
from qwenlab.workspace import Workspace


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Workspace(tmp_path))


def make(lab: Lab, name: str = "mine") -> Path:
    return new_data_set(lab.workspace, name, [Sample.make("a", [("user", "q"), ("assistant", "a")])])


def test_choices_survive_a_restart_and_a_damaged_file(lab: Lab) -> None:
    path = make(lab)
    lab.choose(dataset=str(path), model="m")
    again = Lab(lab.workspace)
    assert again.dataset_path() == path
    assert again.model_name() == "m"
    assert Lab(lab.workspace, model="n").model_name() == "n"
    (lab.workspace.root / "choices.json").write_text("{oops")
    assert Lab(lab.workspace).choices.model == ""


def test_chosen_set_that_is_gone_gives_the_first_there_is(lab: Lab) -> None:
    path = make(lab)
    lab.choose(dataset="/nowhere/x.train.json")
    assert lab.dataset_path() == path


def test_file_changed_outside_is_read_again_unless_there_are_unsaved_edits(lab: Lab) -> None:
    path = make(lab)
    document = lab.document(path)
    assert lab.document(path) is document
    path.write_text("[]")
    again = lab.document(path)
    assert again is not None
    assert again is not document
    assert again.samples == []
    EditorState(again).new_sample()
    path.write_text("[ ]")
    assert lab.document(path) is again
    lab.forget(path)
    assert lab.document(path) is not again


def test_edits_beside_a_change_of_another_program_wait_for_the_person(lab: Lab) -> None:
    path = make(lab)
    document = lab.document(path)
    assert document is not None
    EditorState(document).set_text(0, "mine")
    path.write_text("[]")
    assert lab.document(path) is document
    assert document.orphan
    again = Lab(lab.workspace)
    document.close()
    found = again.document(path)
    assert found is not None
    assert found.orphan
    assert found.samples[0].turns[0].text == "mine"
    again.forget(path)
    found = again.document(path)
    assert found is not None
    assert found.samples == []


def test_edits_survive_a_restart_of_the_lab(lab: Lab) -> None:
    path = make(lab)
    document = lab.document(path)
    assert document is not None
    state = EditorState(document)
    state.set_text(0, "typed")
    state.set_tags("new, 退货")
    document.close()
    found = Lab(lab.workspace).document(path)
    assert found is not None
    assert found.edited
    assert found.samples[0].turns[0].text == "typed"
    assert found.tags() == ["new", "退货"]
    again = EditorState(found)
    again.undo()
    again.undo()
    assert not found.edited
    found.close()


def test_unsaved_edits_that_another_lab_dropped_are_read_again(lab: Lab) -> None:
    path = make(lab)
    first = lab.document(path)
    assert first is not None
    EditorState(first).set_text(0, "typed")
    first.close()
    other = Lab(lab.workspace)
    second = other.document(path)
    assert second is not None
    lab.forget(path)
    found = other.document(path)
    assert found is not None
    assert found is not second
    assert found.samples[0].turns[0].text == "q"


def test_set_that_moved_is_the_same_document_under_its_new_path(lab: Lab) -> None:
    path = make(lab)
    document = lab.document(path)
    assert document is not None
    EditorState(document).set_text(0, "mine")
    document.save_copy()
    lab.saved_as(document)
    assert lab.dataset_path() == document.dataset.path
    assert lab.document() is document
    assert lab.document(path) is not document
    assert lab.document() is document


def test_own_save_does_not_count_as_a_change(lab: Lab) -> None:
    path = make(lab)
    document = lab.document(path)
    assert document is not None
    state = EditorState(document)
    state.set_text(0, "x")
    document.save()
    assert lab.document(path) is document
    assert document.can_undo


def test_runs_are_listed_newest_first(lab: Lab) -> None:
    for number, name in enumerate(["old", "new"]):
        folder = lab.workspace.runs / name
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps({}))
        os.utime(folder / "job.json", (number, number))
    assert [job.id for job in lab.runs()] == ["new", "old"]
