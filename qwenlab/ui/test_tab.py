"""The Test tab: run a suite on contestants, read the scoreboard, and go through the cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.ui import components, roster, suite_editor, suite_view, suites
from qwenlab.ui import who as who_answers
from qwenlab.ui.components import NOTHING, Html, ended_words, listen, notice, on_load, progress_bar
from qwenlab.ui.judging import expected_text
from qwenlab.ui.keep import keep
from qwenlab.ui.lab import Lab
from qwenlab.ui.suite_view import View
from qwenlab.ui.suites import Shown
from qwenlab.ui.texts import Translator

HERE = Path(__file__).parent
SCRIPT = (HERE / "compare.js").read_text(encoding="utf-8")
STYLE = (HERE / "style_compare.css").read_text(encoding="utf-8")
POLL_SECONDS = 2.0
LANGUAGES = {"own": "test_language_own", "en": "test_language_en", "zh": "test_language_zh", "all": "test_language_all"}


def build(lab: Lab, t: Translator) -> None:
    """Build the tab inside the open gr.Tab."""
    view = gr.State(None)
    names = list(suites.suite_paths(lab))
    with gr.Row():
        suite = gr.Dropdown(
            label=t("test_suite"),
            choices=names,
            value=suites.chosen_suite(lab) or None,
            filterable=False,
            scale=1,
            min_width=170,
        )
        who = gr.Dropdown(
            label=t("test_who"),
            choices=who_answers.choices(lab, t),
            value=roster.usual(lab),
            multiselect=True,
            max_choices=roster.MOST,
            allow_custom_value=True,
            scale=4,
            min_width=280,
        )
        language = gr.Dropdown(
            label=t("test_language"),
            choices=[(t(key), name) for name, key in LANGUAGES.items()],
            value=next(iter(LANGUAGES)),
            filterable=False,
            scale=1,
            min_width=175,
        )
        limit = gr.Number(label=t("test_limit"), value=0, minimum=0, precision=0, scale=1, min_width=130)
    with gr.Row():
        run = gr.Button(t("test_run"), variant="primary", size="sm", scale=0, min_width=140)
        stop = gr.Button(t("compare_stop"), size="sm", scale=0, min_width=100, interactive=False)
        chosen = gr.Dropdown(
            label=t("test_result"),
            choices=[],
            value=None,
            container=False,
            filterable=False,
            scale=1,
            min_width=240,
        )
    progress = gr.HTML(elem_id="test-progress")
    parts: dict[str, Any] = {"css_template": STYLE, "js_on_load": SCRIPT, "apply_default_css": False}
    overview = gr.HTML(suite_view.overview(None, t), elem_id="test-overview", **parts)
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            matrix = gr.HTML(elem_id="test-matrix", **parts)
        with gr.Column(scale=1, min_width=320):
            case = gr.HTML(elem_id="test-case", **parts)
            with gr.Column(visible=False) as keeping:
                right = gr.Textbox(label=t("compare_keep_answer"), info=t("test_keep_burns"), lines=4, max_lines=14)
                with gr.Row():
                    save = gr.Button(t("compare_keep_save"), variant="primary", size="sm")
                    cancel = gr.Button(t("compare_keep_cancel"), size="sm")
            kept = gr.HTML()
    suite_editor.build(lab, t, suite)

    def start(name: str | None, specs: list[str] | None, speaks: str, most: float | None) -> tuple[Any, ...]:
        entrants = roster.pick(lab, specs or [], t)
        job = suites.start_test(lab, t, name or "", entrants, _languages(speaks, entrants), int(most) if most else None)
        fresh = View(job.folder)
        return fresh, *draw(fresh)

    def halt() -> tuple[Any, ...]:
        job = suites.newest_test(lab.workspace)
        if job is not None and job.state() == "running":
            job.stop()
        return _progress(lab, t), gr.update(interactive=False)

    def draw(now: View | None) -> tuple[Any, ...]:
        """progress, stop, list of results, overview, matrix"""
        now = now or View()
        shown, error = _shown(lab, now, t)
        job = suites.newest_test(lab.workspace)
        running = job is not None and job.state() == "running"
        folder = _folder(lab, now)
        return (
            _progress(lab, t),
            gr.update(interactive=running and job is not None and not job.asked_to_stop()),
            gr.update(choices=_results(lab, t), value=str(folder) if folder else None),
            error or suite_view.overview(shown, t, chosen=folder is not None),
            suite_view.matrix(shown, now, t),
        )

    def everything(now: View) -> tuple[Any, ...]:
        """view, then what draw says, then case, keeping, kept"""
        shown, _ = _shown(lab, now, t)
        return now, *draw(now), suite_view.case_part(shown, now, t), gr.update(visible=now.keeping), NOTHING

    def load() -> tuple[Any, ...]:
        return (
            *everything(View()),
            gr.update(choices=who_answers.choices(lab, t), value=roster.usual(lab)),
            gr.update(choices=list(suites.suite_paths(lab)), value=suites.chosen_suite(lab) or None),
        )

    def choose(name: str | None) -> tuple[Any, ...]:
        return everything(View(Path(name) if name else None))

    def choose_suite(name: str | None) -> None:
        if name:
            lab.choose(suite=str(suites.suite_paths(lab)[name]))

    def act(now: View | None, event: gr.EventData) -> tuple[Any, ...]:
        """view, matrix, case, keeping, right, kept"""
        now, data = now or View(), event._data or {}
        action = data.get("do")
        if action == "filter":
            now.wanted, now.page = str(data.get("wanted", "all")), 0
        elif action == "page":
            now.page = int(data.get("page", 0))
        elif action == "open":
            now.case, now.keeping = str(data.get("case", "")), False
        elif action == "keep":
            now.keeping = not now.keeping
        shown, _ = _shown(lab, now, t)
        found = suite_view.open_case(shown, now)
        # What the person is correcting stays as it is, whatever is clicked in the matrix.
        fill = action == "keep" and now.keeping and found is not None and shown is not None
        return (
            now,
            suite_view.matrix(shown, now, t),
            suite_view.case_part(shown, now, t),
            gr.update(visible=now.keeping),
            expected_text(found, shown.result.suite) if fill and found and shown else gr.skip(),
            NOTHING if action in ("open", "keep") else gr.skip(),
        )

    def keep_it(now: View | None, words: str | None) -> tuple[Any, ...]:
        shown, _ = _shown(lab, now, t) if now else (None, NOTHING)
        found = suite_view.open_case(shown, now) if now else None
        if now is None or shown is None or found is None:
            return (gr.skip(),) * 3
        note = keep(
            lab,
            t,
            found.messages(shown.result.suite),
            words or "",
            "from-test",
            f"{shown.result.suite.name} {found.id}",
            (shown.result.suite.name, found.id),
        )
        if "notice ok" in note:
            now.keeping = False
            note = Html(note + notice("warn", t("test_burned"), t("test_burned_remedy")))
        return note, gr.update(visible=now.keeping), suite_view.case_part(shown, now, t)

    def leave_it(now: View | None) -> tuple[Any, ...]:
        if now is None:
            return (gr.skip(),) * 2
        now.keeping = False
        shown, _ = _shown(lab, now, t)
        return gr.update(visible=False), suite_view.case_part(shown, now, t)

    drawn = [progress, stop, chosen, overview, matrix]
    on_load(load, t, None, [view, *drawn, case, keeping, kept, who, suite])
    listen(run.click, start, t, [suite, who, language, limit], [view, *drawn])
    listen(stop.click, halt, t, None, [progress, stop])
    listen(suite.input, choose_suite, t, suite, None)
    listen(chosen.input, choose, t, chosen, [view, *drawn, case, keeping, kept])
    for part in (matrix, case):
        listen(part.submit, act, t, view, [view, matrix, case, keeping, right, kept], concurrency_limit=None)
    listen(save.click, keep_it, t, [view, right], [kept, keeping, case])
    listen(cancel.click, leave_it, t, view, [keeping, case])
    components.poll(POLL_SECONDS, draw, t, [view], drawn)
    who_answers.follow(lab, t, who)


def _languages(speaks: str, entrants: list[roster.Entrant]) -> list[str]:
    """The languages of the cases to ask: what all contestants speak, unless the person says otherwise."""
    if speaks in ("en", "zh"):
        return [speaks]
    if speaks == "own":
        return [code for code in ("en", "zh") if all(code in one.languages for one in entrants)]
    return ["en", "zh"]


def _folder(lab: Lab, now: View) -> Path | None:
    """The chosen result; the newest when none is chosen or the chosen one is gone."""
    known = suites.results(lab.workspace)
    if now.folder in known:
        return now.folder
    return known[0] if known else None


def _shown(lab: Lab, now: View, t: Translator) -> tuple[Shown | None, Html]:
    folder = _folder(lab, now)
    if folder is None:
        return None, NOTHING
    try:
        return suites.read_result(folder), NOTHING
    except QwenlabError as error:
        return None, notice("bad", *components.error_words(error, t))


def _results(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    return [(folder.name, str(folder)) for folder in suites.results(lab.workspace)]


def _progress(lab: Lab, t: Translator) -> Html:
    """The newest test: how far it is, or why it ended otherwise than well."""
    job = suites.newest_test(lab.workspace)
    if job is None:
        return NOTHING
    state = job.state()
    if state == "running":
        return _bar(job, t)
    if state == "failed":
        reason, remedy = ended_words(job.outcome() or {}, t)
        what = t("test_failed", name=job.id, reason=reason)
        return notice("bad", what, remedy, job.log_tail(), t)
    if state in ("stopped", "interrupted"):
        key = "test_stopped" if state == "stopped" else "test_interrupted"
        return notice("warn", t(key, name=job.id), t("test_kept_answers"))
    return NOTHING


def _bar(job: Job, t: Translator) -> Html:
    if job.asked_to_stop():
        return progress_bar(t, None, t("test_stopping", name=job.id))
    event = suites.last_progress(job)
    if event is None or not event.get("contestant"):
        return progress_bar(t, None, t("test_starting", name=job.id))
    return progress_bar(t, float(event.get("fraction", 0)), suite_view.seconds_left(event, t))
