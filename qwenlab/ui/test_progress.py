"""How far the running test is, and what became of the chosen one: stopped, interrupted, failed, or by older rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.ui import again, suites
from qwenlab.ui.components import NOTHING, Html, duration, ended_words, error_words, escape, notice, progress_bar
from qwenlab.ui.lab import Lab
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator

MOST_WORDS = 200
"""Characters of the newest answer that are shown."""


def progress(lab: Lab, folder: Path | None, shown: Shown | None, t: Translator) -> Html:
    """The running test, if any, then what is to be said of the chosen result.

    Args:
        folder: of the chosen result. shown: what it holds; None before its first answer.
    """
    running = suites.newest_test(lab.workspace)
    if running is not None and running.state() != "running":
        running = None
    bar = _running(running, t) if running is not None else NOTHING
    if folder is None or (running is not None and running.folder == folder):
        return bar
    return Html(bar + _ended(Job(folder), shown, running is None, t) + _rules(lab, shown, t))


# --- while it runs ---------------------------------------------------------------------------------------


def _running(job: Job, t: Translator) -> Html:
    """The bar, everybody with how far they are, and the newest answer."""
    event = suites.last_progress(job) or {}
    name = str(event.get("contestant", ""))
    if not name:
        bar = progress_bar(t, None, t("test_stopping" if job.asked_to_stop() else "test_starting", name=job.id))
        return Html(bar + _everybody(job, "", event, t))
    left = event.get("seconds_left")
    if job.asked_to_stop():
        bar = progress_bar(t, None, t("test_stopping", name=job.id))
    else:
        said = t("test_progress", name=name, done=event.get("done", 0), number=event.get("total", 0))
        if event.get("cached"):
            said = f"{said}, {t('test_progress_known', number=event['cached'])}"
        if isinstance(left, int | float):
            said = f"{said}, {t('time_left', time=duration(t, left))}"
        bar = progress_bar(t, float(event.get("fraction", 0)), said)
    return Html(bar + _everybody(job, name, event, t) + _newest(job, name, t))


def _everybody(job: Job, now: str, event: Mapping[str, Any], t: Translator) -> str:
    """Everybody who is asked: done, answering, or waiting."""
    names = again.asked(job)
    if len(names) < 2:
        return ""
    at = names.index(now) if now in names else -1
    parts = []
    for place, name in enumerate(names):
        if place < at:
            kind, words = "ok", t("test_entrant_done")
        elif place == at:
            kind, words = "busy", f"{event.get('done', 0):,} / {event.get('total', 0):,}"
        else:
            kind, words = "none", t("test_entrant_waits")
        sign = {"ok": "✓", "busy": "…", "none": "·"}[kind]
        parts.append(
            f'<li><i class="{kind}">{sign}</i> <b>{escape(name)}</b> <span class="quiet">{escape(words)}</span></li>'
        )
    return f'<ol class="entrants">{"".join(parts)}</ol>'


def _newest(job: Job, name: str, t: Translator) -> str:
    line = suites.last_answer(job.folder, name)
    if line is None:
        return ""
    text = " ".join(str(line.get("text") or "").split())
    text = text[:MOST_WORDS] + ("…" if len(text) > MOST_WORDS else "") if text else t("compare_no_words")
    said = t("test_newest", name=name, case=line.get("case", ""))
    return f'<p class="quiet newest">{escape(said)} <code>{escape(text)}</code></p>'


# --- when it has ended -----------------------------------------------------------------------------------


def _ended(job: Job, shown: Shown | None, free: bool, t: Translator) -> Html:
    """How the chosen test ended where that was not well, and the button that goes on with it."""
    result = shown.result if shown is not None else None
    able = again.can_go_on(job.folder, result)
    button = _button("go-on", t("test_go_on"), t("test_go_on_about")) if able and free else NOTHING
    state = job.state()
    if state == "failed":
        reason, remedy = ended_words(job.outcome() or {}, t)
        what = t("test_failed", name=job.id, reason=reason)
        return notice("bad", what, Html(f"{escape(remedy)} {button}"), job.log_tail(), t)
    if state in ("stopped", "interrupted") and not again.everybody_answered(job, result):
        what = t("test_stopped" if state == "stopped" else "test_interrupted", name=job.id)
        return notice("warn", what, Html(f"{escape(t('test_kept_answers'))} {button}"))
    if result is not None and not result.complete:
        return notice("warn", t("test_incomplete"), t("test_incomplete_remedy", folder=job.folder))
    number = again.errors(result) if result is not None else 0
    if number:
        retry = _button("go-on", t("test_retry"), t("test_go_on_about")) if able and free else NOTHING
        return notice("warn", t("test_errors", number=number), retry)
    return NOTHING


def _rules(lab: Lab, shown: Shown | None, t: Translator) -> Html:
    """That the suite has changed since, and the button that scores the saved answers by it."""
    if shown is None:
        return NOTHING
    try:
        found = again.change(lab, shown.result)
    except QwenlabError as error:
        return notice("bad", *error_words(error, t))
    if found is None:
        return NOTHING
    if found.suite is None:
        return notice("none", t("test_asked_otherwise"), t("test_asked_otherwise_remedy"))
    left_out = t("test_rules_left_out", number=found.asked_otherwise) if found.asked_otherwise else ""
    button = _button("score-again", t("test_score_again"), t("test_score_again_about"))
    return notice("none", t("test_rules_changed"), Html(f"{escape(left_out)} {button}"))


def _button(do: str, words: str, about: str) -> Html:
    return Html(f'<button type="button" data-do="{do}" title="{escape(about)}">{escape(words)}</button>')
