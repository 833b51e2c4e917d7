"""The server's one set of loaded models, the line before it, and letting every column answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from qwenlab import failures
from qwenlab.evals.preferences import VoteLog
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Answer, Contestant, Generation
from qwenlab.ui.judging import Wanted
from qwenlab.ui.kept_talks import TalkStore
from qwenlab.ui.roster import Entrant
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.ui.visitor import private
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


@dataclass(frozen=True)
class Loading:
    """What loading somebody takes: bytes of its files, and about how many seconds."""

    bytes: int
    seconds: float


class Room:
    """The server's one set of loaded models and the line before it.

    Args:
        make: makes the contestant of (workspace, pool, name, spec); `contestants.make` when None.

    Attributes:
        line: who waits for an answer. pool: the models in memory.
    """

    def __init__(self, workspace: Workspace, make: Callable[..., Contestant] | None = None) -> None:
        from qwenlab.chat import contestants
        from qwenlab.chat.pool import ModelPool

        self.workspace = workspace
        self._make = make or contestants.make
        self.line = Line()
        self.pool = ModelPool()
        self._made: dict[str, Contestant] = {}

    def talks(self, owner: str = "") -> TalkStore:
        """The conversations that a user keeps; without users, everybody's."""
        return TalkStore(private(self.workspace.talks, owner))

    def votes(self, owner: str = "") -> VoteLog:
        """A user's record of verdicts, which holds what was said."""
        return VoteLog(private(self.workspace.talks, owner) / "votes.jsonl")

    def loading(self, entrant: Entrant) -> Loading | None:
        """What loading this one takes; None when it is in memory or needs none, or is not there at all."""
        if entrant.kind == "endpoint" or entrant.spec in self._made:
            return None
        folder = self.weights_of(entrant)
        if folder is None or folder in self.pool.loaded():
            return None
        size = model_folder.bytes_on_disk(folder)
        return Loading(size, START_SECONDS + size / READ_BYTES_PER_SECOND)

    def contestant(self, entrant: Entrant, cancelled: Callable[[], bool] = lambda: False) -> Contestant:
        """The one to ask, loaded on first use unless `cancelled`. Raises QwenlabError when it cannot be had."""
        folder = self.weights_of(entrant)
        if folder is not None and folder not in self.pool.loaded():
            wanted = ROOM_TO_LOAD * model_folder.bytes_on_disk(folder)
            if self.pool.loaded() and psutil.virtual_memory().available < wanted:
                self.pool.unload()
        if entrant.kind != "endpoint":  # cheap: the weights stay in the pool
            return self._make(self.workspace, self.pool, entrant.name, entrant.spec, cancelled)
        if entrant.spec not in self._made:
            self._made[entrant.spec] = self._make(self.workspace, self.pool, entrant.name, entrant.spec)
        return self._made[entrant.spec]

    def only(self, entrants: Sequence[Entrant]) -> None:
        """Close the connections to everyone else."""
        wanted = {one.spec for one in entrants}
        for spec in [spec for spec in self._made if spec not in wanted]:
            self._made.pop(spec).close()

    def unload(self, name: str = "") -> None:
        """Give memory back: of the models of that name, or of all."""
        if not name:
            self.only([])
            self.pool.unload()
        for one in self.pool.held():
            if one.path.name == name:
                self.pool.unload(one.path)

    def weights_of(self, entrant: Entrant) -> Path | None:
        """The folder or file with the weights; None when it is not there, which `contestant` then says."""
        if entrant.kind == "endpoint":
            return None
        model = entrant.spec.partition("+")[0] if entrant.kind in ("adapter", "checkpoint") else entrant.spec
        path = self.workspace.models / model if catalogue.is_ready(self.workspace, model) else Path(model)
        if entrant.kind == "gguf" and path.is_dir():
            path = next(iter(sorted(path.glob("*.gguf"))), path)
        return path.resolve() if path.exists() else None


@cache
def room_of(workspace: Workspace) -> Room:
    """The one room of a workspace: both languages and all windows share it. Called first when somebody asks."""
    return Room(workspace)


# --- answering -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What is going on: "waiting" (number: how many come before), "loading" (name, about how many seconds),
    "answering", or "forcing" (the same again with the schema enforced)."""

    doing: str
    name: str = ""
    number: float = 0


def ask(room: Room, talk: Talk, settings: Generation, schema: dict[str, Any] | None = None) -> Iterator[Step]:
    """Let every column answer the last message; yields often, for the page to be drawn anew.

    Closing the generator, or `talk.halt()`, ends the answers within a token. A column that fails says so
    and leaves the others alone. The conversation is kept whatever happens.

    Args:
        schema: everyone then answers once more, forced into this schema.
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
        yield from _answer(talk, exchange, made, settings)
        if schema is not None and not talk.halted:
            yield from _answer(talk, exchange, made, settings, schema)
    finally:
        talk.halt()
        room.line.leave(ticket)
        for reply in exchange.replies:
            for one in (reply, reply.forced):
                if one is not None and one.answer is None:
                    one.end(Answer(one.text, "stopped"), exchange.wanted)
        talk.busy = False
        room.talks(talk.owner).save(talk)


def _gather(room: Room, talk: Talk, exchange: Exchange) -> Generator[Step, None, dict[int, Contestant]]:
    """Column -> contestant, for those that can be had; the others say why not."""
    made: dict[int, Contestant] = {}
    if not talk.halted:
        room.only([reply.entrant for reply in exchange.replies])
    for column, reply in enumerate(exchange.replies):
        if talk.halted:
            break
        loading = room.loading(reply.entrant)
        if loading is not None:
            name = "" if exchange.hidden else reply.entrant.name
            yield Step("loading", name, loading.seconds)
        try:
            made[column] = room.contestant(reply.entrant, lambda: talk.halted)
            reply.about = made[column].describe()
        except Exception as error:
            made.pop(column, None)
            _fail(reply, error, exchange.wanted)
    return made


def _fail(reply: Reply, error: Exception, wanted: Wanted) -> None:
    reply.end(Answer.failed(failures.explain(error)), wanted)


def _answer(
    talk: Talk,
    exchange: Exchange,
    made: dict[int, Contestant],
    settings: Generation,
    schema: dict[str, Any] | None = None,
) -> Iterator[Step]:
    """Everyone answers the last message; with a schema beside what was said freely."""
    doing = "answering" if schema is None else "forcing"
    replies = {column: exchange.replies[column] for column in made}
    if schema is not None:
        replies = {column: reply for column, reply in replies.items() if not reply.failed}
        for column, reply in replies.items():
            reply.forced = Reply(reply.entrant, reply.about)
            replies[column] = reply.forced
    if not replies or talk.halted:
        return
    from qwenlab.chat import arena

    conversations = [talk.messages(column, len(talk.exchanges) - 1) for column in replies]
    drawn = 0.0
    streams = arena.stream([made[column] for column in replies], conversations, settings, talk.brake(), schema)
    try:
        for now in streams:
            for reply, said in zip(replies.values(), now, strict=True):
                reply.grow(said.text, said.first_token_seconds, said.seconds)
                if said.answer is not None and reply.answer is None:
                    reply.end(said.answer, exchange.wanted)
            if time.perf_counter() - drawn >= FRAME_SECONDS:
                drawn = time.perf_counter()
                yield Step(doing)
    except Exception as error:
        for reply in replies.values():
            if reply.answer is None:
                _fail(reply, error, exchange.wanted)
    finally:
        streams.close()  # type: ignore[attr-defined]
    yield Step(doing)
