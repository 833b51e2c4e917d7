"""What a start would take, told before it: samples, steps, tokens, time and memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.training import runs
from qwenlab.training.estimate import Estimate, Machine, estimate
from qwenlab.training.preview import Lengths
from qwenlab.training.recipe import Recipe
from qwenlab.training.runs import SETTLED, Progress
from qwenlab.workspace import Workspace

MEASURED_SPEED = {"smollm2-135m": 640.0, "qwen2.5-coder-0.5b": 290.0}
"""Tokens/s on 2 cores with bf16 instructions, LoRA, recommended settings: of whole runs, which seldom have the machine
for themselves, so below what docs/benchmarks.md measured of single steps."""
MEASURED_WORK = 8e10
"""Parameters times tokens/s on that machine, for a model that was not measured."""
RUNS_LOOKED_AT = 30


@dataclass(frozen=True)
class Pace:
    """How fast a model is trained here.

    Attributes:
        tokens_per_s: of lora without checkpointing.
        startup: seconds of a run that are not steps: loading the model, reading the data, saving.
        run: the run of this machine that it is judged by; "" for a figure from another machine.
    """

    tokens_per_s: float
    startup: float = 0.0
    run: str = ""


@dataclass(frozen=True)
class Forecast:
    """What a recipe takes.

    Attributes:
        samples: that are trained; those kept out for validation are not among them.
        steps: optimizer steps.
        tokens: read in all of them.
        seconds: from the start to the end.
        need: the memory, whether it fits, and what would make it fit.
    """

    samples: int
    steps: int
    tokens: int
    seconds: float
    pace: Pace
    need: Estimate
    machine: Machine


def forecast(recipe: Recipe, lengths: Lengths, config: dict[str, Any], machine: Machine, pace: Pace) -> Forecast:
    """What a start of this recipe takes.

    Args:
        lengths: of the data set, counted without a limit and in all languages.
        config: config.json of the model.

    Raises:
        QwenlabError: when config.json lacks a size.
    """
    languages = recipe.languages or catalogue.languages(recipe.model)
    seen = lengths.within(recipe.max_length, languages, recipe.too_long)
    trained = seen.samples - int(seen.samples * recipe.validation)
    steps = steps_of(trained, recipe.epochs, recipe.batch_size, recipe.max_steps)
    rows = min(steps * recipe.batch_size, math.ceil(recipe.epochs * trained))
    tokens = round(seen.tokens / seen.samples * rows) if seen.samples else 0
    longest = max((one.tokens for one in seen.used), default=0)
    answer = max((one.trained for one in seen.used), default=0)
    need = estimate(config, recipe, tokens, longest, machine, pace.tokens_per_s, min(answer, longest))
    return Forecast(trained, steps, tokens, (need.seconds or 0.0) + pace.startup, pace, need, machine)


def steps_of(samples: int, epochs: float, batch_size: int, max_steps: int) -> int:
    """Optimizer steps that a recipe takes."""
    steps = math.ceil(math.ceil(epochs * samples) / max(1, batch_size))
    return min(steps, max_steps) if max_steps else steps


def pace(workspace: Workspace, model: str, machine: Machine, look: Callable[[Job], Progress] = runs.progress) -> Pace:
    """How fast a model is trained on this machine, as its newest run suggests; else a figure from another machine.

    Args:
        look: reads a run's progress; a page has readers that read only what is new.

    Raises:
        QwenlabError: when the model is not here.
    """
    folder = catalogue.locate(workspace, model)
    found: list[Pace] = []
    newest = runs.all_runs(workspace)[:RUNS_LOOKED_AT]
    for job in sorted(newest, key=lambda one: one.state() != "finished"):  # those were timed as a whole
        try:
            recipe = runs.recipe_of(job)
        except QwenlabError:
            continue
        if recipe.model != model:
            continue
        seen = look(job)
        speed, startup = _timed(seen)
        if speed:
            # A run of another method tells as much as one of this one, once its work per token is known.
            work = estimate(model_folder.read_config(folder), recipe, 1, 1, machine, 1.0).seconds or 1.0
            found.append(Pace(speed * work, startup, job.id))
            if seen.step >= SETTLED:
                return found[-1]
    return found[0] if found else Pace(_usual_speed(model, folder))


def _timed(seen: Progress) -> tuple[float, float]:
    """(tokens/s of its steps, seconds of a start and an end) of a run; (0, 0) when it cannot say."""
    if seen.seconds_per_step and seen.total and seen.tokens:
        rest = (seen.seconds - seen.step * seen.seconds_per_step) / max(1, seen.starts)
        return seen.tokens / seen.total / seen.seconds_per_step, max(0.0, rest) if seen.state == "finished" else 0.0
    if seen.state == "finished" and seen.tokens and seen.seconds:
        return seen.tokens / seen.seconds, 0.0
    return 0.0, 0.0


def _usual_speed(model: str, folder: Path) -> float:
    known = MEASURED_SPEED.get(model)
    if known is None:
        weights = sum(path.stat().st_size for path in model_folder.weight_files(folder))
        known = MEASURED_WORK / max(1.0, weights / 2)  # two bytes a parameter
    return known
