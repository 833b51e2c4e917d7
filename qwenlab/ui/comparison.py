"""A comparison without a page: who is asked, what each has said, whose turn it is, and how answers compare."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from qwenlab import failures
from qwenlab.conversations import strict_json
from qwenlab.evals.fields import FieldScore, compare, unreadable
from qwenlab.evals.json_ladder import Reading, classify
from qwenlab.evals.rules import normalize_text
from qwenlab.evals.schema import Violation
from qwenlab.evals.scoring import text_answer_ok
from qwenlab.evals.suite import Case, Suite
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Answer, Contestant, Generation, Message
from qwenlab.ui.roster import Entrant
from qwenlab.workspace import Workspace

LOOK_SECONDS = 0.3
"""Between two looks at the line while waiting."""
FRAME_SECONDS = 0.1
"""Between two pictures sent to the page."""
READ_BYTES_PER_SECOND = 60e6
START_SECONDS = 4.0
"""A cautious guess of how fast weights are loaded, and of importing what computes."""
ROOM_TO_LOAD = 3.0
"""Free memory wanted before another base is loaded, as a multiple of its files."""


# --- what is expected ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """What an answer is held against.

    Attributes:
        suite: gives schema and field rules; None for neither.
        case: the case of it that was asked, where `expected` is still its own.
        expected: the right answer as text; "" when it is not known.
    """

    suite: Suite | None = None
    case: Case | None = None
    expected: str = ""


@dataclass(frozen=True)
class Judgement:
    """How one answer was read and compares.

    Attributes:
        reading: its rung of the JSON ladder.
        violations: where it breaks the schema; None without a schema or when it could not be read.
        fields: value by value; None when no JSON was expected.
        text_ok: whether it is the expected text; None when none was expected.
    """

    reading: Reading
    violations: tuple[Violation, ...] | None = None
    fields: tuple[FieldScore, ...] | None = None
    text_ok: bool | None = None


def judge(text: str, wanted: Wanted) -> Judgement:
    """Hold an answer against what is wanted."""
    reading = classify(text)
    suite, case = wanted.suite, wanted.case
    violations = None
    if suite is not None and suite.is_json and reading.parsed:
        violations = tuple(suite.check.violations(reading.value))
    if not wanted.expected.strip():
        return Judgement(reading, violations)
    value = _json_value(wanted.expected)
    if value is None:
        same = normalize_text(text) == normalize_text(wanted.expected)
        return Judgement(reading, violations, text_ok=text_answer_ok(case, text) if case else same)
    rules, accept = suite.fields if suite else {}, case.accept if case else {}
    scores = compare(value, reading.value, rules, accept) if reading.parsed else unreadable(value, rules)
    return Judgement(reading, violations, tuple(scores))


def expected_text(case: Case, suite: Suite) -> str:
    """A case's expected answer as a person reads and edits it."""
    if suite.is_json:
        return json.dumps(case.expected, ensure_ascii=False)
    return case.expected if isinstance(case.expected, str) else "\n".join(case.expected)


def _json_value(text: str) -> Any | None:
    try:
        value = strict_json.read(text.strip())
    except strict_json.NotJsonError:
        return None
    return value if isinstance(value, dict | list) else None


# --- the conversation ------------------------------------------------------------------------------------


@dataclass
class Reply:
    """What one column says in one exchange.

    Attributes:
        entrant: who answers. about: its `describe()`; empty until it is known.
        text: the words so far. answer, judgement: set once it has ended.
        spoke, seconds: seconds from the question to the first word, and to the last.
    """

    entrant: Entrant
    about: dict[str, str] = field(default_factory=dict)
    text: str = ""
    answer: Answer | None = None
    judgement: Judgement | None = None
    spoke: float | None = None
    seconds: float = 0.0

    def grow(self, text: str, began: float) -> None:
        """Take the words so far; `began` as time.perf_counter()."""
        if text != self.text:
            self.seconds = time.perf_counter() - began
            self.spoke = self.seconds if self.spoke is None else self.spoke
            self.text = text

    def end(self, answer: Answer, wanted: Wanted) -> None:
        """Take the finished answer and judge it."""
        self.answer, self.text = answer, answer.text
        self.seconds = self.seconds or answer.seconds
        if not answer.error:
            self.judgement = judge(answer.text, wanted)


