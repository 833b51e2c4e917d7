"""Before the start: which samples are trained, how many steps that takes, and how long."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue
from qwenlab.training import presets, runs
from qwenlab.training.recipe import Recipe
from qwenlab.training.runs import Progress
from qwenlab.ui.components import NOTHING, Html, duration, escape, notice
from qwenlab.ui.lab import Lab
from qwenlab.ui.recipe_form import speaks
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import LISTED_RUNS, Readers


@dataclass(frozen=True)
class Plan:
    """What a start would do.

    Attributes:
        samples: those that the model can be trained on, of `all` in the data set.
        unsaved: whether the data set has edits that are not saved.
        tokens, seconds: what it takes, as the earlier run `judged_by` suggests; 0 where none does.
    """

    name: str
    samples: int
    all: int
    languages: Sequence[str]
    unsaved: bool = False
    steps: int = 0
    tokens: float = 0.0
    seconds: float = 0.0
    judged_by: str = ""


def steps_of(samples: int, epochs: float, batch_size: int, max_steps: int) -> int:
    """Optimizer steps that a recipe takes."""
    steps = math.ceil(math.ceil(epochs * samples) / max(1, batch_size))
    return min(steps, max_steps) if max_steps else steps


def expected(recipe: Recipe, progress: Progress, rows: int) -> tuple[float, float] | None:
    """(tokens, seconds) that `rows` samples take, from an earlier run with this recipe; None when it cannot say."""
    seen = min(progress.total * recipe.batch_size, math.ceil(recipe.epochs * progress.samples))
    timed = progress.state == "finished" and progress.seconds > 0
    speed = progress.tokens / progress.seconds if timed else progress.tokens_per_s
    if not seen or not progress.tokens or speed <= 0:
        return None
    tokens = progress.tokens / seen * rows
    return tokens, tokens / speed


def data_lines(plan: Plan | None, t: Translator) -> Html:
    """Which samples are trained, or what stands in the way."""
    link = f'<button type="button" class="link" data-goto="tab_data">{escape(t("train_data_change"))}</button>'
    if plan is None:
        inner: str = notice("warn", t("train_no_data"), t("train_no_data_do"))
    elif not plan.samples:
        inner = notice("warn", t("train_no_samples"), t("train_no_samples_do"))
    else:
        languages = speaks(plan.languages, t)
        key = "train_data_line" if plan.samples == plan.all else "train_data_some"
        words = t(key, name=plan.name, number=f"{plan.samples:,}", all=f"{plan.all:,}", languages=languages)
        inner = f"<p>{escape(words)}</p>"
        if plan.unsaved:
            inner += Html(f'<p class="quiet">{escape(t("train_data_unsaved"))}</p>')
    return Html(
        f'<div class="run question"><div class="head"><b>{escape(t("train_data"))}</b>{link}</div>{inner}</div>'
    )


def plan_line(plan: Plan | None, t: Translator) -> Html:
    """How many steps a start takes, and how long where an earlier run tells."""
    if plan is None or not plan.samples:
        return NOTHING
    words = [t("train_steps", steps=f"{plan.steps:,}")]
    if plan.seconds:
        tokens = f"{round(plan.tokens, -3):,.0f}" if plan.tokens >= 10_000 else f"{plan.tokens:,.0f}"
        words.append(t("train_expected", tokens=tokens, time=duration(t, plan.seconds), run=plan.judged_by))
    return Html(f'<p class="quiet">{escape((", " if t.language == "en" else "，").join(words))}</p>')


class SampleCounts:
    """Samples of the open data set by language, counted again only after an edit."""

    def __init__(self) -> None:
        self._seen: tuple[Any, int] | None = None
        self._counts: Counter[str] = Counter()

    def look(self, document: Document) -> Counter[str]:
        """Language -> whole samples; broken ones are in none."""
        seen = (document, document.revision)
        if self._seen is None or self._seen[0] is not document or self._seen[1] != document.revision:
            self._counts = Counter(known.language for known in document.facts if known.same is not None)
            self._seen = seen
        return self._counts


def plan_of(lab: Lab, samples: SampleCounts, readers: Readers, values: dict[str, Any]) -> Plan | None:
    """What a start would do with these settings; None without a data set.

    Raises:
        QwenlabError: when the data set cannot be read.
    """
    document = lab.document()
    if document is None:
        return None
    model, counts = lab.model_name(), samples.look(document)
    languages = values["languages"] or list(catalogue.languages(model))
    usable = sum(counts[one] for one in languages)
    trained = usable - int(usable * values["validation"])
    steps = steps_of(trained, values["epochs"], values["batch_size"], values["max_steps"])
    rows = min(steps * values["batch_size"], math.ceil(values["epochs"] * trained))
    tokens, seconds, judged_by = _judged(lab, readers, model, document.dataset.path, rows)
    return Plan(
        name=document.dataset.path.name.split(".")[0],
        samples=usable,
        all=len(document.samples),
        languages=languages,
        unsaved=document.edited,
        steps=steps,
        tokens=tokens,
        seconds=seconds,
        judged_by=judged_by,
    )


def _judged(lab: Lab, readers: Readers, model: str, data: Path, rows: int) -> tuple[float, float, str]:
    """Tokens and seconds as the newest run of this model on this data suggests; zeros where there is none."""
    newest = lab.runs()[:LISTED_RUNS]
    for job in sorted(newest, key=lambda one: one.state() != "finished"):  # those that ended were timed as a whole
        try:
            recipe = runs.recipe_of(job)
        except QwenlabError:
            continue
        if recipe.model == model and Path(recipe.data).name == data.name:
            guess = expected(recipe, readers.look(job), rows)
            if guess:
                return *guess, job.id
    return 0.0, 0.0, ""


def warning_lines(recipe: Recipe, plan: Plan | None, t: Translator) -> Html:
    """Choices that are known to hurt, a sentence each."""
    found = presets.warnings(recipe, plan.samples if plan else None)
    return Html("".join(notice("warn", words[t.language == "zh"]) for words in found))
