"""What the Train tab shows: a run with its loss curve, the table of runs, and the form fields of a recipe."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from qwenlab import files
from qwenlab.conversations.words import Language
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job, State
from qwenlab.models import adapters, catalogue
from qwenlab.training import runs
from qwenlab.training.recipe import Recipe
from qwenlab.training.runs import Progress
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
SPEAKS = {"en": "train_language_en", "zh": "train_language_zh"}
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


# --- the form --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FormField:
    """One setting of the recipe, as a form shows it.

    Attributes:
        kind: "number", "whole", "choice" (one of `choices`) or "several" (any of `choices`).
        low, high: limits; `above` says that `low` itself is out.
    """

    name: str
    title: str
    help: str
    kind: Literal["number", "whole", "choice", "several", "text"]
    default: Any
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: bool = False

    def fits(self, value: float) -> bool:
        """Whether the value is within the limits."""
        low = self.low is None or (value > self.low if self.above else value >= self.low)
        return low and (self.high is None or value <= self.high)

    def about(self, t: Translator) -> str:
        """The help with the range."""
        if self.low is None or self.high is None:
            return self.help
        key = "train_range_above" if self.above else "train_range"
        return t(key, help=self.help, low=number(self.low), high=number(self.high))


def form_fields(language: Language, leave_out: Sequence[str] = ("model", "data")) -> list[FormField]:
    """The recipe's settings in their order, with titles, help and limits from their declaration."""
    return [_form_field(name, language) for name in Recipe.model_fields if name not in leave_out]


def _form_field(name: str, language: Language) -> FormField:
    setting = Recipe.model_fields[name]
    extra: Any = setting.json_schema_extra or {}
    title, text = setting.title or name, setting.description or ""
    if language == "zh":
        title, text = extra.get("title_zh", title), extra.get("help_zh", text)
    low, high, above = None, None, False
    for limit in setting.metadata:
        low = getattr(limit, "ge", getattr(limit, "gt", low))
        high = getattr(limit, "le", high)
        above = above or hasattr(limit, "gt")
    kind, choices = _kind(setting.annotation)
    return FormField(name, title, text, kind, setting.get_default(call_default_factory=True), choices, low, high, above)


