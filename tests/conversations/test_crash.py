"""The lab is killed, hundreds of times, at any moment: nothing that was accepted is lost, no file is ever half.

One child process imports the lab once and forks a worker for every life; each worker is killed with SIGKILL, at a
random moment or just before its n-th system call that changes a file.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from document_model import Entry, Model, entry_of, new_sample, open_document, start, tag, write_answer

from qwenlab.conversations import dataset as datasets
from qwenlab.conversations import document as documents
from qwenlab.conversations.dataset import DataSet, versions
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
LIVES = 300
KINDS = ("write", "write", "tag", "insert", "delete", "both", "undo", "redo", "save")


def edited(number: int, entries: tuple[Entry, ...]) -> tuple[str, list[Entry], list[tuple[int, Entry | None]]]:
    """The `number`-th deed on a set: its kind, the set after it, and the places it puts an entry at (None: removes)."""
    chance = random.Random(number)
    kind = chance.choice(KINDS)
    at = chance.randrange(len(entries)) if entries else 0
    if kind in ("undo", "redo", "save"):
        return kind, list(entries), []
    if kind == "insert" or len(entries) < 2:
        made = Entry(chance.choice(["", "a", f"new {number}"]), f"answer {number}")
        return "insert", [*entries[:at], made, *entries[at:]], [(at, made)]
    if kind == "delete":
        return kind, [*entries[:at], *entries[at + 1 :]], [(at, None)]
    if kind == "tag":
        tagged = entries[at]._replace(tags=(f"tag {number}",))
        return kind, [*entries[:at], tagged, *entries[at + 1 :]], [(at, tagged)]
    written = Entry(entries[at].id, f"answer {number} 改过", entries[at].tags)
    after = [*entries[:at], written, *entries[at + 1 :]]
    if kind == "both":  # one step of two changes: together or not at all
        after[0] = Entry(after[0].id, f"both {number}", after[0].tags)
        return kind, after, [(at, written), (0, after[0])]
    return kind, after, [(at, written)]


def do(document: Document, number: int) -> None:
    """Do the `number`-th deed on the real data set."""
    kind, _, changes = edited(number, tuple(entry_of(sample) for sample in document.samples))
    if kind in ("undo", "redo", "save"):
        getattr(document, kind)()
    elif kind == "insert":
        at, made = changes[0]
        assert made is not None
        document.change(Change(at, None, new_sample(made.id, made.answer)))
    elif kind == "delete":
        document.change(Change(changes[0][0], document.samples[changes[0][0]], None))
    elif kind == "tag":
        at, made = changes[0]
        assert made is not None
        tag(document, at, made.tags)
    elif kind == "write":
        at, made = changes[0]
        assert made is not None
        write_answer(document, at, made.answer)
    else:
        steps: list[Change] = []
        known = list(document.samples)
        for at, made in changes:
            assert made is not None
            *before, last = known[at].turns
            new = known[at].with_turns([*before, type(last)(last.role, made.answer, last.raw)])
            steps.append(Change(at, known[at], new))
            known[at] = new
        document.change(steps)


def follow(model: Model, number: int) -> str:
    """Do the `number`-th deed on the model."""
    kind, after, _ = edited(number, model.now)
    if kind in ("undo", "redo", "save"):
        getattr(model, kind)()
    else:
        model.edit(after)
    return kind


# --- the child ---------------------------------------------------------------------------------------------


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def live(orders: dict[str, Any]) -> None:
    """A worker's life, until it is killed."""
    say("pid", os.getpid())
    if "die_at" in orders:
        die_at_call(orders["die_at"])
        SCENES[orders["scene"]](Path(orders["path"]), Path(orders["home"]))
        say("end")
        return
    documents.LONGEST_LOG, documents.KEPT_STEPS = orders["longest"], 3
    document = open_document(Path(orders["path"]), Path(orders["home"]))
    for number in range(orders["first"], orders["first"] + 10_000):
        do(document, number)
        say("accepted", number)


def die_at_call(number: int) -> None:
    """Be killed just before the `number`-th call that changes a file."""
    left = [number]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.remove", "os.truncate", "os.mkdir", "os.chmod"):
            count()

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(handle: int, *content: bytes) -> Any:
            if handle > 2:
                count()
            return real(handle, *content)

        return call

    sys.addaudithook(watch)
    os.write, os.fsync = counted(os.write), counted(os.fsync)


