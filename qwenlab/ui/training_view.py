"""What the Train tab shows of runs: one with its loss curve, and the table of all."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job, State
from qwenlab.models import adapters, catalogue
from qwenlab.training import runs
from qwenlab.training.recipe import Recipe
from qwenlab.training.runs import Progress
from qwenlab.ui import look_view
from qwenlab.ui.components import (
    NOTHING,
    Html,
    badge,
    duration,
    ended_words,
    error_words,
    escape,
    notice,
    progress_bar,
    table,
)
from qwenlab.ui.loss_curve import loss_curve, loss_words
from qwenlab.ui.recipe_form import form_fields, value_words
from qwenlab.ui.roster import Entrant
from qwenlab.ui.texts import Translator

STATE_KINDS: dict[State, str] = {
    "new": "none",
    "running": "busy",
    "finished": "ok",
    "stopped": "warn",
    "failed": "bad",
    "interrupted": "warn",
}
LISTED_RUNS = 30
PHASES = {"loading": "train_phase_loading", "encoding": "train_phase_encoding"}
KILL_AFTER = 10.0
"""Seconds a person waits for a worker to stop before it can be ended at once."""


class Readers:
    """One reader per run, shared by all windows, so that each look reads only new events."""

    def __init__(self) -> None:
        self._readers: dict[Path, runs.Reader] = {}
        self._lock = threading.Lock()

    def look(self, job: Job) -> Progress:
        """The run as it stands now."""
        with self._lock:
            return self._readers.setdefault(job.folder, runs.Reader(job)).update()


# --- one run ---------------------------------------------------------------------------------------------


def run_view(job: Job, progress: Progress, t: Translator, kept: Sequence[Entrant] = ()) -> Html:
    """Everything about one run, read from its folder.

    Args:
        kept: its finished adapter and its checkpoints, as they can be asked.
    """
    try:
        recipe = runs.recipe_of(job)
    except QwenlabError as error:
        return notice("bad", t("train_unreadable"), " ".join(error_words(error, t)))
    head = (
        f'<div class="head"><b>{escape(job.id)}</b>{state_badge(progress.state, t)}'
        f'<span class="quiet">{escape(model_title(recipe.model))}, {escape(Path(recipe.data).name)}, '
        f"{escape(when(job))}</span></div>"
    )
    curve = loss_curve(progress.losses, progress.validation, t) if len(progress.losses) > 1 else NOTHING
    scores = look_view.scores(progress, t)
    return Html(
        f'<div class="run">{head}{_bar(job, progress, t)}{_ending(job, progress, t)}{_facts(progress, t)}{curve}'
        f"{scores}{_kept(kept, t)}{_left_out(progress, t)}{_settings(recipe, t)}{log_fold(job, t)}</div>"
    )


def no_run(t: Translator) -> Html:
    """What stands where the run will be."""
    return Html(f'<div class="run">{notice("none", t("train_no_run"), t("train_no_run_about"))}</div>')


def state_badge(state: State, t: Translator) -> Html:
    """A run's state in colour, sign and word."""
    return badge(STATE_KINDS[state], t("state_" + state))


def model_title(model: str) -> str:
    """A model's name for people."""
    known = catalogue.entry(model)
    return known.title if known else Path(model).name


