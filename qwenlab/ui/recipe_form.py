"""The recipe as a form: titles, help and limits from its declaration, sections, and what differs from a preset."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from qwenlab.conversations.words import Language
from qwenlab.errors import QwenlabError
from qwenlab.training import presets
from qwenlab.training import recipe as recipes
from qwenlab.training.recipe import Recipe
from qwenlab.ui.components import Html, escape
from qwenlab.ui.texts import Translator

SECTIONS: dict[str, tuple[str, ...]] = {
    "train_section_learning": (
        *("epochs", "max_steps", "learning_rate", "schedule", "warmup", "batch_size", "weight_decay"),
        *("validation", "looks", "look_cases", "patience", "seed"),
    ),
    "train_section_adapter": ("method", "target", "rank", "alpha", "dropout"),
    "train_section_data": ("languages", "labels", "max_length", "too_long"),
    "train_section_machine": (
        *("micro_batch", "checkpointing", "save_minutes"),
        *("processes", "machines", "sharding"),
    ),
}
"""Where each setting stands; one that is in none stands in OTHERS."""
OTHERS = "train_section_others"
SPEAKS = {"en": "train_language_en", "zh": "train_language_zh"}


@dataclass(frozen=True)
class FormField:
    """One setting of the recipe, as a form shows it.

    Attributes:
        kind: "number", "whole", "choice" (one of `choices`) or "several" (any of `choices`).
        low, high: limits; `above` says that `low` itself is out.
    """

    name: str
    title: str
    help: str
    kind: Literal["number", "whole", "choice", "several", "text"]
    default: Any
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: bool = False

    def fits(self, value: float) -> bool:
        """Whether the value is within the limits."""
        low = self.low is None or (value > self.low if self.above else value >= self.low)
        return low and (self.high is None or value <= self.high)

    def about(self, t: Translator) -> str:
        """The help with the range."""
        if self.low is None or self.high is None:
            return self.help
        key = "train_range_above" if self.above else "train_range"
        return t(key, help=self.help, low=number(self.low), high=number(self.high))


ELSEWHERE = ("model", "data", "suite")
"""Settings that are chosen outside the sections."""


def form_fields(language: Language, leave_out: Sequence[str] = ELSEWHERE) -> list[FormField]:
    """The recipe's settings in their order, with titles, help and limits from their declaration."""
    return [_form_field(name, language) for name in Recipe.model_fields if name not in leave_out]


def in_sections(fields: Sequence[FormField]) -> list[tuple[str, list[FormField]]]:
    """The fields by section, as (key of its title, fields); sections without fields are left out."""
    placed = {name for names in SECTIONS.values() for name in names}
    known = {field.name: field for field in fields}
    found = [(key, [known[name] for name in names if name in known]) for key, names in SECTIONS.items()]
    found.append((OTHERS, [field for field in fields if field.name not in placed]))
    return [(key, inside) for key, inside in found if inside]


def _form_field(name: str, language: Language) -> FormField:
    setting = Recipe.model_fields[name]
    extra: Any = setting.json_schema_extra or {}
    title, text = setting.title or name, setting.description or ""
    if language == "zh":
        title, text = extra.get("title_zh", title), extra.get("help_zh", text)
    low, high, above = None, None, False
    for limit in setting.metadata:
        low = getattr(limit, "ge", getattr(limit, "gt", low))
        high = getattr(limit, "le", high)
        above = above or hasattr(limit, "gt")
    kind, choices = _kind(setting.annotation)
    return FormField(name, title, text, kind, setting.get_default(call_default_factory=True), choices, low, high, above)


