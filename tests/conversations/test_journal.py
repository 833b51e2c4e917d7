"""The log of edits: whatever was done comes back after a restart, and a damaged log harms nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from document_model import SOURCES, Entry, Model, entry_of, new_sample, open_document, start, tag, write_answer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from qwenlab.conversations import document as documents
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change, Journal
from qwenlab.conversations.words import DataError
from qwenlab.workspace import Workspace

AT = st.integers(0, 9)
ANSWERS = st.sampled_from(["first", "x", "é 你好\n", "\ud800", '{"a": 1}', ""])


class Edits(RuleBasedStateMachine):
    """Any edits, undos, saves and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "shop.train.json"
        start(self.path)
        self.document = open_document(self.path, self.folder / "home")
        self.model = Model([entry_of(sample) for sample in self.document.samples])
        assert [entry.source for entry in self.model.now] == list(SOURCES)
        self.typing: Any = None

    def teardown(self) -> None:
        self.document.close()
        shutil.rmtree(self.folder)

    @precondition(lambda self: self.model.now)
    @rule(at=AT, answer=ANSWERS, typed=st.booleans())
    def write(self, at: int, answer: str, typed: bool) -> None:
        at %= len(self.model.now)
        write_answer(self.document, at, answer, "typed" if typed else "")
        before = self.model.now[at]
        if answer == before.answer:
            return
        after = list(self.model.now)
        after[at] = Entry(before.id, answer, before.tags)
        self.model.edit(after, merge=typed and self.typing == at)
        self.typing = at if typed else None

    @precondition(lambda self: self.model.now)
    @rule(at=AT, tags=st.sampled_from([(), ("new",), ("new", "退货, #1")]))
    def tag(self, at: int, tags: tuple[str, ...]) -> None:
        at %= len(self.model.now)
        tag(self.document, at, tags)
        if self.model.now[at].tags == tags:
            return
        after = list(self.model.now)
        after[at] = after[at]._replace(tags=tags)
        self.model.edit(after)
        self.typing = None

    @rule(at=AT, sample_id=st.sampled_from(["", "a", "b", "a#0123456789abcdef"]), answer=ANSWERS)
    def insert(self, at: int, sample_id: str, answer: str) -> None:
        at %= len(self.model.now) + 1
        self.document.change(Change(at, None, new_sample(sample_id, answer)))
        self.model.edit([*self.model.now[:at], Entry(sample_id, answer), *self.model.now[at:]])
        self.typing = None

    @precondition(lambda self: self.model.now)
    @rule(at=AT)
    def delete(self, at: int) -> None:
        at %= len(self.model.now)
        self.document.change(Change(at, self.document.samples[at], None))
        self.model.edit([*self.model.now[:at], *self.model.now[at + 1 :]])
        self.typing = None

    @precondition(lambda self: len(self.model.now) > 1)
    @rule(at=AT, to=AT)
    def move(self, at: int, to: int) -> None:
        at, to = at % len(self.model.now), to % len(self.model.now)
        sample = self.document.samples[at]
        self.document.change([Change(at, sample, None), Change(to, None, sample)])
        after = list(self.model.now)
        after.insert(to, after.pop(at))
        self.model.edit(after)
        self.typing = None

    @rule()
    def undo(self) -> None:
        self.typing = None if self.model.past else self.typing
        self.document.undo()
        self.model.undo()

    @rule()
    def redo(self) -> None:
        self.typing = None if self.model.future else self.typing
        self.document.redo()
        self.model.redo()

    @rule()
    def save(self) -> None:
        self.document.save()
        self.model.save()
        self.typing = None

    @rule()
    def open_again(self) -> None:
        before = self.document
        before.close()
        self.document = open_document(self.path, self.folder / "home")
        assert [sample.labels for sample in self.document.samples] == [sample.labels for sample in before.samples]
        assert [known.labels for known in self.document.facts] == [known.labels for known in before.facts]
        assert [known.text for known in self.document.facts] == [known.text for known in before.facts]
        assert self.document.edited == before.edited
        assert not self.document.orphan
        self.typing = None

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        found = [entry_of(sample) for sample in self.document.samples]
        # Once saved, an edited sample has a text in the file too.
        plain = [entry._replace(source=None) for entry in found]
        assert plain == [entry._replace(source=None) for entry in self.model.now]
        for entry, wanted in zip(found, self.model.now, strict=True):
            assert wanted.source in (None, entry.source)
        assert self.document.can_undo == bool(self.model.past)
        assert self.document.can_redo == bool(self.model.future)
        on_disk = [sample.source for sample in DataSet.open(self.path).samples]
        for text, wanted in zip(on_disk, self.model.disk, strict=True):
            assert wanted.source in (None, text)
            assert json.loads(text or "")["conversations"][-1]["value"] == wanted.answer


