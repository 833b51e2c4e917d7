"""Which conversations quantizing is calibrated on."""

from __future__ import annotations

import pytest

from qwenlab.conversations.sample import Sample
from qwenlab.export.calibration import Calibration

SAMPLES = [Sample.make(str(number), [("user", f"{number}?"), ("assistant", "Yes.")]) for number in range(10)]


def ids(calibration: Calibration) -> list[int]:
    return [int(sample.id) for sample in calibration.chosen(SAMPLES)]


@pytest.mark.parametrize(
    ("rows", "want"), [(5, [0, 2, 4, 6, 8]), (3, [0, 3, 6]), (10, [*range(10)]), (99, [*range(10)])]
)
def test_without_a_seed_they_are_spread_evenly(rows: int, want: list[int]) -> None:
    assert ids(Calibration(rows)) == want


def test_a_seed_draws_the_same_ones_again_and_another_seed_others() -> None:
    first = ids(Calibration(5, seed=1))
    assert first == ids(Calibration(5, seed=1)) == sorted(first)
    assert first != ids(Calibration(5, seed=2))
    assert len(set(first)) == 5
