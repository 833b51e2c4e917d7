"""The Data tab: choose a data set, browse and edit its conversations, check, save, import and export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context

from qwenlab.conversations import words
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError
from qwenlab.ui import components, data_check, data_schema, data_view, import_panel, json_form
from qwenlab.ui.components import NOTHING, Html, escape, listen, notice, on_load
from qwenlab.ui.editor import EditorState
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.ui.trained import Trained, sample_fold, set_fold

HERE = Path(__file__).parent
SCRIPT = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("editor.js", "json_form.js"))
# Actions of one person come one after the other, as they were made.
IN_ORDER: dict[str, Any] = {"concurrency_id": "editor", "concurrency_limit": 1, "trigger_mode": "multiple"}
LOOKING = ("open", "previous", "next", "page_back", "page_on", "find", "show_kind")
"""What changes nothing, so that another window's edit of the sample that is left need not hold it up."""
View = tuple[Any, ...]


def build(lab: Lab, t: Translator) -> None:
    """Build the tab inside the open gr.Tab."""
    state, trained = gr.State(None), Trained(lab)
    with gr.Row(elem_classes="data"):
        with gr.Column(scale=2, min_width=300):
            chosen = gr.Dropdown(
                label=t("data_set"),
                choices=_choices(lab),
                value=_chosen(lab),
                container=False,
                filterable=False,
            )
            schema = gr.Dropdown(
                label=t("data_schema"), info=t("data_schema_about"), choices=[], value=None, filterable=False
            )
            with gr.Accordion(t("more_files"), open=False, elem_classes="files") as folder:
                panel = import_panel.build(lab, t)
            listed = gr.HTML(elem_id="samples", js_on_load=SCRIPT, apply_default_css=False)
            checking = gr.HTML()
            counted = set_fold(trained, state, t, SCRIPT)
        with gr.Column(scale=3, min_width=320):
            talk = gr.HTML(_empty(t), elem_id="conversation", js_on_load=SCRIPT, apply_default_css=False)
            sample_fold(trained, state, t)

    def show(view: EditorState | None, message: Html = NOTHING, seq: int = 0) -> View:
        if view is None:
            return None, NOTHING, _empty(t, message), gr.update(choices=_choices(lab), value=_chosen(lab))
        # The conversation first: it settles which sample is open.
        right = data_view.conversation(view, t, message, seq)
        left = data_view.sample_list(view, t)
        return (
            view,
            left,
            right,
            gr.update(choices=_choices(lab, view.document.dataset.path), value=str(view.document.dataset.path)),
        )

    def load() -> View:
        try:
            return show(_look(lab))
        except QwenlabError as error:
            return show(None, _error(error, t))

    def come_back(view: EditorState | None) -> View:
        """The tab is opened again: other tabs may have taken samples out, or added some."""
        try:
            document = lab.document()
        except QwenlabError as error:
            return show(None, _error(error, t))
        same = view is not None and view.document is document
        return show(view if same else _look(lab))

    def choose(path: str | None) -> View:
        if path:
            lab.choose(dataset=path)
        return load()

    def schemas() -> Any:
        return data_schema.shown(lab, t)

    def satisfy(file: str | None) -> View:
        data_schema.choose(lab, file, t)
        return load()

    def act(view: EditorState | None, event: gr.EventData) -> View:
        # A lab that was started again does not know this window any more.
        view = view or _look(lab)
        if view is None:
            return show(None)
        data = event._data or {}
        seq = int(data.get("seq", 0))
        path = view.document.dataset.path
        fresh = lab.document(path)
        if fresh is not None and fresh is not view.document:  # the file changed, and nothing was unsaved here
            return show(EditorState(fresh), notice("warn", t("read_again")), seq)
        with view.document.lock:
            before, (view, message) = view.message, perform(lab, view, data, t)
            # Leaving a box is no reason to take away what was just said.
            quiet = data.get("do") in ("text", "leave")
            view.message = message or (before if quiet else "")
            return show(view, Html(view.message), seq)

    def check(view: EditorState | None) -> Iterator[View]:
        view = view or _look(lab)
        if view is None:
            yield (*show(None), NOTHING)
            return
        for done, number in data_check.run(lab, view.document):
            bar = components.progress_bar(t, done / max(1, number), t("checking"))
            yield (*(gr.skip(),) * 4, bar)
        yield (*show(view, _checked(view, t)), NOTHING)

    outputs = [state, listed, talk, chosen]
    on_load(load, t, None, outputs, **IN_ORDER)
    if isinstance(tab := Context.block, gr.Tab):
        listen(tab.select, come_back, t, state, outputs, **IN_ORDER)
        listen(tab.select, schemas, t, None, schema, **IN_ORDER)
    listen(chosen.input, choose, t, chosen, outputs, **IN_ORDER)
    on_load(schemas, t, None, schema, **IN_ORDER)
    listen(chosen.change, schemas, t, None, schema, **IN_ORDER)
    done = listen(schema.input, satisfy, t, schema, outputs, **IN_ORDER)
    listen(done.then, schemas, t, None, schema, **IN_ORDER)
    for part in (listed, talk, counted):
        listen(part.submit, act, t, state, outputs, **IN_ORDER)
    listen(listed.apply, check, t, state, [*outputs, checking], concurrency_limit=None)
    panel.on_change(load, outputs, **IN_ORDER)
    panel.follow(chosen.change)
    panel.follow(folder.expand)


