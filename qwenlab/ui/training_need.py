"""Beside the Start button: what the recipe needs of this machine, and what would make it fit."""

from __future__ import annotations

import psutil

from qwenlab.training.estimate import USABLE, Estimate, Machine
from qwenlab.training.forecast import Forecast
from qwenlab.training.recipe import Recipe
from qwenlab.ui.components import NOTHING, Html, duration, error_words, escape, notice, progress_bar
from qwenlab.ui.recipe_form import form_fields, value_words
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_plan import Plan, set_button


def need_lines(plan: Plan | None, recipe: Recipe, t: Translator, alone: bool = True) -> Html:
    """Memory against what the machine has, time, steps and tokens; before they are known, how far the counting is.

    Args:
        alone: whether nothing is trained now, so that the memory that is free now is what a start would find.
    """
    if plan is None or not plan.samples:
        return NOTHING
    if plan.error is not None:
        return Html(_facts([_steps(plan.steps, recipe, t)]) + notice("warn", *error_words(plan.error, t)))
    if plan.forecast is None:
        waits = NOTHING
        if plan.counting is not None:
            done, all_ = plan.counting
            words = t("train_counting", done=f"{done:,}", all=f"{all_:,}") if all_ else t("train_counting_starts")
            waits = progress_bar(t, done / all_ if all_ else None, words)
        return Html(_facts([_steps(plan.steps, recipe, t)]) + waits)
    expected = plan.forecast
    facts = [
        (t("train_about", value=duration(t, expected.seconds)), t("train_need_time")),
        _steps(expected.steps, recipe, t),
        (_rounded(expected.tokens), t("train_need_tokens")),
    ]
    return Html(
        _facts(facts)
        + memory_bar(expected.need, expected.machine, t)
        + _remedy(expected, t)
        + _judged(expected, t)
        + (Html(f'<p class="quiet">{escape(t("train_machines_first"))}</p>') if recipe.machines > 1 else NOTHING)
        + (_tight(expected, t) if alone else NOTHING)
    )


def memory_bar(need: Estimate, machine: Machine, t: Translator) -> Html:
    """The memory that is needed, of what there is, with the verdict in a word."""
    share = min(1.0, need.memory_bytes / machine.memory_bytes) * 100
    where = "train_memory_gpu" if machine.device == "cuda" else "train_memory"
    words = t("train_memory_of", needs=_gb(need.memory_bytes), has=_gb(machine.memory_bytes))
    verdict = t("train_memory_fits" if need.fits else "train_memory_not")
    kind = "ok" if need.fits else "bad"
    parts = ", ".join(
        f"{t('train_part_' + name)} {_gb(size)}" for name, size in need.parts.items() if size >= 0.05 * 1e9
    )
    return Html(
        f'<div class="progress {kind}" title="{escape(parts)}"><div class="words"><span>{escape(t(where))}</span>'
        f'<span>{escape(words)}</span><b class="{kind}">{escape(verdict)}</b></div>'
        f'<div class="rail"><div style="width:{share:.1f}%"></div></div></div>'
    )


def _remedy(expected: Forecast, t: Translator) -> Html:
    """What makes a recipe fit that does not."""
    need = expected.need
    if need.fits:
        return NOTHING
    has = expected.machine.memory_bytes
    what = t("train_not_fitting", most=_gb(USABLE * has), has=_gb(has))
    if need.advice is None:
        return notice("bad", what, t("train_not_fitting_ever"))
    titles = {field.name: field.title for field in form_fields(t.language, ())}
    changes = t("train_and").join(
        t("train_set_one", title=titles[name], value=value_words(value, t))
        for name, value in need.advice.changes.items()
    )
    button = set_button(need.advice.changes, t("train_make_fit", changes=changes))
    return notice("bad", what, Html(f"{escape(t('train_not_fitting_do'))} {button}"))


def _tight(expected: Forecast, t: Translator) -> Html:
    """That other programs hold the memory which this would need."""
    if not expected.need.fits or expected.machine.device == "cuda":
        return NOTHING
    free = int(psutil.virtual_memory().available)
    if free >= expected.need.memory_bytes:
        return NOTHING
    return notice("warn", t("train_memory_tight", free=_gb(free)), t("train_memory_tight_do"))


def _judged(expected: Forecast, t: Translator) -> Html:
    """Where the time comes from."""
    speed = f"{expected.pace.tokens_per_s:,.0f}"
    run = expected.pace.run
    words = t("train_judged_run", run=run, speed=speed) if run else t("train_judged_rough", speed=speed)
    return Html(f'<p class="quiet">{escape(words)}</p>')


def _steps(steps: int, recipe: Recipe, t: Translator) -> tuple[str, str]:
    return f"{steps:,}", t("train_need_steps", batch=f"{recipe.batch_size:,}")


def _facts(facts: list[tuple[str, str]]) -> Html:
    shown = "".join(f"<div><b>{escape(value)}</b> <span>{escape(words)}</span></div>" for value, words in facts)
    return Html(f'<div class="facts">{shown}</div>')


def _rounded(tokens: int) -> str:
    return f"{round(tokens, -3):,}" if tokens >= 10_000 else f"{tokens:,}"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"