def when(job: Job) -> str:
    """When the job was last started, local time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(files.read_json(job.folder / "job.json")["started"]))
    except (QwenlabError, KeyError, TypeError):
        return ""


def stop_waits(job: Job) -> float | None:
    """Seconds since a person asked the running job to stop; None when nobody did."""
    try:
        return max(0.0, time.time() - (job.folder / "stop").stat().st_mtime)
    except OSError:
        return None


def _bar(job: Job, progress: Progress, t: Translator) -> Html:
    total = progress.total
    fraction = progress.step / total if total and progress.step else None
    if progress.state != "running":
        words = t("train_done_steps", step=progress.step, total=total)
        if progress.seconds:
            words = t("train_took", words=words, time=duration(t, progress.seconds))
        kind = {"finished": "ok", "failed": "bad"}.get(progress.state, "none")
        return progress_bar(t, fraction or 0.0, words, kind=kind)
    if stop_waits(job) is not None:
        return progress_bar(t, fraction, t("train_phase_stopping", step=progress.step, total=total))
    if progress.asking[1]:
        done, number = progress.asking
        return progress_bar(t, fraction, t("looks_phase", done=done, number=number))
    if progress.phase == "training":
        words = t("train_phase_training", step=progress.step, total=total)
        return progress_bar(t, fraction, words, progress.eta_seconds)
    return progress_bar(t, fraction, t(PHASES.get(progress.phase, "train_phase_waiting")))


def _facts(progress: Progress, t: Translator) -> Html:
    loss = progress.losses.get(progress.step)
    facts = [
        ("train_fact_loss", loss_words(loss) if loss is not None else "", t("train_fact_loss_about")),
        ("train_fact_speed", f"{progress.tokens_per_s:,.0f}" if progress.tokens_per_s else "", ""),
        ("train_fact_memory", f"{progress.memory_bytes / 1e9:.1f} GB" if progress.memory_bytes else "", ""),
        ("train_fact_samples", f"{progress.samples:,}" if progress.samples else "", ""),
        ("train_fact_tokens", f"{progress.tokens:,}" if progress.tokens else "", ""),
    ]
    best = look_view.best_fact(progress, t)
    shown = "".join(
        f'<div title="{escape(about)}"><b>{escape(value)}</b> <span>{escape(t(key))}</span></div>'
        for key, value, about in facts
        if value
    )
    return Html(f'<div class="facts">{best}{shown}</div>') if shown or best else NOTHING


def _ending(job: Job, progress: Progress, t: Translator) -> Html:
    """How it ended and what to do now."""
    if progress.state == "finished":
        buttons = goto("tab_compare", t("train_next_compare")) + goto("tab_test", t("train_next_test"))
        buttons += goto("tab_export", t("train_next_export"))
        return notice("ok", t("train_finished"), Html(f"{escape(t('train_finished_next'))} {buttons}"))
    if progress.state == "failed":
        reason, remedy = ended_words(vars(progress), t)
        return notice("bad", reason or t("train_failed"), remedy)
    saved = adapters.last_checkpoint(job.folder)
    if progress.state == "stopped":
        keys = ("train_stopped", "train_stopped_do") if saved else ("train_stopped_early", "train_stopped_early_do")
        return notice("warn", t(keys[0]), t(keys[1]))
    if progress.state == "interrupted":
        if saved is None:
            return notice("warn", t("train_interrupted"), t("train_interrupted_start"))
        step = saved.name.rpartition("-")[2]
        return notice("warn", t("train_interrupted"), t("train_interrupted_do", step=step))
    if (stop_waits(job) or 0) > KILL_AFTER:
        return notice("warn", t("train_kill_about"))
    return NOTHING


def goto(tab: str, words: str) -> str:
    """A button that opens another tab."""
    return f'<button type="button" data-goto="{tab}">{escape(words)}</button> '


def fold(name: str, words: str, inner: str) -> Html:
    """A part that is folded until a person opens it."""
    return Html(f'<details data-fold="{escape(name)}"><summary>{escape(words)}</summary>{inner}</details>')


def log_fold(job: Job, t: Translator) -> Html:
    """The end of what a job printed, folded."""
    tail = job.log_tail().strip()
    return fold("log", t("train_log"), f"<pre>{escape(tail)}</pre>") if tail else NOTHING


def _kept(kept: Sequence[Entrant], t: Translator) -> Html:
    if len(kept) < 2:
        return NOTHING
    names = "".join(f"<li>{escape(one.label(t))}</li>" for one in kept)
    inner = f"<p>{escape(t('train_kept_about'))}</p><ul>{names}</ul>{goto('tab_compare', t('train_kept_compare'))}"
    return fold("kept", t("train_kept", number=len(kept)), inner)


def _left_out(progress: Progress, t: Translator) -> Html:
    if not progress.left_out:
        return NOTHING
    left_out = progress.left_out_zh if t.language == "zh" else progress.left_out
    rows = table([t("train_left_out_name"), t("train_left_out_why")], left_out)
    return fold("left_out", t("train_left_out", number=len(progress.left_out)), rows)


def _settings(recipe: Recipe, t: Translator) -> Html:
    values = recipe.model_dump()
    rows = [(field.title, value_words(values[field.name], t)) for field in form_fields(t.language, ())]
    return fold("settings", t("train_settings"), table(["", ""], rows))


# --- all runs --------------------------------------------------------------------------------------------


def runs_table(
    jobs: Sequence[Job], readers: Readers, shown: str, t: Translator, ticked: Sequence[str] = (), most: int = 0
) -> Html:
    """All runs, newest first; the one that is shown stands in bold.

    Args:
        ticked: ids of the runs to be compared, `most` of them at a time.
    """
    if not jobs:
        return NOTHING
    heads: tuple[str, ...] = (
        *("train_col_run", "train_col_state", "train_col_model"),
        *("train_col_steps", "train_col_loss", "train_col_when"),
    )
    listed = jobs[:LISTED_RUNS]
    rows = [
        [_tick(job, job.id in ticked, len(ticked) >= most, t), *_run_row(job, readers.look(job), job.id == shown, t)]
        for job in listed
    ]
    numbers = [4, 5]
    if any(readers.look(job).best for job in listed):
        heads, numbers = (*heads[:-2], "looks_col_loss", "looks_col_score", heads[-1]), [4, 5, 6]
        for row, job in zip(rows, listed, strict=True):
            row[-1:] = [look_view.best_score(readers.look(job)), when(job).partition("-")[2]]  # as wide as without
    drawn = table(["", *(t(key) for key in heads)], rows, numbers, [f"show:{job.id}" for job in listed])
    older = len(jobs) - LISTED_RUNS
    more = f'<p class="quiet">{escape(t("train_more_runs", number=older))}</p>' if older > 0 else ""
    hint = f'<span class="quiet">{escape(t("train_tick"))}</span>' if len(jobs) > 1 else ""
    return Html(f'<div class="head"><b>{escape(t("train_runs"))}</b>{hint}</div>{drawn}{more}')


def _tick(job: Job, ticked: bool, full: bool, t: Translator) -> Html:
    """A box whose click says compare:RUN."""
    state = " checked" if ticked else " disabled" if full else ""
    label = escape(t("train_tick_one", run=job.id))
    look = "appearance:auto;background:none;border:0;width:15px;height:15px;accent-color:var(--accent)"
    return Html(
        f'<input type="checkbox" data-key="compare:{escape(job.id)}" aria-label="{label}" title="{label}" '
        f'style="{look}"{state}>'
    )


def _run_row(job: Job, progress: Progress, shown: bool, t: Translator) -> list[object]:
    try:
        model = model_title(runs.recipe_of(job).model)
    except QwenlabError:
        model = "?"
    name = f"<b>{escape(job.id)}</b>" if shown else escape(job.id)
    button = Html(f'<button type="button" class="link" title="{escape(t("train_show"))}">{name}</button>')
    loss = progress.losses.get(progress.step)
    steps = f"{progress.step:,} / {progress.total:,}" if progress.total else ""
    state = state_badge(progress.state, t)
    return [button, state, model, steps, "" if loss is None else loss_words(loss), when(job)]