def _kind(annotation: Any) -> tuple[Literal["number", "whole", "choice", "several", "text"], tuple[str, ...]]:
    if get_origin(annotation) is list:
        return "several", get_args(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "choice", get_args(annotation)
    if annotation is int:
        return "whole", ()
    return ("number" if annotation is float else "text"), ()


def checked(fields: Sequence[FormField], values: Sequence[Any], t: Translator) -> dict[str, Any]:
    """The form's values by name.

    Raises:
        QwenlabError: an empty or impossible value, in the page's language.
    """
    found: dict[str, Any] = {}
    for field, value in zip(fields, values, strict=True):
        if field.kind in ("number", "whole"):
            if value is None:
                raise QwenlabError(t("train_empty_field", title=field.title), field.about(t))
            if not math.isfinite(value) or not field.fits(value) or (field.kind == "whole" and value != int(value)):
                raise QwenlabError(t("train_outside", title=field.title, value=number(value)), field.about(t))
            value = int(value) if field.kind == "whole" else float(value)
        found[field.name] = value
    return found


def number(value: float) -> str:
    """A number as people write it: 0.0003, 1,000,000, 2."""
    if math.isfinite(value) and value == int(value):
        return f"{int(value):,}"
    return f"{value:.10f}".rstrip("0").rstrip(".")


# --- before the start ------------------------------------------------------------------------------------


def speaks(languages: Sequence[str], t: Translator) -> str:
    """Names of languages, joined."""
    return " + ".join(t(SPEAKS[one]) if one in SPEAKS else one for one in languages)


def model_line(model: str, t: Translator) -> Html:
    """What a person should know of the chosen model."""
    known = catalogue.entry(model)
    if known is None:
        words = t("train_model_folder_line", folder=model)
    else:
        words = t("train_model_line", languages=speaks(known.languages, t), licence=known.licence)
    return Html(f'<p class="quiet">{escape(words)}</p>')


@dataclass(frozen=True)
class Plan:
    """What a start would do.

    Attributes:
        samples: those that the model can be trained on, of `all` in the data set.
        unsaved: whether the data set has edits that are not saved.
        tokens, seconds: what it takes, as the earlier run `judged_by` suggests; 0 where none does.
    """

    name: str
    samples: int
    all: int
    languages: Sequence[str]
    unsaved: bool = False
    steps: int = 0
    tokens: float = 0.0
    seconds: float = 0.0
    judged_by: str = ""


def steps_of(samples: int, epochs: float, batch_size: int, max_steps: int) -> int:
    """Optimizer steps that a recipe takes."""
    steps = math.ceil(math.ceil(epochs * samples) / max(1, batch_size))
    return min(steps, max_steps) if max_steps else steps


def expected(recipe: Recipe, progress: Progress, rows: int) -> tuple[float, float] | None:
    """(tokens, seconds) that `rows` samples take, from an earlier run with this recipe; None when it cannot say."""
    seen = min(progress.total * recipe.batch_size, math.ceil(recipe.epochs * progress.samples))
    timed = progress.state == "finished" and progress.seconds > 0
    speed = progress.tokens / progress.seconds if timed else progress.tokens_per_s
    if not seen or not progress.tokens or speed <= 0:
        return None
    tokens = progress.tokens / seen * rows
    return tokens, tokens / speed


def data_lines(plan: Plan | None, t: Translator) -> Html:
    """Which samples are trained, or what stands in the way."""
    link = f'<button type="button" class="link" data-goto="tab_data">{escape(t("train_data_change"))}</button>'
    if plan is None:
        inner: str = notice("warn", t("train_no_data"), t("train_no_data_do"))
    elif not plan.samples:
        inner = notice("warn", t("train_no_samples"), t("train_no_samples_do"))
    else:
        languages = speaks(plan.languages, t)
        key = "train_data_line" if plan.samples == plan.all else "train_data_some"
        words = t(key, name=plan.name, number=f"{plan.samples:,}", all=f"{plan.all:,}", languages=languages)
        inner = f"<p>{escape(words)}</p>"
        if plan.unsaved:
            inner += Html(f'<p class="quiet">{escape(t("train_data_unsaved"))}</p>')
    return Html(
        f'<div class="run question"><div class="head"><b>{escape(t("train_data"))}</b>{link}</div>{inner}</div>'
    )


def plan_line(plan: Plan | None, t: Translator) -> Html:
    """How many steps a start takes, and how long where an earlier run tells."""
    if plan is None or not plan.samples:
        return NOTHING
    words = [t("train_steps", steps=f"{plan.steps:,}")]
    if plan.seconds:
        tokens = f"{round(plan.tokens, -3):,.0f}" if plan.tokens >= 10_000 else f"{plan.tokens:,.0f}"
        words.append(t("train_expected", tokens=tokens, time=duration(t, plan.seconds), run=plan.judged_by))
    return Html(f'<p class="quiet">{escape((", " if t.language == "en" else "，").join(words))}</p>')


# --- one run ---------------------------------------------------------------------------------------------


def run_view(job: Job, progress: Progress, t: Translator) -> Html:
    """Everything about one run, read from its folder."""
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
    return Html(
        f'<div class="run">{head}{_bar(job, progress, t)}{_ending(job, progress, t)}{_facts(progress, t)}{curve}'
        f"{_left_out(progress, t)}{_settings(recipe, t)}{log_fold(job, t)}</div>"
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
    shown = "".join(
        f'<div title="{escape(about)}"><b>{escape(value)}</b> <span>{escape(t(key))}</span></div>'
        for key, value, about in facts
        if value
    )
    return Html(f'<div class="facts">{shown}</div>') if shown else NOTHING


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


def _left_out(progress: Progress, t: Translator) -> Html:
    if not progress.left_out:
        return NOTHING
    left_out = progress.left_out_zh if t.language == "zh" else progress.left_out
    rows = table([t("train_left_out_name"), t("train_left_out_why")], left_out)
    return fold("left_out", t("train_left_out", number=len(progress.left_out)), rows)


def _settings(recipe: Recipe, t: Translator) -> Html:
    values = recipe.model_dump()
    rows = []
    for field in form_fields(t.language, ()):
        value = values[field.name]
        shown = speaks(value, t) if isinstance(value, list) else number(value) if isinstance(value, float) else value
        rows.append((field.title, shown))
    return fold("settings", t("train_settings"), table(["", ""], rows))


# --- all runs --------------------------------------------------------------------------------------------


def runs_table(jobs: Sequence[Job], readers: Readers, shown: str, t: Translator) -> Html:
    """All runs, newest first; the one that is shown stands in bold."""
    if not jobs:
        return NOTHING
    heads = (
        *("train_col_run", "train_col_state", "train_col_model"),
        *("train_col_steps", "train_col_loss", "train_col_when"),
    )
    rows = [_run_row(job, readers.look(job), job.id == shown, t) for job in jobs[:LISTED_RUNS]]
    listed = table([t(key) for key in heads], rows, (3, 4), [job.id for job in jobs[:LISTED_RUNS]])
    older = len(jobs) - LISTED_RUNS
    more = f'<p class="quiet">{escape(t("train_more_runs", number=older))}</p>' if older > 0 else ""
    return Html(f'<div class="head"><b>{escape(t("train_runs"))}</b></div>{listed}{more}')


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
