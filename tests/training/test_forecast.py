"""What a start would take: as training plans it, at the pace of earlier runs or of another machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_shapes import SMOLLM2
from safetensors.numpy import save_file

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import batches, forecast
from qwenlab.training.estimate import Machine
from qwenlab.training.forecast import Pace, pace
from qwenlab.training.preview import Lengths, SampleLength
from qwenlab.training.recipe import Recipe
from qwenlab.workspace import Workspace

SMALL = "smollm2-135m"
CONFIG = {"model_type": "llama", **SMOLLM2}
MACHINE = Machine(24 * 10**9)
STEADY = Pace(100.0)


def counted(*tokens: int, language: str = "en", all_: int = 0) -> Lengths:
    rows = tuple(
        SampleLength(at, f"s{at}", number, number // 4, None, language)
        if number
        else SampleLength(at, "", 0, 0, ("", ""))
        for at, number in enumerate(tokens)
    )
    return Lengths(all_ or len(rows), len(rows), sys.maxsize, rows)


def takes(recipe: Recipe, lengths: Lengths, speed: Pace = STEADY) -> forecast.Forecast:
    return forecast.forecast(recipe, lengths, CONFIG, MACHINE, speed)


# --- what it takes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "epochs", "batch", "most", "steps"),
    [(200, 2.0, 8, 0, 50), (200, 1.5, 8, 0, 38), (200, 2.0, 8, 4, 4), (3, 1.0, 8, 0, 1), (0, 2.0, 8, 0, 0)],
)
def test_steps_are_those_the_trainer_plans(samples: int, epochs: float, batch: int, most: int, steps: int) -> None:
    assert forecast.steps_of(samples, epochs, batch, most) == steps
    if samples:
        assert len(batches.plan([10] * samples, epochs, batch, most, 7)) == steps


@given(st.lists(st.integers(1, 50), min_size=2, max_size=40), st.sampled_from([1.0, 2.0]), st.sampled_from([0.0, 0.5]))
def test_whole_epochs_read_the_tokens_that_training_reads(tokens: list[int], epochs: float, kept_out: float) -> None:
    tokens = [tokens[0]] * len(tokens) if kept_out else tokens  # which are kept out is not known before
    trained = tokens[int(len(tokens) * kept_out) :]
    plan = batches.plan(trained, epochs, 4, 0, 7)
    found = takes(Recipe(model=SMALL, epochs=epochs, batch_size=4, validation=kept_out), counted(*tokens))
    assert (found.samples, found.steps) == (len(trained), len(plan))
    assert found.tokens == sum(trained[index] for step in plan for index in step)
    assert found.seconds == pytest.approx(found.tokens / 100)


def test_what_is_left_out_takes_nothing() -> None:
    recipe = Recipe(model=SMALL, epochs=1, batch_size=1, max_length=100)
    found = takes(recipe, counted(50, 60, 0, 5000))
    assert (found.samples, found.steps, found.tokens) == (2, 2, 110)
    assert takes(recipe, counted(50, language="zh")).samples == 0
    assert takes(recipe.model_copy(update={"languages": ["zh"]}), counted(50, language="zh")).samples == 1
    shortened = takes(recipe.model_copy(update={"too_long": "drop_history"}), counted(50, 60, 0, 5000))
    assert (shortened.samples, shortened.tokens) == (3, 210)
    assert takes(recipe, counted()).seconds == 0.0


def test_estimated_set_counts_whole_and_start_and_end_take_their_time() -> None:
    found = takes(Recipe(model=SMALL, epochs=2, batch_size=8), counted(100, 100, all_=20), Pace(100.0, 7.0))
    assert (found.samples, found.steps, found.tokens, found.seconds) == (20, 5, 4000, 47.0)


def test_longest_sample_decides_whether_it_fits() -> None:
    assert takes(Recipe(model=SMALL), counted(100)).need.fits
    long = takes(Recipe(model=SMALL, max_length=32768, micro_batch=8), counted(100, 30_000))
    assert not long.need.fits
    assert long.need.advice is not None


# --- how fast --------------------------------------------------------------------------------------------


@pytest.fixture
def here(workspace: Workspace) -> Workspace:
    folder = workspace.models / SMALL
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "qwenlab-model.json").write_text("{}")
    return workspace


def a_run(workspace: Workspace, name: str, state: str, seconds: float, steps: int = 0, **settings: Any) -> Job:
    job = Job(workspace.runs / name)
    files.write_json(job.folder / "recipe.json", Recipe(**{"model": SMALL, **settings}).model_dump())
    job.report("phase", name="loading")
    job.report("encoded", samples=10, tokens=6000, trained_tokens=900, steps=10, left_out=[])
    for step in range(1, steps + 1):
        timed = {"eta_seconds": 5.0 * (10 - step), "tokens_per_s": 120.0, "memory_bytes": 1, "learning_rate": 1e-4}
        job.report("step", step=step, total=10, loss=1.0, **timed)
    job.report("timing", seconds=seconds)
    if state == "finished":
        job.finish("finished")
    time.sleep(0.02)
    return job


def test_pace_is_that_of_the_newest_finished_run_of_the_model(here: Workspace) -> None:
    a_run(here, "old", "finished", 100)
    a_run(here, "new", "finished", 60)
    a_run(here, "going", "running", 1)
    a_run(here, "other", "finished", 1, model="qwen2.5-coder-0.5b")
    (here.runs / "broken").mkdir()
    (here.runs / "broken" / "recipe.json").write_text('{"modle": 1}')
    assert pace(here, SMALL, MACHINE) == Pace(100.0, 0.0, "new")


def test_timed_steps_tell_speed_and_what_is_not_steps(here: Workspace) -> None:
    a_run(here, "timed", "finished", 62.0, steps=10)
    assert pace(here, SMALL, MACHINE) == Pace(120.0, 12.0, "timed")


def test_run_that_goes_on_tells_the_speed_where_none_has_finished(here: Workspace) -> None:
    a_run(here, "first-steps", "running", 0, steps=2)
    assert pace(here, SMALL, MACHINE).run == "first-steps"
    a_run(here, "further", "running", 0, steps=6)
    assert pace(here, SMALL, MACHINE) == Pace(120.0, 0.0, "further")


def test_run_of_another_method_is_judged_by_its_work(here: Workspace) -> None:
    a_run(here, "slower", "finished", 60, checkpointing="yes")
    assert pace(here, SMALL, MACHINE).tokens_per_s == pytest.approx(150)


def test_without_a_run_the_speed_is_that_of_another_machine(here: Workspace, tmp_path: Path) -> None:
    assert pace(here, SMALL, MACHINE) == Pace(forecast.MEASURED_SPEED[SMALL])
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"weight": np.zeros(1_000_000, np.float16)}, folder / "model.safetensors")
    assert pace(here, str(folder), MACHINE).tokens_per_s == pytest.approx(forecast.MEASURED_WORK / 1e6, rel=1e-3)
    with pytest.raises(QwenlabError):
        pace(here, "no-such-model", MACHINE)


def test_module_needs_neither_torch_nor_transformers() -> None:
    code = "import sys, qwenlab.training.forecast; print({'torch', 'transformers'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
