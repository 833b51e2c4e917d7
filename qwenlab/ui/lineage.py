"""What came from what: which data a run learned from, what was exported from it, and which tests asked them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations.dataset import shipped
from qwenlab.errors import QwenlabError
from qwenlab.evals.result import ANSWERS, CONTESTANT, RESULT, SUITE, SUMMARY
from qwenlab.jobs import Job, State
from qwenlab.training import runs
from qwenlab.training.handover import DATA
from qwenlab.training.recipe import Recipe
from qwenlab.ui import ladder, suites
from qwenlab.ui.lab import Lab
from qwenlab.ui.ladder import Export
from qwenlab.ui.learned_from import fingerprint

MEASURES = ("usable", "passed")
"""What a test is told by in one number: the first of these that it has."""


@dataclass(frozen=True)
class Asked:
    """One who was tested.

    Attributes:
        name: as it was called there. about: how its answers were produced (see `Contestant.describe`).
        run: id of the run whose adapter it is, else "". export: name of the export folder that it is, else "".
        rates: measure -> share of cases, 0..1; None before it was asked everything.
        seconds: spent on answering. cases: that count. order: its place in the test.
    """

    name: str
    about: Mapping[str, str]
    run: str = ""
    export: str = ""
    rates: Mapping[str, float] | None = None
    seconds: float = 0.0
    cases: int = 0
    order: int = 0


@dataclass(frozen=True)
class Tested:
    """One test result.

    Attributes:
        began, ended: in seconds since the epoch.
        measure: what its numbers are of; "" when nobody was asked everything.
        outdated: whether something that it asked has been trained or exported again since.
    """

    folder: Path
    suite: str
    state: State
    began: float
    ended: float
    asked: tuple[Asked, ...]
    measure: str = ""
    outdated: bool = False


@dataclass(frozen=True)
class Learned:
    """One training run.

    Attributes:
        data: the data set as it is called now. version: SHA-256 of what was learned from; "" when that is gone.
        same: whether the data set still has that content; None when one of the two cannot be read.
        exports, tests: what came of it, newest first.
    """

    job: Job
    state: State
    recipe: Recipe
    data: Path
    version: str
    same: bool | None
    exports: tuple[Export, ...] = ()
    tests: tuple[Tested, ...] = ()


@dataclass(frozen=True)
class Source:
    """A data set and the runs that learned from it, newest first; `path` may be gone."""

    path: Path
    shipped: bool
    runs: tuple[Learned, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """Everything of a workspace by where it came from.

    Attributes:
        sources: data sets, those that were used last first.
        tests, exports: those that belong to no run that is there.
    """

    sources: tuple[Source, ...]
    tests: tuple[Tested, ...] = ()
    exports: tuple[Export, ...] = ()

    @property
    def runs(self) -> list[Learned]:
        """All runs, newest first."""
        found = [run for source in self.sources for run in source.runs]
        return sorted(found, key=lambda run: -ladder.started(run.job))

    @property
    def every_test(self) -> list[Tested]:
        """All tests, newest first; one that asked several runs stands once."""
        found = {one.folder: one for one in (*self.tests, *(one for run in self.runs for one in run.tests))}
        return sorted(found.values(), key=lambda one: -one.began)


def trace(lab: Lab) -> Lineage:
    """Read the workspace's folders; what cannot be read is left out."""
    workspace = lab.workspace
    exports = ladder.exports(workspace)
    learned = [found for job in lab.runs() if (found := _learned(lab, job))]
    made = {one.folder.name: one for one in exports}
    known = {one.job.id for one in learned}
    tests = [_tested(folder, known, made) for folder in suites.results(workspace)]
    learned = [_with_what_came_of_it(one, exports, tests) for one in learned]
    placed = {one.folder for run in learned for one in run.tests}
    return Lineage(
        _sources(lab, learned),
        tuple(one for one in tests if one.folder not in placed),
        tuple(one for one in exports if one.about.get("run") not in known),
    )


def _sources(lab: Lab, learned: Sequence[Learned]) -> tuple[Source, ...]:
    """The data sets that were learned from, then those that can be chosen."""
    chosen = lab.dataset_path()
    paths = list(dict.fromkeys([*(one.data for one in learned), *([chosen] if chosen else []), *lab.data_sets()]))
    return tuple(Source(path, shipped(path), tuple(run for run in learned if run.data == path)) for path in paths)


