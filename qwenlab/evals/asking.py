"""One contestant asked the cases of a suite that it has not answered yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from qwenlab.errors import QwenlabError
from qwenlab.evals.answer_cache import AnswerCache, KnownAnswers
from qwenlab.evals.answers import Answered, AnswerLog
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.models.contestant import Answer, Batching, Contestant, Generation, Message


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        contestant: who is answering; `index` of `contestants`, from 0.
        done, total: answers of this contestant, one per case and repeat.
        seconds_left: for this contestant; None while unknown.
        tokens_per_s: generated tokens by wall time, so far.
        case, answer: the newest one; None before the first.
        cached: answers that were taken from the cache.
    """

    contestant: str
    index: int
    contestants: int
    done: int
    total: int
    tokens_per_s: float = 0.0
    seconds_left: float | None = None
    case: str | None = None
    answer: Answer | None = None
    cached: int = 0


class Meter:
    """Counts answers and tokens, and tells whoever listens."""

    def __init__(
        self, name: str, index: int, contestants: int, total: int, listener: Callable[[Progress], None] | None
    ) -> None:
        self.place = (name, index, contestants)
        self.total = total
        self.listener = listener
        self.done = self.fresh = self.tokens = self.cached = 0
        self.seconds = self.fresh_seconds = 0.0

    def start(self, earlier: Iterable[Answered]) -> set[tuple[str, int]]:
        """Take in what is on disk; returns (case, repeat) of the answers that are final."""
        final = set()
        for item in earlier:
            if item.final:
                final.add((item.case, item.repeat))
            self.cached += item.cached
            self._add(item)
        self.done = len(final)
        self._tell(None)
        return final

    def count(self, item: Answered) -> None:
        """One more answer is on disk."""
        self.done += 1
        self.cached += item.cached
        if not item.cached:
            self.fresh += 1
            self.fresh_seconds += item.wall
        self._add(item)
        self._tell(item)

    def _add(self, item: Answered) -> None:
        if not item.cached:
            self.tokens += item.answer.tokens
            self.seconds += item.wall

    def _tell(self, item: Answered | None) -> None:
        if self.listener is None:
            return
        left = self.fresh_seconds / self.fresh * (self.total - self.done) if self.fresh else None
        speed = self.tokens / self.seconds if self.seconds > 0 else 0.0
        case, answer = (item.case, item.answer) if item else (None, None)
        self.listener(Progress(*self.place, self.done, self.total, speed, left, case, answer, self.cached))


class _Questions(Sequence[list[Message]]):
    """The messages of cases, made when they are asked for: those of a large suite would take much memory."""

    def __init__(self, suite: Suite, cases: Sequence[Case]) -> None:
        self._suite, self._cases = suite, cases

    def __len__(self) -> int:
        return len(self._cases)

    @overload
    def __getitem__(self, at: int) -> list[Message]: ...
    @overload
    def __getitem__(self, at: slice) -> _Questions: ...
    def __getitem__(self, at: int | slice) -> list[Message] | _Questions:
        if isinstance(at, slice):
            return _Questions(self._suite, self._cases[at])
        return self._cases[at].messages(self._suite)


def answer_all(
    suite: Suite,
    contestant: Contestant,
    log: AnswerLog,
    meter: Meter,
    should_stop: Callable[[], bool],
    cache: AnswerCache | None = None,
) -> bool:
    """Ask what is not answered yet; False when it was stopped before the end."""
    log.drop_torn_line()
    final = meter.start(log.lines())
    taken = {(item.case, item.repeat) for item in log.lines() if item.cached}
    for repeat in range(suite.generation.repeats):
        if all((case.id, repeat) in final for case in suite.cases):
            continue
        if should_stop():
            return False
        done = {case for case, number in final if number == repeat}
        apart = {case for case, number in taken if number == repeat}
        if not _Round(suite, contestant, log, meter, repeat, cache).answer(done, apart, should_stop):
            return False
    return True


class _Round:
    """One answer to each case."""

    def __init__(
        self,
        suite: Suite,
        contestant: Contestant,
        log: AnswerLog,
        meter: Meter,
        repeat: int,
        cache: AnswerCache | None,
    ) -> None:
        self._suite, self._contestant, self._log, self._meter, self._repeat = suite, contestant, log, meter, repeat
        self._settings = suite.settings(repeat)
        self._known: KnownAnswers | None = cache.of(contestant, self._settings) if cache else None

    def answer(self, done: set[str], apart: set[str], should_stop: Callable[[], bool]) -> bool:
        """Ask the cases that are not `done`; False when stopped.

        Args:
            done: ids of the cases with a final answer.
            apart: of these, the ones whose answers came from the cache, so that they were in no batch.
        """
        # In a run that goes on, the cache holds this run's own answers too: those were in a batch, and stay there.
        fresh = done - apart
        apart = apart if fresh else apart | self._take_known(done)
        waiting = {case.id for case in self._suite.cases} - done - apart
        cases = self._in_batches([case for case in self._suite.cases if case.id not in apart], waiting)
        questions = _Questions(self._suite, cases)
        for index, answer, wall in _timed(self._contestant, questions, self._settings, should_stop):
            case = cases[index]
            if case.id not in waiting or answer.finish == "stopped":
                continue  # answered before, and asked again for the sake of its batch; or half an answer, which is none
            waiting.discard(case.id)
            self._add(Answered(case.id, answer, wall, self._repeat, at=time.time()))
            if self._known:
                self._known.keep(questions[index], answer)
        if waiting and should_stop():
            return False
        silent = QwenlabError("The contestant gave no answer.", zh=("测试对象没有给出回答。", ""))
        for case in cases:  # it stays in the denominator
            if case.id in waiting:
                self._log.append(Answered(case.id, Answer.failed(silent), repeat=self._repeat, at=time.time()))
        return True

    def _take_known(self, done: set[str]) -> set[str]:
        """Take from the cache what is there; returns the ids of these cases."""
        if self._known is None:
            return set()
        found = set()
        for case in self._suite.cases:
            if case.id not in done and (answer := self._known.find(case.messages(self._suite))):
                found.add(case.id)
                self._add(Answered(case.id, answer, 0.0, self._repeat, cached=True, at=time.time()))
        return found

    def _in_batches(self, cases: list[Case], waiting: set[str]) -> list[Case]:
        """The cases to ask: those that wait, and of a contestant with batches the whole batch of each.

        A killed run may have written half a batch. Its other half, computed in a smaller one, could be rounded another
        way, and the run would not end as one that was never killed.
        """
        if not waiting or not isinstance(self._contestant, Batching):
            return [case for case in cases if case.id in waiting]
        batches = self._contestant.batches(_Questions(self._suite, cases))
        asked = [batch for batch in batches if any(cases[at].id in waiting for at in batch)]
        return [cases[at] for batch in asked for at in batch]

    def _add(self, item: Answered) -> None:
        self._log.append(item)
        self._meter.count(item)


def _timed(
    contestant: Contestant, questions: Sequence[list[Message]], settings: Generation, should_stop: Callable[[], bool]
) -> Iterator[tuple[int, Answer, float]]:
    """(index, answer, wall seconds since the one before) as they come; closed early, the contestant stops too."""
    if not questions:
        return
    answers, then = contestant.answer(questions, settings, should_stop), time.monotonic()
    try:
        for index, answer in answers:
            now = time.monotonic()
            yield index, answer, now - then
            then = now
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()
