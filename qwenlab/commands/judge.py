"""The judge of a run in training: asks the run's test its questions, and scores the answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from qwenlab.chat.decoding import Row, generate
from qwenlab.chat.local_contestant import LocalContestant
from qwenlab.chat.opening import Opening
from qwenlab.evals import runner, selection
from qwenlab.evals.suite import Suite
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Answer, Generation
from qwenlab.models.loading import LoadedModel
from qwenlab.training import runs
from qwenlab.training.looks import LOOKS, Judge, Score

TELL_EVERY = 0.5
"""Seconds between two words on how far a look is."""


class SuiteJudge:
    """Scores the model in training by the suite that its recipe names, as kept in the run's folder."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._asked: Suite | None = None

    def __call__(self, loaded: LoadedModel, step: int) -> Score | None:
        """Ask and score; the answers are kept in the run's looks/step-N, and those that are there are not asked again.

        Raises:
            QwenlabError: when the suite cannot be read or has no case to ask.
        """
        suite = self._suite()
        meter = _Meter(self.job, step, len(suite.cases))
        folder = self.job.folder / LOOKS / f"step-{step}"
        folder.mkdir(parents=True, exist_ok=True)
        learner = _Learner(self.job, loaded, step, meter)
        found = runner.run(suite, [learner], folder, meter.answered, self.job.asked_to_stop).contestants[0]
        if len(found.answers) < len(suite.cases):  # half an answer is none
            return None
        rates = {name: found.summary.value(name) or 0.0 for name in ("usable", "field_accuracy", "passed")}
        return Score(score=selection.worth(found.scores), n=found.summary.n, **rates)

    def _suite(self) -> Suite:
        if self._asked is None:
            recipe, whole = runs.recipe_of(self.job), selection.kept(self.job.folder)
            self._asked = selection.part(whole, recipe.languages, recipe.look_cases)
            selection.remember(self.job.folder, whole, self._asked)
        return self._asked


class _Meter:
    """Says how many questions of a look are answered, some of them in a batch that is still under way."""

    def __init__(self, job: Job, step: int, total: int) -> None:
        self.job, self.step, self.total = job, step, total
        self._before = 0
        self._said, self._said_at = -1, 0.0

    def answered(self, progress: runner.Progress) -> None:
        """So many answers are kept."""
        self._before = progress.done
        self._say(progress.done)

    def under_way(self, ended: int) -> None:
        """So many rows of the batch have come to their end."""
        self._say(self._before + ended)

    def _say(self, done: int) -> None:
        now = time.monotonic()
        if done > self._said and (now - self._said_at >= TELL_EVERY or done in (0, self.total)):
            self._said, self._said_at = done, now
            self.job.report("asking", step=self.step, done=done, total=self.total)


class _Learner(LocalContestant):
    """The model in training: its live weights, known by the checkpoint that was just saved."""

    def __init__(self, job: Job, loaded: LoadedModel, step: int, meter: _Meter) -> None:
        super().__init__("checkpoint", loaded)
        self.job, self.meter = job, meter
        self.checkpoint = job.folder / adapters.CHECKPOINTS / f"checkpoint-{step}"

    def describe(self) -> dict[str, str]:
        """As for the base, with the checkpoint's fingerprint: an interrupted look goes on with these weights only."""
        trained = model_folder.fingerprints(self.checkpoint)["weights"]
        return {**super().describe(), "kind": "checkpoint", "trained_weights": trained}

    def decode(
        self,
        prompts: Sequence[list[int]],
        settings: Generation,
        opening: Opening | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[Answer]:
        """As any model; how many rows of the batch have ended is said while it is under way."""

        def count(rows: list[Row]) -> None:
            self.meter.under_way(sum(row.answer is not None for row in rows))

        names = [self.row] * len(prompts)
        return generate(self.loaded, prompts, names, settings, count, should_stop, opening=opening)


def judge_of(job: Job) -> Judge | None:
    """The judge of a run; None where no test decides."""
    return SuiteJudge(job) if runs.recipe_of(job).suite else None
