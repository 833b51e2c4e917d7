"""How `qwenlab test` asks: repeats, a schema enforced as well, known answers, and the pace of endpoints."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from qwenlab.chat.endpoint_pace import CONCURRENT, RETRIES, SILENCE_SECONDS, Pace
from qwenlab.commands.console import Console
from qwenlab.errors import QwenlabError
from qwenlab.evals.answer_cache import AnswerCache
from qwenlab.evals.suite import Suite
from qwenlab.models.contestant import Contestant, Enforceable
from qwenlab.workspace import Workspace

MOST_REPEATS, MOST_CONCURRENT = 100, 1024


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of this module to `qwenlab test`."""
    parser.add_argument("--repeat", type=int, metavar="N", help="N answers to each case, with seeds counting up")
    parser.add_argument("--temperature", type=float, help="instead of the suite's; 0 always takes the likeliest word")
    parser.add_argument(
        "--enforce",
        action="store_true",
        help="let each contestant answer a second time with the schema enforced, which tells format from content",
    )
    parser.add_argument("--fresh", action="store_true", help="ask again what the same weights have answered before")
    parser.add_argument(
        "--concurrency", type=int, default=CONCURRENT, metavar="N", help="requests at once to an endpoint"
    )
    parser.add_argument("--requests-per-minute", type=float, metavar="N", help="at most so many to an endpoint")
    parser.add_argument(
        "--retries", type=int, default=RETRIES, metavar="N", help="how often an endpoint that fails is asked again"
    )
    parser.add_argument(
        "--timeout", type=float, default=SILENCE_SECONDS, metavar="SECONDS", help="how long an endpoint may be silent"
    )


def repeated(suite: Suite, chosen: argparse.Namespace) -> Suite:
    """The suite with the repeats and temperature of the command line in place of its own.

    Raises:
        QwenlabError: when they make no sense.
    """
    change: dict[str, Any] = {}
    if chosen.repeat is not None:
        _within("--repeat", chosen.repeat, 1, MOST_REPEATS)
        change["repeats"] = chosen.repeat
    if chosen.temperature is not None:
        _within("--temperature", chosen.temperature, 0, 5)
        change["temperature"] = chosen.temperature
    return suite.model_copy(update={"generation": suite.generation.model_copy(update=change)}) if change else suite


@dataclass(frozen=True)
class Running:
    """How a test asks.

    Attributes:
        pace: of endpoints. cache: of known answers; None asks every case. enforce: also answer under the schema.
    """

    pace: Pace = Pace()
    cache: AnswerCache | None = None
    enforce: bool = False

    @classmethod
    def of(cls, chosen: argparse.Namespace, workspace: Workspace) -> Running:
        """Read the flags.

        Raises:
            QwenlabError: when a number makes no sense.
        """
        _within("--concurrency", chosen.concurrency, 1, MOST_CONCURRENT)
        _within("--retries", chosen.retries, 0, 100)
        _within("--timeout", chosen.timeout, 0.1, 86400)
        if chosen.requests_per_minute is not None:
            _within("--requests-per-minute", chosen.requests_per_minute, 0.01, 1e6)
        pace = Pace(chosen.concurrency, chosen.requests_per_minute, chosen.retries, chosen.timeout)
        return cls(pace, None if chosen.fresh else AnswerCache(workspace.cache), chosen.enforce)

    def preflight(self, suite: Suite, console: Console) -> None:
        """Say before the first answer what of the schema cannot be enforced.

        Raises:
            QwenlabError: when there is no schema to enforce, or it cannot be used at all.
        """
        from qwenlab.chat import constraint

        if suite.generation.repeats > 1 and suite.generation.temperature <= 0:
            console.say(
                "At temperature 0 a model here gives the same answer each time; --temperature 0.7 lets it vary."
            )
        if not self.enforce:
            return
        if suite.json_schema is None:
            raise QwenlabError(
                f'The suite "{suite.name}" has no schema to enforce.',
                "Leave out --enforce, or add a schema to the suite.",
                zh=(f"测试集“{suite.name}”没有可强制执行的 Schema。", "请去掉 --enforce，或为测试集添加 Schema。"),
            )
        for english, _ in constraint.unenforced(suite.json_schema):
            console.say(f"Of the schema: {english} Answers are checked for it all the same.")
        words = sum(not suite.as_json(case) for case in suite.cases)
        if words:
            console.say(f"{words} cases want words, not JSON; with the schema enforced they cannot be right.")

    def ways(self, suite: Suite, contestant: Contestant) -> list[Contestant]:
        """The contestant, and where it is wanted the same one with the schema enforced."""
        if not self.enforce or suite.json_schema is None or not isinstance(contestant, Enforceable):
            return [contestant]
        return [contestant, contestant.enforced(suite.json_schema)]


PLAIN = Running()


def _within(flag: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise QwenlabError(
            f"{flag} {value:g} is out of range.",
            f"Write a number from {least:g} to {most:g}.",
            zh=(f"{flag} {value:g} 超出范围。", f"请写 {least:g} 到 {most:g} 之间的数字。"),
        )
