"""Runs side by side: their curves in one plot, what they learned from, what their recipes differ in, their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import words
from qwenlab.evals.result import CONTESTANT, SUITE, SUMMARY
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import runs
from qwenlab.training.recipe import Recipe
from qwenlab.training.runs import Progress
from qwenlab.ui import look_view
from qwenlab.ui.components import NOTHING, Html, duration, escape, table
from qwenlab.ui.learned_from import SHOWN_DIGITS, fingerprint
from qwenlab.ui.loss_curve import Curve, loss_curves, loss_words
from qwenlab.ui.recipe_form import form_fields, value_words
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import Readers, model_title, state_badge, when
from qwenlab.workspace import Workspace

LETTERS = "ABCD"
MOST = len(LETTERS)
MEASURES = ("passed", "usable", "field_accuracy", "document_exact")
NONE = Html('<span class="quiet">–</span>')


@dataclass(frozen=True)
class Side:
    """One of the runs that are compared.

    Attributes:
        recipe: None when it cannot be read.
        data: the fingerprint of what it learned from; "" when that is not there.
    """

    letter: str
    job: Job
    progress: Progress
    recipe: Recipe | None
    data: str

    @classmethod
    def of(cls, letter: str, job: Job, progress: Progress) -> Side:
        """Read from the run's folder."""
        try:
            recipe = runs.recipe_of(job)
        except QwenlabError:
            recipe = None
        return cls(letter, job, progress, recipe, fingerprint(job.folder / "data.json"))


def comparison(workspace: Workspace, jobs: Sequence[Job], readers: Readers, t: Translator) -> Html:
    """Two to MOST runs side by side; with one, that another is to be ticked."""
    if not jobs:
        return NOTHING
    head = f'<div class="head"><b>{escape(t("train_compared"))}</b></div>'
    if len(jobs) == 1:
        return Html(f'<div class="run">{head}<p class="quiet">{escape(t("train_tick_another"))}</p></div>')
    sides = [Side.of(letter, job, readers.look(job)) for letter, job in zip(LETTERS, jobs, strict=False)]
    parts = [curves(sides, t), facts(sides, t), differences(sides, t), scores(workspace, sides, t)]
    return Html(f'<div class="run">{head}{"".join(parts)}</div>')


def curves(sides: Sequence[Side], t: Translator) -> Html:
    """The curves in one plot: by step, or by samples where the runs take batches of different sizes."""
    sizes = [side.recipe.batch_size if side.recipe else 1 for side in sides]
    scales = sizes if len(set(sizes)) > 1 and all(side.recipe for side in sides) else [1] * len(sides)
    return loss_curves(
        [
            Curve(side.letter, side.job.id, side.progress.losses, side.progress.validation, scale)
            for side, scale in zip(sides, scales, strict=True)
        ],
        t,
    )


# --- what each is ----------------------------------------------------------------------------------------


def facts(sides: Sequence[Side], t: Translator) -> Html:
    """State, model, data, steps, losses and time."""
    rows: list[tuple[str, Callable[[Side], object]]] = [
        ("train_col_state", lambda one: state_badge(one.progress.state, t)),
        ("train_col_model", lambda one: model_title(one.recipe.model) if one.recipe else NONE),
        ("train_row_data", lambda one: Path(one.recipe.data).name.split(".")[0] if one.recipe else NONE),
        ("train_row_samples", lambda one: f"{one.progress.samples:,}" if one.progress.samples else NONE),
        ("train_row_version", lambda one: _version(one, sides[0], t)),
        ("train_col_steps", lambda one: f"{one.progress.step:,} / {one.progress.total:,}"),
        ("train_col_loss", lambda one: _loss(list(one.progress.losses.values())[-1:])),
        ("train_row_validation", lambda one: _loss(list(one.progress.validation.values())[-1:])),
        ("train_row_best_validation", lambda one: _loss(one.progress.validation.values())),
        ("looks_row_best", lambda one: look_view.best_words(one.progress, t) or NONE),
        ("train_row_time", lambda one: duration(t, one.progress.seconds) if one.progress.seconds else NONE),
        ("train_col_when", lambda one: when(one.job)),
    ]
    return _side_by_side(sides, [(t(key), [value(side) for side in sides]) for key, value in rows])


def _version(side: Side, first: Side, t: Translator) -> object:
    """By what is in the run's copy of the data: the same file name does not make it the same."""
    if not side.data:
        return NONE
    version = side.data[:SHOWN_DIGITS]
    if side is first or not first.data:
        return version
    key = "train_version_same" if side.data == first.data else "train_version_other"
    return t(key, version=version, letter=first.letter)


def _loss(losses: Iterable[float]) -> object:
    known = list(losses)
    return loss_words(min(known)) if known else NONE


# --- recipes ---------------------------------------------------------------------------------------------