def nursery() -> None:
    """Fork a worker for every line of orders; tell when it is dead."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                live(json.loads(line))
            except BaseException as error:
                say("error", repr(error))
            os._exit(0)
        os.waitpid(pid, 0)
        say("dead")


class Child:
    """The child as the test sees it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def begin(self, **orders: Any) -> int:
        """Start a worker; returns its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({key: str(v) if isinstance(v, Path) else v for key, v in orders.items()}))
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._line()[1])

    def said(self) -> Iterator[list[str]]:
        """What the worker says until it is dead."""
        while (words := self._line()) != ["dead"]:
            assert words[0] != "error", words
            yield words

    def _line(self) -> list[str]:
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.close()


# --- at random moments -------------------------------------------------------------------------------------


def state(document: Document) -> list[Entry]:
    return [entry_of(sample)._replace(source=None) for sample in document.samples]


def plain(entries: tuple[Entry, ...]) -> list[Entry]:
    return [entry._replace(source=None) for entry in entries]


def on_disk(path: Path) -> list[tuple[str, str]]:
    return [(raw.get("id", ""), raw["conversations"][-1]["value"]) for raw in json.loads(path.read_bytes())]


def words(entries: tuple[Entry, ...]) -> list[tuple[str, str]]:
    return [(entry.id, entry.answer) for entry in entries]


@contextmanager
def opened(path: Path, home: Path) -> Iterator[Document]:
    document = open_document(path, home)
    try:
        yield document
    finally:
        document.close()


@pytest.mark.parametrize("longest", [16 * 2**20, 1], ids=["whole log", "log cut at every save"])
def test_killed_at_any_moment_nothing_accepted_is_lost(child: Child, tmp_path: Path, longest: int) -> None:
    path, home = tmp_path / "shop.train.json", tmp_path / "home"
    start(path)
    with opened(path, home) as document:
        model = Model([entry_of(sample) for sample in document.samples])
    chance = random.Random(longest)
    done, accepted = 0, 0
    for _ in range(LIVES // 2):
        pid = child.begin(path=path, home=home, first=done, longest=longest)
        deeds = chance.randrange(8)
        for count, (_, number) in enumerate(child.said()):
            if count == deeds:
                time.sleep(chance.uniform(0, 0.02))
                os.kill(pid, signal.SIGKILL)
            assert int(number) == done
            if follow(model, done) == "save" and longest == 1:
                model.past = model.past[-1:]
            done, accepted = done + 1, accepted + 1
        with opened(path, home) as document:
            # The deed that was interrupted is there as a whole, or not at all.
            before = (model.now, list(model.past), list(model.future), model.disk)
            follow(model, done)
            if state(document) == plain(model.now) and document.can_redo == bool(model.future):
                done += 1
            else:
                model.now, model.past, model.future, model.disk = before
            assert state(document) == plain(model.now)
            model.disk = next(disk for disk in (before[-1], model.disk) if words(disk) == on_disk(path))
            assert document.can_redo == bool(model.future)
            steps = len(document._history.done)
            assert steps == len(model.past) or (longest == 1 and steps == 1)
            model.past = model.past[len(model.past) - steps :]
    assert accepted > 2 * LIVES
    if longest > 1:
        with opened(path, home) as document:
            while document.can_undo:
                document.undo()
                model.undo()
                assert state(document) == plain(model.now)
            assert not model.past


# --- before every single call ------------------------------------------------------------------------------


def scene_edit_and_save(path: Path, home: Path) -> None:
    document = open_document(path, home)
    write_answer(document, 0, "edited")
    say("accepted")
    tag(document, 1, ("new",))
    say("accepted")
    document.save()
    say("accepted")
    document.undo()
    say("accepted")


def scene_labels(path: Path, home: Path) -> None:
    document = open_document(path, home)
    tag(document, 1, ("new",))
    say("accepted")
    document.save()
    say("accepted")
    document.undo()
    say("accepted")
    document.save()
    say("accepted")


def scene_copy(path: Path, home: Path) -> None:
    document = open_document(path, home)
    write_answer(document, 0, "edited")
    say("accepted")
    path.write_text("[]")  # another program
    document.save_copy()
    say("accepted")


def scene_discard(path: Path, home: Path) -> None:
    document = open_document(path, home)
    write_answer(document, 0, "edited")
    say("accepted")
    path.write_text("[]")
    document.discard()
    say("accepted")


def scene_shipped(path: Path, home: Path) -> None:
    datasets.SHIPPED = path.parent.parent
    document = open_document(path, home)
    write_answer(document, 0, "edited")
    say("accepted")
    document.save()
    say("accepted")


SCENES = {
    "edit": scene_edit_and_save,
    "labels": scene_labels,
    "copy": scene_copy,
    "discard": scene_discard,
    "shipped": scene_shipped,
}


def deaths(child: Child, scene: str, tmp_path: Path) -> Iterator[tuple[Path, Path, int]]:
    """Play a scene again and again, killed one call later each time: (file, workspace, accepted deeds)."""
    for die_at in range(1, 200):
        folder = tmp_path / str(die_at)
        path, home = folder / "data" / "shop.train.json", folder / "home"
        path.parent.mkdir(parents=True)
        start(path)
        child.begin(scene=scene, die_at=die_at, path=path, home=home)
        said = [line[0] for line in child.said()]
        yield path, home, said.count("accepted")
        if "end" in said:
            assert die_at > 10
            return
    raise AssertionError("the scene never came to its end")


def test_killed_before_any_call_of_edit_save_and_undo(child: Child, tmp_path: Path) -> None:
    for path, home, accepted in deaths(child, "edit", tmp_path):
        json.loads(path.read_bytes())
        with opened(path, home) as document:
            found = (document.samples[0].turns[-1].text, document.samples[1].labels.tags, document.edited)
            stages = [
                ("first", (), False),
                ("edited", (), True),
                ("edited", ("new",), True),
                ("edited", ("new",), False),
                ("edited", (), True),
            ]
            assert found in stages[accepted : accepted + 2]
            assert not document.orphan
            while document.can_undo:
                document.undo()
            assert state(document) == plain(tuple(entry_of(sample) for sample in DataSet.open(first(path)).samples))


def test_killed_before_any_call_while_only_labels_change(child: Child, tmp_path: Path) -> None:
    for path, home, accepted in deaths(child, "labels", tmp_path):
        assert path.read_bytes() == first(path).read_bytes()
        with opened(path, home) as document:
            found = (document.samples[1].labels.tags, document.edited)
            stages = [((), False), (("new",), True), (("new",), False), ((), True), ((), False)]
            assert found in stages[accepted : accepted + 2]


def first(path: Path) -> Path:
    """The file as it was in the beginning."""
    start(path.with_name("first.json"))
    return path.with_name("first.json")


def test_killed_before_any_call_of_a_copy_both_versions_are_there(child: Child, tmp_path: Path) -> None:
    for path, home, accepted in deaths(child, "copy", tmp_path):
        copy = home / "data" / "shop.train.json"
        assert path.read_bytes() in (b"[]", first(path).read_bytes(), b"")
        if accepted == 0:
            continue
        if copy.exists():
            with opened(copy, home) as document:
                assert document.samples[0].turns[-1].text == "edited"
                assert document.samples[0].labels.edited
                assert document.can_undo
                assert not document.edited
        if accepted < 2 and not copy.exists():
            with opened(path, home) as document:
                assert document.samples[0].turns[-1].text == "edited"
                assert document.edited
                assert document.orphan == (path.read_bytes() != first(path).read_bytes())
        assert accepted < 2 or copy.exists()


def test_killed_before_any_call_of_dropping_edits_they_are_in_the_log_or_a_version(
    child: Child, tmp_path: Path
) -> None:
    for path, home, accepted in deaths(child, "discard", tmp_path):
        if accepted == 0:
            continue
        kept = [version.read_text("utf-8") for version in versions(path)]
        with opened(path, home) as document:
            if document.edited:
                assert document.samples[0].turns[-1].text == "edited"
                assert accepted < 2
            else:
                assert any('"edited"' in text for text in kept)
                assert document.samples == []


def test_killed_before_any_call_of_the_first_edit_of_a_shipped_set(child: Child, tmp_path: Path) -> None:
    for path, home, accepted in deaths(child, "shipped", tmp_path):
        assert path.read_bytes() == first(path).read_bytes()
        copy = home / "data" / "shop.train.json"
        if not copy.exists():
            assert accepted == 0
            continue
        with opened(copy, home) as document:
            answer = document.samples[0].turns[-1].text
            assert answer == "edited" if accepted else answer in ("first", "edited")
            assert accepted < 2 or not document.edited


if __name__ == "__main__":
    nursery()
