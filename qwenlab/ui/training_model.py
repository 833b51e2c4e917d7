"""Which model learns: one that is here, one that can be fetched, or a folder of the person's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.models import catalogue, hub, listing
from qwenlab.training.estimate import Machine
from qwenlab.ui import getting
from qwenlab.ui import removing as removal
from qwenlab.ui.background import Background
from qwenlab.ui.components import NOTHING, listen, poll
from qwenlab.ui.getting import entry_of, fetching
from qwenlab.ui.lab import Lab
from qwenlab.ui.live import LIVE
from qwenlab.ui.models_view import models_table
from qwenlab.ui.texts import Translator

HUBS = [(hub.TITLES[one], one) for one in hub.HUBS]


@dataclass
class _Parts:
    """What stands on the page, in the order in which `_look` fills it, and what is typed."""

    chosen: Any
    line: Any
    get: Any
    pause: Any
    cancel: Any
    all_models: Any
    words: Any
    listed: Any
    remove: Any
    question: Any
    yes: Any
    no: Any
    source: Any
    typed: list[tuple[Any, Any, Any]]


def _layout(lab: Lab, t: Translator) -> _Parts:
    chosen = gr.Dropdown(label=t("train_model"), choices=_models(lab, t), value=lab.model_name(), filterable=False)
    line = gr.HTML(**LIVE)
    small: dict[str, Any] = {"size": "sm", "visible": False}
    with gr.Row():
        get = gr.Button(t("models_get_unknown"), variant="primary", **small)
        pause = gr.Button(t("models_pause"), **small)
        cancel = gr.Button(t("train_cancel"), **small)
    with gr.Accordion(t("models_all"), open=False, elem_classes="files") as all_models:
        words = gr.Textbox("", show_label=False, container=False, placeholder=t("models_search"), max_lines=1)
        listed = gr.HTML(**LIVE)
        remove = gr.Button(**small)
        question = gr.HTML()
        with gr.Row():
            yes, no = gr.Button(variant="stop", **small), gr.Button(t("models_remove_no"), **small)
        source = gr.Radio(HUBS, value="modelscope" if t.language == "zh" else "huggingface", label=t("models_source"))
        typed = _own_part(lab, t)
    buttons = (get, pause, cancel)
    return _Parts(chosen, line, *buttons, all_models, words, listed, remove, question, yes, no, source, typed)


def _look(
    lab: Lab, t: Translator, machine: Background, find: str | None, shown: bool, removing: str
) -> tuple[Any, ...]:
    """What the parts show now."""
    model = _settled(lab)
    state, said = fetching(lab, model, t)
    running = state == "running"
    table = models_table(*_list(lab, find, machine), getting.running(lab), t) if shown else NOTHING
    removable = removal.can_be_removed(lab, model) and not running
    name = Path(model).name.replace("--", "/")
    return (
        gr.update(choices=_models(lab, t), value=model),
        said,
        gr.update(visible=state in ("absent", "paused", "older"), value=getting.button_words(lab, model, state, t)),
        gr.update(visible=running and getting.can_pause(lab, model)),
        gr.update(visible=running or state == "paused", value=t("train_cancel" if running else "models_discard")),
        table,
        gr.update(visible=removable and removing != model, value=t("models_remove", name=name)),
        *removal.shown(lab, removing, model, t),
    )


def model_part(lab: Lab, t: Translator) -> Any:
    """A dropdown of what is here or ships, how the chosen one is got, and the list of all. Returns the dropdown."""
    machine, opened, asked, p = Background(), gr.State(False), gr.State(""), _layout(lab, t)

    def look(find: str | None, shown: bool, removing: str) -> tuple[Any, ...]:
        return _look(lab, t, machine, find, shown, removing)

    def choose(model: str | None, *rest: Any) -> tuple[Any, ...]:
        if model:
            lab.choose(model=model)
        return look(*rest)

    def click(find: str, shown: bool, removing: str, event: gr.EventData) -> tuple[Any, ...]:
        return choose(_clicked(lab, str((event._data or {}).get("key", ""))), find, shown, removing)

    def act(what: Any) -> Any:
        def done(from_hub: hub.Hub, *rest: Any) -> tuple[Any, ...]:
            what(lab, lab.model_name(), *([from_hub] if what is getting.start else []))
            return look(*rest)

        return done

    def expand(find: str, removing: str) -> tuple[Any, ...]:
        return True, *look(find, True, removing)

    def agree(removing: str, find: str, shown: bool) -> tuple[Any, ...]:
        removal.remove(lab, removing, t)
        return keep(find, shown)

    def keep(find: str, shown: bool) -> tuple[Any, ...]:
        return "", *look(find, shown, "")

    def ask(find: str, shown: bool) -> tuple[Any, ...]:
        model = removal.ask(lab)
        return model, *look(find, shown, model)

    state = [p.words, opened, asked]
    outputs = [p.chosen, p.line, p.get, p.pause, p.cancel, p.listed, p.remove, p.question, p.yes, p.no]
    poll(2, look, t, state, outputs)
    listen(p.chosen.input, choose, t, [p.chosen, *state], outputs)
    listen(p.listed.submit, click, t, state, outputs)
    listen(p.words.input, look, t, state, outputs)
    for button, what in ((p.get, getting.start), (p.pause, getting.pause), (p.cancel, getting.give_up)):
        listen(button.click, act(what), t, [p.source, *state], outputs)
    listen(p.all_models.expand, expand, t, [p.words, asked], [opened, *outputs])
    listen(p.remove.click, ask, t, [p.words, opened], [asked, *outputs])
    listen(p.yes.click, agree, t, [asked, p.words, opened], [asked, *outputs])
    listen(p.no.click, keep, t, [p.words, opened], [asked, *outputs])
    for box, button, take in p.typed:
        for trigger in (button.click, box.submit):
            listen(trigger, lambda said, *rest, take=take: choose(take(lab, said, t), *rest), t, [box, *state], outputs)
    return p.chosen


def _own_part(lab: Lab, t: Translator) -> list[tuple[Any, Any, Any]]:
    """Boxes for a repository's id and for a folder, each with its button and what it does."""
    if lab.listen:  # whoever reaches the port must not try out paths of this computer, nor fill its disk
        return []
    found = []
    for hint, do, take in (
        ("models_id", "models_id_use", _take_repository),
        ("models_folder", "models_folder_use", _take_folder),
    ):
        with gr.Row(elem_classes="low"):
            box = gr.Textbox(show_label=False, container=False, placeholder=t(hint), max_lines=1, scale=4)
            found.append((box, gr.Button(t(do), size="sm", scale=0, min_width=110), take))
    return found