@dataclass
class Exchange:
    """One message and every column's reply to it."""

    message: str
    replies: list[Reply]
    wanted: Wanted = Wanted()


@dataclass
class Talk:
    """What one browser window compares. Kept in gr.State: never compared or copied by value.

    Attributes:
        busy: whether answers are being made.
        keeping: which column's last answer is being corrected.
    """

    system: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    busy: bool = False
    keeping: int = -1
    _halted: bool = False
    _stop: threading.Event | None = None

    def continues(self, entrants: Sequence[Entrant], system: str) -> bool:
        """Whether the same are asked, so that the next message belongs to the same conversation."""
        before = [reply.entrant for reply in self.exchanges[-1].replies] if self.exchanges else list(entrants)
        return before == list(entrants) and (system == self.system or not self.exchanges)

    def messages(self, column: int, upto: int) -> list[Message]:
        """The conversation of a column up to and with the message of exchange `upto`; failed exchanges left out."""
        found: list[Message] = [{"role": "system", "content": self.system}] if self.system.strip() else []
        for exchange in self.exchanges[:upto]:
            reply = exchange.replies[column]
            if reply.text and reply.answer is not None and not reply.answer.error:
                found.append({"role": "user", "content": exchange.message})
                found.append({"role": "assistant", "content": reply.text})
        return [*found, {"role": "user", "content": self.exchanges[upto].message}]

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


# --- the room --------------------------------------------------------------------------------------------


class Line:
    """First come, first served: one comparison at a time, and everybody else knows their place."""

    def __init__(self) -> None:
        self._waiting: list[object] = []
        self._lock = threading.Lock()

    def enter(self) -> object:
        """Stand at the end; returns the ticket."""
        ticket = object()
        with self._lock:
            self._waiting.append(ticket)
        return ticket

    def ahead(self, ticket: object) -> int:
        """How many come before; 0 when it is this one's turn."""
        with self._lock:
            return self._waiting.index(ticket)

    def leave(self, ticket: object) -> None:
        """Go, served or not."""
        with self._lock:
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    @property
    def busy(self) -> bool:
        """Whether somebody is being served."""
        return bool(self._waiting)


class Room:
    """The server's one set of loaded models and the line before it."""

    def __init__(self, workspace: Workspace) -> None:
        from qwenlab.chat.pool import ModelPool

        self.workspace = workspace
        self.line = Line()
        self.pool = ModelPool()
        self._made: dict[str, Contestant] = {}

    def loading_seconds(self, entrant: Entrant) -> float | None:
        """About how long this one's weights take to load; None when they are in memory or none are needed."""
        if entrant.kind == "endpoint" or entrant.spec in self._made:
            return None
        folder = self._base(entrant)
        if folder is None or folder in self.pool.loaded():
            return None
        return START_SECONDS + model_folder.bytes_on_disk(folder) / READ_BYTES_PER_SECOND

    def contestant(self, entrant: Entrant) -> Contestant:
        """The one to ask, loaded on first use. Raises QwenlabError when it cannot be had."""
        from qwenlab.chat import contestants

        folder = self._base(entrant)
        if folder is not None and folder not in self.pool.loaded():
            wanted = ROOM_TO_LOAD * model_folder.bytes_on_disk(folder)
            if self.pool.loaded() and psutil.virtual_memory().available < wanted:
                self.pool.unload()
        if entrant.kind != "endpoint":  # cheap: the weights stay in the pool
            return contestants.make(self.workspace, self.pool, entrant.name, entrant.spec)
        if entrant.spec not in self._made:
            self._made[entrant.spec] = contestants.make(self.workspace, self.pool, entrant.name, entrant.spec)
        return self._made[entrant.spec]

    def only(self, entrants: Sequence[Entrant]) -> None:
        """Close servers and connections of everyone else."""
        wanted = {one.spec for one in entrants}
        for spec in [spec for spec in self._made if spec not in wanted]:
            self._made.pop(spec).close()

    def loaded(self) -> list[str]:
        """Names of what is in memory."""
        return [path.name for path in self.pool.loaded()]

    def unload(self) -> None:
        """Give the memory back."""
        self.only([])
        self.pool.unload()

    def _base(self, entrant: Entrant) -> Path | None:
        """The folder or file with the weights; None when it is not there, which `contestant` then says."""
        model = entrant.spec.partition("+")[0] if entrant.kind in ("adapter", "checkpoint") else entrant.spec
        path = self.workspace.models / model if catalogue.entry(model) else Path(model)
        return path.resolve() if path.exists() else None


