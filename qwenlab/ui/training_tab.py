"""The Train tab: choose a model, start a run, watch it, stop it, go on with it."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.conversations.dataset import keep_version, shipped
from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.training import recipe as recipes
from qwenlab.training import runs
from qwenlab.ui import components, training_view
from qwenlab.ui.components import NOTHING, Html, ended_words, escape, listen, notice, poll, progress_bar
from qwenlab.ui.lab import Lab
from qwenlab.ui.live import LIVE
from qwenlab.ui.suites import last_progress
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import FormField, Plan, Readers

PRESETS = {"quick": 1.0, "balanced": 2.0, "thorough": 3.0}
"""Epochs of each preset."""
PRESET_WORDS = {
    "quick": "train_preset_quick",
    "balanced": "train_preset_balanced",
    "thorough": "train_preset_thorough",
}
STARTS_WITH = "balanced"
SUITED = ("learning_rate", "batch_size")
"""Settings that differ by model; how long to train is the person's choice."""
FETCHING = {"converting": "train_get_converting", "downloading": "train_get_downloading"}


def build(lab: Lab, t: Translator) -> None:
    """Build the tab inside the open gr.Tab."""
    readers = Readers()
    shown = gr.State("")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            model = _model(lab, t)
            form = _form(lab, readers, t)
        with gr.Column(scale=3, min_width=320):
            picture = gr.HTML(**LIVE)
            with gr.Row():
                small: dict[str, Any] = {"size": "sm", "visible": False, "min_width": 160, "scale": 0}
                stop = gr.Button(t("train_stop"), **small)
                resume = gr.Button(t("train_resume"), variant="primary", **small)
                kill = gr.Button(t("train_kill"), variant="stop", **small)
            listed = gr.HTML(**LIVE)

    def look(run: str) -> tuple[Any, ...]:
        job = _shown(lab, run)
        if job is None:
            return training_view.no_run(t), *(gr.update(visible=False),) * 3, NOTHING
        progress = readers.look(job)
        running, waits = progress.state == "running", training_view.stop_waits(job)
        return (
            training_view.run_view(job, progress, t),
            gr.update(visible=running and waits is None),
            gr.update(visible=progress.state in ("stopped", "failed", "interrupted")),
            gr.update(visible=running and waits is not None and waits > training_view.KILL_AFTER),
            training_view.runs_table(lab.runs(), readers, job.id, t),
        )

    def start(epochs: float, *values: Any) -> tuple[Any, ...]:
        job = start_run(lab, form.values([epochs, *values], t), t)
        return job.id, *look(job.id)

    def act(run: str, action: str) -> tuple[Any, ...]:
        job = _shown(lab, run)
        if job is not None:
            {"stop": job.stop, "resume": lambda: runs.resume(job), "kill": job.kill}[action]()
        return look(run)

    def choose(event: gr.EventData) -> tuple[Any, ...]:
        run = str((event._data or {}).get("key", ""))
        return run, *look(run)

    outputs = [picture, stop, resume, kill, listed]
    poll(2, look, t, [shown], outputs)
    listen(form.start.click, start, t, form.inputs, [shown, *outputs])
    listen(model.change, suited, t, model, [form.input_of(name) for name in SUITED])
    listen(stop.click, lambda run: act(run, "stop"), t, shown, outputs)
    listen(resume.click, lambda run: act(run, "resume"), t, shown, outputs)
    listen(kill.click, lambda run: act(run, "kill"), t, shown, outputs)
    listen(listed.submit, choose, t, None, [shown, *outputs])


def _shown(lab: Lab, run: str) -> Job | None:
    """The run this window looks at; the newest where none was chosen."""
    known = lab.runs()
    return next((job for job in known if job.id == run), known[0] if known else None)


def start_run(lab: Lab, values: dict[str, Any], t: Translator) -> Job:
    """Make and start a run of the chosen model on the chosen data.

    Raises:
        QwenlabError: no data, a file that another program changed, a run in progress, or a model that is not here.
    """
    if any(job.state() == "running" for job in lab.runs()):
        raise QwenlabError(t("train_busy"), t("train_one_at_a_time"))
    document = lab.document()
    if document is None:
        raise QwenlabError(t("train_no_data"), t("train_no_data_do"))
    if document.edited:  # what the person sees in the Data tab is what is trained
        before = document.dataset.path
        document.save()
        if document.dataset.path != before:
            lab.saved_as(document)
    if not shipped(document.dataset.path):
        keep_version(document.dataset.path)
    recipe = recipes.read({**values, "model": lab.model_name(), "data": str(document.dataset.path)})
    job = runs.create(lab.workspace, recipe)
    runs.start(job)
    return job


# --- the model -------------------------------------------------------------------------------------------


def _model(lab: Lab, t: Translator) -> Any:
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
    line = training_view.model_line(model, t)
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
        return "absent", Html(line + words + training_view.log_fold(job, t))
    if state in ("stopped", "interrupted"):
        key = "train_get_stopped" if state == "stopped" else "train_get_failed"
        return "absent", Html(line + notice("warn", t(key), t("train_get_again")))
    return "absent", line


# --- the recipe ------------------------------------------------------------------------------------------


@dataclass
class Form:
    """The recipe's form.

    Attributes:
        fields: the recipe's settings but model and data, in the order of `inputs`.
        inputs: one component each, epochs first.
    """

    fields: list[FormField]
    inputs: list[Any]
    start: Any

    def input_of(self, name: str) -> Any:
        """The component of a setting."""
        return self.inputs[[field.name for field in self.fields].index(name)]

    def values(self, typed: list[Any], t: Translator) -> dict[str, Any]:
        """What was typed, checked. Raises QwenlabError, naming the setting."""
        return training_view.checked(self.fields, typed, t)


