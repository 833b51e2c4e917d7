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
from qwenlab.ui import look_view, run_details
from qwenlab.ui.components import (
    NOTHING,
    Html,
    badge,
    duration,
    ended_words,
    error_words,
    escape,
    fold,
    goto,
    notice,
    progress_bar,
    table,
)
from qwenlab.ui.learned_from import LearnedFrom
from qwenlab.ui.loss_curve import loss_curve, loss_words
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
PHASES = {"encoding": "train_phase_encoding", "model": "train_phase_model"}
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


def run_view(
    job: Job,
    progress: Progress,
    t: Translator,
    kept: Sequence[Entrant] = (),
    learned_from: LearnedFrom | None = None,
) -> Html:
    """Everything about one run, read from its folder.

    Args:
        kept: its finished adapter and its checkpoints, as they can be asked.
        learned_from: knows what its data have become; None leaves that out.
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
    head += _damaged(progress, t)
    curve = loss_curve(progress.losses, progress.validation, t) if len(progress.losses) > 1 else NOTHING
    parts = (
        _bar(job, progress, recipe, t),
        _ending(job, progress, t),
        _facts(progress, t),
        curve,
        look_view.scores(progress, t),
        learned_from.line(job, recipe, t) if learned_from else NOTHING,
        _kept(kept, t),
        run_details.left_out(progress, t),
        run_details.rate_fold(progress.learning_rates, t),
        run_details.settings(recipe, progress, t),
        run_details.of_run(job, recipe, t),
        log_fold(job, t),
    )
    return Html(f'<div class="run">{head}{"".join(parts)}</div>')


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
    at = _started(job)
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at else ""


def _started(job: Job) -> float:
    """When the job was last started, in seconds since the epoch; 0 when that is not known."""
    try:
        return float(files.read_json(job.folder / "job.json")["started"])
    except (QwenlabError, KeyError, TypeError, ValueError):
        return 0.0


def stop_waits(job: Job) -> float | None:
    """Seconds since a person asked the running job to stop; None when nobody did."""
    try:
        return max(0.0, time.time() - (job.folder / "stop").stat().st_mtime)
    except OSError:
        return None


def _bar(job: Job, progress: Progress, recipe: Recipe, t: Translator) -> Html:
    total = progress.total
    fraction = progress.step / total if total and progress.step else None
    if progress.state != "running":
        if not total:
            return NOTHING
        words = t("train_done_steps", step=progress.step, total=total)
        if progress.seconds:
            words = t("train_took", words=words, time=duration(t, progress.seconds))
        kind = {"finished": "ok", "failed": "bad"}.get(progress.state, "none")
        return progress_bar(t, fraction or 0.0, words, kind=kind)
    heard = progress.heard >= _started(job)  # else all that is known is from before a resume
    if stop_waits(job) is not None:
        words = t("train_phase_stopping", step=progress.step, total=total) if total else t("train_phase_ending")
        return progress_bar(t, fraction, words)
    if recipe.machines > 1 and (not heard or progress.phase == "loading"):
        return Html(progress_bar(t, None, t("train_phase_machines")) + run_details.other_machines(job, recipe, t))
    if progress.asking[1]:
        done, number = progress.asking
        return progress_bar(t, fraction, t("looks_phase", done=done, number=number))
    phase = progress.phase if heard else ""
    words = t("train_phase_training", step=progress.step, total=total)
    if phase != "training":
        words = t(PHASES.get(phase, "train_phase_waiting"))
    return progress_bar(t, fraction, words, progress.eta_seconds)


def _facts(progress: Progress, t: Translator) -> Html:
    loss, kept_out = progress.losses.get(progress.step), list(progress.validation.values())
    rate = progress.learning_rates.get(progress.step)
    facts = [
        ("train_fact_loss", loss_words(loss) if loss is not None else "", t("train_fact_loss_about")),
        ("train_fact_validation", loss_words(kept_out[-1]) if kept_out else "", t("train_fact_validation_about")),
        ("train_fact_speed", f"{progress.tokens_per_s:,.0f}" if progress.tokens_per_s else "", ""),
        ("train_fact_memory", f"{progress.memory_bytes / 1e9:.1f} GB" if progress.memory_bytes else "", ""),
        ("train_fact_rate", run_details.rate_words(rate) if rate else "", t("train_fact_rate_about")),
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
        words = f"{escape(_early(progress, t))} {escape(t('train_finished_next'))} {buttons}"
        return notice("ok", t("train_finished"), Html(words.strip()))
    if progress.state == "failed":
        reason, remedy = ended_words(vars(progress), t)
        return notice("bad", reason or t("train_failed"), remedy)
    saved = adapters.last_checkpoint(job.folder)
    if progress.state == "stopped":
        keys = ("train_stopped", "train_stopped_do") if saved else ("train_stopped_early", "train_stopped_early_do")
        return notice("warn", t(keys[0]), t(keys[1]))
    if progress.state == "interrupted":
        likely = " ".join(ended_words(vars(progress), t)).strip()
        if saved is None:
            return notice("warn", t("train_interrupted"), f"{t('train_interrupted_start')} {likely}")
        step = saved.name.rpartition("-")[2]
        return notice("warn", t("train_interrupted"), f"{t('train_interrupted_do', step=step)} {likely}")
    if (stop_waits(job) or 0) > KILL_AFTER:
        return notice("warn", t("train_kill_about"))
    return NOTHING


def _early(progress: Progress, t: Translator) -> str:
    """Why a run ended before its last step; "" for one that did not."""
    early = progress.early_stop
    if not early:
        return ""
    scored = early.get("by") == "score"
    best = f"{100 * early['best']:.0f} %" if scored else loss_words(early["best"])
    key = "train_early_score" if scored else "train_early_loss"
    return t(key, step=early["step"], total=progress.total, looks=early["looks"], best=best)


def _damaged(progress: Progress, t: Translator) -> Html:
    """What the last resume found broken on the disk, and what it did."""
    words = progress.damaged_zh if t.language == "zh" else progress.damaged
    return notice("warn", words, t("train_damaged_do")) if words else NOTHING


def log_fold(job: Job, t: Translator) -> Html:
    """The end of what a job printed, folded."""
    tail = job.log_tail().strip()
    return fold("log", t("train_log"), f'<pre tabindex="0">{escape(tail)}</pre>') if tail else NOTHING


def _kept(kept: Sequence[Entrant], t: Translator) -> Html:
    if len(kept) < 2:
        return NOTHING
    names = "".join(f"<li>{escape(one.label(t))}</li>" for one in kept)
    inner = f"<p>{escape(t('train_kept_about'))}</p><ul>{names}</ul>{goto('tab_compare', t('train_kept_compare'))}"
    return fold("kept", t("train_kept", number=len(kept)), inner)


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
        model = Path(runs.recipe_of(job).model).name
    except QwenlabError:
        model = "?"
    name = f"<b>{escape(job.id)}</b>" if shown else escape(job.id)
    button = Html(f'<button type="button" class="link" title="{escape(t("train_show"))}">{name}</button>')
    loss = progress.losses.get(progress.step)
    steps = f"{progress.step:,} / {progress.total:,}" if progress.total else ""
    state = state_badge(progress.state, t)
    shortly = when(job).partition("-")[2]  # the year would push the column out of sight
    return [button, state, model, steps, "" if loss is None else loss_words(loss), shortly]
