"""Lengths judged by characters come near what the tokenizer counts."""

from __future__ import annotations

import pytest

from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.sample import Sample
from qwenlab.training import rough
from qwenlab.workspace import SHIPPED


@pytest.mark.parametrize(("languages", "counted"), [(("en", "zh"), 81_014), (("en",), 41_486)])
def test_tokens_of_the_shipped_data_are_near_those_that_qwen_counts(languages: tuple[str, ...], counted: int) -> None:
    samples = DataSet.open(SHIPPED / "data" / "after-sales.train.json").samples
    found = rough.lengths(samples).within(10_000, languages)
    assert found.tokens == pytest.approx(counted, rel=0.1)
    assert not found.estimated


def test_large_set_is_judged_by_some_of_its_samples() -> None:
    turns = [("user", "x" * 33), ("assistant", "y" * 33)]
    samples = [Sample.make(f"s{at}", turns) for at in range(10 * rough.LOOKED_AT)]
    found = rough.lengths(samples)
    assert found.measured == rough.LOOKED_AT
    assert found.tokens == len(samples) * 30


@pytest.mark.parametrize("turns", [[], [("user", "and?")]], ids=["empty", "no answer"])
def test_sample_without_an_answer_is_left_out(turns: list[tuple[str, str]]) -> None:
    assert rough.lengths([Sample.make("s", turns)]).samples == 0