TestEdits = Edits.TestCase
TestEdits.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.train.json"
    start(path)
    return path


@pytest.fixture
def opened(path: Path, tmp_path: Path) -> Iterator[Callable[[], Document]]:
    """Open the data set as a new lab does, after the last one let go."""
    documents_here: list[Document] = []

    def open_again() -> Document:
        for document in documents_here:
            document.close()
        documents_here.append(open_document(path, tmp_path / "home"))
        return documents_here[-1]

    yield open_again
    for document in documents_here:
        document.close()


def log_of(path: Path, tmp_path: Path) -> Path:
    return Journal(Workspace(tmp_path / "home"), path).folder / "journal.jsonl"


def answers(document: Document) -> list[str]:
    return [sample.turns[-1].text for sample in document.samples]


def test_edits_of_many_threads_are_one_persons(opened: Callable[[], Document]) -> None:
    document = opened()
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            write_answer(document, number, f"thread {number}")
        except BaseException as error:
            errors.append(error)

    for number in range(4):
        thread = threading.Thread(target=work, args=(number,))
        thread.start()
        thread.join()
    assert errors == []
    assert answers(opened())[:4] == [f"thread {number}" for number in range(4)]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_last_line_cut_short_is_dropped_and_written_over(
    path: Path, opened: Callable[[], Document], tmp_path: Path, cut: int
) -> None:
    document = opened()
    write_answer(document, 0, "kept")
    write_answer(document, 0, "torn")
    document.close()
    log = log_of(path, tmp_path)
    log.write_bytes(log.read_bytes()[:-cut])
    document = opened()
    assert answers(document)[0] == "kept"
    write_answer(document, 1, "after the crash")
    document = opened()
    assert answers(document)[:2] == ["kept", "after the crash"]


