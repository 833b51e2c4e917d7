"""One conversation of the Compare tab without a page: who was asked, what each has said, and what follows from it."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from qwenlab.evals.preferences import Vote, Voter
from qwenlab.evals.suite import Suite
from qwenlab.models.contestant import Answer, Message
from qwenlab.ui.judging import Judgement, Wanted, judge
from qwenlab.ui.roster import Entrant

SuiteOf = Callable[[str], Suite | None]
"""Finds a suite by its name."""


@dataclass
class Reply:
    """What one column says in one exchange.

    Attributes:
        entrant: who answers. about: its `describe()`; empty until it is known.
        text: the words so far. answer, judgement: set once it has ended.
        spoke, seconds: seconds from the question to the first word, and to the last.
        forced: the same question answered once more with the schema enforced.
    """

    entrant: Entrant
    about: dict[str, str] = field(default_factory=dict)
    text: str = ""
    answer: Answer | None = None
    judgement: Judgement | None = None
    spoke: float | None = None
    seconds: float = 0.0
    forced: Reply | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no answer to judge or to go on from: an error, or no room for the prompt."""
        return self.answer is not None and self.answer.finish not in ("stop", "length", "stopped")

    @property
    def halted(self) -> bool:
        """Whether a person stopped it half way."""
        return self.answer is not None and self.answer.finish == "stopped"

    @property
    def said(self) -> bool:
        """Whether it belongs to the conversation."""
        return bool(self.text) and self.answer is not None and not self.failed

    def grow(self, text: str, spoke: float | None, seconds: float) -> None:
        """Take the words so far, with the seconds from the question to the first and to the newest of them."""
        self.text, self.spoke, self.seconds = text, spoke, seconds

    def end(self, answer: Answer, wanted: Wanted) -> None:
        """Take the finished answer and judge it."""
        self.answer, self.text = answer, answer.text
        self.seconds = self.seconds or answer.seconds
        if not self.failed:
            self.judgement = judge(answer.text, wanted)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the judgement is made anew when they are read."""
        known = {key: getattr(self, key) for key in ("about", "text", "spoke", "seconds")}
        known |= {"entrant": asdict(self.entrant), "answer": asdict(self.answer) if self.answer else None}
        return known | ({"forced": self.forced.to_json()} if self.forced else {})

    @classmethod
    def of(cls, found: dict[str, Any], wanted: Wanted) -> Reply:
        """Read what `to_json` wrote."""
        who = dict(found["entrant"])
        reply = cls(Entrant(**{**who, "languages": tuple(who.get("languages", ()))}), dict(found["about"]))
        reply.text, reply.spoke, reply.seconds = str(found["text"]), found["spoke"], float(found["seconds"])
        reply.end(Answer(**found["answer"]) if found["answer"] else Answer(reply.text, "stopped"), wanted)
        reply.forced = cls.of(found["forced"], wanted) if found.get("forced") else None
        return reply


@dataclass
class Exchange:
    """One message and every column's reply to it.

    Attributes:
        wanted: what the replies are held against.
        key: names these replies in the record of votes; other replies have another one.
        order: the columns from left to right as they are shown.
        blind: whether the names are hidden until there is a verdict.
        voted, best: whether there is one, and the column it names; None for "the same".
        taken: the column whose answer all of them continue from; None: each from its own.
        seed: of this answer.
    """

    message: str
    replies: list[Reply]
    wanted: Wanted = Wanted()
    key: str = field(default_factory=lambda: secrets.token_hex(6))
    order: tuple[int, ...] = ()
    blind: bool = False
    voted: bool = False
    best: int | None = None
    taken: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if sorted(self.order) != list(range(len(self.replies))):
            self.order = tuple(range(len(self.replies)))

    @property
    def hidden(self) -> bool:
        """Whether who is who must not be seen yet."""
        return self.blind and not self.voted and len(self.replies) > 1

    @property
    def candidates(self) -> list[int]:
        """The columns that answered, from left to right: of two or more the best can be named."""
        return [at for at in self.order if self.replies[at].answer is not None and not self.replies[at].failed]

    def shuffle(self, order: tuple[int, ...] | None = None) -> None:
        """Show the columns in a random order under no names, until there is a verdict.

        Args:
            order: that of the exchange before, whose columns are not named yet and must not change places.
        """
        self.blind = len(self.replies) > 1
        self.order = order or tuple(random.sample(range(len(self.replies)), len(self.replies)))

    def again(self, wanted: Wanted) -> Exchange:
        """The same question to the same contestants, not answered yet."""
        fresh = Exchange(self.message, [Reply(reply.entrant) for reply in self.replies], wanted, seed=self.seed)
        if self.blind:
            fresh.shuffle()
        return fresh

    def vote(self, best: int | None, talk: str) -> Vote:
        """Take a person's verdict; returns it as it is recorded, with the real names, left to right."""
        self.voted, self.best = True, best
        candidates = self.candidates
        shown = [self.replies[at] for at in candidates]
        return Vote(
            key=self.key,
            time=now(),
            contestants=tuple(_voter(reply) for reply in shown),
            best=None if best is None else candidates.index(best),
            blind=self.blind,
            message=self.message,
            answers=tuple(reply.text for reply in shown),
            talk=talk,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        wanted = {
            "suite": self.wanted.suite.name if self.wanted.suite else "",
            "case": self.wanted.case.id if self.wanted.case else "",
            "expected": self.wanted.expected,
        }
        known = {key: getattr(self, key) for key in ("message", "key", "blind", "voted", "best", "taken", "seed")}
        replies = [reply.to_json() for reply in self.replies]
        return known | {"order": list(self.order), "wanted": wanted, "replies": replies}

    @classmethod
    def of(cls, found: dict[str, Any], suite_of: SuiteOf) -> Exchange:
        """Read what `to_json` wrote; a suite or case that is gone judges no more."""
        named = found["wanted"]
        suite = suite_of(named["suite"]) if named["suite"] else None
        case = suite.by_id.get(named["case"]) if suite else None
        wanted = Wanted(suite, case, str(named["expected"]))
        known = {key: found[key] for key in ("message", "key", "blind", "voted", "best", "taken", "seed")}
        replies = [Reply.of(one, wanted) for one in found["replies"]]
        return cls(replies=replies, wanted=wanted, order=tuple(found["order"]), **known)


def _voter(reply: Reply) -> Voter:
    prints = [reply.about[key] for key in ("weights", "adapter_weights") if reply.about.get(key)]
    return Voter(reply.entrant.name, reply.entrant.spec, "+".join(prints))


@dataclass
class Talk:
    """What one browser window compares. Kept in gr.State: never compared or copied by value.

    Attributes:
        id: names it among the kept ones. began: when, ISO 8601 in UTC.
        given: earlier turns that a case or sample brought along, the same for everyone.
        attached: turns that come before the next message, which begins a new conversation; None: nothing is.
        busy: whether answers are being made.
        keeping: which column's last answer is being corrected; -1: none.
        changing: which message is being rewritten; -1: none.
        owner: who is logged in and alone may see it, "" where nobody is.
        agreed: whether the person was told what loading a model costs the training that runs.
    """

    id: str = field(default_factory=lambda: f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")
    began: str = field(default_factory=lambda: now())
    system: str = ""
    given: tuple[Message, ...] = ()
    exchanges: list[Exchange] = field(default_factory=list)
    attached: tuple[Message, ...] | None = None
    busy: bool = False
    keeping: int = -1
    changing: int = -1
    owner: str = ""
    agreed: bool = False
    _halted: bool = False
    _stop: threading.Event | None = None

    def continues(self, entrants: Sequence[Entrant], system: str) -> bool:
        """Whether the same are asked, so that the next message belongs to the same conversation."""
        before = [reply.entrant for reply in self.exchanges[-1].replies] if self.exchanges else list(entrants)
        return self.attached is None and before == list(entrants) and (system == self.system or not self.exchanges)

    def begin_anew(self) -> None:
        """Leave the conversation, which stays among the kept ones, and begin another."""
        fresh = Talk()
        self.id, self.began = fresh.id, fresh.began
        self.given, self.attached, self.exchanges = self.attached or (), None, []

    def cut(self, at: int) -> None:
        """Go on from before message `at` under a new id; the old branch stays among the kept ones."""
        fresh = Talk()
        self.id, self.began, self.exchanges = fresh.id, fresh.began, self.exchanges[:at]

    def messages(self, column: int, upto: int) -> list[Message]:
        """The conversation of a column up to and with the message of exchange `upto`; what failed is left out.

        Where all continue from one column's answer, what that column had heard before is everybody's history.
        """
        later: list[list[Message]] = []
        for exchange in reversed(self.exchanges[:upto]):
            column = column if exchange.taken is None else exchange.taken
            reply = exchange.replies[column]
            if reply.said:
                later.append(
                    [{"role": "user", "content": exchange.message}, {"role": "assistant", "content": reply.text}]
                )
        told: list[Message] = [{"role": "system", "content": self.system}] if self.system.strip() else []
        turns = [turn for pair in reversed(later) for turn in pair]
        return [*told, *self.given, *turns, {"role": "user", "content": self.exchanges[upto].message}]

    def halt(self) -> None:
        """End what is being answered within a token."""
        self._halted = True
        if self._stop is not None:
            self._stop.set()

    def begin(self) -> None:
        """Get ready for answers."""
        self.busy, self._halted, self._stop = True, False, None

    def brake(self) -> threading.Event:
        """A fresh event that `halt` sets; the arena sets it itself when it has ended."""
        self._stop = threading.Event()
        if self._halted:
            self._stop.set()
        return self._stop

    @property
    def halted(self) -> bool:
        """Whether the person stopped it."""
        return self._halted

    def to_json(self) -> dict[str, Any]:
        """Plain values of what is kept."""
        known = {"id": self.id, "began": self.began, "changed": now(), "system": self.system}
        return known | {"given": list(self.given), "exchanges": [one.to_json() for one in self.exchanges]}

    @classmethod
    def of(cls, found: dict[str, Any], suite_of: SuiteOf) -> Talk:
        """Read what `to_json` wrote. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
        given = tuple(Message(role=str(one["role"]), content=str(one["content"])) for one in found["given"])
        exchanges = [Exchange.of(one, suite_of) for one in found["exchanges"]]
        return cls(str(found["id"]), str(found["began"]), str(found["system"]), given, exchanges)


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
