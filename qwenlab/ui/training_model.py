"""Which model learns: one of the catalogue, fetched on demand, or a folder of the person's own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.ui import components
from qwenlab.ui.components import Html, ended_words, escape, listen, notice, poll, progress_bar
from qwenlab.ui.lab import Lab
from qwenlab.ui.live import LIVE
from qwenlab.ui.recipe_form import speaks
from qwenlab.ui.suites import last_progress
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import log_fold

FETCHING = {"converting": "train_get_converting", "downloading": "train_get_downloading"}


def model_part(lab: Lab, t: Translator) -> Any:
    """Which model learns: one of the catalogue, fetched on demand, or a folder. Returns the dropdown."""
    chosen = gr.Dropdown(label=t("train_model"), choices=_models(lab, t), value=lab.model_name(), filterable=False)
    line = gr.HTML(**LIVE)
    with gr.Row():
        get = gr.Button(t("train_use"), variant="primary", size="sm", visible=False)
        cancel = gr.Button(t("train_cancel"), size="sm", visible=False)
    if not lab.listen:  # whoever reaches the port must not try out paths of this computer
        with gr.Accordion(t("train_folder"), open=False, elem_classes="files"), gr.Row(elem_classes="low"):
            path = gr.Textbox(
                show_label=False, container=False, placeholder=t("train_folder_hint"), max_lines=1, scale=4
            )
            use = gr.Button(t("train_use"), size="sm", scale=0, min_width=80)

    def look() -> tuple[Any, ...]:
        model = lab.model_name()
        state, words = fetching(lab, model, t)
        size = catalogue.entry(model).bytes if catalogue.entry(model) else 0  # type: ignore[union-attr]
        return (
            gr.update(choices=_models(lab, t), value=model),
            words,
            gr.update(visible=state == "absent", value=t("train_get", size=f"{size / 1e6:,.0f} MB")),
            gr.update(visible=state == "running"),
        )

    def choose(model: str | None) -> tuple[Any, ...]:
        if model:
            lab.choose(model=model)
        return look()

    def use_folder(typed: str) -> tuple[Any, ...]:
        named = Path(typed.strip().strip('"')).expanduser()
        lab.choose(model=str(catalogue.locate(lab.workspace, str(named))))
        return look()

    def fetch() -> tuple[Any, ...]:
        model = lab.model_name()
        job = _fetch_job(lab, model)
        if job.state() != "running":
            shutil.rmtree(job.folder, ignore_errors=True)  # what an earlier attempt reported says nothing now
        place = ["qwenlab", "--workspace", str(lab.workspace.root), "--job", str(job.folder)]
        job.start("model", [*place, "models", "get", model])
        return look()

    def give_up() -> tuple[Any, ...]:
        job = _fetch_job(lab, lab.model_name())
        job.kill()
        job.finish("stopped")  # the worker is gone: nobody else writes here
        return look()

    outputs = [chosen, line, get, cancel]
    poll(2, look, t, (), outputs)
    listen(chosen.input, choose, t, chosen, outputs)
    listen(get.click, fetch, t, None, outputs)
    listen(cancel.click, give_up, t, None, outputs)
    if not lab.listen:
        listen(use.click, use_folder, t, path, outputs)
        listen(path.submit, use_folder, t, path, outputs)
    return chosen


def _models(lab: Lab, t: Translator) -> list[tuple[str, str]]:
    found = []
    for entry in catalogue.CATALOGUE:
        here = catalogue.is_ready(lab.workspace, entry.name)
        key = "train_model_here" if here else "train_model_absent"
        found.append((t(key, title=entry.title), entry.name))
    model = lab.model_name()
    if model not in (name for _, name in found):
        found.append((Path(model).name, model))
    return found


def _fetch_job(lab: Lab, model: str) -> Job:
    return Job(lab.workspace.jobs / f"model-{model}")


def fetching(lab: Lab, model: str, t: Translator) -> tuple[str, Html]:
    """Whether the model is "ready", "absent", "wrong" or being fetched ("running"), and what to say of it."""
    line = model_line(model, t)
    if catalogue.entry(model) is None:
        try:
            catalogue.locate(lab.workspace, model)
        except QwenlabError as error:
            return "wrong", notice("bad", t("train_model_gone"), " ".join(components.error_words(error, t)))
        return "ready", line
    if catalogue.is_ready(lab.workspace, model):
        return "ready", line
    job = _fetch_job(lab, model)
    state = job.state()
    if state == "running":
        progress = last_progress(job) or {}
        what = str(progress.get("what", "")).partition(" ")[0]
        doing = t(FETCHING.get(what, "train_get_starting"))
        fraction = None if what == "converting" else progress.get("fraction")
        return "running", Html(line + progress_bar(t, fraction, f"{t('train_getting')}: {doing}"))
    if state == "failed":
        reason, remedy = ended_words(job.outcome() or {}, t)
        words = notice("bad", reason or t("train_get_failed"), remedy)
        return "absent", Html(line + words + log_fold(job, t))
    if state in ("stopped", "interrupted"):
        key = "train_get_stopped" if state == "stopped" else "train_get_failed"
        return "absent", Html(line + notice("warn", t(key), t("train_get_again")))
    return "absent", line


def model_line(model: str, t: Translator) -> Html:
    """What a person should know of the chosen model."""
    known = catalogue.entry(model)
    if known is None:
        words = t("train_model_folder_line", folder=model)
    else:
        words = t("train_model_line", languages=speaks(known.languages, t), licence=known.licence)
    return Html(f'<p class="quiet">{escape(words)}</p>')
