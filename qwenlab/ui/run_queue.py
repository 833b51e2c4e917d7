"""The queue of runs on the page: what waits, in which order, and why it waits."""

from __future__ import annotations

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import runs
from qwenlab.training.queue import Queue
from qwenlab.ui.components import NOTHING, Html, error_words, escape, notice, table
from qwenlab.ui.recipe_form import number
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import model_title


def tended(queue: Queue, t: Translator) -> Html:
    """The queue, moved on where the worker of the last run could not do it."""
    try:
        queue.start_next()
    except QwenlabError as error:
        return Html(notice("bad", *error_words(error, t)) + queue_view(queue, t))
    return queue_view(queue, t)


def queue_view(queue: Queue, t: Translator) -> Html:
    """The runs that wait, each to be removed; nothing while none does.

    Clicks say queue-remove:RUN and queue-go:.
    """
    waiting = queue.waiting()
    if not waiting:
        return NOTHING
    stopped = queue.paused_by()
    pause = NOTHING
    if stopped is not None:
        go = Html(f'<button type="button" data-key="queue-go:">{escape(t("train_queue_go"))}</button>')
        pause = notice(
            "warn", t("train_queue_paused", run=stopped.id), Html(f"{escape(t('train_queue_paused_do'))} {go}")
        )
    heads = [t(key) for key in ("train_queue_place", "train_col_run", "train_col_model", "train_queue_epochs")]
    rows = [_row(place, job, t) for place, job in enumerate(waiting, 1)]
    about = escape(t("train_queue_about"))
    return Html(
        f'<div class="run"><div class="head"><b>{escape(t("train_queue", number=len(waiting)))}</b>'
        f'<span class="quiet">{about}</span></div>{pause}{table([*heads, ""], rows, (0, 3))}</div>'
    )


def act(queue: Queue, key: str) -> None:
    """Do what a click on the queue said."""
    what, _, run = key.partition(":")
    if what == "queue-remove":
        queue.remove(run)
    elif what == "queue-go":
        queue.start_next(although_stopped=True)


def _row(place: int, job: Job, t: Translator) -> list[object]:
    model, epochs = "?", ""
    try:
        recipe = runs.recipe_of(job)
        model, epochs = model_title(recipe.model), number(recipe.epochs)
    except QwenlabError:
        pass  # it can still be removed
    key, words = escape(f"queue-remove:{job.id}"), escape(t("train_queue_remove"))
    remove = Html(f'<button type="button" class="link" data-key="{key}">{words}</button>')
    return [place, job.id, model, epochs, remove]
