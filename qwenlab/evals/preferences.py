"""Which answer a person liked better: votes kept one a line, and what they add up to for each pair of contestants."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals.compare import FEWEST
from qwenlab.evals.paired_tests import ALPHA, mcnemar
from qwenlab.evals.rates import wilson
from qwenlab.evals.words import Language

Code = Literal["sure", "chance", "even", "few"]
COLUMNS = ("time", "message", "contestants", "best", "blind", "talk", "key")


@dataclass(frozen=True)
class Voter:
    """One who was voted on.

    Attributes:
        name: what its column was called.
        spec: as `qwenlab test` takes it.
        weights: fingerprint of what answered; "" where it shows none. Other weights under the same name are
            somebody else.
    """

    name: str
    spec: str
    weights: str = ""

    @property
    def identity(self) -> str:
        """Equal for answers of the same weights."""
        return f"{self.spec}@{self.weights}"


@dataclass(frozen=True)
class Vote:
    """One verdict of a person on the answers to one message.

    Attributes:
        key: of these answers; a later vote with the same key takes the place of the earlier one.
        time: when, ISO 8601 in UTC.
        contestants: who answered, under their real names, from left to right as they were shown.
        best: which of them was best; None when the answers are as good as each other.
        blind: whether the names were hidden.
        message, answers: what was asked and answered. talk: the conversation it was in.
    """

    key: str
    time: str
    contestants: tuple[Voter, ...]
    best: int | None
    blind: bool = False
    message: str = ""
    answers: tuple[str, ...] = ()
    talk: str = ""

    @classmethod
    def of(cls, found: dict[str, Any]) -> Vote:
        """Read what `asdict` wrote. Raises TypeError, KeyError or ValueError for anything else."""
        voters = tuple(Voter(**one) for one in found["contestants"])
        best = found["best"]
        if best is not None and not 0 <= int(best) < len(voters):
            raise ValueError("nobody stands there")
        known = {key: value for key, value in found.items() if key in cls.__dataclass_fields__}
        return cls(**{**known, "contestants": voters, "answers": tuple(found.get("answers", ()))})


@dataclass(frozen=True)
class Pair:
    """What the votes say of two contestants.

    Attributes:
        name, other: the one that was preferred more often, and the other.
        wins, losses, same: votes for the first, for the other, for neither.
        low, high: 95 % Wilson interval of the share of wins among the decided votes, 0..1.
        p: two-sided exact sign test over the decided votes.
        code: sure (not chance at 5 %), chance, even, or few (too few decided votes to tell anything).
    """

    name: str
    other: str
    wins: int
    losses: int
    same: int
    low: float
    high: float
    p: float
    code: Code

    @property
    def decided(self) -> int:
        """Votes that name a better one."""
        return self.wins + self.losses


class VoteLog:
    """votes.jsonl: one vote a line, on disk before the page says so."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, vote: Vote) -> None:
        """Write one line durably.

        Raises:
            QwenlabError: when it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            files.append_line(self.path, json.dumps(asdict(vote), ensure_ascii=False), durable=True)
        except OSError as error:
            raise QwenlabError(
                f"The verdict cannot be written to {self.path}: {error.strerror}.",
                "Free some disk space, then vote again.",
                zh=(f"无法把评判写入 {self.path}：{error.strerror}。", "请释放一些磁盘空间，然后重新评判。"),
            ) from error

    def read(self) -> list[Vote]:
        """The votes that count, oldest first: the last one of each key; torn or strange lines are left out."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except OSError:
            return []
        found: dict[str, Vote] = {}
        for line in lines:
            try:
                vote = Vote.of(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue
            found.pop(vote.key, None)
            found[vote.key] = vote
        return list(found.values())


def tally(votes: Iterable[Vote]) -> list[Pair]:
    """One entry for each pair that was voted on, the most voted on first.

    The best of three or four is preferred to each of the others; of the others among themselves nothing is known.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    known: dict[str, Voter] = {}
    for vote in votes:
        known |= {one.identity: one for one in vote.contestants}
        for left, right in itertools.combinations(range(len(vote.contestants)), 2):
            if vote.best not in (None, left, right):
                continue
            names = vote.contestants[left].identity, vote.contestants[right].identity
            best = None if vote.best is None else vote.contestants[vote.best].identity
            pair = (min(names), max(names))
            counted = counts.setdefault(pair, [0, 0, 0])
            counted[2 if best is None else pair.index(best)] += 1
    shown = _names(known.values())
    pairs = [_pair(shown[pair[0]], shown[pair[1]], *counted) for pair, counted in counts.items()]
    return sorted(pairs, key=lambda pair: -(pair.decided + pair.same))


def _pair(name: str, other: str, wins: int, losses: int, same: int) -> Pair:
    if losses > wins:
        name, other, wins, losses = other, name, losses, wins
    p = mcnemar(wins, losses)
    code: Code = "few" if wins + losses < FEWEST else "even" if wins == losses else "sure" if p < ALPHA else "chance"
    return Pair(name, other, wins, losses, same, *wilson(wins, wins + losses), p, code)


def _names(voters: Iterable[Voter]) -> dict[str, str]:
    """Identity -> name, with the fingerprint where two bear the same name."""
    found = list(voters)
    names = [one.name for one in found]
    return {
        one.identity: f"{one.name} ({(one.weights or one.spec)[:8]})" if names.count(one.name) > 1 else one.name
        for one in found
    }


_SENTENCE: dict[str, dict[Language, str]] = {
    "sure": {
        "en": "{name} was preferred to {other} {wins} of {n} times{same}: surely better.",
        "zh": "{n} 次评判中有 {wins} 次认为 {name} 优于 {other}{same}：可以确定更好。",
    },
    "chance": {
        "en": "{name} was preferred to {other} {wins} of {n} times{same}; that could still be chance.",
        "zh": "{n} 次评判中有 {wins} 次认为 {name} 优于 {other}{same}；仍可能是偶然。",
    },
    "even": {
        "en": "{name} and {other} were preferred equally often, {wins} times each{same}.",
        "zh": "{name} 与 {other} 各有 {wins} 次更好{same}，不相上下。",
    },
    "few": {
        "en": "{name} was preferred to {other} {wins} of {n} times{same}; too few votes to tell (at least {fewest}).",
        "zh": "{n} 次评判中有 {wins} 次认为 {name} 优于 {other}{same}；次数太少，还看不出来（至少 {fewest} 次）。",
    },
    "same": {
        "en": "{name} and {other} were found equally good {ties}.",
        "zh": "{name} 与 {other}：{ties}都认为一样好。",
    },
    "ties": {"en": " (and {ties} the same)", "zh": "（另有{ties}一样好）"},
}


def sentence(pair: Pair, language: Language) -> str:
    """What the votes say of a pair, in plain words."""
    times = {"en": "once" if pair.same == 1 else f"{pair.same} times", "zh": f" {pair.same} 次"}[language]
    same = _SENTENCE["ties"][language].format(ties=times) if pair.same else ""
    return _SENTENCE[pair.code if pair.decided else "same"][language].format(
        name=pair.name,
        other=pair.other,
        wins=pair.wins,
        n=pair.decided,
        same=same,
        ties=times.strip(),
        fewest=FEWEST,
    )


def to_csv(votes: Sequence[Vote]) -> bytes:
    """All votes as a CSV that spreadsheets read: one row a vote, with each contestant and its answer."""
    from qwenlab.conversations.tables import guarded

    most = max((len(vote.contestants) for vote in votes), default=0)
    header = [
        *COLUMNS,
        *(f"{part}_{at}" for at in range(1, most + 1) for part in ("name", "spec", "weights", "answer")),
    ]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    for vote in votes:
        best = "" if vote.best is None else vote.contestants[vote.best].name
        names = ", ".join(one.name for one in vote.contestants)
        row = [vote.time, vote.message, names, best, "yes" if vote.blind else "no", vote.talk, vote.key]
        for at, one in enumerate(vote.contestants):
            row += [one.name, one.spec, one.weights, vote.answers[at] if at < len(vote.answers) else ""]
        writer.writerow([guarded(cell) for cell in row])
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")  # Excel reads UTF-8 only behind a BOM
