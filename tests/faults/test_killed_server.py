"""kill -9 of the lab at any moment while somebody edits: what the page had said is there when it is started again."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from pathlib import Path

import httpx
import psutil
from attacks.stranger import Stranger, running

from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.workspace import Workspace

KILLS = int(os.environ.get("QWENLAB_TEST_KILLS", "3"))
"""QWENLAB_TEST_KILLS=200 takes a quarter of an hour."""
SEED = int(os.environ.get("QWENLAB_TEST_SEED", "6"))


def test_server_killed_at_any_moment_loses_nothing_that_the_page_had_said(tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    path = new_data_set(home, "d", [Sample.make("a", [("user", "begun"), ("assistant", "a")])])
    moments, said, number = random.Random(SEED), ["begun"], 0
    for kill in range(KILLS + 1):
        with running(home.root, log=tmp_path / "log") as address:
            visitor = Stranger(address)
            there = visitor.web.get("/download/data/json").json()[0]["conversations"][0]["value"]
            assert there in said[-2:], "the last words that were confirmed, or the ones that were on their way"
            if kill == KILLS:
                break
            killed = threading.Event()
            killer = threading.Timer(moments.uniform(0, 0.6), _kill, [home.root, killed])
            killer.start()
            said = [there]
            try:
                while True:
                    number += 1
                    said.append(f"words {number}")
                    _type(visitor, said[-1], number, save=number % 3 == 0)
                    said = said[-1:]
            except (httpx.HTTPError, AssertionError):
                assert killed.is_set(), "an edit was refused though the lab was alive"
            killer.join()
    json.loads(path.read_text(encoding="utf-8"))
    print(f"{KILLS} kills, {number} edits, seed {SEED}")


def _type(visitor: Stranger, words: str, seq: int, save: bool) -> None:
    (talk,) = visitor.calls("conversation", "submit")
    texts = [{"turn": 0, "text": words}]
    answer = visitor.call(talk, visitor.values(talk), {"do": "text", "seq": seq, "at": 0, "texts": texts})
    assert words in answer
    if save:
        visitor.call(talk, visitor.values(talk), {"do": "save", "seq": seq, "at": 0, "texts": []})


def _kill(home: Path, killed: threading.Event) -> None:
    killed.set()
    for one in psutil.process_iter(["cmdline"]):
        if str(home) in (one.info["cmdline"] or []):
            one.send_signal(signal.SIGKILL)
            one.wait(10)