def _learned(lab: Lab, job: Job) -> Learned | None:
    try:
        recipe = runs.recipe_of(job)
    except QwenlabError:
        return None
    data = Path(recipe.data)
    copy = lab.workspace.data / data.name
    if shipped(data) and copy.exists():  # where a shipped set is edited now
        data = copy
    version, now = fingerprint(job.folder / DATA), fingerprint(data)
    return Learned(job, job.state(), recipe, data, version, version == now if version and now else None)


def _with_what_came_of_it(run: Learned, exports: Iterable[Export], tests: Iterable[Tested]) -> Learned:
    name = run.job.id
    mine = tuple(one for one in exports if one.about.get("run") == name)
    folders = {one.folder.name for one in mine}
    asked = (one for one in tests if any(who.run == name or who.export in folders for who in one.asked))
    return Learned(run.job, run.state, run.recipe, run.data, run.version, run.same, mine, tuple(asked))


def _tested(folder: Path, known: set[str], made: Mapping[str, Export]) -> Tested:
    try:
        suite = _suite_name(folder / SUITE, (folder / SUITE).stat().st_mtime_ns)
    except (OSError, QwenlabError, KeyError, TypeError):
        suite = folder.name.rpartition("-")[0].rpartition("-")[0]  # it has only just been started
    found = [one for path in folder.glob(f"*/{CONTESTANT}") if (one := _asked(path.parent, known))]
    asked = tuple(sorted(found, key=lambda one: one.order))
    measure = next((name for name in MEASURES if any(name in (one.rates or {}) for one in asked)), "")
    began = suites.began(folder)
    ended = max((_when(path) for path in folder.glob(f"*/{ANSWERS}")), default=began)
    return Tested(folder, suite, _state(folder, asked), began, ended, asked, measure, _outdated(folder, asked, made))


def _state(folder: Path, asked: Sequence[Asked]) -> State:
    """What its job says; the command line leaves none, but writes the result when all is done."""
    if (folder / "job.json").exists():
        return Job(folder).state()
    return "finished" if (folder / RESULT).exists() and all(one.rates for one in asked) else "interrupted"


def _outdated(folder: Path, asked: Iterable[Asked], made: Mapping[str, Export]) -> bool:
    for one in asked:
        at = _when(folder / one.name / ANSWERS)
        since = made[one.export].made if one.export in made else 0.0
        if one.run:
            since = _when(Path(one.about["adapter"]) / "adapter_model.safetensors")
        if at and since > at:
            return True
    return False


def _asked(folder: Path, known: set[str]) -> Asked | None:
    try:
        about = _read(folder / CONTESTANT, (folder / CONTESTANT).stat().st_mtime_ns)
        described = {str(key): str(value) for key, value in about["describe"].items()}
        name, order = str(about["name"]), int(about.get("order", 0))
    except (OSError, QwenlabError, KeyError, TypeError, ValueError, AttributeError):
        return None
    adapter, weights = Path(described.get("adapter", "")), Path(described.get("path") or described.get("model", ""))
    run = next((part for part in adapter.parts if part in known), "")
    export = "" if run else _export_name(weights)
    try:
        found = _read(folder / SUMMARY, (folder / SUMMARY).stat().st_mtime_ns)
        rates = {key: float(found[key]) for key in MEASURES if found.get(key) is not None}
        return Asked(name, described, run, export, rates, float(found["answer_seconds"]), int(found["n"]), order)
    except (OSError, QwenlabError, KeyError, TypeError, ValueError, AttributeError):
        return Asked(name, described, run, export, order=order)


def _export_name(weights: Path) -> str:
    """The folder below exports/ that holds these weights."""
    parts = weights.parts
    at = next((at for at, part in enumerate(parts) if part == "exports"), len(parts))
    return parts[at + 1] if at + 1 < len(parts) else ""


@lru_cache(maxsize=1024)
def _read(path: Path, _changed: int) -> Any:
    return files.read_json(path)


@lru_cache(maxsize=256)
def _suite_name(path: Path, _changed: int) -> str:
    return str(files.read_json(path)["name"])


def _when(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
