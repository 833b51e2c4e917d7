"""The folded parts of a run: samples left out, the learning rate, its settings, and how to run it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from qwenlab.jobs import Job
from qwenlab.training import handover
from qwenlab.training.recipe import Recipe
from qwenlab.training.runs import Progress
from qwenlab.ui.components import NOTHING, Html, escape, fold, notice, table
from qwenlab.ui.recipe_form import form_fields, number, value_words
from qwenlab.ui.texts import Translator

MOST_POINTS = 300
LISTED = 100


def left_out(progress: Progress, t: Translator) -> Html:
    """Samples that were not trained, and those that lost their oldest turns, each with the reason."""
    zh = t.language == "zh"
    parts = (
        ("train_left_out", progress.left_out_number, progress.left_out_zh if zh else progress.left_out),
        ("train_shortened", progress.shortened_number, progress.shortened_zh if zh else progress.shortened),
    )
    found = ""
    for key, all_, rows in parts:
        if rows:
            inner: str = table([t("train_left_out_name"), t("train_left_out_why")], rows[:LISTED])
            if all_ > LISTED:
                inner += f'<p class="quiet">{escape(t("train_left_out_more", number=f"{all_ - LISTED:,}"))}</p>'
            found += fold(key, t(key, number=f"{all_:,}"), inner)
    return Html(found)


def settings(recipe: Recipe, progress: Progress, t: Translator) -> Html:
    """Every setting of the run, and which optional packages made it faster or why not."""
    values = recipe.model_dump()
    rows = [(field.title, value_words(values[field.name], t)) for field in form_fields(t.language, ())]
    lines = ""
    for name, extra in progress.extras.items():
        key = "train_extra_used" if extra["used"] else "train_extra_not"
        reason = extra.get("reason_zh" if t.language == "zh" else "reason", "")
        lines += f'<p class="quiet">{escape(t(key, name=name, reason=reason))}</p>'
    return fold("settings", t("train_settings"), table(["", ""], rows) + lines)


# --- the learning rate -----------------------------------------------------------------------------------


def rate_words(rate: float) -> str:
    """A learning rate with the digits that matter."""
    return number(float(f"{rate:.2g}"))


def rate_fold(rates: Mapping[int, float], t: Translator) -> Html:
    """The learning rate by step as a thin line from zero to its highest value."""
    points = sorted(rates.items())
    if len(points) < 2:
        return NOTHING
    highest = max(rate for _, rate in points) or 1.0
    first, last = points[0][0], points[-1][0]
    drawn = points[:: max(1, len(points) // MOST_POINTS)]
    line = "L".join(
        f"{(step - first) * 1000 / (last - first):.1f} {1000 - rate * 1000 / highest:.1f}" for step, rate in drawn
    )
    words = t("train_rate_line", first=f"{first:,}", last=f"{last:,}", highest=rate_words(highest))
    picture = (
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{escape(words)}">'
        f'<path class="each" d="M{line}"/></svg>'
    )
    inner = f'<p class="quiet">{escape(words)}</p><div class="curve low">{picture}</div>'
    return fold("rate", t("train_rate", now=rate_words(points[-1][1])), inner)


# --- elsewhere -------------------------------------------------------------------------------------------


def command(line: str, t: Translator) -> Html:
    """A line for a shell, with a button that copies it."""
    return Html(
        f'<div class="copied"><pre class="command">{escape(line)}</pre><button type="button" '
        f'data-copy="{escape(line)}" data-done="{escape(t("copied"))}">{escape(t("copy"))}</button></div>'
    )


def save_recipe(recipe: Recipe, t: Translator) -> Html:
    """A link that saves a recipe as a file which `qwenlab train FILE` reads."""
    href = "data:application/json;charset=utf-8," + quote(handover.recipe_text(recipe))
    return Html(f'<a href="{href}" download="{handover.RECIPE}">{escape(t("train_save_recipe"))}</a>')


def of_form(recipe: Recipe, preset: str, t: Translator) -> Html:
    """What starts the training in the form on another computer, and its recipe to save."""
    inner = (
        f"<p>{escape(t('train_elsewhere_form'))}</p>{command(handover.flags_command(recipe, preset), t)}"
        f"<p>{escape(t('train_elsewhere_file'))} {save_recipe(recipe, t)}</p>"
    )
    return fold("elsewhere", t("train_elsewhere"), inner)


def of_run(job: Job, recipe: Recipe, t: Translator) -> Html:
    """What trains the same as a run on another computer, and what starts its processes by hand."""
    names = [handover.RECIPE, handover.DATA, *([handover.SUITE] if recipe.suite else [])]
    where = t("train_elsewhere_run", folder=job.folder, files=("、" if t.language == "zh" else ", ").join(names))
    inner = f"<p>{escape(where)}</p>{command(handover.files_command(recipe), t)}<p>{save_recipe(recipe, t)}</p>"
    lines = handover.process_commands(recipe, job.folder)
    if lines:
        inner += f"<p>{escape(t('train_elsewhere_processes'))}</p>" + "".join(command(line, t) for line in lines)
    return fold("elsewhere", t("train_elsewhere"), inner)


def other_machines(job: Job, recipe: Recipe, t: Translator) -> Html:
    """That a run waits for its other machines, and what is to be started there."""
    lines = handover.process_commands(recipe, job.folder)[1:]
    shown = "".join(
        f"<div>{escape(t('train_machine', number=at))}</div>{command(line, t)}" for at, line in enumerate(lines, 2)
    )
    return Html(
        notice("warn", t("train_waits_machines", number=len(lines)), t("train_waits_machines_do", folder=job.folder))
        + shown
    )
