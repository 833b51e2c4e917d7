"""Dividing a data set: near-duplicates stay together, both languages stand on both sides, the seed decides."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.split import split
from qwenlab.errors import QwenlabError

WORDS = ["kettle", "lamp", "chair", "carpet", "shelf", "mirror", "clock", "basket", "curtain", "pillow", "towel"]


def known(*texts: str) -> list[Facts]:
    return [
        Facts(Sample.make(f"s{at}", [("user", text), ("assistant", f"ok {text}")])) for at, text in enumerate(texts)
    ]


def spoken(number: int, chinese: int) -> list[Facts]:
    return known(*[f"请问订单 {at} 在哪里" if at < chinese else f"Where is order {at}" for at in range(number)])


@given(
    groups=st.lists(st.integers(0, 30), min_size=2, max_size=80).filter(lambda found: len(set(found)) > 1),
    chinese=st.integers(0, 80),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_every_sample_stands_on_one_side_with_those_it_belongs_to(
    groups: list[int], chinese: int, share: float, seed: int
) -> None:
    facts = spoken(len(groups), chinese)
    train, validation = split(facts, share, seed, groups)
    assert sorted(train + validation) == list(range(len(groups)))
    assert train == sorted(train)
    assert validation == sorted(validation)
    assert train
    assert validation
    assert not {groups[at] for at in train} & {groups[at] for at in validation}
    assert split(facts, share, seed, groups) == (train, validation)


@pytest.mark.parametrize(("share", "wanted"), [(0.1, (8, 2)), (0.25, (20, 5)), (0.5, (40, 10))])
def test_languages_keep_their_shares(share: float, wanted: tuple[int, int]) -> None:
    facts = spoken(100, 80)
    _, validation = split(facts, share, 7, list(range(100)))
    found = Counter(facts[at].language for at in validation)
    assert (found["zh"], found["en"]) == wanted


def test_a_hundred_thousand_samples_are_divided_at_once() -> None:
    facts = spoken(2, 1) * 50_000
    began = time.perf_counter()
    train, validation = split(facts, 0.1, 1, list(range(100_000)))
    assert (len(train), len(validation)) == (90_000, 10_000)
    assert time.perf_counter() - began < 5


def test_share_is_kept_where_groups_are_small() -> None:
    facts = spoken(300, 100)
    _, validation = split(facts, 0.1, 1, [at // 3 for at in range(300)])
    assert len(validation) == pytest.approx(30, abs=2)


def test_one_large_group_does_not_fill_the_validation() -> None:
    facts = spoken(100, 0)
    _, validation = split(facts, 0.1, 3, [0] * 60 + list(range(1, 41)))
    assert len(validation) == 10


def test_seed_changes_the_parts() -> None:
    facts = spoken(60, 30)
    assert len({tuple(split(facts, 0.2, seed, list(range(60)))[1]) for seed in range(5)}) > 1


def test_near_duplicates_are_found_by_their_words() -> None:
    long = "I ordered a {} last week, it arrived with a scratch on the left side, and I want my money back by Friday."
    texts = [long.format(word) + mark for word in WORDS for mark in ("", " Please.")]
    train, validation = split(known(*texts), 0.2, 7)
    assert not {at // 2 for at in train} & {at // 2 for at in validation}


@pytest.mark.parametrize("share", [0, 1, -0.5, 10, float("nan")])
def test_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(QwenlabError, match="above 0 and below 1") as caught:
        split(spoken(3, 0), share, 1, [0, 1, 2])
    assert "比例" in caught.value.say("zh")[0]


@pytest.mark.parametrize("number", [0, 1, 4])
def test_set_that_cannot_be_divided_says_so(number: int) -> None:
    with pytest.raises(QwenlabError, match="nearly the same"):
        split(spoken(number, 0), 0.1, 1, [0] * number)
