"""The Train tab: choose a model, start a run, watch it, stop it, go on with it, compare it with others."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.context import Context

from qwenlab.errors import QwenlabError
from qwenlab.evals import selection
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.training import recipe as recipes
from qwenlab.training import runs
from qwenlab.training.queue import Queue
from qwenlab.ui import roster, run_compare, run_queue, training_view
from qwenlab.ui.components import NOTHING, listen, poll
from qwenlab.ui.lab import Lab
from qwenlab.ui.learned_from import LearnedFrom
from qwenlab.ui.live import LIVE
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_form import form_part
from qwenlab.ui.training_model import model_part
from qwenlab.ui.training_view import Readers


def build(lab: Lab, t: Translator) -> gr.State:
    """Build the tab inside the open gr.Tab; returns the state that says which run it shows."""
    readers, queue, learned_from = Readers(), Queue(lab.workspace), LearnedFrom(lab)
    shown, ticked, opened = gr.State(""), gr.State([]), gr.State(False)
    if isinstance(Context.block, gr.Tab):
        listen(Context.block.select, lambda: True, t, None, opened)
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            model = model_part(lab, t)
            form = form_part(lab, queue, readers, model, opened, t)
        with gr.Column(scale=3, min_width=320):
            picture = gr.HTML(**LIVE)
            with gr.Row():
                small: dict[str, Any] = {"size": "sm", "visible": False, "min_width": 160, "scale": 0}
                stop = gr.Button(t("train_stop"), **small)
                resume = gr.Button(t("train_resume"), variant="primary", **small)
                kill = gr.Button(t("train_kill"), variant="stop", **small)
            waiting = gr.HTML(**LIVE)
            listed = gr.HTML(**LIVE)
            compared = gr.HTML(**LIVE)

    def look(run: str, chosen: list[str]) -> tuple[Any, ...]:
        line, known = run_queue.tended(queue, t), lab.runs()
        job = _shown(known, run)
        if job is None:
            return training_view.no_run(t), *(gr.update(visible=False),) * 3, line, NOTHING, NOTHING
        progress, busy = readers.look(job), queue.running()
        waits = training_view.stop_waits(job)
        running = progress.state == "running"
        over = progress.state in ("stopped", "failed", "interrupted")
        queued = any(one.id == job.id for one in queue.waiting())
        return (
            training_view.run_view(job, progress, t, roster.of_run(lab, job), learned_from),
            gr.update(visible=running and waits is None),
            gr.update(visible=over and not queued, value=t("train_resume_after" if busy else "train_resume")),
            gr.update(visible=running and waits is not None and waits > training_view.KILL_AFTER),
            line,
            training_view.runs_table(known, readers, job.id, t, chosen, run_compare.MOST),
            run_compare.comparison(lab.workspace, _ticked(known, chosen), readers, t),
        )

    def start(chosen: list[str], *values: Any) -> tuple[Any, ...]:
        job = start_run(lab, queue, form.values(list(values), t), t)
        return job.id, *look(job.id, chosen)

    def start_after(run: str, chosen: list[str], *values: Any) -> tuple[Any, ...]:
        start_run(lab, queue, form.values(list(values), t), t, after=True)
        return look(run, chosen)

    def act(run: str, chosen: list[str], action: str) -> tuple[Any, ...]:
        job = _shown(lab.runs(), run)
        if job is not None:
            {"stop": job.stop, "resume": lambda: queue.start(job), "kill": job.kill}[action]()
        return look(run, chosen)

    def click(run: str, chosen: list[str], event: gr.EventData) -> tuple[Any, ...]:
        what, _, name = str((event._data or {}).get("key", "")).partition(":")
        if what == "show":
            run = name
        elif what == "compare":
            chosen = toggled(chosen, name)
        return run, chosen, *look(run, chosen)

    def click_queue(run: str, chosen: list[str], event: gr.EventData) -> tuple[Any, ...]:
        run_queue.act(queue, str((event._data or {}).get("key", "")))
        return look(run, chosen)

    state, outputs = [shown, ticked], [picture, stop, resume, kill, waiting, listed, compared]
    poll(2, look, t, state, outputs)
    listen(form.start.click, start, t, [ticked, *form.inputs], [shown, *outputs])
    listen(form.after.click, start_after, t, [*state, *form.inputs], outputs)
    listen(stop.click, lambda run, chosen: act(run, chosen, "stop"), t, state, outputs)
    listen(resume.click, lambda run, chosen: act(run, chosen, "resume"), t, state, outputs)
    listen(kill.click, lambda run, chosen: act(run, chosen, "kill"), t, state, outputs)
    listen(listed.submit, click, t, state, [*state, *outputs])
    listen(waiting.submit, click_queue, t, state, outputs)
    return shown


def _shown(known: list[Job], run: str) -> Job | None:
    """The run this window looks at; the newest where none was chosen."""
    return next((job for job in known if job.id == run), known[0] if known else None)


def _ticked(known: list[Job], chosen: list[str]) -> list[Job]:
    """In the order in which they were ticked."""
    by_id = {job.id: job for job in known}
    return [by_id[run] for run in chosen if run in by_id]


def toggled(chosen: list[str], run: str) -> list[str]:
    """The runs to compare after a click on the box of one; no more than can be compared."""
    if run in chosen:
        return [one for one in chosen if one != run]
    return [*chosen, run] if len(chosen) < run_compare.MOST else chosen


def start_run(lab: Lab, queue: Queue, values: dict[str, Any], t: Translator, after: bool = False) -> Job:
    """Make a run of the chosen model on the chosen data, and start it or let it wait.

    Args:
        after: whether it may wait for the run in progress. It learns from the data as they are now.

    Raises:
        QwenlabError: no data, a file that another program changed, a run in progress, a model that is not here, or a
            test that cannot decide.
    """
    busy = queue.running()
    if busy is not None and not after:
        raise QwenlabError(t("train_busy"), t("train_one_at_a_time", run=busy.id))
    document = lab.document()
    if document is None:
        raise QwenlabError(t("train_no_data"), t("train_no_data_do"))
    if document.edited:  # what the person sees in the Data tab is what is trained
        before = document.dataset.path
        document.save()
        if document.dataset.path != before:
            lab.saved_as(document)
    recipe = recipes.read({**values, "model": lab.model_name(), "data": str(document.dataset.path)})
    suite = selection.deciding(lab.workspace, recipe.suite, recipe.languages or catalogue.languages(recipe.model))
    job = runs.create(lab.workspace, recipe, suite.to_json() if suite else None)
    if after:
        queue.add(job)
        queue.start_next()  # the run in progress may have ended meanwhile
    else:
        queue.start(job)
    return job
