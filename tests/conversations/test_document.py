"""An open data set: what is accepted stays, what another program does is noticed, and the person chooses."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from document_model import SOURCES, new_sample, open_document, start, tag, write_answer

from qwenlab.conversations import dataset as datasets
from qwenlab.conversations import document as documents
from qwenlab.conversations.dataset import DataSet, sidecar, versions
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change, Journal
from qwenlab.conversations.sample import Labels, Sample, Turn
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError
from qwenlab.workspace import Workspace

THEIRS = '[{"id": "theirs", "conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "t"}]}]'
Open = Callable[..., Document]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.train.json"
    start(path)
    return path


@pytest.fixture
def opened(path: Path, tmp_path: Path) -> Iterator[Open]:
    """Open a data set as a new lab does, after the last one let go."""
    before: list[Document] = []

    def open_again(other: Path = path) -> Document:
        for document in before:
            document.close()
        before.append(open_document(other, tmp_path / "home"))
        return before[-1]

    yield open_again
    for document in before:
        document.close()


def answers(document: Document) -> list[str]:
    return [sample.turns[-1].text for sample in document.samples]


# --- edits -------------------------------------------------------------------------------------------------


def test_edit_that_changes_nothing_is_no_step(opened: Open) -> None:
    document = opened()
    sample = document.samples[0]
    write_answer(document, 0, "first")
    tag(document, 0, ())
    document.change([Change(0, sample, sample.with_turns(sample.turns))])
    document.change(Change(0, None, None))
    assert not document.can_undo
    assert not document.edited


@pytest.mark.parametrize(("before", "after"), [("1", "true"), ("1", "1.0"), ('{"a":1,"b":2}', '{"b":2,"a":1}')])
def test_values_that_are_equal_to_python_only_are_an_edit(opened: Open, path: Path, before: str, after: str) -> None:
    path.write_text(f"[{before}]")
    document = opened()
    document.change(Change(0, document.samples[0], Sample(json.loads(after))))
    document.save()
    assert json.dumps(json.loads(path.read_text())[0], separators=(",", ":")) == after


@pytest.mark.parametrize("index", [-1, 1, 5, 99])
def test_change_meant_for_another_sample_is_refused_as_a_whole(opened: Open, index: int) -> None:
    document = opened()
    sample = document.samples[0]
    with pytest.raises(IndexError):
        document.change([Change(0, sample, new_sample("n", "new")), Change(index, sample, None)])
    assert answers(document) == ["first", "second", "third", "fourth", "second"]
    assert not document.edited
    assert answers(opened()) == answers(document)


def test_sample_nested_too_deeply_is_refused_in_one_sentence(opened: Open) -> None:
    document = opened()
    raw: Any = []
    for _ in range(500):
        raw = [raw]
    with pytest.raises(QwenlabError) as error:
        document.change(Change(0, document.samples[0], Sample({"id": "deep", "x": raw})))
    assert all(error.value.say("zh"))
    assert not document.edited


def test_typing_merges_into_one_step_also_after_a_restart(opened: Open) -> None:
    document = opened()
    for text in ("h", "he", "hel"):
        write_answer(document, 0, text, "text 1")
    document = opened()
    write_answer(document, 0, "hello", "text 1")
    document.undo()
    assert answers(document)[0] == "hel"
    write_answer(document, 0, "help", "text 1")
    document.undo()
    assert answers(document)[0] == "hel"
    document.undo()
    assert answers(document)[0] == "first"
    assert not document.edited


def test_saved_state_is_known_again_through_undo_and_redo(opened: Open) -> None:
    document = opened()
    write_answer(document, 0, "one")
    document.save()
    write_answer(document, 0, "two")
    document.undo()
    assert not document.edited
    document.undo()
    assert document.edited
    document = opened()
    assert document.edited
    document.redo()
    assert not document.edited
    document.redo()
    assert document.edited
    assert answers(document)[0] == "two"


def test_deleted_samples_are_listed_and_come_back_after_a_restart(opened: Open, path: Path) -> None:
    document = opened()
    tag(document, 2, ("dear",))
    for _ in range(3):
        document.change(Change(1, document.samples[1], None))
    document.save()
    assert len(DataSet.open(path).samples) == 2
    document = opened()
    # The second and the fifth say the same, so that one is not lost.
    assert [(index, sample.turns[-1].text) for index, sample in document.deleted()] == [(1, "fourth"), (1, "third")]
    index, sample = document.deleted()[1]
    document.change(Change(index, None, sample))
    assert document.samples[1].labels.tags == ("dear",)
    assert [sample.turns[-1].text for _, sample in document.deleted()] == ["fourth"]
    document.save()
    assert SOURCES[2] in path.read_text("utf-8")


def test_large_set_learns_of_an_edited_sample_and_of_others_only_when_asked(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "CHECKED_AT_ONCE", 2)
    document = opened()
    assert (document.problems(), document.checked) == ([], False)
    write_answer(document, 0, "")
    assert document.counts() == {"empty_turn": 1, "any": 1}
    document.check()
    assert document.checked
    assert document.counts()["duplicate"] == 1
    document.undo()
    assert "empty_turn" not in document.counts()


# --- labels ------------------------------------------------------------------------------------------------


def test_labels_stay_out_of_the_file_and_come_back(opened: Open, path: Path) -> None:
    before = path.read_bytes()
    document = opened()
    for at, tags in enumerate([("one",), ("two",), ("three",), ("four",), ("five",)]):
        tag(document, at, tags)
    document.save()
    assert path.read_bytes() == before
    assert opened().tags() == ["five", "four", "one", "three", "two"]
    assert [sample.labels.tags[0] for sample in opened().samples] == ["one", "two", "three", "four", "five"]


def test_labels_follow_their_sample_when_another_program_sorts_the_file(opened: Open, path: Path) -> None:
    document = opened()
    for at, tags in enumerate([("one",), ("two",), ("three",), ("four",)]):
        tag(document, at, tags)
    document.save()
    start(path, SOURCES[3::-1])
    assert [sample.labels.tags[0] for sample in opened().samples] == ["four", "three", "two", "one"]
    start(path, SOURCES[2:4])  # a namesake is gone
    document = opened()
    assert document.samples[1].labels.tags == ("four",)
    assert document.samples[0].labels.tags == ("three",)


def test_note_origin_and_time_of_an_edit_are_kept(opened: Open) -> None:
    document = opened()
    sample = document.samples[3]
    document.change(Change(3, sample, sample.with_labels(Labels(note="ask 李", origin="test tickets-17"))))
    document.save()
    found = opened().samples[3].labels
    assert (found.note, found.origin) == ("ask 李", "test tickets-17")
    assert found.edited.startswith("20")


@pytest.mark.parametrize(
    "samples", ["x", [], {"b": "x"}, {"b": {"tags": "x", "note": 3, "more": 1}}, {"": {"note": "n"}}]
)
def test_odd_labels_are_left_out(opened: Open, path: Path, samples: Any) -> None:
    sidecar(path).write_text(json.dumps({"samples": samples, "mine": 1}))
    document = opened()
    assert document.samples[3].labels == Labels()
    tag(document, 3, ("new",))
    document.save()
    assert json.loads(sidecar(path).read_text())["mine"] == 1
    assert opened().samples[3].labels.tags == ("new",)


# --- another program ---------------------------------------------------------------------------------------


def test_file_written_by_another_program_is_noticed_and_both_are_kept(opened: Open, path: Path) -> None:
    document = opened()
    write_answer(document, 0, "mine")
    path.write_text(THEIRS)
    assert not document.outdated()
    assert document.orphan
    with pytest.raises(DataError, match="changed by another program"):
        document.save()
    document = opened()  # also after a restart
    assert document.orphan
    assert answers(document)[0] == "mine"
    assert path.read_text() == THEIRS
    write_answer(document, 1, "more of mine")
    document = opened()
    assert answers(document)[:2] == ["mine", "more of mine"]


def test_orphan_saved_over_the_other_version_keeps_that_one(opened: Open, path: Path) -> None:
    write_answer(opened(), 0, "mine")
    path.write_text(THEIRS)
    document = opened()
    document.save(overwrite=True)
    assert not document.orphan
    assert SOURCES[1] in path.read_text("utf-8")
    assert THEIRS in [version.read_text("utf-8") for version in versions(path)]
    document = opened()
    assert not document.orphan
    document.undo()
    assert answers(document)[0] == "first"


def test_orphan_saved_as_a_copy_leaves_the_other_version(opened: Open, path: Path) -> None:
    document = opened()
    tag(document, 3, ("old",))
    document.save()
    write_answer(document, 0, "mine")
    tag(document, 4, ("new",))
    path.write_text(THEIRS)
    document = opened()
    document.save_copy()
    copy = document.dataset.path
    assert copy != path
    assert not document.orphan
    assert path.read_text() == THEIRS
    assert answers(opened(path)) == ["t"]
    document = opened(copy)
    assert answers(document)[0] == "mine"
    assert document.tags() == ["new", "old"]
    document.undo()
    document.undo()
    assert answers(document)[0] == "first"


def test_orphan_dropped_is_kept_as_a_version(opened: Open, path: Path) -> None:
    write_answer(opened(), 0, "mine")
    path.write_text(THEIRS)
    document = opened()
    document.discard()
    document = opened()
    assert answers(document) == ["t"]
    assert not document.orphan
    assert not document.can_undo
    kept = DataSet.open(versions(path)[0])
    assert kept.samples[0].turns[-1].text == "mine"


def test_orphan_with_everything_undone_is_the_file_again(opened: Open, path: Path) -> None:
    write_answer(opened(), 0, "mine")
    path.write_text(THEIRS)
    document = opened()
    document.undo()
    assert document.outdated()
    assert answers(opened()) == ["t"]


def test_file_that_another_program_put_back_is_no_longer_an_orphan(opened: Open, path: Path) -> None:
    before = path.read_bytes()
    document = opened()
    write_answer(document, 0, "mine")
    path.write_text(THEIRS)
    document.outdated()
    path.write_bytes(before)
    assert not document.outdated()
    assert not document.orphan
    document.save()


@pytest.mark.parametrize("theirs", [b"", b"[{", b"\xff\xff\x80", None])
def test_file_spoilt_or_removed_by_another_program_shows_the_unsaved_edits(
    opened: Open, path: Path, theirs: bytes | None
) -> None:
    write_answer(opened(), 0, "mine")
    path.unlink() if theirs is None else path.write_bytes(theirs)
    document = opened()
    assert document.orphan
    assert answers(document)[0] == "mine"
    document.save(overwrite=True)
    assert answers(opened())[0] == "mine"


def test_file_spoilt_by_another_program_without_edits_of_ours_is_an_error(opened: Open, path: Path) -> None:
    document = opened()
    write_answer(document, 0, "mine")
    document.save()
    path.write_bytes(b"[{")
    assert document.outdated()
    with pytest.raises(DataError, match="cannot be read"):
        opened()


def test_edit_after_a_change_of_another_program_begins_a_new_history(opened: Open, path: Path) -> None:
    document = opened()
    write_answer(document, 0, "old history")
    document.save()
    path.write_text(THEIRS)
    document = opened()
    assert not document.orphan
    assert not document.can_undo
    write_answer(document, 0, "new")
    document = opened()
    assert answers(document) == ["new"]
    assert not document.orphan
    document.undo()
    assert not document.edited


def test_edit_in_the_moment_another_program_writes_is_not_lost(opened: Open, path: Path) -> None:
    document = opened()
    path.write_text(THEIRS)
    write_answer(document, 0, "mine")
    document = opened()
    assert document.orphan
    assert answers(document)[0] == "mine"
    document.undo()
    write_answer(document, 1, "mine too")
    assert answers(opened())[:2] == ["first", "mine too"]


def test_version_that_another_program_brought_back_is_theirs(opened: Open, path: Path) -> None:
    before = path.read_bytes()
    document = opened()
    write_answer(document, 0, "saved")
    document.save()
    path.write_bytes(before)
    document = opened()
    assert answers(document)[0] == "first"
    assert not document.edited


def test_interrupted_save_and_then_another_program_keeps_both(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = opened()
    write_answer(document, 0, "mine")

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "keep_version", cut)
        with pytest.raises(KeyboardInterrupt):
            document.save()
    path.write_text(THEIRS)
    document = opened()
    assert document.orphan
    assert answers(document)[0] == "mine"


def test_large_file_is_copied_beside_the_first_edit(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "COPIED_AT_ONCE", 10)
    before = path.read_bytes()
    document = opened()
    write_answer(document, 0, "mine")
    base = Journal(document.workspace, path).base
    until = time.monotonic() + 10
    while not base.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert base.read_bytes() == before
    path.write_text(THEIRS)
    assert answers(opened())[0] == "mine"


# --- saving ------------------------------------------------------------------------------------------------


def test_save_writes_only_what_was_edited(opened: Open, path: Path) -> None:
    document = opened()
    write_answer(document, 0, "new")
    document.save()
    text = path.read_text("utf-8")
    assert all(source in text for source in SOURCES[1:])
    raw = json.loads(text)[0]
    assert list(raw) == ["id", "x", "conversations"]
    assert raw["conversations"] == [{"from": "human", "w": 2, "value": "你好"}, {"value": "new", "from": "gpt"}]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_full_disk_at_any_call_of_a_save_loses_nothing(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)
    for fail_at in range(1, 20):
        start(path)
        sidecar(path).unlink(missing_ok=True)
        document = opened()
        write_answer(document, 0, f"mine {fail_at}")
        tag(document, 1, ("new",))
        left = [fail_at]

        def full(*arguments: Any, left: list[int] = left, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*arguments, **named)

        refused: QwenlabError | None = None
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            try:
                document.save()
            except QwenlabError as error:
                refused = error
        assert json.loads(path.read_bytes())[0]["conversations"][1]["value"] in ("first", f"mine {fail_at}")
        assert answers(document)[0] == f"mine {fail_at}"
        if refused is not None:
            assert "No space left" in refused.what
            assert document.edited
        document = opened()
        assert answers(document)[0] == f"mine {fail_at}"
        assert document.samples[1].labels.tags == ("new",)
        document.save()
        assert not document.edited
        kept = [json.loads(version.read_bytes())[0]["conversations"][1]["value"] for version in versions(path)]
        assert "first" in kept
        if left[0] > 0:
            assert refused is None
            return
    raise AssertionError("a save does not take that many calls")


def test_full_disk_at_a_copy_changes_nothing(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = opened()
    write_answer(document, 0, "mine")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(QwenlabError, match="No space"):
                document.save_copy()
        assert document.dataset.path == path
        assert document.edited
    write_answer(document, 1, "more")
    assert answers(opened())[:2] == ["mine", "more"]


def test_save_without_edits_writes_nothing(opened: Open, path: Path, tmp_path: Path) -> None:
    document = opened()
    before = path.stat().st_mtime_ns
    document.save()
    assert path.stat().st_mtime_ns == before
    assert not sidecar(path).exists()
    assert not list((tmp_path / "home" / "edits").iterdir())


def test_leftovers_of_crashes_are_swept_up_once_they_are_old(opened: Open, path: Path) -> None:
    old, young, another = (path.with_name(f".shop.train.json.{name}.tmp") for name in ("old", "young", "x"))
    another = path.with_name(".other.train.json.x.tmp")
    for left in (old, young, another):
        left.write_text("half")
    for left in (old, another):
        os.utime(left, (1, 1))
    document = opened()
    write_answer(document, 0, "x")
    document.save()
    assert [left.exists() for left in (old, young, another)] == [False, True, True]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_link_stays_a_link(opened: Open, path: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    real = path.rename(tmp_path / "far" / "real.json")
    path.symlink_to(real)
    document = opened()
    write_answer(document, 0, "x")
    document.save()
    assert path.is_symlink()
    assert answers(opened(real))[0] == "x"


@pytest.fixture
def shipped(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "program" / "data" / "shop.train.json"
    place.parent.mkdir(parents=True)
    path.rename(place)
    sidecar(place).write_text(json.dumps({"samples": {"b": {"tags": ["kept"]}, "gone": {"note": "x"}}}))
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path / "program")
    return place


def test_shipped_set_is_copied_at_its_first_edit(opened: Open, shipped: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in shipped.parent.iterdir()}
    document = opened(shipped)
    document.save()
    assert document.dataset.path == shipped
    write_answer(document, 0, "mine")
    copy = document.dataset.path
    assert copy == tmp_path / "home" / "data" / "shop.train.json"
    document = opened(copy)
    assert answers(document)[0] == "mine"
    assert document.samples[3].labels.tags == ("kept",)
    document.save()
    assert {file.name: file.read_bytes() for file in shipped.parent.iterdir()} == before
    assert answers(opened(shipped))[0] == "first"


def test_second_window_on_a_shipped_set_does_not_write_over_the_copy_of_the_first(
    opened: Open, shipped: Path, tmp_path: Path
) -> None:
    first, second = (open_document(shipped, tmp_path / "home") for _ in range(2))
    write_answer(first, 0, "mine")
    with pytest.raises(DataError):
        write_answer(second, 1, "theirs")
    assert second.dataset.path == shipped
    first.save()
    first.close()
    with pytest.raises(DataError):
        write_answer(second, 1, "theirs")
    assert answers(opened(first.dataset.path))[:2] == ["mine", "second"]


def test_new_roles_and_turns_survive_a_restart(opened: Open) -> None:
    document = opened()
    sample = document.samples[0]
    turns = [Turn("system", "be brief"), *sample.turns, Turn("tool", "{}")]
    document.change(Change(0, sample, sample.with_turns(turns).with_id("新")))
    found = opened().samples[0]
    assert [(turn.role, turn.text) for turn in found.turns] == [(turn.role, turn.text) for turn in turns]
    assert (found.id, found.raw["x"]) == ("新", [1.1, 1e5, -0.0])


def test_workspace_that_cannot_be_written_is_one_clear_error(opened: Open, tmp_path: Path) -> None:
    document = opened()
    Workspace(tmp_path / "home").edits.rmdir()
    (tmp_path / "home" / "edits").write_text("a file stands in the way")
    with pytest.raises(DataError, match="could not be put on disk"):
        write_answer(document, 0, "x")
    assert answers(document)[0] == "first"
    (tmp_path / "home" / "edits").unlink()
    write_answer(document, 0, "x")
