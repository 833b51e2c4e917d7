"""The plan of batches and their tensors."""

from __future__ import annotations

import random

import pytest

from qwenlab.training.batches import collate, plan
from qwenlab.training.encoding import IGNORED, Encoded

LENGTHS = random.Random(3).choices(range(20, 400), k=200)


def test_every_epoch_sees_every_sample_once() -> None:
    steps = plan(LENGTHS, 2, 8, 0, 7)
    seen = [index for step in steps for index in step]
    assert sorted(seen[:200]) == list(range(200))
    assert sorted(seen[200:]) == list(range(200))


def test_same_seed_same_plan_and_another_seed_another() -> None:
    assert plan(LENGTHS, 2, 8, 0, 7) == plan(LENGTHS, 2, 8, 0, 7)
    assert plan(LENGTHS, 2, 8, 0, 7) != plan(LENGTHS, 2, 8, 0, 8)


@pytest.mark.parametrize(
    ("samples", "epochs", "batch", "most", "steps"),
    [(200, 1, 8, 0, 25), (200, 0.5, 8, 0, 13), (200, 3, 8, 5, 5), (10, 1, 4, 0, 3), (3, 2, 8, 0, 1), (1, 1, 8, 0, 1)],
)
def test_number_of_steps(samples: int, epochs: float, batch: int, most: int, steps: int) -> None:
    assert len(plan(LENGTHS[:samples], epochs, batch, most, 7)) == steps


def test_similar_lengths_meet_so_that_little_is_padding() -> None:
    def padded(steps: list[list[int]]) -> float:
        computed = sum(max(LENGTHS[index] for index in step) * len(step) for step in steps)
        return computed / sum(LENGTHS[index] for step in steps for index in step)

    shuffled = list(range(200))
    random.Random(1).shuffle(shuffled)
    assert padded(plan(LENGTHS, 1, 8, 0, 7)) < 1.15
    assert padded([shuffled[at : at + 8] for at in range(0, 200, 8)]) > 1.5, "otherwise this test shows nothing"


def test_every_step_but_the_last_is_full() -> None:
    sizes = [len(step) for step in plan(LENGTHS[:13], 3, 4, 0, 7)]
    assert sizes == [4] * 9 + [3], "the Trainer cuts the order into batches of this size"


def test_length_says_nothing_about_time() -> None:
    steps = plan(LENGTHS, 1, 8, 0, 7)
    first, last = steps[: len(steps) // 2], steps[len(steps) // 2 :]
    mean = [sum(LENGTHS[i] for s in half for i in s) / sum(map(len, half)) for half in (first, last)]
    assert abs(mean[0] - mean[1]) < 60


def test_collate_pads_left_and_lines_up_the_answers() -> None:
    batch = collate([Encoded([5, 6, 7, 8], [IGNORED, IGNORED, 7, 8]), Encoded([9, 4], [IGNORED, 4])], pad_id=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8], [0, 0, 9, 4]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED, IGNORED, IGNORED, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]
