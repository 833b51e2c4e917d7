"""Files of the workspace that something damaged: the page still opens, and nothing of the others is lost."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from pathlib import Path

import pytest
from attacks.stranger import Stranger, running
from model_shapes import SMOLLM2
from ui.small_result import run as small_result

from qwenlab import files
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.document import Document
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Sample
from qwenlab.evals import batch, burned, selection
from qwenlab.evals.preferences import Vote, VoteLog, Voter
from qwenlab.evals.suite import load_suite
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.models.contestant import Answer
from qwenlab.training.recipe import read
from qwenlab.ui.judging import Wanted
from qwenlab.ui.kept_talks import TalkStore
from qwenlab.ui.roster import Entrant
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.workspace import Workspace

SEED = 5
THOROUGH = bool(os.environ.get("QWENLAB_TEST_THOROUGH"))
"""All damages of each file, which takes four minutes; otherwise two, in turn."""
CONTENTS = {
    "empty": b"",
    "noise": random.Random(SEED).randbytes(900),
    "another shape": b"[[1], null]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "wrong types": b'{"kind": [], "conversations": 1, "exchanges": {}, "files": 3, "event": {}, "model": []}',
}


def _sample(words: str) -> Sample:
    return Sample.make("a", [("user", words), ("assistant", "a")])


def _filled(home: Workspace) -> None:
    """One of everything."""
    path = new_data_set(home, "d", [_sample("before")])
    new_data_set(home, "other", [_sample("the other one")])
    files.write_json(home.data / "d.lab.json", {"samples": {"a": {"note": "n"}}})
    document = Document.open(path, home)
    document.change([Change(0, document.samples[0], _sample("edited"))])
    document.close()
    files.write_json(home.suites / "s.json", {"name": "s", "cases": [{"id": "c", "prompt": "p", "expected": "x"}]})
    small_result(home.results / "s-1")
    job = Job(home.runs / "r-1")
    files.write_json(job.folder / "recipe.json", read({"model": "smollm2-135m", "data": str(path)}).model_dump())
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job.report("phase", name="loading")
    job.report("step", step=1, total=2, loss=1.0, learning_rate=1e-3, tokens_per_s=1.0, memory_bytes=1, eta_seconds=1.0)
    job.finish("finished")
    files.write_json(home.exports / "e" / "qwenlab-export.json", {"kind": "merged", "base": "x", "files": {}})
    reply = Reply(Entrant("x", "x", "endpoint"))
    reply.end(Answer("yes", "stop"), Wanted())
    TalkStore(home.talks).save(Talk(exchanges=[Exchange("hello", [reply])]))
    voters = (Voter("a", "a"), Voter("b", "b"))
    VoteLog(home.talks / "votes.jsonl").append(Vote("k", "2026-01-01", voters, 0))
    files.write_json(home.root / "choices.json", {"dataset": str(path), "suite": "s"})
    for model in ("smollm2-135m", "fetched"):
        files.write_json(home.models / model / "config.json", {"model_type": "llama", **SMOLLM2})
        files.write_json(home.models / model / catalogue.COMPLETE, {"hub": "owner/name"})
    files.write_json(home.root / "model-folders.json", {"folders": [str(home.models / "fetched")]})
    burned.mark(home, "s", {"c": "a"}, path)
    selection.remember(job.folder, load_suite(home.suites / "s.json"), load_suite(home.suites / "s.json"))
    files.write_json(job.folder / "base.json", {"folder": str(home.models / "smollm2-135m")})
    question = batch.Question(({"role": "user", "content": "hello"},))
    batch.prepare(home.batches / "b-1", batch.Plan((("one", "x"),)), [question])


def test_every_damaged_file_leaves_the_rest_of_the_page_alive(tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    _filled(home)
    written = sorted(path for path in home.root.rglob("*") if path.is_file() and path.name != "lock")
    assert len(written) > 30
    surprised = []
    with running(home.root, log=tmp_path / "log") as address:
        for at, path in enumerate(written):
            before = path.read_bytes()
            damages = list({**CONTENTS, "half": before[: len(before) // 2]}.items())
            for name, content in damages if THOROUGH else (damages[at % 7], damages[(at + 3) % 7]):
                path.write_bytes(content)
                said = Stranger(address).open_page()
                if "did not expect" in said or "other.train.json" not in said:
                    surprised.append(f"{path.relative_to(home.root)}: {name}")
            path.write_bytes(before)
        assert surprised == [], "\n".join(surprised)
        assert "edited" in Stranger(address).open_page(), "all is as it was once the files are"


@pytest.mark.parametrize("jump", [-7200.0, 7200.0], ids=["back", "forward"])
def test_clock_that_jumps_during_a_run_leaves_its_picture_whole(jump: float, tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    _filled(home)
    job = Job(home.runs / "r-1")
    log = job.folder / "events.jsonl"
    step = json.loads(log.read_text(encoding="utf-8").splitlines()[1])
    (job.folder / "done.json").unlink()
    for number in range(2, 6):
        moved = {**step, "step": number, "total": 9, "time": time.time() + (jump if number > 3 else 0)}
        files.append_line(log, json.dumps(moved))
    with running(home.root, log=tmp_path / "log") as address:
        said = Stranger(address).open_page()
    assert "did not expect" not in said
    assert "r-1" in said


def test_two_labs_on_one_workspace_never_write_over_each_other(tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    path = new_data_set(home, "d", [_sample("before")])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with running(home.root, log=tmp_path / "1") as one, running(home.root, log=tmp_path / "2") as two:
        first, second = Stranger(one), Stranger(two)
        first.open_page()
        second.open_page()
        assert "first lab" in _type(first, "first lab", 1)
        said = _type(second, "second lab", 1)
        assert "edited elsewhere" in said or "another" in said.lower()
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, "nothing was saved yet"
        assert "first lab" in first.web.get("/download/data/json").text
        assert "second lab" not in first.web.get("/download/data/json").text


def _type(visitor: Stranger, words: str, seq: int) -> str:
    """Write into the first box of the first sample; what the page says."""
    (talk,) = visitor.calls("conversation", "submit")
    event = {"do": "text", "seq": seq, "at": 0, "texts": [{"turn": 0, "text": words}]}
    return visitor.call(talk, [None] * len(talk["inputs"]), event)
