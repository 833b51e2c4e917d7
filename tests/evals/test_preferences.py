"""Votes: kept, counted in pairs, and said in words that promise no more than they know."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.evals.preferences import Vote, VoteLog, Voter, sentence, tally, to_csv

BASE, TUNED, SMALL = Voter("base", "m", "aa"), Voter("tuned", "m+run", "bb"), Voter("small", "x.gguf", "cc")


def vote(key: str, best: int | None, *who: Voter) -> Vote:
    return Vote(key, "2026-01-01T00:00:00Z", who or (BASE, TUNED), best, message="=1+1", answers=("a", "b"))


def votes(wins: int, losses: int, same: int = 0) -> list[Vote]:
    bests = [1] * wins + [0] * losses + [None] * same
    return [vote(str(at), best) for at, best in enumerate(bests)]


@pytest.mark.parametrize(
    ("wins", "losses", "same", "code"),
    [(5, 0, 0, "few"), (6, 0, 0, "sure"), (9, 3, 0, "chance"), (10, 2, 4, "sure"), (4, 4, 0, "even"), (0, 0, 3, "few")],
)
def test_only_what_cannot_be_chance_is_sure(wins: int, losses: int, same: int, code: str) -> None:
    (pair,) = tally(votes(wins, losses, same))
    assert (pair.wins, pair.losses, pair.same, pair.code) == (wins, losses, same, code)
    assert 0 <= pair.low <= pair.high <= 1


def test_sentences_say_who_how_often_and_whether_it_is_chance() -> None:
    (pair,) = tally(votes(9, 3))
    assert sentence(pair, "en") == "tuned was preferred to base 9 of 12 times; that could still be chance."
    assert sentence(pair, "zh") == "12 次评判中有 9 次认为 tuned 优于 base；仍可能是偶然。"
    (pair,) = tally(votes(1, 11, 2))
    assert sentence(pair, "en") == "base was preferred to tuned 11 of 12 times (and 2 times the same): surely better."
    (pair,) = tally(votes(0, 0, 2))
    assert sentence(pair, "en").endswith("were found equally good 2 times.")


def test_side_on_which_an_answer_stood_makes_no_difference() -> None:
    (pair,) = tally([vote("1", 0, BASE, TUNED), vote("2", 1, TUNED, BASE)])
    assert (pair.name, pair.wins, pair.losses) == ("base", 2, 0)


def test_best_of_three_beats_each_other_and_says_nothing_of_them() -> None:
    pairs = tally([vote("1", 2, BASE, TUNED, SMALL)])
    assert {(pair.name, pair.other, pair.wins) for pair in pairs} == {("small", "base", 1), ("small", "tuned", 1)}
    assert len(tally([vote("1", None, BASE, TUNED, SMALL)])) == 3


def test_other_weights_under_one_name_are_counted_apart() -> None:
    again = Voter("tuned", "m+run", "dd")
    pairs = tally([vote("1", 1), vote("2", 1, BASE, again)])
    assert {pair.name for pair in pairs} == {"tuned (bb)", "tuned (dd)"}


def test_votes_outlive_a_torn_line_and_the_last_of_a_key_counts(tmp_path: Path) -> None:
    log = VoteLog(tmp_path / "sub" / "votes.jsonl")
    log.append(vote("1", 0))
    with log.path.open("ab") as file:
        file.write(b'{"key": "2", "ti')
    log.append(vote("3", None))
    log.append(vote("1", 1))
    assert [(one.key, one.best) for one in log.read()] == [("3", None), ("1", 1)]
    assert log.read()[0] == vote("3", None)


def test_vote_for_nobody_there_is_left_out(tmp_path: Path) -> None:
    log = VoteLog(tmp_path / "votes.jsonl")
    log.append(vote("1", 5))
    assert log.read() == []


def test_vote_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "votes").write_text("a file where a folder is wanted", encoding="utf-8")
    with pytest.raises(QwenlabError, match="cannot be written"):
        VoteLog(tmp_path / "votes" / "votes.jsonl").append(vote("1", 0))


def test_table_has_real_names_and_no_formulas() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(votes(1, 0, 1)).decode("utf-8-sig"))))
    assert [(row["best"], row["name_1"], row["answer_2"]) for row in rows] == [
        ("tuned", "base", "b"),
        ("", "base", "b"),
    ]
    assert rows[0]["message"] == "'=1+1"
