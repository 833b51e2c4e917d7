"""The Test tab: run a suite on contestants, read the scoreboard, and go through the cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.chat.endpoint_pace import CONCURRENT
from qwenlab.errors import QwenlabError
from qwenlab.ui import (
    again,
    case_view,
    components,
    how_asked,
    keep_many,
    matrix_view,
    roster,
    sending_view,
    suite_editor,
    suite_view,
    suites,
)
from qwenlab.ui import who as who_answers
from qwenlab.ui.components import NOTHING, Html, listen, notice, on_load
from qwenlab.ui.how_asked import MOST_AT_ONCE, MOST_REPEATS, How
from qwenlab.ui.judging import expected_text
from qwenlab.ui.keep import keep
from qwenlab.ui.lab import Lab
from qwenlab.ui.matrix import View
from qwenlab.ui.suites import Shown
from qwenlab.ui.test_progress import progress
from qwenlab.ui.texts import Translator

HERE = Path(__file__).parent
PART: dict[str, Any] = {
    "js_on_load": (HERE / "test_tab.js").read_text(encoding="utf-8"),
    "css_template": "".join(
        (HERE / name).read_text(encoding="utf-8") for name in ("style_compare.css", "style_test.css")
    ),
    "apply_default_css": False,
}
POLL_SECONDS = 2.0
LANGUAGES = {"own": "test_language_own", "en": "test_language_en", "zh": "test_language_zh", "all": "test_language_all"}
CHOICES = ("reference", "judged", "wanted", "words", "tag", "language", "field", "measure")
"""What a click or a choice in the overview and the matrix may change of the view."""
SHORT: dict[str, Any] = {"container": False, "filterable": False, "scale": 1, "min_width": 240}


def build(lab: Lab, t: Translator) -> tuple[gr.State, gr.HTML]:
    """Build the tab inside the open gr.Tab; returns what says which result it shows, and the open case."""
    tab = _Tab(lab, t)
    tab.wire()
    return tab.view, tab.case


class _Tab:
    """The components, and what happens to them."""

    def __init__(self, lab: Lab, t: Translator) -> None:
        self.lab, self.t = lab, t
        self.view = gr.State(None)
        self._form()
        self.progress = gr.HTML(elem_id="test-progress", **PART)
        self.overview = gr.HTML(suite_view.overview(lab.workspace, None, View(), t), elem_id="test-overview", **PART)
        with gr.Row():
            with gr.Column(min_width=320):
                self.matrix = gr.HTML(elem_id="test-matrix", **PART)
                self.sending = gr.HTML(elem_id="test-sending", **PART)
            with gr.Column(min_width=320):
                self.case = gr.HTML(elem_id="test-case", **PART)
                with gr.Column(visible=False) as self.keeping:
                    info = t("test_keep_burns")
                    self.right = gr.Textbox(label=t("compare_keep_answer"), info=info, lines=4, max_lines=14)
                    with gr.Row():
                        self.save = gr.Button(t("compare_keep_save"), variant="primary", size="sm")
                        self.cancel = gr.Button(t("compare_keep_cancel"), size="sm")
                self.kept = gr.HTML()
        suite_editor.build(lab, t, self.suite)

    def _form(self) -> None:
        """What is asked of whom, and which result is shown."""
        lab, t = self.lab, self.t
        names, chosen = list(suites.suite_paths(lab)), suites.chosen_suite(lab) or None
        spoken = [(t(key), name) for name, key in LANGUAGES.items()]
        narrow: dict[str, Any] = {"filterable": False, "scale": 1}
        with gr.Row():
            self.suite = gr.Dropdown(label=t("test_suite"), choices=names, value=chosen, min_width=170, **narrow)
            self.who = gr.Dropdown(
                label=t("test_who"),
                choices=who_answers.choices(lab, t),
                value=roster.usual(lab),
                multiselect=True,
                max_choices=roster.MOST,
                allow_custom_value=True,
                scale=4,
                min_width=280,
            )
            self.language = gr.Dropdown(
                label=t("test_language"), choices=spoken, value=spoken[0][1], min_width=175, **narrow
            )
            self.limit = gr.Number(label=t("test_limit"), value=0, minimum=0, precision=0, scale=1, min_width=130)
        # Beside the others it is squeezed to a letter's width on a phone.
        self.thinking = gr.Checkbox(label=t("thinking"), info=t("thinking_about"), value=False, visible=False)
        with gr.Row():
            self.run = gr.Button(t("test_run"), variant="primary", size="sm", scale=0, min_width=140)
            self.stop = gr.Button(t("compare_stop"), size="sm", scale=0, min_width=100, interactive=False)
            self.chosen = gr.Dropdown(label=t("test_result"), choices=[], value=None, elem_id="test-result", **SHORT)
        self._how()

    def _how(self) -> None:
        """How it is asked, folded: most tests ask once, as the suite says."""
        t = self.t
        number: dict[str, Any] = {"minimum": 0, "scale": 1, "min_width": 170}
        with gr.Accordion(t("test_how"), open=False, elem_classes="files", elem_id="test-how"):
            with gr.Row():
                repeats = gr.Number(0, label=t("test_repeats"), precision=0, maximum=MOST_REPEATS, **number)
                # An empty number box is shown as 0, which is a temperature of its own.
                temperature = gr.Textbox(label=t("test_temperature"), max_lines=1, scale=1, min_width=170)
                at_once = gr.Number(CONCURRENT, label=t("test_at_once"), precision=0, maximum=MOST_AT_ONCE, **number)
                per_minute = gr.Number(0, label=t("test_per_minute"), **number)
            enforce = gr.Checkbox(label=t("test_enforce"), info=t("test_enforce_about"))
            fresh = gr.Checkbox(label=t("test_fresh"), info=t("test_fresh_about"))
        self.how: list[Any] = [repeats, temperature, enforce, fresh, at_once, per_minute, self.thinking]
        self.preflight = gr.HTML()

    def wire(self) -> None:
        """Bind the events."""
        t = self.t
        drawn = [self.progress, self.stop, self.chosen, self.overview, self.matrix, self.sending]
        everything = [self.view, *drawn, self.case, self.keeping, self.kept]
        on_load(self.load, t, None, [*everything, self.who, self.suite])
        listen(self.run.click, self.start, t, [self.suite, self.who, self.language, self.limit, *self.how], everything)
        for setting in (self.suite, *self.how[:3]):
            listen(setting.change, self.about, t, [self.suite, *self.how], self.preflight)
        listen(self.stop.click, self.halt, t, self.view, [self.progress, self.stop])
        listen(self.suite.input, self.choose_suite, t, self.suite, None)
        listen(self.chosen.input, self.choose, t, self.chosen, everything)
        for part in (self.progress, self.overview, self.matrix, self.sending, self.case):
            listen(part.submit, self.act, t, self.view, [*everything, self.right], concurrency_limit=None)
        listen(self.save.click, self.keep_it, t, [self.view, self.right], [self.kept, self.keeping, self.case])
        listen(self.cancel.click, self.leave_it, t, self.view, [self.keeping, self.case])
        components.poll(POLL_SECONDS, self.draw, t, [self.view], drawn)
        who_answers.follow(self.lab, t, self.who)
        who_answers.offer_thinking(self.lab, t, self.who, self.thinking)

    # --- drawing -----------------------------------------------------------------------------------------

    def draw(self, now: View | None) -> tuple[Any, ...]:
        """progress, stop, list of results, overview, matrix, sending"""
        lab, t, now = self.lab, self.t, now or View()
        shown, error = self._shown(now)
        job = suites.newest_test(lab.workspace)
        running = job is not None and job.state() == "running"
        folder = self._folder(now)
        return (
            progress(lab, folder, shown, t),
            gr.update(interactive=running and job is not None and not job.asked_to_stop()),
            gr.update(choices=self._results(), value=str(folder) if folder else None),
            error or suite_view.overview(lab.workspace, shown, now, t, chosen=folder is not None),
            matrix_view.matrix(shown, now, t),
            sending_view.sending(lab, shown, now, t),
        )

    def everything(self, now: View, kept: Any = NOTHING) -> tuple[Any, ...]:
        """view, then what draw says, then case, keeping, kept"""
        shown, _ = self._shown(now)
        case = case_view.case_part(shown, now, self.t)
        return now, *self.draw(now), case, gr.update(visible=now.keeping), kept

    def load(self) -> tuple[Any, ...]:
        """The page was opened or reloaded."""
        lab = self.lab
        return (
            *self.everything(View()),
            gr.update(choices=who_answers.choices(lab, self.t), value=roster.usual(lab)),
            gr.update(choices=list(suites.suite_paths(lab)), value=suites.chosen_suite(lab) or None),
        )

    # --- running -----------------------------------------------------------------------------------------

    def about(self, name: str | None, *how: Any) -> Html:
        """What is to be known of these settings before the first answer."""
        return how_asked.about(How.of(*how, t=self.t), suites.read_suite(self.lab, name or ""), self.t)

    def start(
        self, name: str | None, specs: list[str] | None, speaks: str, most: float | None, *how: Any
    ) -> tuple[Any, ...]:
        """Run the test."""
        entrants = roster.pick(self.lab, specs or [], self.t)
        limit = int(most) if most else None
        flags = How.of(*how, t=self.t).flags(suites.read_suite(self.lab, name or ""), self.t)
        job = suites.start_test(self.lab, self.t, name or "", entrants, _languages(speaks, entrants), limit, flags)
        return self.everything(View(job.folder))

    def halt(self, now: View | None) -> tuple[Any, ...]:
        """Stop was pressed."""
        job = suites.newest_test(self.lab.workspace)
        if job is not None and job.state() == "running":
            job.stop()
        return self.draw(now)[:2]

    def choose_suite(self, name: str | None) -> None:
        """Remember the suite that was chosen."""
        if name:
            self.lab.choose(suite=str(suites.suite_paths(self.lab)[name]))

    # --- looking -----------------------------------------------------------------------------------------

    def choose(self, name: str | None) -> tuple[Any, ...]:
        """Another result was chosen."""
        return self.everything(View(Path(name) if name else None))

    def act(self, now: View | None, event: gr.EventData) -> tuple[Any, ...]:
        """A click, a choice or a word in one of the parts: what everything says, then right"""
        now, data = now or View(), event._data or {}
        action = str(data.get("do", ""))
        kept = self._do(now, action, data)
        shown, _ = self._shown(now)
        found = case_view.open_case(shown, now)
        # What the person is correcting stays as it is, whatever is clicked in the matrix.
        fill = action == "keep" and now.keeping and found is not None and shown is not None
        right = expected_text(found, shown.result.suite) if fill and found and shown else gr.skip()
        return *self.everything(now, kept), right

    def _do(self, now: View, action: str, data: dict[str, Any]) -> Any:
        """Change the view by what was done; returns what is said below the case, or a skip."""
        if action == "choose" and data.get("part") in CHOICES:
            now.choose(str(data["part"]), str(data.get("value", "")))
        elif action == "flips":
            for part in ("reference", "judged", "wanted"):
                now.choose(part, str(data.get(part, "")))
        elif action == "result":
            self._open_result(now, str(data.get("folder", "")))
        elif action == "page":
            now.page = int(data.get("page", 0))
        elif action == "open":
            now.case, now.keeping = str(data.get("case", "")), False
            return NOTHING
        elif action == "keep":
            now.keeping = not now.keeping
            return NOTHING
        elif action == "send":
            now.sending = not now.sending
        elif action == "send-now":
            return self._send(now)
        elif action == "go-on":
            self._go_on(now)
        elif action == "score-again":
            return self._score_again(now)
        return gr.skip()

    def _open_result(self, now: View, name: str) -> None:
        known = {folder.name: folder for folder in suites.results(self.lab.workspace)}
        if name in known:
            now.folder = known[name]

    def _go_on(self, now: View) -> None:
        folder = self._folder(now)
        if folder is not None:
            again.go_on(self.lab, self.t, folder)
            now.folder = folder

    def _score_again(self, now: View) -> Html:
        shown, _ = self._shown(now)
        change = again.change(self.lab, shown.result) if shown is not None else None
        if shown is None or change is None or change.suite is None:
            return NOTHING  # somebody did it in the meantime
        now.folder = again.score_again(self.lab, shown.result, change.suite)
        return notice("ok", self.t("test_rescored"))

    # --- training samples --------------------------------------------------------------------------------

    def _send(self, now: View) -> Html:
        shown, _ = self._shown(now)
        cases = sending_view.wrong_cases(shown, now)
        if shown is None or not now.sending:
            return NOTHING
        now.sending = False
        lot, document, saved = keep_many.send(self.lab, self.t, shown.result.suite, cases)
        return sending_view.sent(lot, document.dataset.name, saved, self.t)

    def keep_it(self, now: View | None, words: str | None) -> tuple[Any, ...]:
        """Keep the corrected answer: kept, keeping, case"""
        lab, t = self.lab, self.t
        shown, _ = self._shown(now) if now else (None, NOTHING)
        found = case_view.open_case(shown, now) if now else None
        if now is None or shown is None or found is None:
            return (gr.skip(),) * 3
        suite = shown.result.suite
        case = (suite.name, found.id)
        note = keep(lab, t, found.messages(suite), words or "", keep_many.ORIGIN, " ".join(case), case)
        if "notice ok" in note:
            now.keeping = False
            note = Html(note + notice("warn", t("test_burned"), t("test_burned_remedy")))
        return note, gr.update(visible=now.keeping), case_view.case_part(shown, now, t)

    def leave_it(self, now: View | None) -> tuple[Any, ...]:
        """Nothing is kept: keeping, case"""
        if now is None:
            return (gr.skip(),) * 2
        now.keeping = False
        shown, _ = self._shown(now)
        return gr.update(visible=False), case_view.case_part(shown, now, self.t)

    # --- results -----------------------------------------------------------------------------------------

    def _folder(self, now: View) -> Path | None:
        """The chosen result; the newest when none is chosen or the chosen one is gone."""
        known = suites.results(self.lab.workspace)
        if now.folder in known:
            return now.folder
        return known[0] if known else None

    def _shown(self, now: View) -> tuple[Shown | None, Html]:
        """The result, or why it cannot be shown."""
        folder = self._folder(now)
        if folder is None:
            return None, NOTHING
        try:
            return suites.read_result(folder), NOTHING
        except QwenlabError as error:
            return None, notice("bad", *components.error_words(error, self.t))

    def _results(self) -> list[tuple[str, str]]:
        return [(suites.label(folder), str(folder)) for folder in suites.results(self.lab.workspace)]


def _languages(speaks: str, entrants: list[roster.Entrant]) -> list[str]:
    """The languages of the cases to ask: what all contestants speak, unless the person says otherwise."""
    if speaks in ("en", "zh"):
        return [speaks]
    if speaks == "own":
        return [code for code in ("en", "zh") if all(code in one.languages for one in entrants)]
    return ["en", "zh"]
