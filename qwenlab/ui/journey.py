"""The five steps from data to a model that can be handed over: how far each is, read from the workspace alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.evals.compare import sentence
from qwenlab.evals.words import measure_name
from qwenlab.export import package
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.training.runs import Progress
from qwenlab.ui import step_costs, suites
from qwenlab.ui.components import duration, ended_words, error_words
from qwenlab.ui.export_view import size_words
from qwenlab.ui.kept_talks import TalkStore
from qwenlab.ui.lab import Lab
from qwenlab.ui.ladder import FORMS, Export, read_ladder, small_folder, verb_of
from qwenlab.ui.lineage import Learned, Lineage, Tested
from qwenlab.ui.step_costs import TrainingCost
from qwenlab.ui.texts import Translator
from qwenlab.ui.training_view import Readers
from qwenlab.workspace import Workspace

State = Literal["done", "warn", "problem", "busy", "next", "open", "later"]
"""warn: done, but something should be looked at. next: what to do now. open: may be done now. later: needs another."""
NAMES = ("data", "train", "compare", "test", "export")
TALKS_LOOKED_AT = 20


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: one of NAMES. said: how it stands, in a sentence or two.
        seconds: that it will take; None when it is done or cannot be told.
        fraction: of a step in progress, 0..1; None when it cannot be told.
        place: what its button opens in its tab: a run, a result; "" for the tab alone.
    """

    name: str
    state: State
    said: str = ""
    seconds: float | None = None
    fraction: float | None = None
    place: str = ""


@dataclass(frozen=True)
class Journey:
    """The steps in order, and what is worth knowing first.

    Attributes:
        data, model: what the person works with, by name; example: whether the data came with the program.
        meaning: what the last result means; "" before there is one.
    """

    data: str
    model: str
    example: bool
    steps: tuple[Step, ...]
    meaning: str = ""

    @property
    def left(self) -> float:
        """Seconds that the steps which are not done will take in all."""
        return sum(step.seconds or 0.0 for step in self.steps if step.state != "done")


