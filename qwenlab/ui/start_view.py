"""The Start page as HTML: the guided path with one button a step, and what came from what as a tree of links."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qwenlab.models import catalogue
from qwenlab.training.recipe import Recipe
from qwenlab.ui import ladder
from qwenlab.ui.components import NOTHING, Html, badge, duration, escape, notice, progress_bar
from qwenlab.ui.export_view import KINDS, size_words
from qwenlab.ui.journey import Journey, Step, day, rates_words
from qwenlab.ui.ladder import Export
from qwenlab.ui.lineage import Learned, Lineage, Source, Tested
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import STATE_KINDS, model_title

BADGES = {
    "done": "ok",
    "warn": "warn",
    "problem": "bad",
    "busy": "busy",
    "next": "next",
    "open": "none",
    "later": "none",
}
LISTED = 5
"""Runs of a data set, and tests and exports of a run, that are listed."""
SOURCES = 8


# --- the guided path -------------------------------------------------------------------------------------


def loading(t: Translator) -> Html:
    """What stands there before the workspace has been looked at."""
    return Html(f'<div class="go" aria-busy="true">{progress_bar(t, None, t("go_loading"))}</div>')


def failed(what: str, remedy: str) -> Html:
    """What stands there when the workspace cannot be read."""
    return Html(f'<div class="go">{notice("bad", what, remedy)}</div>')


def guided_path(journey: Journey, t: Translator) -> Html:
    """Where the person is, what the last result means, and the five steps."""
    states = {step.state for step in journey.steps}
    made = journey.steps[1].state in ("done", "warn") or bool(journey.meaning)
    if "busy" in states:
        title, said = t("go_title_busy"), t("go_busy")
    elif states <= {"done", "warn", "open"} and journey.steps[-1].state == "done":
        title, said = t("go_title_done"), t("go_done")
    elif made:
        title, said = t("go_title_on"), ""
    else:
        title, said = t("go_title_new"), t("go_new") if journey.example else t("go_own")
    intro = f"<p>{escape(said)}</p>" if said else ""
    cards = "".join(_card(at, step, t) for at, step in enumerate(journey.steps, start=1))
    return Html(
        f'<section class="go" aria-label="{escape(t("go_steps"))}"><h2>{escape(title)}</h2>{intro}'
        f'{_works_with(journey, t)}{_meaning(journey, t)}<ol class="steps">{cards}</ol></section>'
    )


def _works_with(journey: Journey, t: Translator) -> str:
    parts = [f"{escape(t('go_works_with'))}: <b>{escape(journey.data)}</b>"] if journey.data else []
    if journey.example:
        parts[-1] += f" ({escape(t('go_example'))})"
    parts.append(escape(model_title(journey.model)))
    if journey.left >= 30:
        parts.append(escape(t("go_left", time=duration(t, journey.left))))
    return f'<p class="quiet">{" · ".join(parts)}</p>'


def _meaning(journey: Journey, t: Translator) -> str:
    if not journey.meaning:
        return ""
    return f'<p class="means"><span>{escape(t("go_means"))}</span> {escape(journey.meaning)}</p>'


def _card(at: int, step: Step, t: Translator) -> str:
    kind = BADGES[step.state]
    cost = t("go_about", time=duration(t, step.seconds)) if step.seconds and step.state != "busy" else ""
    bar = progress_bar(t, step.fraction, step.said, step.seconds) if step.state == "busy" else NOTHING
    said = bar or f'<p class="said">{escape(step.said)}</p>'
    state = _state(kind, t("go_state_" + step.state))
    here = ' aria-current="step"' if step.state == "next" else ""
    return (
        f'<li class="step {step.state}"{here}><div class="head"><h3><i>{at}</i> {escape(t("tab_" + step.name))}</h3>'
        f'{state}</div><p class="quiet">{escape(t("go_what_" + step.name))}</p>{said}'
        f'<div class="foot"><span class="quiet">{escape(cost)}</span>{_button(step, t)}</div></li>'
    )


def _state(kind: str, words: str) -> Html:
    if kind == "next":
        return Html(f'<span class="badge busy"><i>→</i> {escape(words)}</span>')
    return badge(kind, words)


def _button(step: Step, t: Translator) -> str:
    see = step.place and step.state in ("done", "busy", "problem", "warn") and step.name in ("train", "test", "export")
    words = t(f"go_{'see' if see else 'button'}_{step.name}")
    look = ' class="primary"' if step.state == "next" else ""
    return f'<button type="button"{look} {_place("tab_" + step.name, step.place)}>{escape(words)}</button>'


def _place(tab: str, name: object = "") -> str:
    """Attributes of a button that opens a tab, and in it a data set, run, result or export."""
    return f'data-goto="{tab}"' + (f' data-name="{escape(name)}"' if name else "")


# --- what came from what ---------------------------------------------------------------------------------


def came_from(found: Lineage, chosen: Path | None, t: Translator) -> Html:
    """Data sets, the runs that learned from each, and what came of those."""
    head = f"<h2>{escape(t('line_title'))}</h2>"
    if not found.runs and not found.tests and not found.exports:
        empty = f'<p class="quiet">{escape(t("line_empty"))}</p>'
        return Html(f'<section class="go lineage">{head}{empty}</section>')
    used = [one for one in found.sources if one.runs or one.path == chosen]
    items = "".join(_source(one, chosen, t) for one in used[:SOURCES]) + _others(found, t)
    about = f'<p class="quiet">{escape(t("line_about"))}</p>'
    return Html(f'<section class="go lineage">{head}{about}<ul class="tree">{items}</ul></section>')


def _source(source: Source, chosen: Path | None, t: Translator) -> str:
    name = source.path.name.removesuffix(".json").removesuffix(".train")
    facts = [t("go_example")] if source.shipped else []
    if source.path == chosen:
        facts.append(t("line_chosen"))
    if not source.runs:
        facts.append(t("line_no_runs"))
    gone = not source.path.exists()
    link = f"<b>{escape(name)}</b>" if gone else _link("tab_data", source.path, name, t)
    line = _line("line_data", link, facts, t, badge("warn", t("line_data_gone")) if gone else NOTHING)
    inside = "".join(_run(run, t) for run in source.runs[:LISTED])
    older = len(source.runs) - LISTED
    if older > 0:
        inside += f'<li class="quiet">{escape(t("line_older", number=older))}</li>'
    return f"<li>{line}{f'<ul>{inside}</ul>' if inside else ''}</li>"


def _run(run: Learned, t: Translator) -> str:
    facts = [*_recipe_words(run.recipe, t), day(ladder.started(run.job))]
    if run.same is not None:
        facts.append(t("line_same" if run.same else "line_changed"))
    state = badge(STATE_KINDS[run.state], t("state_" + run.state))
    name = _link("tab_train", run.job.id, run.job.id, t)
    tip = t("line_version", version=run.version[:6]) if run.version else ""
    line = _line("line_run", name, facts, t, state, tip)
    inside = "".join(_export(one, t) for one in run.exports[:LISTED])
    inside += "".join(_test(one, t) for one in run.tests[:LISTED])
    return f"<li>{line}{f'<ul>{inside}</ul>' if inside else ''}</li>"


def _recipe_words(recipe: Recipe, t: Translator) -> list[str]:
    known = catalogue.entry(recipe.model)
    title = (known.title if known else Path(recipe.model).name).removesuffix("-Instruct")
    long = t("line_epoch") if recipe.epochs == 1 else t("line_epochs", number=f"{recipe.epochs:g}")
    if recipe.max_steps:
        long = t("line_steps", number=f"{recipe.max_steps:,}")
    return [title, t("line_method_" + recipe.method), long]


def _export(one: Export, t: Translator) -> str:
    kind = str(one.about.get("kind", ""))
    form = str(one.about.get("format") or KINDS.get(kind, kind))
    what = t("line_merged") if kind == "merged" else t("line_small", format=form)
    facts = [what, size_words(one.bytes), day(one.made)]
    run = str(one.about.get("run", ""))
    link = _link("tab_export", run, one.folder.name, t) if run else f"<b>{escape(one.folder.name)}</b>"
    return f"<li>{_line('line_export', link, facts, t)}</li>"


def _test(one: Tested, t: Translator) -> str:
    state = NOTHING
    if one.outdated:
        state = badge("warn", t("line_outdated"))
    elif one.state != "finished":
        state = badge(STATE_KINDS[one.state], t("state_" + one.state))
    facts = [rates_words(one, t)] if one.measure else []
    link = _link("tab_test", one.folder.name, one.suite, t)
    return f"<li>{_line('line_test', link, [*facts, day(one.ended)], t, state, one.folder.name)}</li>"


def _others(found: Lineage, t: Translator) -> str:
    inside = "".join(_test(one, t) for one in found.tests[:LISTED])
    inside += "".join(_export(one, t) for one in found.exports[:LISTED])
    return f'<li><span class="quiet">{escape(t("line_others"))}</span><ul>{inside}</ul></li>' if inside else ""


def _link(tab: str, name: object, words: str, t: Translator) -> str:
    return (
        f'<button type="button" class="link" {_place(tab, name)} title="{escape(t("line_open", what=words))}">'
        f"{escape(words)}</button>"
    )


def _line(kind: str, link: str, facts: Sequence[str], t: Translator, state: Html = NOTHING, tip: str = "") -> str:
    said = " · ".join(escape(fact.rstrip(".。")) for fact in facts if fact)
    about = f' title="{escape(tip)}"' if tip else ""
    return (
        f'<div class="line"{about}><span class="kind">{escape(t(kind))}</span>{link}{state}'
        f'<span class="facts">{said}</span></div>'
    )