def _form(lab: Lab, readers: Readers, t: Translator) -> Form:
    data = gr.HTML(**LIVE)
    preset = gr.Radio(
        label=t("train_preset"),
        info=t("train_preset_about"),
        choices=[(t(PRESET_WORDS[name]), name) for name in PRESETS],
        value=STARTS_WITH,
    )
    # Epochs stand first, so that the preset finds them.
    fields = sorted(training_view.form_fields(t.language), key=lambda one: one.name != "epochs")
    with gr.Accordion(t("train_advanced"), open=False, elem_classes="files"), gr.Row():
        own = dict(zip(SUITED, suited(lab.model_name()), strict=True))
        inputs = [_input(replace(one, default=own.get(one.name, one.default)), t) for one in fields]
    start = gr.Button(t("train_start"), variant="primary", size="md")
    expect = gr.HTML(**LIVE)
    form, samples = Form(fields, inputs, start), SampleCounts()

    def look(*typed: Any) -> tuple[Any, ...]:
        busy = any(job.state() == "running" for job in lab.runs())
        ready = fetching(lab, lab.model_name(), t)[0] == "ready"
        try:
            plan = plan_of(lab, samples, readers, form.values(list(typed), t))
            first, last = training_view.data_lines(plan, t), training_view.plan_line(plan, t)
            able = plan is not None and plan.samples > 0
        except QwenlabError as error:
            first, last, able = NOTHING, notice("bad", *components.error_words(error, t)), True
        if busy:
            last = Html(f'<p class="quiet">{escape(t("train_one_at_a_time"))}</p>')
        return first, Html(f'<div class="run">{last}</div>'), gr.update(interactive=ready and able and not busy)

    poll(2, look, t, inputs, [data, expect, start])
    listen(preset.input, lambda name: PRESETS[name], t, preset, inputs[0])
    listen(inputs[0].input, _preset_of, t, inputs[0], preset)
    return form


def suited(model: str) -> tuple[Any, ...]:
    """The values of SUITED that are recommended for a model."""
    settings = recipes.read(recipes.recommended(model)).model_dump()
    return tuple(settings[name] for name in SUITED)


def _preset_of(epochs: float | None) -> str | None:
    return next((name for name, value in PRESETS.items() if value == epochs), None)


def _input(field: FormField, t: Translator) -> Any:
    settings: dict[str, Any] = {"label": field.title, "info": field.about(t), "min_width": 200}
    if field.kind == "choice":
        return gr.Dropdown(choices=list(field.choices), value=field.default, filterable=False, **settings)
    if field.kind == "several":
        choices = [(training_view.speaks([one], t), one) for one in field.choices]
        return gr.CheckboxGroup(choices=choices, value=field.default, **settings)
    if field.kind == "text":
        return gr.Textbox(value=field.default, max_lines=1, **settings)
    value = PRESETS[STARTS_WITH] if field.name == "epochs" else field.default
    return gr.Number(value=value, precision=0 if field.kind == "whole" else None, **settings)


class SampleCounts:
    """Samples of the open data set by language, counted again only after an edit."""

    def __init__(self) -> None:
        self._seen: tuple[Any, int] | None = None
        self._counts: Counter[str] = Counter()

    def look(self, document: Document) -> Counter[str]:
        """Language -> whole samples; broken ones are in none."""
        seen = (document, document.revision)
        if self._seen is None or self._seen[0] is not document or self._seen[1] != document.revision:
            self._counts = Counter(known.language for known in document.facts if known.same is not None)
            self._seen = seen
        return self._counts


def plan_of(lab: Lab, samples: SampleCounts, readers: Readers, values: dict[str, Any]) -> Plan | None:
    """What a start would do with these settings; None without a data set.

    Raises:
        QwenlabError: when the data set cannot be read.
    """
    document = lab.document()
    if document is None:
        return None
    model, counts = lab.model_name(), samples.look(document)
    languages = values["languages"] or list(catalogue.languages(model))
    usable = sum(counts[one] for one in languages)
    trained = usable - int(usable * values["validation"])
    steps = training_view.steps_of(trained, values["epochs"], values["batch_size"], values["max_steps"])
    rows = min(steps * values["batch_size"], math.ceil(values["epochs"] * trained))
    tokens, seconds, judged_by = _judged(lab, readers, model, document.dataset.path, rows)
    return Plan(
        name=document.dataset.path.name.split(".")[0],
        samples=usable,
        all=len(document.samples),
        languages=languages,
        unsaved=document.edited,
        steps=steps,
        tokens=tokens,
        seconds=seconds,
        judged_by=judged_by,
    )


def _judged(lab: Lab, readers: Readers, model: str, data: Path, rows: int) -> tuple[float, float, str]:
    """Tokens and seconds as the newest run of this model on this data suggests; zeros where there is none."""
    newest = lab.runs()[: training_view.LISTED_RUNS]
    for job in sorted(newest, key=lambda one: one.state() != "finished"):  # those that ended were timed as a whole
        try:
            recipe = runs.recipe_of(job)
        except QwenlabError:
            continue
        if recipe.model == model and Path(recipe.data).name == data.name:
            guess = training_view.expected(recipe, readers.look(job), rows)
            if guess:
                return *guess, job.id
    return 0.0, 0.0, ""
