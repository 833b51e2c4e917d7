"""Saved answers scored again: one after the other in memory, and a whole result with its files."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from qwenlab.evals import result, runner
from qwenlab.evals.scoring import score_answer
from qwenlab.evals.suite import load_suite
from qwenlab.evals.suite_model import Suite
from qwenlab.models.contestant import Answer, Generation, Message
from qwenlab.workspace import SHIPPED

SUITE = SHIPPED / "eval_suites" / "after-sales-tickets"
FEW, MANY = 1_200, 100_000
Row = tuple[str, str, str]


class Knowing:
    """A contestant that gives the expected answers."""

    name = "knowing"

    def __init__(self, suite: Suite) -> None:
        self._texts = [json.dumps(case.expected, ensure_ascii=False) for case in suite.cases]

    def describe(self) -> dict[str, str]:
        """It has no weights, so that nothing is remembered."""
        return {"kind": "scripted"}

    def answer(
        self, prompts: Sequence[list[Message]], settings: Generation, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Answer]]:
        """At once."""
        for at in range(len(prompts)):
            yield at, Answer(self._texts[at], "stop", 300, 80, 1.0)

    def close(self) -> None:
        """There is nothing to free."""


def rows() -> Iterator[Row]:
    """Answers a second, then the seconds of a whole result."""
    suite = _suite(FEW)
    texts = [json.dumps(case.expected, ensure_ascii=False) for case in suite.cases]
    start = time.perf_counter()
    for case, text in zip(suite.cases, texts, strict=True):
        score_answer(suite, case, text)
    yield "scoring, nested schema", f"{FEW / (time.perf_counter() - start):,.0f} answers/s", f"{FEW} right answers"
    suite = _suite(MANY)
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "result"
        runner.run(suite, [Knowing(suite)], found)
        start = time.perf_counter()
        result.rescore(found, suite)
        spent = time.perf_counter() - start
        size = sum(path.stat().st_size for path in found.rglob("*") if path.is_file())
    yield f"a result of {MANY:,} answers scored again", f"{spent:.1f} s", f"with all files, {size / 1e6:.0f} MB"


def _suite(count: int) -> Suite:
    """The shipped suite's cases, again and again."""
    shipped = load_suite(SUITE)
    known = shipped.cases
    cases = [known[at % len(known)].model_copy(update={"id": f"c{at}"}) for at in range(count)]
    return shipped.model_copy(update={"name": "many", "cases": cases})
