"""Answers given before: found by what made them, never by a name, and never when they are damaged."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedContestant
from small_suites import tickets

from qwenlab.evals.answer_cache import AnswerCache
from qwenlab.evals.result import Result
from qwenlab.evals.runner import run
from qwenlab.models.contestant import Answer, Generation, Message

QUESTION = [Message(role="user", content="Hi")]
GREEDY = Generation()


class Weights(ScriptedContestant):
    """A contestant that says more of itself."""

    def __init__(self, name: str, **about: str) -> None:
        super().__init__(name, lambda _: "{}")
        self._about = about

    def describe(self) -> dict[str, str]:
        return {"kind": "model", "weights": "w", "tokenizer": "t", "model": "folder", **self._about}


def asked(folder: Path, contestant: ScriptedContestant, cache: Path, **changes: Any) -> tuple[int, Result]:
    found = run(tickets(**changes), [contestant], folder, cache=AnswerCache(cache))
    return len(contestant.asked), found


def test_the_same_weights_are_not_asked_twice_whatever_they_are_called(tmp_path: Path) -> None:
    first = asked(tmp_path / "a", Weights("base"), tmp_path / "cache")
    second, found = asked(tmp_path / "b", Weights("other", model="moved"), tmp_path / "cache")
    assert (first[0], second) == (3, 0)
    one = found.contestants[0]
    assert one.cached == 3
    assert all(answered.cached for answered in one.answers.values())
    assert one.tokens_per_s is None, "no speed is measured on what was not computed"
    assert one.to_json()["cached"] == 3
    assert one.scores == first[1].contestants[0].scores


@pytest.mark.parametrize(
    "change",
    [{"weights": "x"}, {"tokenizer": "x"}, {"template": "x"}, {"adapter_weights": "x"}, {"dtype": "x"},
     {"schema": "x"}, {"ends": "x"}, {"kind": "gguf"}, {"engine": "x"}, {"config": "x"}, {"adapter_config": "x"},
     {"trained_weights": "x"}, {"computed": "cuda, plain"}, {"slots": "1"}],
)  # fmt: skip
def test_anything_that_makes_another_answer_is_asked(tmp_path: Path, change: dict[str, str]) -> None:
    asked(tmp_path / "a", Weights("base"), tmp_path / "cache")
    assert asked(tmp_path / "b", Weights("base", **change), tmp_path / "cache")[0] == 3


@pytest.mark.parametrize(
    "change",
    [{"system": "Other."}, {"generation": {"max_new_tokens": 9}}, {"generation": {"temperature": 1}},
     {"generation": {"thinking": True}}],
)  # fmt: skip
def test_other_messages_or_settings_are_asked(tmp_path: Path, change: dict[str, Any]) -> None:
    asked(tmp_path / "a", Weights("base"), tmp_path / "cache")
    count = asked(tmp_path / "b", Weights("base"), tmp_path / "cache", **change)[0]
    assert count == (2 if "system" in change else 3), "one case has a system turn of its own"


def test_the_seed_matters_only_where_something_is_drawn(tmp_path: Path) -> None:
    cache, one = AnswerCache(tmp_path), Weights("base")
    known = cache.of(one, GREEDY)
    assert known is not None
    known.keep(QUESTION, Answer("x", "stop"))
    other, drawn = cache.of(one, Generation(seed=5)), cache.of(one, Generation(temperature=1, seed=5))
    assert other is not None
    assert drawn is not None
    assert other.find(QUESTION) == Answer("x", "stop")
    assert drawn.find(QUESTION) is None


def test_a_template_that_writes_the_date_is_asked_again_tomorrow(tmp_path: Path) -> None:
    plain, dated = Weights("base"), Weights("base", dated="yes")
    for one, again in ((plain, True), (dated, False)):
        today = AnswerCache(tmp_path, lambda: date(2026, 1, 1)).of(one, GREEDY)
        assert today is not None
        today.keep(QUESTION, Answer("x", "stop"))
        tomorrow = AnswerCache(tmp_path, lambda: date(2026, 1, 2)).of(one, GREEDY)
        assert tomorrow is not None
        assert (tomorrow.find(QUESTION) is not None) == again


def test_an_endpoint_that_shows_no_weights_is_always_asked(tmp_path: Path) -> None:
    class Endpoint(ScriptedContestant):
        def describe(self) -> dict[str, str]:
            return {"kind": "endpoint", "url": "http://host/v1", "model": "m"}

    for folder in ("a", "b"):
        assert asked(tmp_path / folder, Endpoint("far", {}), tmp_path / "cache")[0] == 3


@pytest.mark.parametrize("finish", ["error", "context", "stopped"])
def test_what_is_no_answer_is_not_kept(tmp_path: Path, finish: Any) -> None:
    known = AnswerCache(tmp_path).of(Weights("base"), GREEDY)
    assert known is not None
    known.keep(QUESTION, Answer("x", finish))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["torn", "flipped", "garbage", "binary", "empty"])
def test_a_damaged_entry_is_as_if_it_were_not_there(tmp_path: Path, damage: str) -> None:
    asked(tmp_path / "a", Weights("base"), tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    file.write_bytes({
        "torn": content[:-20],
        "flipped": content.replace(b'"text": "{}"', b'"text": "[]"', 1),
        "garbage": b"".join([lines[0], b"nonsense\n", *lines[2:]]),
        "binary": b"\xff\xfe\x00" * 50,
        "empty": b"",
    }[damage])  # fmt: skip
    whole = damage in ("binary", "empty")
    assert asked(tmp_path / "b", Weights("base"), tmp_path / "cache")[0] == (3 if whole else 1)
    assert asked(tmp_path / "c", Weights("base"), tmp_path / "cache")[0] == 0, "what was missing is there again"


WRITER = """
import sys
from pathlib import Path
from qwenlab.evals.answer_cache import KnownAnswers
from qwenlab.models.contestant import Answer, Message
for number in range(300):
    text = f"{sys.argv[2]} {number} " + "x" * (number * 50)
    asked = [Message(role="user", content=f"{sys.argv[2]} {number}")]
    KnownAnswers(Path(sys.argv[1])).keep(asked, Answer(text, "stop"))
"""


def test_two_processes_may_write_at_the_same_time(tmp_path: Path) -> None:
    from qwenlab.evals.answer_cache import KnownAnswers

    path = tmp_path / "answers.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), who]) for who in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    known = KnownAnswers(path)
    for who in ("a", "b"):
        for number in range(300):
            answer = known.find([Message(role="user", content=f"{who} {number}")])
            assert answer is not None
            assert answer.text == f"{who} {number} " + "x" * (number * 50)
