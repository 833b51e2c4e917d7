"""A full disk and a workspace that cannot be written: one sentence, and what was there is still there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qwenlab import accounts, failures, files
from qwenlab.conversations.dataset import DataSet, new_data_set
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals import batch, burned
from qwenlab.evals.answers import Answered, AnswerLog
from qwenlab.evals.preferences import Vote, VoteLog, Voter
from qwenlab.jobs import Job
from qwenlab.models.contestant import Answer
from qwenlab.ui.judging import Wanted
from qwenlab.ui.kept_talks import TalkStore
from qwenlab.ui.lab import Lab
from qwenlab.ui.roster import Entrant
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.workspace import SHIPPED, Workspace

LARGE = "x" * 300_000
"""More than the little that is left on the disk."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    if os.name == "nt" or os.geteuid():
        pytest.skip("needs root to make a disk of its own")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=False).returncode:
        pytest.skip("needs a machine that can mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def _fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def _sample(words: str) -> Sample:
    return Sample.make("a", [("user", words), ("assistant", "a")])


def _talk(words: str) -> Talk:
    reply = Reply(Entrant("x", "x", "endpoint"))
    reply.end(Answer("yes", "stop"), Wanted())
    return Talk(id="20260101-000000-ab", exchanges=[Exchange(words, [reply])])


def _edit(workspace: Workspace, words: str) -> None:
    document = Document.open(workspace.data / "d.train.json", workspace)
    try:
        document.change([Change(0, document.samples[0], _sample(words))])
        document.save()
    finally:
        document.close()


def _vote(words: str) -> Vote:
    return Vote("k", "2026-01-01", (Voter("a", "a"), Voter("b", "b")), 0, message=words)


WRITERS: dict[str, tuple[Callable[[Workspace, str], object], str]] = {
    "data set and its log of edits": (_edit, "data/d.train.json"),
    "new data set": (lambda home, words: new_data_set(home, "n", [_sample(words)]), ""),
    "labels": (lambda home, words: files.write_text(home.data / "d.lab.json", words), "data/d.lab.json"),
    "suite": (lambda home, words: files.write_text(home.suites / "s.yaml", words), "eval_suites/s.yaml"),
    "conversation": (lambda home, words: TalkStore(home.talks).save(_talk(words)), "talks/20260101-000000-ab.json"),
    "verdict": (lambda home, words: VoteLog(home.talks / "votes.jsonl").append(_vote(words)), ""),
    "answer of a test": (
        lambda home, words: AnswerLog(home.results / "answers.jsonl").append(Answered("c", Answer(words, "stop"))),
        "",
    ),
    "event of a job": (lambda home, words: Job(home.jobs / "j").report("note", words=words), ""),
    "start of a job": (lambda home, words: Job(home.jobs / "k").start("x" + words, ["this"]), ""),
    "choices": (lambda home, words: Lab(home).choose(model=words), "choices.json"),
    "users": (lambda home, words: _users(home, words), "users.txt"),
    "batch of messages": (lambda home, words: _batch(home, words), ""),
    "case sent to training": (lambda home, words: burned.mark(home, "s", {words: "a"}, home.data / "d"), ""),
}


def _users(home: Workspace, words: str) -> None:
    accounts.put(home, "li", "long enough")
    files.write_text(accounts.file_of(home), accounts.file_of(home).read_text(encoding="utf-8") + words)


def _batch(home: Workspace, words: str) -> None:
    asked = [batch.Question(({"role": "user", "content": words[:1000]},)) for _ in range(len(words) // 1000 + 1)]
    batch.prepare(home.batches / f"b{len(words)}", batch.Plan((("one", "x"),)), asked)


@pytest.mark.parametrize("name", list(WRITERS))
def test_full_disk_is_told_by_every_writer_and_leaves_what_was_there(name: str, disk: Path) -> None:
    write, kept = WRITERS[name]
    home = Workspace(disk / "home")
    new_data_set(home, "d", [_sample("before")])
    (home.jobs / "j").mkdir()
    if kept:
        write(home, "before")
    before = (home.root / kept).read_bytes() if kept else b""
    filler = _fill(disk)
    with pytest.raises((QwenlabError, OSError)) as caught:
        write(home, LARGE)
    explained = str(failures.explain(caught.value))
    assert "disk" in explained.lower() or "No space" in explained
    if kept:
        assert (home.root / kept).read_bytes() == before
    assert len(DataSet.open(home.data / "d.train.json").samples) == 1
    filler.unlink()
    with contextlib.suppress(Exception) if name == "start of a job" else contextlib.nullcontext():
        write(home, "after")


def test_lab_on_a_disk_that_cannot_be_written_says_so_and_leaves_it_alone(disk: Path) -> None:
    home = Workspace(disk / "home")
    new_data_set(home, "d", [_sample("before")])
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    command = [sys.executable, str(SHIPPED / "app.py"), "--port", "0", "--workspace", str(home.root)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "--workspace" in ended.stderr
    assert "Traceback" not in ended.stderr
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert len(DataSet.open(home.data / "d.train.json").samples) == 1
