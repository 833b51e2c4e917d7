"""Which checkpoint is best, when enough is enough, and what is deleted; real runs are in test_scored_run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.models.loading import LoadedModel
from qwenlab.training import launch, looks
from qwenlab.training import recipe as recipes
from qwenlab.training.looks import Look, Looks, Score, best, enough, planned, superseded
from qwenlab.training.runs import Progress


def look(step: int, score: float, usable: float = 1.0, loss: float | None = None) -> Look:
    return Look(step, Score(score, usable, score, score, 10), loss)


@pytest.mark.parametrize(
    ("steps", "wanted", "expected"),
    [
        (100, 4, [25, 50, 75, 100]),
        (10, 3, [3, 7, 10]),
        (2, 4, [1, 2]),
        (1, 50, [1]),
    ],
)
def test_looks_are_spread_evenly_and_the_last_is_at_the_end(steps: int, wanted: int, expected: list[int]) -> None:
    assert planned(steps, wanted) == expected


@pytest.mark.parametrize(
    ("taken", "step"),
    [
        ([look(1, 0.5), look(2, 0.9), look(3, 0.7)], 2),
        ([look(1, 0.9, usable=0.9), look(2, 0.9, usable=1.0), look(3, 0.9, usable=0.9)], 2),
        ([look(1, 0.9, loss=0.3), look(2, 0.9, loss=0.2), look(3, 0.9, loss=0.4)], 2),
        ([look(1, 0.9, loss=None), look(2, 0.9, loss=9.0)], 2),
        ([look(1, 0.4), look(2, 0.9), look(3, 0.9)], 2),
        ([look(1, 0.1, loss=0.1), look(2, 0.2, loss=9.0)], 2),
        ([Look(1, None, 0.1), look(2, 0.1)], 2),
    ],
    ids=["score", "usable", "loss", "known loss", "earlier", "score before loss", "failed look"],
)
def test_best_is_chosen_by_score_then_usable_then_loss_then_the_earlier(taken: list[Look], step: int) -> None:
    found = best(taken)
    assert found
    assert found.step == step


@pytest.mark.parametrize("taken", [[], [Look(1, None, 0.5)], [look(1, 0.0), look(2, 0.0)]])
def test_nothing_is_best_where_no_answer_was_right(taken: list[Look]) -> None:
    assert best(taken) is None


@pytest.mark.parametrize(
    ("scores", "patience", "ends"),
    [
        ([0.5, 0.5, 0.5], 2, True),
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5, 0.4], 2, False),
        ([0.5, 0.4, 0.3], 0, False),
        ([0.0, 0.0, 0.0], 2, False),
    ],
    ids=["no better", "better at last", "too few", "no patience asked", "nothing right yet"],
)
def test_patience_counts_looks_without_a_better_score(scores: list[float], patience: int, ends: bool) -> None:
    taken = [look(step, score, loss=1 / step) for step, score in enumerate(scores, 1)]
    assert enough(taken, patience, by_score=True) is ends


def test_more_usable_answers_of_the_same_score_are_better() -> None:
    assert not enough([look(1, 0.5, usable=0.5), look(2, 0.5, usable=0.6)], 1, by_score=True)


def test_without_a_test_patience_looks_at_the_loss() -> None:
    taken = [Look(step, None, loss) for step, loss in enumerate([1.0, 0.5, 0.6, 0.5], 1)]
    assert enough(taken, 2, by_score=False)
    assert not enough(taken[:3], 2, by_score=False)


def test_best_and_newest_looks_stay_and_saves_by_time_rotate() -> None:
    saved, looked = [3, 10, 13, 16, 20, 23, 30], {10, 20, 30}
    assert superseded(saved, looked, 10, keep_looks=True) == [3]
    assert superseded(saved, looked, 10, keep_looks=False) == [3, 20]
    assert superseded([*saved, 33], looked, None, keep_looks=False) == [3, 13, 10, 20]


def a_checkpoint(run: Path, step: int) -> Path:
    folder = run / adapters.CHECKPOINTS / f"checkpoint-{step}"
    for name in ("adapter_model.safetensors", "adapter_config.json", "trainer_state.json", "optimizer.pt", "complete"):
        files.write_text(folder / name, f"{name} of {step}")
    return folder


def test_result_takes_the_weights_of_a_checkpoint_and_not_its_training_state(tmp_path: Path) -> None:
    looks.copy_weights(a_checkpoint(tmp_path, 3), tmp_path / "adapter")
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_model.safetensors",
        "adapter_config.json",
    }


class Scores:
    """A judge that says what it was told to say."""

    def __init__(self, *said: Score | Exception | None) -> None:
        self.said = list(said)
        self.steps: list[int] = []

    def __call__(self, loaded: LoadedModel, step: int) -> Score | None:
        self.steps.append(step)
        said = self.said.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


def the_looks(run: Path, judge: Scores, **changes: Any) -> Looks:
    import torch

    recipe = recipes.read({"looks": 4, "suite": "any", **changes})
    loaded = LoadedModel(run, None, torch.nn.Linear(1, 1))
    return Looks(Job(run), recipe, launch.World(), 8, loaded, judge)


def trainer(loss: float | None = None) -> Any:
    from contextlib import nullcontext

    return cast(
        Any,
        SimpleNamespace(
            eval_dataset=None if loss is None else [1],
            evaluate=lambda: {"eval_loss": loss},
            accelerator=SimpleNamespace(autocast=nullcontext),
        ),
    )


def events(run: Path) -> list[dict[str, Any]]:
    return Job(run).events()[0]


GOOD, POOR = look(0, 0.9).score, look(0, 0.2).score


def test_failed_look_is_told_in_both_languages_and_training_goes_on(tmp_path: Path) -> None:
    broken = QwenlabError("The suite is broken.", "Mend it.", zh=("测试集已损坏。", "请修复。"))
    taking = the_looks(tmp_path, Scores(broken, ValueError("a grader's mistake"), GOOD))
    assert [taking.take(step, trainer()) for step in (2, 4, 6)] == ["on", "on", "on"]
    first, second, third = events(tmp_path)
    assert (first["event"], first["step"], first["reason"]) == ("look_failed", 2, "The suite is broken.")
    assert (first["reason_zh"], first["remedy_zh"]) == ("测试集已损坏。", "请修复。")
    assert "a grader's mistake" in second["reason"]
    assert (third["event"], third["score"]) == ("look", 0.9)
    seen = Progress()
    for event in events(tmp_path):
        seen.take(event)
    assert list(seen.failed_looks) == [2, 4]
    assert seen.best == (6, GOOD)


def test_death_of_another_process_is_no_failed_look(tmp_path: Path) -> None:
    taking = the_looks(tmp_path, Scores(launch.PEER_LOST))
    with pytest.raises(QwenlabError, match="Another process"):
        taking.take(2, trainer())


def test_stop_during_a_look_leaves_it_open_for_the_resumed_run(tmp_path: Path) -> None:
    assert the_looks(tmp_path, Scores(None)).take(2, trainer()) == "stopped"
    resumed = the_looks(tmp_path, Scores(GOOD))
    assert resumed.begin(2), "the look at step 2 is still to be taken"
    assert resumed.take(2, trainer()) == "on"
    assert not the_looks(tmp_path, Scores()).begin(2)


def test_run_that_goes_on_from_an_earlier_step_forgets_the_looks_behind_it(tmp_path: Path) -> None:
    taking = the_looks(tmp_path, Scores(POOR, GOOD))
    for step in (2, 4):
        taking.take(step, trainer())
    resumed = the_looks(tmp_path, Scores())
    assert not resumed.begin(3)
    assert [one.step for one in resumed.taken] == [2]
    assert not (tmp_path / "looks" / "step-4").exists()


def test_patience_ends_by_score_and_says_so(tmp_path: Path) -> None:
    taking = the_looks(tmp_path, Scores(GOOD, POOR, POOR), patience=2)
    assert [taking.take(step, trainer()) for step in (2, 4, 6)] == ["on", "on", "enough"]
    last = events(tmp_path)[-1]
    del last["time"]
    assert last == {"event": "early_stop", "step": 6, "looks": 2, "best": 0.9, "by": "score"}


def test_best_checkpoint_is_the_result_and_told(tmp_path: Path) -> None:
    taking = the_looks(tmp_path, Scores(POOR, GOOD, POOR))
    for step in (2, 4, 6):
        a_checkpoint(tmp_path, step)
        taking.take(step, trainer(loss=0.5))
    assert taking.best_checkpoint() == tmp_path / "checkpoints" / "checkpoint-4"
    assert (events(tmp_path)[-1]["event"], events(tmp_path)[-1]["step"]) == ("best", 4)
    (tmp_path / "checkpoints" / "checkpoint-4" / "complete").unlink()
    assert taking.best_checkpoint() == tmp_path / "checkpoints" / "checkpoint-2", "a torn one is nobody's result"


@pytest.mark.parametrize(("method", "left"), [("lora", {2, 4, 5, 6}), ("full", {4, 5, 6})])
def test_tidying_keeps_what_the_method_can_afford(tmp_path: Path, method: str, left: set[int]) -> None:
    taking = the_looks(tmp_path, Scores(POOR, GOOD, POOR), method=method)
    for step in (2, 4, 6):
        taking.take(step, trainer())
    for step in (2, 4, 5, 6):
        a_checkpoint(tmp_path, step)
    taking.tidy()
    assert {int(path.name[11:]) for path in (tmp_path / "checkpoints").iterdir()} == left


def test_time_of_the_looks_to_come_follows_from_those_before(tmp_path: Path) -> None:
    taking = the_looks(tmp_path, Scores())
    assert taking.seconds_ahead(0) == 0
    taking.taken = [Look(2, None, 0.5, seconds=3.0), Look(4, None, 0.5, seconds=5.0)]
    assert taking.seconds_ahead(5) == 8.0


def test_answering_leaves_random_numbers_and_modules_as_they_were() -> None:
    import random

    import numpy
    import torch

    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2))
    model.train()
    model[1].eval()

    def seed(number: int) -> None:
        torch.manual_seed(number)
        random.seed(number)
        numpy.random.seed(number)

    def drawn() -> tuple[float, ...]:
        return float(torch.rand(1)), random.random(), numpy.random.rand()

    seed(1)
    expected = drawn()
    seed(1)
    with looks.undisturbed(model):
        assert not model.training
        seed(9)
        drawn()
    assert drawn() == expected
    assert model.training
    assert model[0].training
    assert not model[1].training


def test_zero3_and_a_deciding_test_are_refused_together() -> None:
    with pytest.raises(QwenlabError, match="zero3") as caught:
        recipes.read({"suite": "tickets", "sharding": "zero3"})
    assert caught.value.zh
    assert recipes.read({"suite": "tickets", "sharding": "zero2"}).suite == "tickets"


def test_steps_done_again_after_a_crash_replace_their_looks() -> None:
    seen, number = Progress(), {"learning_rate": 1.0, "tokens_per_s": 1.0, "eta_seconds": 1.0, "memory_bytes": 1}
    for event in (
        {"event": "step", "step": 2, "total": 8, "loss": 1.0, **number},
        {"event": "validation", "step": 2, "loss": 1.0},
        {"event": "asking", "step": 2, "done": 3, "total": 10},
    ):
        seen.take(event)
    assert seen.asking == (3, 10)
    score = {"score": 0.5, "usable": 1.0, "field_accuracy": 0.5, "passed": 0.5, "n": 10}
    seen.take({"event": "look", "step": 2, **score, "seconds": 1.0})
    assert (seen.asking, list(seen.looks)) == ((0, 0), [2])
    seen.take({"event": "step", "step": 2, "total": 8, "loss": 1.0, **number})
    assert (seen.looks, seen.validation, seen.best) == ({}, {}, None)