def differences(sides: Sequence[Side], t: Translator) -> Html:
    """The settings that are not the same in all recipes."""
    recipes = [side.recipe.model_dump() for side in sides if side.recipe]
    if len(recipes) < len(sides):
        return Html(f'<p class="quiet">{escape(t("train_recipe_unreadable"))}</p>')
    fields = form_fields(t.language, leave_out=("data",))  # the data stands above, by what is in it
    rows = [
        (field.title, [value_words(values[field.name], t) for values in recipes])
        for field in fields
        if any(values[field.name] != recipes[0][field.name] for values in recipes)
    ]
    title = _title("train_differences", t)
    if not rows:
        return Html(f'{title}<p class="quiet">{escape(t("train_no_differences"))}</p>')
    return Html(title + _side_by_side(sides, rows))


# --- scores ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tested:
    """What an adapter reached on a suite.

    Attributes:
        suite: name and fingerprint: the same name does not make it the same test.
        adapter: the folder that was tested.
        at: when, in seconds since the epoch.
    """

    suite: tuple[str, str]
    adapter: Path
    at: float
    summary: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether it is a run's end and no checkpoint."""
        return self.adapter.name == adapters.FINISHED


def tests_of(workspace: Workspace, job: Job) -> dict[tuple[str, str], Tested]:
    """Suite -> the newest complete test of the run's adapter there; of a checkpoint where the end was not tested."""
    home = job.folder.resolve()
    found: dict[tuple[str, str], Tested] = {}
    for path in workspace.results.glob(f"*/*/{SUMMARY}"):
        one = _read(path)
        if one is None or home not in one.adapter.parents:
            continue
        known = found.get(one.suite)
        if known is None or (one.finished, one.at) > (known.finished, known.at):
            found[one.suite] = one
    return found


def _read(path: Path) -> Tested | None:
    try:
        return _tested(path, path.stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=1024)
def _tested(path: Path, changed: int) -> Tested | None:
    """A contestant of a test; None when it is no adapter that answers freely, or unreadable."""
    try:
        about = files.read_json(path.parent / CONTESTANT)
        if about["describe"].get("enforced_for"):
            return None  # with the schema enforced, the format is not the run's own
        adapter = Path(about["describe"]["adapter"])
        name = files.read_json(path.parent.parent / SUITE)["name"]
        summary = files.read_json(path)
    except (QwenlabError, KeyError, TypeError):
        return None
    return Tested((str(name), str(about.get("suite", ""))), adapter.resolve(), changed / 1e9, summary)


def scores(workspace: Workspace, sides: Sequence[Side], t: Translator) -> Html:
    """What the runs reached on each suite that any of them was tested on."""
    tested = [tests_of(workspace, side.job) for side in sides]
    suites = sorted({suite for one in tested for suite in one})
    title = _title("train_scores", t)
    if not suites:
        test = f'<button type="button" data-goto="tab_test">{escape(t("train_next_test"))}</button>'
        return Html(f'{title}<p class="quiet">{escape(t("train_no_scores"))}</p>{test}')
    parts = []
    for suite in suites:
        found = [one.get(suite) for one in tested]
        rows: list[tuple[object, list[object]]] = [(t("train_row_cases"), [_cases(one, t) for one in found])]
        for measure in MEASURES:
            if any(one and one.summary.get(measure) is not None for one in found):
                rows.append((words.measure_name(measure, t.language), [_rate(one, measure) for one in found]))
        parts.append(f"<p>{escape(suite[0])}</p>{_side_by_side(sides, rows)}")
    return Html(title + "".join(parts))


def _cases(tested: Tested | None, t: Translator) -> object:
    if tested is None:
        return Html(f'<span class="quiet">{escape(t("train_not_tested"))}</span>')
    number = f"{tested.summary.get('n', 0):,}"
    if tested.finished:
        return number
    return t("train_cases_checkpoint", number=number, step=tested.adapter.name.rpartition("-")[2])


def _rate(tested: Tested | None, measure: str) -> object:
    value = tested.summary.get(measure) if tested else None
    if tested is None or not isinstance(value, int | float):
        return NONE
    interval = (tested.summary.get("intervals") or {}).get(measure)
    between = f" <small>{100 * interval[0]:.0f}–{100 * interval[1]:.0f}</small>" if interval else ""
    return Html(f'<span class="rate">{100 * value:.1f} %{between}</span>')


def _side_by_side(sides: Sequence[Side], rows: Iterable[tuple[object, Sequence[object]]]) -> Html:
    heads = [Html(f"<b>{escape(side.letter)}</b> {escape(side.job.id)}") for side in sides]
    return table(["", *heads], [[title, *values] for title, values in rows])


def _title(key: str, t: Translator) -> Html:
    return Html(f'<div class="head" style="margin-top:10px"><b>{escape(t(key))}</b></div>')
