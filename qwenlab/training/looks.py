"""Looks at how good a run's checkpoints are: by a test's score and by the samples kept out; the best one is the result.

A look is a folder of the run, looks/step-N: what the judge keeps there, and last look.json. Without that it was cut
off, and the run that is resumed at that step goes on with it.
"""

from __future__ import annotations

import random
import shutil
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from qwenlab import files
from qwenlab.failures import explain
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.models.loading import LoadedModel
from qwenlab.training import checkpoints
from qwenlab.training.launch import PEER_LOST, World
from qwenlab.training.recipe import Recipe

if TYPE_CHECKING:
    from qwenlab.training.trainer import LabelTrainer

LOOKS, LOOK = "looks", "look.json"
KEEP_CHECKPOINTS = 3
"""Of those that were saved by time alone."""
NOT_WEIGHTS = ("trainer_state.json",)

Outcome = Literal["on", "enough", "stopped"]
"""How training goes on after a look. stopped: a person stopped it during the look."""


class EndedError(Exception):
    """The look at which a run was resumed says that no step is to follow."""


@dataclass(frozen=True)
class Score:
    """What a test says of a checkpoint.

    Attributes:
        score: what chooses among checkpoints, 0..1.
        usable, field_accuracy, passed: as in a test's summary, 0..1.
        n: cases that were asked.
    """

    score: float
    usable: float
    field_accuracy: float
    passed: float
    n: int


class Judge(Protocol):
    """Whoever scores a model in training; training itself knows no tests."""

    def __call__(self, loaded: LoadedModel, step: int) -> Score | None:
        """Score the live weights as they are after `step`; None when a person stopped the run meanwhile."""
        ...


@dataclass(frozen=True)
class Look:
    """One look.

    Attributes:
        score: None where no test decides, or it could not be had.
        loss: on the samples kept out; None where there are none.
        seconds: it took.
    """

    step: int
    score: Score | None = None
    loss: float | None = None
    seconds: float = 0.0


def planned(steps: int, looks: int) -> list[int]:
    """The steps after which a look is taken: evenly spread, the last one at the end."""
    return sorted({round(steps * part / looks) for part in range(1, looks + 1)} - {0})


def best(looks: Iterable[Look]) -> Look | None:
    """The look with the best score; of equal ones the more usable, then that with less loss, then the earlier.

    None where no answer was right: a test that all fail alike cannot choose, and the earliest would have learned least.
    """

    def merit(look: Look) -> tuple[float, ...]:
        loss = float("inf") if look.loss is None else look.loss
        return *_worth(look), -loss, -look.step

    return max((look for look in looks if look.score and look.score.score > 0), key=merit, default=None)


def enough(looks: Sequence[Look], patience: int, by_score: bool) -> bool:
    """Whether the last `patience` looks brought nothing better than those before; by loss where no test decides.

    Before the first right answer nothing is lost by going on.
    """
    if by_score:
        worth = [_worth(look) for look in looks if look.score]
    else:
        worth = [(-look.loss,) for look in looks if look.loss is not None]
    if not 0 < patience < len(worth) or (by_score and best(looks) is None):
        return False
    return max(worth[-patience:]) <= max(worth[:-patience])


def _worth(look: Look) -> tuple[float, ...]:
    return (look.score.score, look.score.usable) if look.score else ()


def superseded(saved: Iterable[int], looked: Collection[int], best_step: int | None, keep_looks: bool) -> list[int]:
    """Which checkpoints, by step, nobody needs any more.

    Args:
        saved: all there are. looked: those at which a look was taken.
        keep_looks: whether all of these stay; otherwise the best and the newest do.
    """
    by_time = sorted(step for step in saved if step not in looked)
    by_look = [] if keep_looks else sorted(step for step in saved if step in looked)
    return [*by_time[:-KEEP_CHECKPOINTS], *(step for step in by_look[:-1] if step != best_step)]


def copy_weights(checkpoint: Path, target: Path) -> None:
    """Copy what answering needs of a checkpoint, without what only going on with the training needs."""
    target.mkdir()
    for path in checkpoint.iterdir():
        if path.suffix in (".safetensors", ".json", ".md") and path.name not in NOT_WEIGHTS:
            shutil.copyfile(path, target / path.name)