class Guide:
    """Looks at the workspace for one running lab and says how far the chosen data set and model are."""

    def __init__(self, lab: Lab, readers: Readers, t: Translator) -> None:
        self.lab, self.readers, self.t = lab, readers, t
        self._cost = TrainingCost(lab.workspace, readers.look)

    def look(self, found: Lineage) -> Journey:
        """The journey as it stands."""
        lab, model = self.lab, self.lab.model_name()
        path = lab.dataset_path()
        document, problem = self._document()
        mine = [run for run in found.runs if run.data == path and run.recipe.model == model]
        run = mine[0] if mine else None
        ready = next((one for one in mine if one.state == "finished"), None)
        tests = ready.tests if ready else ()
        steps = [
            self._data(document, problem),
            self._train(document, run, found.runs),
            self._compare(ready),
            self._test(ready, tests, found),
            self._export(ready),
        ]
        shown = document.dataset.name if document else (path.name if path else "")
        shipped = bool(path) and any(one.path == path and one.shipped for one in found.sources)
        return Journey(shown, model, shipped, tuple(_next_marked(steps)), self._meaning(tests))

    def _document(self) -> tuple[Document | None, str]:
        try:
            return self.lab.document(), ""
        except QwenlabError as error:
            return None, " ".join(error_words(error, self.t))

    # --- one step each -----------------------------------------------------------------------------------

    def _data(self, document: Document | None, problem: str) -> Step:
        t = self.t
        if problem:
            return Step("data", "problem", problem)
        if document is None or not document.samples:
            return Step("data", "open", t("go_data_none"))
        number, bad = len(document.samples), document.counts()["any"]
        if bad:
            return Step("data", "warn", t("go_data_bad", number=f"{number:,}", bad=f"{bad:,}"))
        return Step("data", "done", t("go_data_done", number=f"{number:,}"))

    def _train(self, document: Document | None, run: Learned | None, every: Sequence[Learned]) -> Step:
        t, model = self.t, self.lab.model_name()
        if run is not None:
            return self._trained(run)
        busy = next((one for one in every if one.state == "running"), None)
        if busy is not None:
            return Step("train", "busy", t("go_train_other"), place=busy.job.id)
        if document is None or not document.samples:
            return Step("train", "later", t("go_train_needs"))
        if catalogue.entry(model) and not catalogue.is_ready(self.lab.workspace, model):
            return Step("train", "open", t("go_train_no_model"))
        stands = f"{every[0].job.id} {every[0].state}" if every else ""
        expected = self._cost.of(document, model, stands)
        if expected is None:
            return Step("train", "open", t("go_train_open"))
        words = t("go_train_open")
        if not expected.need.fits:
            words = t("go_train_big")
        return Step("train", "open", words, expected.seconds)

    def _trained(self, run: Learned) -> Step:
        t, seen = self.t, self.readers.look(run.job)
        if run.state == "running":
            done = seen.step / seen.total if seen.total and seen.step else None
            words = t("go_train_step", step=f"{seen.step:,}", total=f"{seen.total:,}") if done else t("go_train_begins")
            return Step("train", "busy", words, seen.eta_seconds, done, run.job.id)
        if run.state == "finished":
            words = _finished(seen, t)
            if run.same is False:
                return Step("train", "warn", f"{words} {t('go_train_changed')}", place=run.job.id)
            return Step("train", "done", words, place=run.job.id)
        if run.state == "failed":
            reason = " ".join(ended_words(vars(seen), t)).strip()
            return Step("train", "problem", reason or t("go_train_failed"), place=run.job.id)
        return Step("train", "warn" if run.state == "new" else "problem", t("go_train_stopped"), place=run.job.id)

    def _compare(self, ready: Learned | None) -> Step:
        t, seconds = self.t, step_costs.loading(self.lab.workspace, self.lab.model_name())
        if ready is None:
            return Step("compare", "later", t("go_needs_training"), seconds)
        if asked := _times_compared(self.lab, ready.job.id):
            return Step("compare", "done", t("go_compare_one" if asked == 1 else "go_compare_done", number=asked))
        return Step("compare", "open", t("go_compare_open"), seconds)

    def _test(self, ready: Learned | None, tests: Sequence[Tested], found: Lineage) -> Step:
        t, cases, model = self.t, self._cases(), self.lab.model_name()
        seconds = step_costs.testing(self.lab.workspace, model, cases, found.every_test) if cases else None
        if ready is None:
            return Step("test", "later", t("go_needs_training"), seconds)
        running = next((one for one in tests if one.state == "running"), None) or _just_started(found, ready.job.id)
        if running is not None:
            return _running(running, t)
        if not tests:
            words = t("go_test_open", number=f"{cases:,}") if cases else t("go_test_no_cases")
            return Step("test", "open", words, seconds)
        newest = tests[0]
        if newest.outdated:
            return Step("test", "warn", t("go_test_outdated"), place=newest.folder.name)
        if newest.state != "finished":
            return Step("test", "warn", t("go_test_partial"), place=newest.folder.name)
        return Step("test", "done", rates_words(newest, t), place=newest.folder.name)

    def _export(self, ready: Learned | None) -> Step:
        t, workspace = self.t, self.lab.workspace
        seconds = step_costs.exporting(workspace, self.lab.model_name())
        if ready is None:
            return Step("export", "later", t("go_needs_training"), seconds)
        run = ready.job.id
        small = next((one for one in ready.exports if one.about.get("kind") in ("gguf", "gptq")), None)
        ladder = read_ladder(workspace, ready.job, _form(workspace, ready.job, small))
        working = ladder.working()
        if working is not None and verb_of(working)[0] in ("merge", "quantize"):
            progress = suites.last_progress(working) or {}
            return Step("export", "busy", t("go_export_busy"), None, progress.get("fraction") or None, run)
        if small is None:
            key = "go_export_merged" if ready.exports else "go_export_open"
            return Step("export", "open", t(key), seconds, place=run)
        words = t("go_export_done", size=size_words(small.bytes))
        if ladder.outdated:
            return Step("export", "warn", f"{words} {t('go_export_outdated')}", place=run)
        if small.passed is False:
            return Step("export", "problem", f"{words} {t('go_export_lost')}", place=run)
        return Step("export", "done", f"{words} {t('go_export_proven')}" if small.passed else words, place=run)

    # --- what it means -----------------------------------------------------------------------------------

    def _cases(self) -> int:
        """Cases of the chosen test in the languages of the chosen model."""
        try:
            suite = suites.read_suite(self.lab, suites.chosen_suite(self.lab))
        except QwenlabError:
            return 0
        speaks = catalogue.languages(self.lab.model_name())
        return sum(case.language in speaks for case in suite.cases) if suite else 0

    def _meaning(self, tests: Sequence[Tested]) -> str:
        """The verdict of the newest whole test on what was trained."""
        newest = next((one for one in tests if one.state == "finished"), None)
        return _verdict(newest.folder, newest.ended, self.t.language) if newest else ""


