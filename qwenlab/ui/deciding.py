"""Which test decides: the choice in the form of a new run, with what it costs and what is left for the final test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.evals import selection
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.training import runs
from qwenlab.training.runs import Progress
from qwenlab.ui.components import NOTHING, Html, duration, error_words, escape, notice, on_load, poll
from qwenlab.ui.lab import Lab
from qwenlab.ui.live import LIVE
from qwenlab.ui.suites import read_suite, suite_paths
from qwenlab.ui.texts import Translator

RUNS_LOOKED_AT = 30


@dataclass(frozen=True)
class Cost:
    """What a deciding test takes.

    Attributes:
        asked: cases of a look, of `all` in the languages that are trained. looks: how many.
        seconds: of all looks, as the earlier run `judged_by` suggests; 0 where none does.
    """

    asked: int
    all: int
    looks: int
    seconds: float = 0.0
    judged_by: str = ""


def cost_of(
    lab: Lab, name: str, looks: int, cases: int, languages: Sequence[str], look: Callable[[Job], Progress]
) -> Cost | None:
    """What the suite of that name would take; None for "".

    Args:
        languages: that are trained; empty for those of the chosen model.
        look: reads a run's progress.

    Raises:
        QwenlabError: when it cannot be read or has no case in these languages.
    """
    suite, model = read_suite(lab, name), lab.model_name()
    if suite is None:
        return None
    speaks = languages or catalogue.languages(model)
    asked = len(selection.part(suite, speaks, cases).cases)
    each, run = _seconds_per_case(lab, model, look)
    return Cost(asked, len(suite.only(speaks).cases), looks, each * asked * looks, run)


def _seconds_per_case(lab: Lab, model: str, look: Callable[[Job], Progress]) -> tuple[float, str]:
    """As the newest run of this model that was looked at says; (0, "") where there is none."""
    for job in lab.runs()[:RUNS_LOOKED_AT]:
        taken = [(one.seconds, one.score.n) for one in look(job).looks.values() if one.score]
        if taken and _model_of(job) == model:
            return sum(seconds for seconds, _ in taken) / sum(cases for _, cases in taken), job.id
    return 0.0, ""


def _model_of(job: Job) -> str:
    try:
        return runs.recipe_of(job).model
    except QwenlabError:
        return ""


def cost_lines(cost: Cost | None, t: Translator) -> Html:
    """What is asked, how long that takes, and what stays new."""
    if cost is None:
        return NOTHING
    words = t("looks_cost", asked=cost.asked, all=cost.all, looks=cost.looks)
    if cost.seconds:
        words += t("looks_cost_time", time=duration(t, cost.seconds), run=cost.judged_by)
    else:
        words += t("looks_cost_longer")
    rest = cost.all - cost.asked
    if not rest:
        return Html(f'<p class="quiet">{escape(words)}</p>{notice("warn", t("looks_no_rest"), t("looks_no_rest_do"))}')
    gap = " " if t.language == "en" else ""
    return Html(f'<p class="quiet">{escape(words)}{gap}{escape(t("looks_rest", rest=rest))}</p>')


@dataclass
class DecidingPart:
    """The dropdown and the line below it."""

    suite: Any
    lines: Any


def deciding_part(lab: Lab, t: Translator) -> DecidingPart:
    """Build the dropdown; `tell_cost` fills the line below it."""
    suite = gr.Dropdown(
        label=t("looks_suite"), info=t("looks_suite_about"), choices=_choices(lab, t), value="", filterable=False
    )
    lines = gr.HTML(**LIVE)
    on_load(lambda: gr.update(choices=_choices(lab, t)), t, None, suite)
    return DecidingPart(suite, lines)


def _choices(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    return [(t("looks_none"), ""), *((name, name) for name in suite_paths(lab))]


def tell_cost(
    part: DecidingPart, lab: Lab, t: Translator, inputs: dict[str, Any], look: Callable[[Job], Progress]
) -> None:
    """Keep the line below the dropdown true.

    Args:
        inputs: the components of the recipe's settings by name.
        look: reads a run's progress.
    """

    def line(name: str | None, looks: float | None, cases: float | None, languages: list[str]) -> Html:
        try:
            cost = cost_of(lab, name or "", int(looks or 1), int(cases or 0), languages, look)
        except QwenlabError as error:
            return Html(f'<div class="run">{notice("bad", *error_words(error, t))}</div>')
        return Html(f'<div class="run">{cost_lines(cost, t)}</div>') if cost else NOTHING

    poll(2, line, t, [part.suite, *(inputs[name] for name in ("looks", "look_cases", "languages"))], [part.lines])