def _kind(annotation: Any) -> tuple[Literal["number", "whole", "choice", "several", "text"], tuple[str, ...]]:
    if get_origin(annotation) is list:
        return "several", get_args(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    if annotation is int:
        return "whole", ()
    return ("number" if annotation is float else "text"), ()


def checked(fields: Sequence[FormField], values: Sequence[Any], t: Translator) -> dict[str, Any]:
    """The form's values by name.

    Raises:
        QwenlabError: an empty or impossible value, in the page's language.
    """
    found: dict[str, Any] = {}
    for field, value in zip(fields, values, strict=True):
        if field.kind in ("number", "whole"):
            if value is None:
                raise QwenlabError(t("train_empty_field", title=field.title), field.about(t))
            if not math.isfinite(value) or not field.fits(value) or (field.kind == "whole" and value != int(value)):
                raise QwenlabError(t("train_outside", title=field.title, value=number(value)), field.about(t))
            value = int(value) if field.kind == "whole" else float(value)
        found[field.name] = value
    return found


def number(value: float) -> str:
    """A number as people write it: 0.0003, 1,000,000, 2."""
    if math.isfinite(value) and value == int(value):
        return f"{int(value):,}"
    return f"{value:.10f}".rstrip("0").rstrip(".")


def speaks(languages: Sequence[str], t: Translator) -> str:
    """Names of languages, joined."""
    return " + ".join(t(SPEAKS[one]) if one in SPEAKS else one for one in languages)


def value_words(value: Any, t: Translator) -> str:
    """A setting's value as a person reads it."""
    if isinstance(value, list):
        return speaks(value, t) if value else t("train_none_named")
    if value == "":
        return t("looks_none_short")
    return number(value) if isinstance(value, int | float) else str(value)


# --- presets ---------------------------------------------------------------------------------------------


def preset_values(name: str, model: str) -> dict[str, Any]:
    """Every setting as a preset has it for a model."""
    return recipes.read(presets.preset(name, model)).model_dump()


def preset_title(name: str, t: Translator) -> str:
    """A preset's name for people."""
    return presets.ABOUT[name][t.language == "zh"][0]


def refilled(
    fields: Sequence[FormField], typed: Sequence[Any], before: Mapping[str, Any], now: Mapping[str, Any]
) -> list[Any]:
    """The form after its preset's values went from `before` to `now`: what was changed by hand stays."""
    pairs = zip(fields, typed, strict=True)
    return [now[field.name] if value == before[field.name] else value for field, value in pairs]


def settled(fields: Sequence[FormField], typed: Sequence[Any], key: str) -> list[Any]:
    """The form after a click on a button that puts values into it: "set:" and the values as JSON.

    What the form could not hold is left as it is.
    """
    what, _, text = key.partition(":")
    try:
        changes = json.loads(text) if what == "set" else {}
    except ValueError:
        changes = {}

    def allowed(field: FormField, value: Any) -> bool:
        if field.kind in ("number", "whole"):
            return isinstance(value, int | float) and math.isfinite(value) and field.fits(value)
        return value in field.choices

    pairs = zip(fields, typed, strict=True)
    return [
        changes[field.name] if field.name in changes and allowed(field, changes[field.name]) else value
        for field, value in pairs
    ]


def preset_lines(
    name: str, preset: Mapping[str, Any], fields: Sequence[FormField], typed: Sequence[Any], t: Translator
) -> Html:
    """What a preset is for, and each setting that was changed from it by hand."""
    about = presets.ABOUT[name][t.language == "zh"][1]
    changed = [
        t(
            "train_changed_one",
            title=field.title,
            value=value_words(value, t),
            preset=value_words(preset[field.name], t),
        )
        for field, value in zip(fields, typed, strict=True)
        if value is not None and value != preset[field.name]
    ]
    lines = f'<p class="quiet">{escape(about)}</p>'
    if changed:
        back = f'<button type="button" class="link" data-key="preset:back">{escape(t("train_changed_back"))}</button>'
        inside = "".join(f"<li>{escape(one)}</li>" for one in changed)
        items = f'<ul style="margin:2px 0 2px 18px">{inside}</ul>'
        lines += f"<p><b>{escape(t('train_changed'))}</b> {back}</p>{items}"
    return Html(f'<div class="run">{lines}</div>')