@cache
def room_of(workspace: Workspace) -> Room:
    """The one room of a workspace: both languages and all windows share it. Called first when somebody asks."""
    return Room(workspace)


@dataclass(frozen=True)
class Step:
    """What is going on: "waiting" (number: how many come before), "loading" (name, about how many seconds), or
    "answering"."""

    doing: str
    name: str = ""
    number: float = 0


def ask(room: Room, talk: Talk, settings: Generation) -> Iterator[Step]:
    """Let every column answer the last message; yields often, for the page to be drawn anew.

    Closing the generator, or `talk.halt()`, ends the answers within a token. A column that fails says so
    and leaves the others alone.
    """
    exchange = talk.exchanges[-1]
    talk.begin()
    ticket = room.line.enter()
    try:
        while (ahead := room.line.ahead(ticket)) and not talk.halted:
            yield Step("waiting", number=ahead)
            time.sleep(LOOK_SECONDS)
        made = yield from _gather(room, talk, exchange)
        yield Step("answering")
        if made and not talk.halted:
            yield from _answer(talk, exchange, made, settings)
    finally:
        talk.halt()
        room.line.leave(ticket)
        for reply in exchange.replies:
            if reply.answer is None:
                reply.end(Answer(reply.text, "stopped"), exchange.wanted)
        talk.busy = False


def _gather(room: Room, talk: Talk, exchange: Exchange) -> Generator[Step, None, dict[int, Contestant]]:
    """Column -> contestant, for those that can be had; the others say why not."""
    made: dict[int, Contestant] = {}
    if not talk.halted:
        room.only([reply.entrant for reply in exchange.replies])
    for column, reply in enumerate(exchange.replies):
        if talk.halted:
            break
        seconds = room.loading_seconds(reply.entrant)
        if seconds is not None:
            yield Step("loading", reply.entrant.name, seconds)
        try:
            made[column] = room.contestant(reply.entrant)
            reply.about = made[column].describe()
        except Exception as error:
            made.pop(column, None)
            _fail(reply, error, exchange.wanted)
    return made


def _fail(reply: Reply, error: Exception, wanted: Wanted) -> None:
    reply.end(Answer.failed(failures.explain(error)), wanted)


def _answer(talk: Talk, exchange: Exchange, made: dict[int, Contestant], settings: Generation) -> Iterator[Step]:
    from qwenlab.chat import arena

    columns, upto = list(made), len(talk.exchanges) - 1
    conversations = [talk.messages(column, upto) for column in columns]
    began, drawn = time.perf_counter(), 0.0
    streams = arena.stream(list(made.values()), conversations, settings, talk.brake())
    try:
        for now in streams:
            for column, said in zip(columns, now, strict=True):
                reply = exchange.replies[column]
                reply.grow(said.text, began)
                if said.answer is not None and reply.answer is None:
                    reply.end(said.answer, exchange.wanted)
            if time.perf_counter() - drawn >= FRAME_SECONDS:
                drawn = time.perf_counter()
                yield Step("answering")
    except Exception as error:
        for column in columns:
            if exchange.replies[column].answer is None:
                _fail(exchange.replies[column], error, exchange.wanted)
    finally:
        streams.close()  # type: ignore[attr-defined]
    yield Step("answering")
