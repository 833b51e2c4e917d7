"""Before the start: which samples are trained, and what the recipe in the form takes on this machine."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.training import presets
from qwenlab.training import recipe as recipes
from qwenlab.training.forecast import Forecast, forecast, pace, steps_of
from qwenlab.training.presets import Suggestion
from qwenlab.training.recipe import Recipe
from qwenlab.training.runs import Progress
from qwenlab.ui import recipe_form
from qwenlab.ui.background import Task
from qwenlab.ui.components import NOTHING, Html, duration, escape, notice
from qwenlab.ui.lab import Lab
from qwenlab.ui.recipe_form import FormField, speaks, value_words
from qwenlab.ui.texts import Translator


@dataclass(frozen=True)
class Plan:
    """What a start would do.

    Attributes:
        samples: those that the model can be trained on, of `all` in the data set.
        unsaved: whether the data set has edits that are not saved.
        steps: optimizer steps.
        counting: (samples counted, samples to count) while that goes on; None when it does not.
        forecast: what it takes; None before the tokens are counted.
        suggested: values that suit data and machine better than those of the recipe.
        presets: seconds that each preset takes.
        too_long, unusable: samples that are left out.
        error: why the tokens cannot be counted.
    """

    name: str
    samples: int
    all: int
    languages: Sequence[str]
    unsaved: bool = False
    steps: int = 0
    counting: tuple[int, int] | None = None
    forecast: Forecast | None = None
    suggested: Mapping[str, Suggestion] = field(default_factory=dict)
    presets: Mapping[str, float] = field(default_factory=dict)
    too_long: int = 0
    unusable: int = 0
    error: QwenlabError | None = None

    @property
    def able(self) -> bool:
        """Whether it can be started, as far as is known."""
        return self.samples > 0 and (self.forecast is None or self.forecast.need.fits)


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


class Planner:
    """Says what recipes would take with the open data set and the chosen model.

    Args:
        look: reads a run's progress.
    """

    def __init__(self, lab: Lab, look: Callable[[Job], Progress]) -> None:
        self.lab, self.look = lab, look
        self._samples = SampleCounts()

    def plan(self, recipe: Recipe, usual: Mapping[str, Any], count: bool) -> Plan | None:
        """What a start of this recipe would do; None without a data set.

        Args:
            usual: the settings of the chosen preset.
            count: whether the tokens may be counted, which loads what is heavy, in a thread.

        Raises:
            QwenlabError: when the data set cannot be read.
        """
        document = self.lab.document()
        if document is None:
            return None
        counts = self._samples.look(document)
        languages: Sequence[str] = recipe.languages or catalogue.languages(recipe.model)
        usable = sum(counts[one] for one in languages)
        trained = usable - int(usable * recipe.validation)
        steps = steps_of(trained, recipe.epochs, recipe.batch_size, recipe.max_steps)
        name = document.dataset.path.name.split(".")[0]
        known: dict[str, Any] = {}
        if count and usable:
            try:
                known = self._counted(document, recipe, usual)
            except QwenlabError as error:
                known = {"error": error}
        return Plan(name, usable, len(document.samples), languages, document.edited, **{"steps": steps, **known})

    def _counted(self, document: Document, recipe: Recipe, usual: Mapping[str, Any]) -> dict[str, Any]:
        model = recipe.model
        found = self.lab.counted.look(document, model)
        if found is None:
            return {"counting": (0, 0)}
        if isinstance(found, Task):
            return {"counting": (found.done, found.all or len(document.samples))}
        lengths, machine = found
        config = model_folder.read_config(catalogue.locate(self.lab.workspace, model))
        speed = pace(self.lab.workspace, model, machine, self.look)
        expected = forecast(recipe, lengths, config, machine, speed)
        others = {name: recipes.read(presets.preset(name, model)) for name in presets.PRESETS}
        all_ = lengths.within(sys.maxsize, recipe.languages or catalogue.languages(model))
        tokens = [one.tokens for one in all_.used]
        suits: dict[str, Suggestion] = {}
        if expected.need.fits:
            suits = presets.suggested(recipe, config, tokens, machine, all_.samples, usual["epochs"])
        return {
            "steps": expected.steps,
            "forecast": expected,
            "suggested": presets.differing(recipe, suits, tokens),
            "presets": {name: forecast(one, lengths, config, machine, speed).seconds for name, one in others.items()},
            "too_long": all_.within(recipe.max_length).over if recipe.too_long == "leave_out" else 0,
            "unusable": len(all_.unusable),
        }


# --- what stands above and below the form ----------------------------------------------------------------


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
        for key, number in (("train_data_too_long", plan.too_long), ("train_data_unusable", plan.unusable)):
            inner += f'<p class="quiet">{escape(t(key, number=f"{number:,}"))}</p>' if number else ""
        if plan.unsaved:
            inner += Html(f'<p class="quiet">{escape(t("train_data_unsaved"))}</p>')
    return Html(
        f'<div class="run question"><div class="head"><b>{escape(t("train_data"))}</b>{link}</div>{inner}</div>'
    )


def preset_choices(plan: Plan | None, t: Translator) -> list[tuple[str, str]]:
    """(title, name) of each preset, with the time it takes once that is known."""
    times = plan.presets if plan else {}
    return [
        (t("train_preset_time", title=title, time=duration(t, times[name])) if name in times else title, name)
        for name, title in ((name, recipe_form.preset_title(name, t)) for name in presets.PRESETS)
    ]


def suggestion_lines(plan: Plan | None, fields: Sequence[FormField], typed: Sequence[Any], t: Translator) -> Html:
    """Values that suit the data and this machine better, each with its reason and a button; clicks say set:JSON."""
    if plan is None or not plan.suggested:
        return NOTHING
    now = {field.name: (field.title, value) for field, value in zip(fields, typed, strict=True)}
    rows = ""
    for name, one in plan.suggested.items():
        title, value = now[name]
        words = t("train_suggested_one", title=title, value=value_words(one.value, t), now=value_words(value, t))
        use = set_button({name: one.value}, t("train_suggested_use"))
        rows += f"<li><b>{escape(words)}</b> {escape(one.why[t.language == 'zh'])} {use}</li>"
    every = {name: one.value for name, one in plan.suggested.items()}
    both = set_button(every, t("train_suggested_all")) if len(every) > 1 else ""
    head = f'<div class="head"><b>{escape(t("train_suggested"))}</b>{both}</div>'
    return Html(f'<div class="run question">{head}<ul class="plain">{rows}</ul></div>')


def set_button(changes: Mapping[str, Any], words: str) -> Html:
    """A button that puts values into the form."""
    key = escape("set:" + json.dumps(dict(changes)))
    return Html(f'<button type="button" data-key="{key}">{escape(words)}</button>')


def warning_lines(recipe: Recipe, plan: Plan | None, t: Translator) -> Html:
    """Choices that are known to hurt, a sentence each."""
    found = presets.warnings(recipe, plan.samples if plan else None)
    return Html("".join(notice("warn", words[t.language == "zh"]) for words in found))