def rates_words(test: Tested, t: Translator) -> str:
    """What everybody reached, in the order of the test: "usable as is: base 1 %, adapter 100 %"."""
    told = [
        t("go_rate", name=one.name, share=f"{100 * one.rates[test.measure]:.0f}")
        for one in test.asked
        if one.rates and test.measure in one.rates
    ]
    if not told:
        return t("go_test_nobody")
    return t("go_rates", measure=measure_name(test.measure, t.language), rates=t("go_comma").join(told))


def _form(workspace: Workspace, run: Job, small: Export | None) -> str:
    """Under which name the Export tab knows how this export was made small."""
    name = small.folder.name.removesuffix(package.FAILED) if small else ""
    return next((form for form in FORMS if small_folder(workspace, run, form).name == name), next(iter(FORMS)))


def _next_marked(steps: Sequence[Step]) -> list[Step]:
    """The first step that may be done behind those that are; nothing while something is in progress.

    Who has tested is not sent back to compare.
    """
    if any(step.state == "busy" for step in steps):
        return list(steps)
    reached = max((at for at, step in enumerate(steps) if step.state in ("done", "warn", "problem")), default=-1)
    at = next((at for at, step in enumerate(steps) if step.state == "open" and at > reached), None)
    return [replace(step, state="next") if here == at else step for here, step in enumerate(steps)]


def _finished(seen: Progress, t: Translator) -> str:
    words = t("go_train_done", number=f"{seen.samples:,}", time=duration(t, seen.seconds))
    if seen.best:
        words += " " + t("go_train_best", score=f"{100 * seen.best[1].score:.0f}")
    return words


def _running(test: Tested, t: Translator) -> Step:
    progress: dict[str, Any] = suites.last_progress(Job(test.folder)) or {}
    left = progress.get("seconds_left")
    seconds = float(left) if isinstance(left, int | float) else None
    words = t("go_test_busy")
    if progress.get("contestant"):
        words = t("go_test_asks", name=progress["contestant"], done=progress["done"], total=progress["total"])
    return Step("test", "busy", words, seconds, progress.get("fraction") or None, test.folder.name)


def _just_started(found: Lineage, run: str) -> Tested | None:
    """A test that nobody has answered yet, but that will ask this run."""
    for test in found.tests:
        if test.state == "running" and any(run in word for word in verb_of(Job(test.folder))[1]):
            return test
    return None


def _times_compared(lab: Lab, run: str) -> int:
    """Conversations in which this run answered."""
    folder = lab.workspace.talks
    return _compared_in(folder, folder.stat().st_mtime_ns).count(run)


@lru_cache(maxsize=4)
def _compared_in(folder: Path, _changed: int) -> tuple[str, ...]:
    """Who answered in the newest conversations: a name for each."""
    kept, _ = TalkStore(folder).newest(TALKS_LOOKED_AT)
    return tuple(name for one in kept for name in one.names)


@lru_cache(maxsize=32)
def _verdict(folder: Path, _ended: float, language: Literal["en", "zh"]) -> str:
    try:
        shown = suites.read_result(folder)
    except QwenlabError:
        return ""
    verdicts = shown.verdicts if shown else []
    return sentence(verdicts[0], language) if verdicts else ""


def day(seconds: float) -> str:
    """A local time for people, without the year: 11-25 04:12."""
    return time.strftime("%m-%d %H:%M", time.localtime(seconds))