def perform(lab: Lab, view: EditorState, data: dict[str, Any], t: Translator) -> tuple[EditorState, Html]:
    """Do one action that the page sent; returns the view to go on with and a box to show, or none.

    Args:
        lab: the lab, for saving and reading again.
        view: what the window looks at.
        data: {"do", "texts": words typed since the last action, "at": the sample they belong to, ...}.
        t: the page's language.
    """
    document, before = view.document, view.document.dataset.path
    after = _perform(lab, view, data, t)
    if document.dataset.path != before:  # a copy of a shipped set, made by its first edit, or one asked for
        lab.saved_as(document)
    return after


def _perform(lab: Lab, view: EditorState, data: dict[str, Any], t: Translator) -> tuple[EditorState, Html]:
    action = str(data.get("do", ""))
    texts = data.get("texts") or []
    meant = data.get("at") == view.at or not (texts or action in json_form.ACTIONS)
    if not meant or (view.stale() and (texts or action not in LOOKING)):
        words_typed = "\n\n".join(str(typed["text"]) for typed in texts)
        return view, notice("warn", t("stale"), details=words_typed, t=t, fold=t("your_words"))
    turn = int(data.get("turn") or 0)
    field = (turn, str(data.get("pointer", ""))) if action == "form" else None
    try:
        for typed in texts:
            if 0 <= typed["turn"] < len(view.sample.turns if view.sample else ()):
                view.set_text(typed["turn"], str(typed["text"]))
        if action != "text" and (field is None or field != view.field):
            view.document.seal()
        view.field = field
        if action in ("save", "overwrite", "save_copy", "reload"):
            return _file_action(lab, view, action)
        _edit(view, action, data)
    except DataError as error:
        what, remedy = error.say(t.language)
        if error.code in ("file_changed", "file_exists"):
            return view, data_view.conflict(what, remedy, t)
        return view, notice("bad", what, remedy)
    except QwenlabError as error:
        return view, _error(error, t)
    except NotJsonError as error:
        key = "raw_wrong" if action == "raw" else "pretty_wrong"
        why = words.json_reason(error.code, t.language, **error.values)
        return view, notice("bad", t(key, why=why))
    except IndexError:  # the turn or sample is gone: the window shows what stands there now
        return view, notice("warn", t("stale"))
    return view, NOTHING


