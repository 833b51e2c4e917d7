"""The Compare tab: one message, answered side by side by base, adapters, checkpoints and exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.evals import preferences
from qwenlab.evals.suite import Suite
from qwenlab.ui import (
    asking,
    batch_panel,
    compare_keep,
    compare_settings,
    compare_view,
    roster,
    suites,
    talks_panel,
)
from qwenlab.ui import who as who_answers
from qwenlab.ui.asking import Taken, Wish
from qwenlab.ui.compare_settings import Values
from qwenlab.ui.components import NOTHING, Html, error_words, listen, notice, on_load
from qwenlab.ui.lab import Lab
from qwenlab.ui.room import Step, ask, room_of
from qwenlab.ui.talk import Talk
from qwenlab.ui.texts import Translator
from qwenlab.ui.visitor import visitor

HERE = Path(__file__).parent
SCRIPT = (HERE / "compare.js").read_text(encoding="utf-8")
STYLE = (HERE / "style_compare.css").read_text(encoding="utf-8")
PART: dict[str, Any] = {"css_template": STYLE, "js_on_load": SCRIPT, "apply_default_css": False}
ANY: dict[str, Any] = {"concurrency_limit": None}
"""For events that must not wait for an answer that is being made."""
Outputs = tuple[Any, ...]


def build(lab: Lab, t: Translator) -> None:
    """Build the tab inside the open gr.Tab."""
    tab = _Tab(lab, t)
    tab.wire()


class _Tab:
    """The components and what happens to them. What is compared is in `Talk`; this only draws it."""

    def __init__(self, lab: Lab, t: Translator) -> None:
        self.lab, self.t = lab, t
        self.talk = gr.State(None)
        self._choices()
        empty = compare_view.conversation(Talk(), t)
        self.columns = gr.HTML(empty, elem_id="compare-columns", **PART)
        self.keep = compare_keep.build(lab, t)
        self.said = gr.HTML(elem_id="compare-said")
        with gr.Row(elem_classes="low"):
            hint = t("compare_message_hint")
            self.message = gr.Textbox(
                label=t("compare_message"), placeholder=hint, lines=3, max_lines=12, scale=6, min_width=260
            )
            with gr.Column(scale=1, min_width=130):
                self.send = gr.Button(t("compare_send"), variant="primary", size="sm")
                self.stop = gr.Button(t("compare_stop"), size="sm", interactive=False)
                self.new = gr.Button(t("compare_new"), size="sm")
        with gr.Accordion(t("compare_settings"), open=False, elem_classes="files"):
            self.settings = compare_settings.build(t)
        self.talks = talks_panel.build(lab, t, PART)
        self.batch = batch_panel.build(lab, t, PART)
        # What an answer changes on the page, in the order of `picture`.
        self.drawn = [self.columns, self.said, self.message, self.case, self.sample, self.settings.expected]
        self.drawn += [self.keep.box, self.send, self.stop]

    def _choices(self) -> None:
        lab, t = self.lab, self.t
        with gr.Row():
            self.who = gr.Dropdown(
                label=t("compare_who"),
                choices=who_answers.choices(lab, t),
                value=roster.usual(lab),
                multiselect=True,
                max_choices=roster.MOST,
                allow_custom_value=True,  # an endpoint's URL may be written
                scale=4,
                min_width=280,
            )
            self.suite = gr.Dropdown(
                label=t("compare_suite"),
                choices=_suites(lab, t),
                value=suites.chosen_suite(lab),
                filterable=False,
                scale=1,
                min_width=200,
            )
        with gr.Row():
            self.case = gr.Dropdown(label=t("compare_case"), choices=[], value=None, min_width=260)
            self.sample = gr.Dropdown(
                label=t("compare_sample"), choices=[], value=None, allow_custom_value=True, min_width=260
            )

    def wire(self) -> None:
        """Bind all events."""
        t, lab, s = self.t, self.lab, self.settings
        fresh = [self.talk, self.who, self.suite, self.case, self.sample, s.system, s.longest, self.columns]
        on_load(self.load, t, None, [*fresh, *self.talks.shown])
        listen(self.suite.input, self.choose_suite, t, self.suite, [self.case, s.system, s.longest, s.expected])
        taken = [s.system, self.message, s.expected, self.columns, self.case, self.sample]
        listen(self.case.input, self.choose_case, t, [self.talk, self.suite, self.case], taken)
        listen(self.sample.input, self.choose_sample, t, [self.talk, self.sample], taken)
        asked = {self.talk, self.who, self.message, self.suite, self.case, *s.inputs}
        for trigger in (self.send.click, self.message.submit):
            done = listen(trigger, self.answer, t, asked, self.drawn, **ANY)
            listen(done.then, self.talks.redraw, t, self.talk, self.talks.shown, **ANY)
        acted = [*self.drawn, self.keep.right, self.keep.into]
        done = listen(self.columns.submit, self.act, t, asked, acted, **ANY)
        listen(done.then, self.talks.redraw, t, self.talk, self.talks.shown, **ANY)
        listen(self.stop.click, self.halt, t, self.talk, None, **ANY)
        listen(self.new.click, self.begin_anew, t, [self.talk, self.who], [self.talk, *self.drawn], **ANY)
        listen(self.who.change, self.line_up, t, [self.talk, self.who], self.columns, **ANY)
        self.keep.wire(self.talk, self.columns, self.said, self.shown)
        listen(self.talks.list.submit, self.open, t, self.talk, [*self.drawn, self.who, s.system, *self.talks.shown])
        freed = [self.said, self.talks.memory]
        listen(self.talks.unload.click, lambda: self.free(""), t, None, freed)
        listen(self.talks.memory.submit, self.free_one, t, None, freed)
        compare_settings.wire_own(s, lab, t, self.who)
        who_answers.follow(lab, t, self.who, self.talk)
        who_answers.offer_thinking(lab, t, self.who, s.thinking)
        self.batch.wire(self.who, self.suite, s)

    # --- what is drawn -----------------------------------------------------------------------------------

    def picture(
        self, view: Talk, step: Step | None = None, note: Html | None = None, words: str | None = None
    ) -> Outputs:
        """One value for each of `drawn`; `words` for the message box, and then also an empty case and sample."""
        boxes = (gr.skip(),) * 4 if words is None else (words, None, None, gr.skip() if words else "")
        return (
            self.shown(view, step),
            gr.skip() if note is None else note,
            *boxes,
            gr.update(visible=view.keeping >= 0),
            gr.update(interactive=not view.busy),
            gr.update(interactive=view.busy),
        )

    def shown(self, view: Talk, step: Step | None = None) -> Html:
        """The conversation."""
        return compare_view.conversation(view, self.t, step)

    def line_up(self, view: Talk | None, specs: list[str] | None) -> Any:
        """Before anything was asked: who will answer."""
        if view is None or view.exchanges or view.attached:
            return gr.skip()
        return _lineup(self.lab, specs or [], self.t)

    def load(self) -> Outputs:
        """The page was opened or reloaded."""
        lab, t = self.lab, self.t
        name = suites.chosen_suite(lab)
        specs, chosen = roster.usual(lab), _suite(lab, name)
        return (
            fresh := Talk(owner=visitor()),
            gr.update(choices=who_answers.choices(lab, t), value=specs),
            gr.update(choices=_suites(lab, t), value=name),
            gr.update(choices=asking.cases(chosen), value=None),
            gr.update(choices=asking.samples(lab), value=None),
            asking.usual_system(lab, chosen),
            _longest(chosen),
            _lineup(lab, specs, t),
            *self.talks.redraw(fresh),
        )

    # --- questions that are there already ----------------------------------------------------------------

    def choose_suite(self, name: str | None) -> Outputs:
        """Another suite judges, and offers its cases."""
        chosen = _suite(self.lab, name or "")
        if name:
            self.lab.choose(suite=str(suites.suite_paths(self.lab)[name]))
        cases = gr.update(choices=asking.cases(chosen), value=None)
        return cases, asking.usual_system(self.lab, chosen), _longest(chosen), ""

    def choose_case(self, view: Talk | None, name: str | None, case_id: str | None) -> Outputs:
        """A case becomes the question, with what was said before it."""
        chosen = _suite(self.lab, name or "")
        found = chosen.by_id.get(case_id) if chosen is not None and case_id else None
        if view is None or chosen is None or found is None:
            return (gr.skip(),) * 6
        return (*self._taken(view, asking.of_case(found, chosen)), gr.skip(), None)

    def choose_sample(self, view: Talk | None, value: str | None) -> Outputs:
        """A training sample becomes the question; words that are no sample look for some."""
        if view is None or not value:
            return (gr.skip(),) * 6
        found = asking.sample(self.lab, int(value)) if value.isdigit() else None
        if found is None:
            offered = asking.samples(self.lab, value)
            if not offered:
                gr.Info(self.t("compare_sample_none", words=value))
            return (*(gr.skip(),) * 5, gr.update(choices=offered or asking.samples(self.lab), value=None))
        return (*self._taken(view, found), None, gr.skip())

    def _taken(self, view: Talk, found: Taken) -> Outputs:
        view.attached, view.changing = found.earlier, -1
        return found.system, found.words, found.expected, self.shown(view)

    # --- answering ---------------------------------------------------------------------------------------

    def answer(self, values: Values) -> Iterator[Outputs]:
        """Send was pressed."""
        view = self._known(values[self.talk])
        if view.busy:
            return
        chosen = _suite(self.lab, values[self.suite] or "")
        s = self.settings
        wish = Wish(
            words=values[self.message] or "",
            specs=tuple(values[self.who] or ()),
            system=values[s.system] or "",
            suite=chosen,
            case_id=values[self.case] or "",
            expected=values[s.expected] or "",
            blind=bool(values[s.blind]),
            seed=int(values[s.seed] or 0),
        )
        ready = asking.put(self.lab, room_of(self.lab.workspace), view, wish, self.t)
        if not ready.go:
            yield (gr.skip(), *self.picture(view, note=ready.note)[1:])
            return
        yield from self._answers(view, values, ready.note, "")

    def _answers(self, view: Talk, values: Values, note: Html, words: str | None = None) -> Iterator[Outputs]:
        """Let everybody answer the last message; the page is drawn as the words come."""
        exchange = view.exchanges[-1]
        schema = None
        if values[self.settings.force]:
            schema = asking.schema(self.lab, exchange.wanted.suite)
            note = asking.about_schema(schema, self.t) or note
        view.busy = True
        yield self.picture(view, note=note, words=words)
        try:
            for step in ask(room_of(self.lab.workspace), view, self.settings.generation(values), schema):
                yield self.picture(view, step)
        except QwenlabError as error:  # the answers are there, but could not be kept
            yield self.picture(view, note=notice("bad", *error_words(error, self.t)))
            return
        except Exception:
            yield self.picture(view)
            raise
        yield self.picture(view)

    def halt(self, view: Talk | None) -> None:
        """Stop was pressed."""
        if view is not None:
            view.halt()

    def begin_anew(self, view: Talk | None, specs: list[str] | None) -> Outputs:
        """A new conversation was asked for; the old one stays among the kept ones."""
        if view is not None:
            view.halt()
        fresh = Talk(owner=visitor())
        drawn = self.picture(fresh, note=NOTHING, words="")
        return (fresh, _lineup(self.lab, specs or [], self.t), *drawn[1:])

    # --- buttons inside the conversation -----------------------------------------------------------------

    def act(self, values: Values, event: gr.EventData) -> Iterator[Outputs]:
        """A button was pressed: values for `drawn`, the right answer, and the suite to keep it in."""
        view, data = self._known(values[self.talk]), event._data or {}
        if view.busy:
            return
        do, column = data.get("do"), _number(data.get("column"))
        if do == "detach":
            view.attached = None
            yield (*self.picture(view, words=""), gr.skip(), gr.skip())
            return
        if not view.exchanges:
            return
        last = view.exchanges[-1]
        there = 0 <= column < len(last.replies)
        note, words = None, None
        if do == "again":
            view.keeping = -1
            view.exchanges[-1] = last.again(last.wanted)
            for drawn in self._answers(view, values, NOTHING):
                yield (*drawn, gr.skip(), gr.skip())
            return
        if do == "vote":
            note = self._vote(view, data.get("best"))
        elif do == "take" and there:
            last.taken = None if last.taken == column else column
            self._keep_talk(view)
        elif do == "change":
            at = _number(data.get("exchange"))
            view.changing = -1 if view.changing == at else at
            changing = 0 <= view.changing < len(view.exchanges)
            words = view.exchanges[view.changing].message if changing else ""
            note = notice("none", self.t("compare_changing")) if changing else NOTHING
        elif do == "keep" and there:
            view.keeping = -1 if view.keeping == column else column
            yield (*self.picture(view, note=NOTHING), *self.keep.form(view))
            return
        drawn = self.picture(view, note=note)
        if words is not None:
            drawn = (*drawn[:2], words, *drawn[3:])
        yield (*drawn, gr.skip(), gr.skip())

    def _vote(self, view: Talk, best: object) -> Html:
        last, room = view.exchanges[-1], room_of(self.lab.workspace)
        column = None if best == "same" else _number(best)
        if len(last.candidates) < 2 or column not in (None, *last.candidates):
            return NOTHING
        before = last.voted, last.best
        vote = last.vote(column, view.id)
        try:
            room.votes(view.owner).append(vote)
        except QwenlabError:
            last.voted, last.best = before
            raise
        self._keep_talk(view)
        mine = {one.identity for one in vote.contestants}
        both = [one for one in room.votes(view.owner).read() if {who.identity for who in one.contestants} >= mine]
        said = [preferences.sentence(pair, self.t.language) for pair in preferences.tally(both)]
        return notice("ok", self.t("compare_noted"), " ".join(said[:3]))

    def _keep_talk(self, view: Talk) -> None:
        room_of(self.lab.workspace).talks(view.owner).save(view)

    # --- earlier conversations, memory -------------------------------------------------------------------

    def open(self, view: Talk | None, event: gr.EventData) -> Outputs:
        """A button of the list was pressed: values for `drawn`, who, system, and the lists."""
        view, data = self._known(view), event._data or {}
        talk_id, store = str(data.get("talk", "")), room_of(self.lab.workspace).talks(view.owner)
        same = (gr.skip(),) * (len(self.drawn) + 2)
        if view.busy:
            return (*same, *(gr.skip(),) * len(self.talks.shown))
        if data.get("do") == "open":
            found = store.open(talk_id, lambda name: _suite(self.lab, name))
            view.id, view.began, view.system, view.given = found.id, found.began, found.system, found.given
            view.exchanges, view.attached, view.keeping, view.changing = found.exchanges, None, -1, -1
            specs = [reply.entrant.spec for reply in view.exchanges[-1].replies]
            drawn = self.picture(view, note=NOTHING, words="")
            return (*drawn, specs, view.system, *self.talks.redraw(view))
        deleted = talk_id if data.get("do") == "delete" and store.delete(talk_id) else ""
        if data.get("do") == "restore":
            store.restore(talk_id)
        return (*same, *self.talks.redraw(view, deleted))

    def free_one(self, event: gr.EventData) -> Outputs:
        """Unload was pressed beside a model."""
        return self.free(str((event._data or {}).get("name", "")))

    def free(self, name: str) -> Outputs:
        """Give memory back, of one model or of all."""
        room = room_of(self.lab.workspace)
        if room.line.busy:
            return notice("warn", self.t("compare_unload_busy")), gr.skip()
        room.unload(name)
        return NOTHING if name else notice("ok", self.t("compare_unloaded")), self.talks.memory_words()

    def _known(self, view: Talk | None) -> Talk:
        if view is None or view.owner != visitor():  # the lab was started again, or somebody else logged in
            raise QwenlabError(self.t("compare_reload"), self.t("compare_reload_remedy"))
        return view


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isdigit() else -1


def _suites(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    return [*((name, name) for name in suites.suite_paths(lab)), (t("compare_no_suite"), "")]


def _suite(lab: Lab, name: str) -> Suite | None:
    try:
        return suites.read_suite(lab, name)
    except QwenlabError as error:
        gr.Warning(str(error))  # a broken suite must not keep the other half of the tab from working
        return None


def _lineup(lab: Lab, specs: list[str], t: Translator) -> Html:
    try:
        entrants = roster.pick(lab, specs, t)
    except QwenlabError:
        return compare_view.conversation(Talk(), t)
    room = room_of(lab.workspace)
    return compare_view.lineup(entrants, [room.loading(one) for one in entrants], t)


def _longest(suite: Suite | None) -> int:
    return suite.generation.max_new_tokens if suite is not None else 256