@pytest.mark.parametrize("damage", [b"\0" * 40, b"{oops}\n", b"[1]\n", b'{"do": 1}\n', b'{"do": "step"}\n', b"\xff\n"])
def test_damaged_log_is_put_aside_whole_and_the_file_stays(
    path: Path, opened: Callable[[], Document], tmp_path: Path, damage: bytes
) -> None:
    before = path.read_bytes()
    document = opened()
    for number in range(3):
        write_answer(document, 0, f"answer {number}")
    document.close()
    log = log_of(path, tmp_path)
    lines = log.read_bytes().splitlines(keepends=True)
    damaged = b"".join([lines[0], damage + (b"" if damage.endswith(b"\n") else lines[1]), *lines[2:]])
    log.write_bytes(damaged)
    with pytest.raises(DataError) as error:
        opened()
    assert error.value.code == "journal_odd"
    assert (error.value.values["folder"] / "journal.jsonl").read_bytes() == damaged
    assert answers(opened()) == ["first", "second", "third", "fourth", "second"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_full_disk_refuses_the_edit_and_changes_nothing(
    opened: Callable[[], Document], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    document = opened()
    write_answer(document, 0, "before")

    def full(handle: int, *content: bytes) -> int:
        if call == "write":
            real_write(handle, content[0][: len(content[0]) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    real_write = os.write
    revision = document.revision
    for action in (
        lambda: write_answer(document, 1, "too much"),
        document.undo,
        lambda: document.change(Change(0, document.samples[0], None)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(DataError) as error:
                action()
        assert error.value.code == "journal_unwritable"
        assert "No space left" in error.value.what
        assert answers(document) == ["before", "second", "third", "fourth", "second"]
        assert len(document.facts) == 5
        assert (document.revision, document.can_redo) == (revision, False)
    write_answer(document, 1, "there is room again")
    document.undo()
    document.redo()
    assert answers(opened())[:2] == ["before", "there is room again"]


def test_refused_edit_never_spoils_a_later_one_even_when_it_cannot_be_taken_back(
    opened: Callable[[], Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = opened()
    write_answer(document, 0, "before")

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(DataError):
            write_answer(document, 1, "a long answer that was refused")
    write_answer(document, 2, "later")
    assert answers(opened())[:3] == ["before", "second", "later"]


OTHER_LAB = """
import sys
from pathlib import Path
from document_model import open_document, write_answer
document = open_document(Path(sys.argv[1]), Path(sys.argv[2]))
for line in sys.stdin:
    try:
        {"edit": lambda: write_answer(document, 0, "theirs"), "save": document.save, "look": lambda: None,
         "discard": document.discard}[line.strip()]()
        print("done", document.samples[0].turns[-1].text, flush=True)
    except Exception as error:
        print(getattr(error, "code", repr(error)), flush=True)
"""


@pytest.fixture
def other(path: Path, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """A second lab on the same data set, told what to do; "end" kills it."""
    command = [sys.executable, "-c", OTHER_LAB, str(path), str(tmp_path / "home")]
    running: list[subprocess.Popen[str]] = []

    def tell(what: str) -> str:
        if what == "end":
            running[-1].kill()
            running.pop().wait()
            return ""
        if not running:
            folder = str(Path(__file__).parent)
            running.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder)
            )
        stdin, stdout = running[-1].stdin, running[-1].stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(what + "\n")
        stdin.flush()
        return stdout.readline().strip()

    yield tell
    if running:
        tell("end")


def test_second_lab_reads_but_does_not_edit(opened: Callable[[], Document], other: Callable[[str], str]) -> None:
    document = opened()
    assert other("look") == "done first"
    write_answer(document, 0, "mine")
    assert other("edit") == "edited_elsewhere"
    document.close()
    assert other("edit") == "edited_meanwhile"
    assert answers(opened())[0] == "mine"


def test_edits_of_a_killed_lab_are_found_by_the_one_that_was_only_looking(
    opened: Callable[[], Document], other: Callable[[str], str]
) -> None:
    other("edit")
    document = opened()
    assert answers(document)[0] == "first"
    assert not document.outdated()
    with pytest.raises(DataError, match="another Qwenlab"):
        write_answer(document, 1, "mine")
    other("end")
    assert document.outdated()
    with pytest.raises(DataError, match="edited this data set since"):
        write_answer(document, 1, "mine")
    document = opened()
    assert answers(document)[0] == "theirs"
    write_answer(document, 1, "mine")
    assert answers(opened())[:2] == ["theirs", "mine"]


def test_unsaved_edits_that_another_lab_saved_or_dropped_are_not_shown_on(
    opened: Callable[[], Document], other: Callable[[str], str]
) -> None:
    write_answer(opened(), 1, "mine")
    document = opened()
    assert document.edited
    assert other("look") == "done first"
    other("discard")
    other("end")
    assert document.outdated()
    document = opened()
    assert answers(document)[1] == "second"
    assert not document.edited


def test_long_log_is_cut_at_a_save_and_keeps_the_last_steps(
    path: Path, opened: Callable[[], Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LONGEST_LOG", 20_000)
    monkeypatch.setattr(documents, "KEPT_STEPS", 10)
    document = opened()
    for number in range(60):
        write_answer(document, 0, f"answer {number}")
    document.undo()
    document.undo()
    assert log_of(path, tmp_path).stat().st_size > 20_000
    document.save()
    assert log_of(path, tmp_path).stat().st_size < 10_000
    document = opened()
    assert not document.edited
    seen = [answers(document)[0]]
    while document.can_undo:
        document.undo()
        seen.append(answers(document)[0])
    assert seen == [f"answer {number}" for number in range(57, 46, -1)]
    while document.can_redo:
        document.redo()
    assert answers(opened())[0] == "answer 59"


def test_one_huge_step_can_still_be_undone_after_a_save(
    opened: Callable[[], Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LONGEST_LOG", 1000)
    document = opened()
    write_answer(document, 0, "small")
    write_answer(document, 0, "x" * 5000)
    document.save()
    document = opened()
    document.undo()
    assert answers(document)[0] == "small"
    assert not document.can_undo
