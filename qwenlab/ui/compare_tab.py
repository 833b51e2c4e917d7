"""The Compare tab: one message, answered side by side by base, adapters, checkpoints and exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import Case, Suite
from qwenlab.models.contestant import Generation
from qwenlab.ui import compare_view, roster, suites
from qwenlab.ui import who as who_answers
from qwenlab.ui.comparison import Exchange, Reply, Step, Talk, Wanted, ask, expected_text, room_of
from qwenlab.ui.components import NOTHING, Html, escape, listen, notice, on_load
from qwenlab.ui.keep import keep
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator

HERE = Path(__file__).parent
SCRIPT = (HERE / "compare.js").read_text(encoding="utf-8")
STYLE = (HERE / "style_compare.css").read_text(encoding="utf-8")
LONGEST = 20_000
"""Characters of a message; more would take a small model's whole context, and minutes to read."""
LOOKED_AT = 200
"""Samples that are looked at for the usual system prompt."""
CASE_WORDS = 70


def build(lab: Lab, t: Translator) -> None:
    """Build the tab inside the open gr.Tab."""
    talk = gr.State(None)
    with gr.Row():
        who = gr.Dropdown(
            label=t("compare_who"),
            choices=who_answers.choices(lab, t),
            value=roster.usual(lab),
            multiselect=True,
            max_choices=roster.MOST,
            allow_custom_value=True,  # an endpoint's URL may be written
            scale=4,
            min_width=280,
        )
        suite = gr.Dropdown(
            label=t("compare_suite"),
            choices=_suites(lab, t),
            value=suites.chosen_suite(lab),
            filterable=False,
            scale=1,
            min_width=200,
        )
        case = gr.Dropdown(label=t("compare_case"), choices=[], value=None, scale=2, min_width=200)
    columns = gr.HTML(
        compare_view.conversation(Talk(), t),
        elem_id="compare-columns",
        css_template=STYLE,
        js_on_load=SCRIPT,
        apply_default_css=False,
    )
    with gr.Column(visible=False) as keeping:
        right = gr.Textbox(label=t("compare_keep_answer"), lines=3, max_lines=14)
        with gr.Row():
            save = gr.Button(t("compare_keep_save"), variant="primary", size="sm")
            cancel = gr.Button(t("compare_keep_cancel"), size="sm")
    said = gr.HTML(elem_id="compare-said")
    with gr.Row(elem_classes="low"):
        message = gr.Textbox(
            label=t("compare_message"),
            placeholder=t("compare_message_hint"),
            lines=3,
            max_lines=12,
            scale=6,
            min_width=260,
        )
        with gr.Column(scale=1, min_width=130):
            send = gr.Button(t("compare_send"), variant="primary", size="sm")
            stop = gr.Button(t("compare_stop"), size="sm", interactive=False)
            new = gr.Button(t("compare_new"), size="sm")
    with gr.Accordion(t("compare_settings"), open=False, elem_classes="files"):
        system = gr.Textbox(label=t("compare_system"), lines=3, max_lines=10)
        expected = gr.Textbox(label=t("compare_expected"), lines=2, max_lines=10)
        with gr.Row():
            longest = gr.Number(label=t("compare_max_tokens"), value=256, minimum=1, maximum=4096, precision=0)
            heat = gr.Number(label=t("compare_temperature"), value=0, minimum=0, maximum=2, step=0.1)
            seed = gr.Number(label=t("compare_seed"), value=0, minimum=0, precision=0)
        with gr.Row(elem_classes="low"):
            memory = gr.HTML()
            unload = gr.Button(t("compare_unload"), size="sm", scale=0, min_width=150)

    def load() -> tuple[Any, ...]:
        name = suites.chosen_suite(lab)
        specs, chosen = roster.usual(lab), _suite(lab, name)
        cases, system_words, most = _case_list(chosen), _usual_system(lab, chosen), _longest(chosen)
        return (
            Talk(),
            gr.update(choices=who_answers.choices(lab, t), value=specs),
            gr.update(choices=_suites(lab, t), value=name),
            gr.update(choices=cases, value=None),
            system_words,
            most,
            compare_view.conversation(Talk(), t),
        )

    def choose_suite(name: str | None) -> tuple[Any, ...]:
        chosen = _suite(lab, name or "")
        if name:
            lab.choose(suite=str(suites.suite_paths(lab)[name]))
        return gr.update(choices=_case_list(chosen), value=None), _usual_system(lab, chosen), _longest(chosen), ""

    def choose_case(name: str | None, case_id: str | None) -> tuple[Any, ...]:
        chosen = _suite(lab, name or "")
        found = _case(chosen, case_id)
        if chosen is None or found is None:
            return gr.skip(), gr.skip(), gr.skip()
        turns = found.messages(chosen)
        told = turns[0]["content"] if turns[0]["role"] == "system" else ""
        return told, found.question, expected_text(found, chosen)

    def picture(view: Talk, step: Step | None = None, note: Html | None = None, asked: bool = False) -> tuple[Any, ...]:
        """columns, said, message, case, expected, keeping, send, stop"""
        cleared = ("", None, "") if asked else (gr.skip(),) * 3
        return (
            compare_view.conversation(view, t, step),
            gr.skip() if note is None else note,
            *cleared,
            gr.update(visible=view.keeping >= 0),
            gr.update(interactive=not view.busy),
            gr.update(interactive=view.busy),
        )

    def answer(
        view: Talk | None,
        specs: list[str] | None,
        told: str | None,
        words: str | None,
        right_answer: str | None,
        suite_name: str | None,
        case_id: str | None,
        most: float | None,
        temperature: float | None,
        number: float | None,
    ) -> Iterator[tuple[Any, ...]]:
        if view is None:  # the lab was started again and does not know this window
            raise QwenlabError(t("compare_reload"), t("compare_reload_remedy"))
        if view.busy:
            return
        words = _checked(words, t)
        entrants = roster.pick(lab, specs or [], t)
        note = _training_note(lab, t)
        if not view.continues(entrants, told or ""):
            view.exchanges.clear()
            note = note or notice("none", t("compare_began_anew"))
        wanted = _wanted(_suite(lab, suite_name or ""), case_id, right_answer or "")
        view.system, view.keeping = told or "", -1
        view.exchanges.append(Exchange(words, [Reply(one) for one in entrants], wanted))
        settings = Generation(int(most or 256), float(temperature or 0), seed=int(number or 0))
        view.busy = True
        yield picture(view, note=note, asked=True)
        try:
            for step in ask(room_of(lab.workspace), view, settings):
                yield picture(view, step)
        except Exception:
            yield picture(view)
            raise
        yield picture(view)

    def halt(view: Talk | None) -> None:
        if view is not None:
            view.halt()

    def begin_anew(view: Talk | None) -> tuple[Any, ...]:
        if view is not None:
            view.halt()
        fresh = Talk()
        return (fresh, *picture(fresh, note=NOTHING))

    def act(view: Talk | None, event: gr.EventData) -> tuple[Any, ...]:
        data = event._data or {}
        column = int(data.get("column", -1))
        if view is None or view.busy or not view.exchanges or data.get("do") != "keep":
            return (gr.skip(),) * 4
        replies = view.exchanges[-1].replies
        if not 0 <= column < len(replies):
            return (gr.skip(),) * 4
        view.keeping = -1 if view.keeping == column else column
        document = lab.document()
        about = t("compare_keep_about", data=document.dataset.name) if document else t("no_data_set")
        shown = gr.update(value=replies[column].text, info=about)
        return compare_view.conversation(view, t), gr.update(visible=view.keeping >= 0), shown, NOTHING

    def keep_it(view: Talk | None, words: str | None) -> tuple[Any, ...]:
        if view is None or view.keeping < 0 or not view.exchanges:
            return (gr.skip(),) * 3
        messages = view.messages(view.keeping, len(view.exchanges) - 1)
        note = keep(lab, t, messages, words or "", "from-compare", t("tab_compare"))
        if "notice ok" in note:
            view.keeping = -1
        return compare_view.conversation(view, t), gr.update(visible=view.keeping >= 0), note

    def leave_it(view: Talk | None) -> tuple[Any, ...]:
        if view is None:
            return (gr.skip(),) * 2
        view.keeping = -1
        return compare_view.conversation(view, t), gr.update(visible=False)

    def free() -> tuple[Any, ...]:
        room = room_of(lab.workspace)
        if room.line.busy:
            return notice("warn", t("compare_unload_busy")), gr.skip()
        room.unload()
        return notice("ok", t("compare_unloaded")), _memory(lab, t)

    on_load(load, t, None, [talk, who, suite, case, system, longest, columns])
    listen(suite.input, choose_suite, t, suite, [case, system, longest, expected])
    listen(case.input, choose_case, t, [suite, case], [system, message, expected])
    drawn = [columns, said, message, case, expected, keeping, send, stop]
    asked = [talk, who, system, message, expected, suite, case, longest, heat, seed]
    for trigger in (send.click, message.submit):
        done = listen(trigger, answer, t, asked, drawn, concurrency_limit=None)
        listen(done.then, lambda: _memory(lab, t), t, None, memory)
    listen(stop.click, halt, t, talk, None, concurrency_limit=None)
    listen(new.click, begin_anew, t, talk, [talk, *drawn], concurrency_limit=None)
    listen(columns.submit, act, t, talk, [columns, keeping, right, said])
    listen(save.click, keep_it, t, [talk, right], [columns, keeping, said])
    listen(cancel.click, leave_it, t, talk, [columns, keeping])
    listen(unload.click, free, t, None, [said, memory])
    who_answers.follow(lab, t, who)