def _edit(view: EditorState, action: str, data: dict[str, Any]) -> None:
    turn = int(data.get("turn") or 0)
    actions = {
        "open": lambda: view.open(int(data["index"])),
        "previous": lambda: view.step(-1),
        "next": lambda: view.step(1),
        "page_back": lambda: setattr(view, "page", view.page - 1),
        "page_on": lambda: setattr(view, "page", view.page + 1),
        "find": lambda: view.look_for(*(str(data.get(key, "")) for key in ("search", "wanted", "tag", "sort"))),
        "show_kind": lambda: view.look_for("", str(data["kind"])),
        "fix": lambda: view.fix(str(data["kind"]), view.at, data.get("turn")),
        "fix_all": lambda: view.fix(str(data["kind"])),
        "undo": view.undo,
        "redo": view.redo,
        "role": lambda: view.set_role(turn, str(data["role"])),
        "add": lambda: view.add_turn(str(data["role"]), data.get("turn")),
        "split": lambda: view.split(turn),
        "tags": lambda: view.set_tags(str(data["text"])),
        "note": lambda: view.set_note(str(data["text"])),
        "sample_up": lambda: view.move_sample(-1),
        "sample_down": lambda: view.move_sample(1),
        "restore": lambda: view.restore(int(data["index"])),
        "drop": lambda: view.delete_turn(turn),
        "up": lambda: view.move_turn(turn, -1),
        "down": lambda: view.move_turn(turn, 1),
        "shape": lambda: setattr(view, "shape", str(data["role"])),
        **dict.fromkeys(json_form.ACTIONS, lambda: _form(view, turn, data)),
        "pretty": lambda: view.pretty(turn),
        "id": lambda: view.set_id(str(data["text"])),
        "raw": lambda: view.set_raw(str(data["text"])),
        "new": view.new_sample,
        "duplicate": view.duplicate,
        "delete": view.delete_sample,
    }
    if action in actions:
        actions[action]()


def _form(view: EditorState, turn: int, data: dict[str, Any]) -> None:
    """Take one field of a JSON answer; what cannot be taken stays in the field, with why."""
    sample = view.sample
    check = view.document.schema_for(sample.id) if sample else None
    if sample is None or check is None:
        raise IndexError("no form")
    field = (turn, str(data.get("pointer", "")))
    try:
        text = json_form.apply_form(sample.turns[turn].text, check, data)
    except json_form.FormError as error:
        view.wrong[field] = error
        return
    except NotJsonError:
        raise IndexError("no JSON any more") from None
    if data["do"] == "form":
        view.wrong.pop(field, None)
    else:
        view.wrong.clear()
    view.set_text(turn, text)


def _file_action(lab: Lab, view: EditorState, action: str) -> tuple[EditorState, Html]:
    document = view.document
    if action == "reload":
        lab.forget(document.dataset.path)
        return _look(lab) or view, NOTHING
    if action == "save_copy":
        document.save_copy()
    else:
        document.save(overwrite=action == "overwrite")
    return view, NOTHING


def _checked(view: EditorState, t: Translator) -> Html:
    number, bad = len(view.document.samples), view.document.counts()["any"]
    if bad:
        return notice("warn", t("check_found", number=number, bad=bad))
    return notice("ok", t("check_clean", number=number))


def _look(lab: Lab) -> EditorState | None:
    document = lab.document()
    return EditorState(document) if document is not None else None


def _choices(lab: Lab, chosen: Path | None = None) -> list[tuple[str, str]]:
    known = lab.data_sets()
    chosen = chosen or lab.dataset_path()
    if chosen is not None and chosen not in known:
        known = [chosen, *known]
    return [(path.name.removesuffix(".json").removesuffix(".train"), str(path)) for path in known]


def _chosen(lab: Lab) -> str | None:
    path = lab.dataset_path()
    return str(path) if path is not None else None


def _empty(t: Translator, message: Html = NOTHING) -> Html:
    inner = message or f'<p class="quiet">{escape(t("no_data_set"))}</p>'
    return Html(f'<div class="conversation">{inner}</div>')


def _error(error: QwenlabError, t: Translator) -> Html:
    return notice("bad", *components.error_words(error, t))