class Looks:
    """The looks of one run, seen from one of its processes.

    Attributes:
        taken: in the order of their steps; known to the first process only.
    """

    def __init__(
        self, job: Job, recipe: Recipe, world: World, steps: int, loaded: LoadedModel, judge: Judge | None
    ) -> None:
        self.job, self.recipe, self.world, self.steps = job, recipe, world, steps
        self.loaded, self.judge = loaded, judge
        self.taken: list[Look] = []
        self._planned = planned(steps, recipe.looks) if judge or recipe.validation else []

    def due(self, step: int) -> bool:
        """Whether a look is planned after `step`."""
        return step in self._planned

    def begin(self, step: int) -> bool:
        """Read what earlier processes left, as far as it is of use to a run that goes on from `step`.

        Returns:
            Whether the look at `step` is still to be taken; the same on every process.
        """
        if self.world.first:
            for folder in (self.job.folder / LOOKS).glob("step-*"):
                if int(folder.name.rpartition("-")[2]) > step:  # it was of a checkpoint that is gone
                    shutil.rmtree(folder)
            read = [_read(path) for path in (self.job.folder / LOOKS).glob(f"*/{LOOK}")]
            self.taken = sorted(read, key=lambda look: look.step)
        open_look = self.due(step) and all(look.step != step for look in self.taken)
        return bool(self.world.agree(open_look))

    def take(self, step: int, trainer: LabelTrainer) -> Outcome:
        """Look at the model as it is after `step`; the first process asks the test's questions, the others wait."""
        began = time.monotonic()
        loss = trainer.evaluate()["eval_loss"] if trainer.eval_dataset is not None else None
        outcome = self._take(step, loss, trainer, began) if self.world.first else "on"
        agreed: Outcome = self.world.agree(outcome)
        return agreed

    def seconds_ahead(self, step: int) -> float:
        """What the looks after `step` will take, as those before suggest."""
        ahead = sum(at > step for at in self._planned)
        return ahead * sum(look.seconds for look in self.taken) / max(1, len(self.taken))

    def best_checkpoint(self) -> Path | None:
        """The best checkpoint that is still there; None where no test has decided."""
        there = [look for look in self.taken if (self._checkpoint(look.step) / adapters.COMPLETE).exists()]
        found = best(there)
        if found and found.score:
            self.job.report("best", step=found.step, score=found.score.score)
        return self._checkpoint(found.step) if found else None

    def tidy(self) -> None:
        """Delete the checkpoints that nobody needs any more."""
        saved = [int(path.name.rpartition("-")[2]) for path in self._checkpoint(0).parent.glob("checkpoint-*")]
        winner = best(self.taken)
        for step in superseded(
            saved, self._planned, winner.step if winner else None, keep_looks=self.recipe.method != "full"
        ):
            checkpoints.discard(self._checkpoint(step))

    def _checkpoint(self, step: int) -> Path:
        return self.job.folder / adapters.CHECKPOINTS / f"checkpoint-{step}"

    def _take(self, step: int, loss: float | None, trainer: LabelTrainer, began: float) -> Outcome:
        try:
            score = self._ask(step, trainer)
            if self.judge and score is None:
                return "stopped"
            look = Look(step, score, loss, time.monotonic() - began)
            files.write_json(self.job.folder / LOOKS / f"step-{step}" / LOOK, asdict(look))
        except Exception as error:
            if error is PEER_LOST:
                raise
            traceback.print_exc()
            why = explain(error)
            reason_zh, remedy_zh = why.say("zh")
            words = {"reason": why.what, "remedy": why.remedy, "reason_zh": reason_zh, "remedy_zh": remedy_zh}
            self.job.report("look_failed", step=step, **words)
            return "on"
        self.taken.append(look)
        if score:
            self.job.report("look", step=step, **asdict(score), loss=loss, seconds=look.seconds)
        return self._enough(step)

    def _ask(self, step: int, trainer: LabelTrainer) -> Score | None:
        if self.judge is None:
            return None
        with undisturbed(self.loaded.model), trainer.accelerator.autocast():
            return self.judge(self.loaded, step)

    def _enough(self, step: int) -> Outcome:
        by_score = self.judge is not None
        if step >= self.steps or not enough(self.taken, self.recipe.patience, by_score):
            return "on"
        winner = best(self.taken) if by_score else None
        if winner and winner.score:
            value = winner.score.score
        else:
            value = min(look.loss for look in self.taken if look.loss is not None)
        by = "score" if by_score else "loss"
        self.job.report("early_stop", step=step, looks=self.recipe.patience, best=value, by=by)
        return "enough"


def _read(path: Path) -> Look:
    found = files.read_json(path)
    score = Score(**found["score"]) if found["score"] else None
    return Look(**{**found, "score": score})


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """For answering in the midst of training: afterwards random numbers and modules are as they were."""
    import numpy
    import torch

    modes = [(module, module.training) for module in model.modules()]
    python, numbers = random.getstate(), numpy.random.get_state()
    cards = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(cards):
            model.eval()
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(numbers)
        for module, training in modes:
            module.training = training