def _suites(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    return [*((name, name) for name in suites.suite_paths(lab)), (t("compare_no_suite"), "")]


def _suite(lab: Lab, name: str) -> Suite | None:
    try:
        return suites.read_suite(lab, name)
    except QwenlabError as error:
        gr.Warning(str(error))  # a broken suite must not keep the other half of the tab from working
        return None


def _case(suite: Suite | None, case_id: str | None) -> Case | None:
    return suite.by_id.get(case_id) if suite is not None and case_id else None


def _case_list(suite: Suite | None) -> list[tuple[str, str]]:
    """Cases of one question; those with a history cannot be put into one message box."""
    cases = suite.cases if suite is not None else []
    return [
        (f"{case.id}  {' '.join(case.question.split())[:CASE_WORDS]}", case.id)
        for case in cases
        if case.history is None
    ]


def _usual_system(lab: Lab, suite: Suite | None) -> str:
    """What models are usually told first: by the suite, else in most samples of the data set."""
    if suite is not None and suite.system:
        return suite.system
    try:
        document = lab.document()
    except QwenlabError:
        return ""
    samples = document.samples[:LOOKED_AT] if document is not None else []
    firsts = [sample.turns[0] for sample in samples if sample.turns]
    told = Counter(turn.text if turn.role == "system" else "" for turn in firsts)
    return told.most_common(1)[0][0] if told else ""


def _longest(suite: Suite | None) -> int:
    return suite.generation.max_new_tokens if suite is not None else 256


def _wanted(suite: Suite | None, case_id: str | None, expected: str) -> Wanted:
    """The case counts only while its expected answer stands in the box unchanged."""
    case = _case(suite, case_id)
    if suite is not None and case is not None and expected.strip() != expected_text(case, suite).strip():
        case = None
    return Wanted(suite, case, expected)


def _checked(words: str | None, t: Translator) -> str:
    if not words or not words.strip():
        raise QwenlabError(t("compare_no_message"), t("compare_no_message_remedy"))
    if len(words) > LONGEST:
        most = f"{LONGEST:,}"
        raise QwenlabError(t("compare_too_long", number=f"{len(words):,}", most=most), t("compare_too_long_remedy"))
    return words


def _training_note(lab: Lab, t: Translator) -> Html:
    runs = lab.runs()
    return notice("none", t("compare_training")) if runs and runs[0].state() == "running" else NOTHING


def _memory(lab: Lab, t: Translator) -> Html:
    names = room_of(lab.workspace).loaded()
    return Html(f'<p class="quiet">{escape(t("compare_in_memory", names=", ".join(names)))}</p>') if names else NOTHING