def _take_repository(lab: Lab, said: str, t: Translator) -> str:
    """The model that a repository's id names."""
    return catalogue.of_repository(hub.check_id(said.strip().strip('"'))).hub if said.strip() else ""


def _take_folder(lab: Lab, said: str, t: Translator) -> str:
    """Add a folder, or the models in it; the one to choose where it is one."""
    if not said.strip():
        return ""
    named = Path(said.strip().strip('"'))
    new = listing.add(lab.workspace, named)
    if not new and (named.expanduser() / "config.json").is_file():
        return str(catalogue.conversion(lab.workspace, named.expanduser()) or named.expanduser().resolve())
    if len(new) == 1:
        gr.Info(t("models_added_one", name=new[0].name))
        return str(new[0])
    gr.Info(t("models_added", number=len(new)) if new else t("models_added_before"))
    return ""


def _settled(lab: Lab) -> str:
    """The chosen model; one of a hub goes by its name once it is here or known, a folder by that of its conversion."""
    model = lab.model_name()
    wanted = entry_of(model)
    if wanted is not None and wanted.name != model and (wanted.shape or catalogue.is_ready(lab.workspace, wanted.name)):
        lab.choose(model=wanted.name)
        return wanted.name
    made = catalogue.conversion(lab.workspace, Path(model)) if wanted is None else None
    if made is not None:
        lab.choose(model=made.name)
        return made.name
    return model


def _clicked(lab: Lab, key: str) -> str:
    """The model whose row was clicked; nothing but what is on the list can be chosen so."""
    what, _, model = key.partition(":")
    return model if what == "use" and any(one.model == model for one in listing.everything(lab.workspace)) else ""


def _list(lab: Lab, find: str | None, machine: Background) -> tuple[list[listing.Known], str, Machine]:
    """What `models_table` shows; what this machine computes in is measured meanwhile."""
    task = machine.look("machine", lambda _: Machine.measured())
    return listing.search(lab.workspace, find or ""), lab.model_name(), task.result or Machine.here()


def _models(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    """What ships, what is here, and what is chosen."""
    shipped = [one.name for one in catalogue.CATALOGUE]
    here = listing.ready(lab.workspace)
    found = [*shipped, *(one for one in here if one not in shipped)]
    model = lab.model_name()
    return [(_title(one, here, t), one) for one in [*found, *([] if model in found else [model])]]


def _title(model: str, here: list[str], t: Translator) -> str:
    wanted = entry_of(model)
    if wanted is None:
        return Path(model).name.replace("--", "/")
    return t("train_model_here" if wanted.name in here else "train_model_absent", title=wanted.title)
