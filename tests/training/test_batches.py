"""The plan of batches."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.training.batches import NOTHING, plan, share

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


def test_similar_lengths_meet_so_that_processes_wait_little() -> None:
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


def test_samples_that_begin_alike_stand_together_in_their_step() -> None:
    openings = [index % 2 for index in range(200)]
    steps = plan(LENGTHS, 1, 8, 0, 7, openings)
    for step, before in zip(steps, plan(LENGTHS, 1, 8, 0, 7), strict=True):
        assert sorted(step) == sorted(before), "in the same step as ever"
        assert [openings[index] for index in step] == sorted(openings[index] for index in step)


@given(
    samples=st.integers(1, 60),
    world=st.integers(1, 5),
    micro=st.integers(1, 4),
    rounds=st.integers(1, 3),
)
def test_processes_share_each_step_whole_and_keep_in_step(samples: int, world: int, micro: int, rounds: int) -> None:
    steps = plan(LENGTHS[:samples], 1, world * micro * rounds, 0, 7)
    parts = [share(steps, micro, rank, world) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1, "a process with fewer would make the others wait for ever"
    assert all(1 <= len(batch) <= micro for part in parts for batch in part)
    for number, step in enumerate(steps):
        seen = [index for part in parts for batch in part[number * rounds : (number + 1) * rounds] for index in batch]
        assert sorted(index for index in seen if index != NOTHING) == sorted(step)
    full = [number for number, step in enumerate(steps) if len(step) == world * micro * rounds]
    assert all(len(batch) == micro for part in parts for batch in part[: len(full) * rounds])


def test_process_with_nothing_left_still_takes_part() -> None:
    assert share([[5, 6, 7]], micro=2, rank=0, world=4) == [[5]]
    assert share([[5, 6, 7]], micro=2, rank=3, world=4) == [[NOTHING]]


def test_processes_get_samples_of_similar_length() -> None:
    step = sorted(range(16), key=lambda index: -LENGTHS[index])
    sums = [sum(LENGTHS[i] for batch in share([step], 4, rank, 2) for i in batch) for rank in (0, 1)]
    assert abs(sums[0] - sums[1]) <= max(LENGTHS) - min(LENGTHS)
