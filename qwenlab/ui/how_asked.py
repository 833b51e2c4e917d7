"""How a test asks: answers to each case, the schema enforced as well, known answers, and the pace of endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qwenlab.chat.endpoint_pace import CONCURRENT
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import Suite
from qwenlab.ui import asking
from qwenlab.ui.components import Html, notice
from qwenlab.ui.texts import Translator

MOST_REPEATS, MOST_AT_ONCE, HOTTEST = 100, 1024, 5


@dataclass(frozen=True)
class How:
    """What a person chose, as the form holds it: a box may be empty.

    Attributes:
        repeats: answers to each case; 0 as the suite says. temperature: None as the suite says.
        enforce: whether all answer a second time with the schema enforced. fresh: whether known answers are asked anew.
        at_once: requests at the same time to an endpoint. per_minute: at most so many requests to it; 0 for no limit.
        thinking: whether models think first whose chat template knows that.
    """

    repeats: float | None = 0
    temperature: float | None = None
    enforce: bool = False
    fresh: bool = False
    at_once: float | None = CONCURRENT
    per_minute: float | None = 0
    thinking: bool = False

    @classmethod
    def of(cls, repeats: float | None, temperature: str | None, *others: Any, t: Translator) -> How:
        """As the form holds it, the temperature as text.

        Raises:
            QwenlabError: when that is no number.
        """
        text = (temperature or "").strip()
        try:
            return cls(repeats, float(text) if text else None, *others)
        except ValueError as error:
            raise QwenlabError(t("test_temperature_wrong"), t("test_temperature_remedy")) from error

    def flags(self, suite: Suite | None, t: Translator) -> list[str]:
        """The same for `qwenlab test`.

        Raises:
            QwenlabError: when there is no schema to enforce.
        """
        switches = {"--enforce": self.enforce, "--fresh": self.fresh, "--thinking": self.thinking}
        flags = [name for name, on in switches.items() if on]
        if self.enforce and suite is not None and suite.json_schema is None:
            raise QwenlabError(t("compare_no_schema"), t("test_enforce_remedy"))
        if self.repeats and self.repeats >= 1:
            flags += ["--repeat", str(int(min(self.repeats, MOST_REPEATS)))]
        if self.temperature is not None:
            flags += ["--temperature", f"{min(max(self.temperature, 0), HOTTEST):g}"]
        if self.at_once and self.at_once >= 1:
            flags += ["--concurrency", str(int(min(self.at_once, MOST_AT_ONCE)))]
        if self.per_minute and self.per_minute > 0:
            flags += ["--requests-per-minute", f"{self.per_minute:g}"]
        return flags


def about(how: How, suite: Suite | None, t: Translator) -> Html:
    """What is to be known before the first answer: what cannot be enforced, and repeats that would all be the same."""
    if suite is None:
        return Html("")
    said = ""
    repeats = how.repeats or suite.generation.repeats
    temperature = suite.generation.temperature if how.temperature is None else how.temperature
    if repeats > 1 and temperature <= 0:
        said += notice("warn", t("test_same_answers"), t("test_same_answers_remedy"))
    if how.enforce:
        try:
            said += asking.about_schema(suite.json_schema, t)
        except QwenlabError as error:  # the engine cannot use this schema at all
            said += notice("bad", *error.say(t.language))
        words = sum(not suite.as_json(case) for case in suite.cases)
        if words and suite.json_schema is not None:
            said += notice("warn", t("test_enforce_words", number=words))
    return Html(said)
