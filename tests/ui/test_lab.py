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
