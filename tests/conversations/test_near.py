"""Near-duplicates: what is alike is found, what only shares a template is not."""

from __future__ import annotations

import json
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenlab.conversations import near
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import Sample

SHIPPED = Path(__file__).parents[2] / "data" / "after-sales.train.json"
ENGLISH = (
    "Hello, I bought the red kettle in your shop on 3 March and it leaks from the bottom whenever I fill it. "
    "Please refund the 25 dollars that I paid, or send me another one; my order number is H77185531. Thank you!"
)
CHINESE = (
    "你好，我上周在你们店买的红色电热水壶漏水了，每次装满水底部都会渗出来，厨房台面全湿了。订单号是20240317，"
    "付款二十五元，请尽快退款或者换一个新的给我，也请告诉我旧的要不要寄回去，运费由谁来承担，谢谢你们的帮助。"
)


def facts(*talks: str | list[tuple[str, str]]) -> list[Facts]:
    pairs = [[("user", talk), ("assistant", "ok")] if isinstance(talk, str) else talk for talk in talks]
    return [Facts(Sample.make(f"sample {at}", turns)) for at, turns in enumerate(pairs)]


def runs(text: str) -> set[str]:
    return {text[at : at + near.GRAM] for at in range(len(text) - near.GRAM + 1)}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (ENGLISH, ENGLISH.replace("kettle", "ketle"), True),
        (ENGLISH, ENGLISH.upper(), True),
        (ENGLISH, ENGLISH + " Regards, Tom", True),
        (ENGLISH, ENGLISH.replace("the red kettle", "a blue lamp").replace("leaks from", "is broken at"), False),
        (CHINESE, CHINESE.replace("红色", "蓝色"), True),
        (CHINESE, "您好！" + CHINESE, True),
        (CHINESE, CHINESE.replace("电热水壶漏水", "台灯不亮").replace("厨房台面全湿", "晚上没法看书"), False),
        (ENGLISH, CHINESE, False),
        ("My name is Tom Miller, from London.", "My name is Tom Miller, from London!", False),
        ("", "", False),
    ],
)
def test_alike_is_what_differs_in_little(one: str, other: str, alike: bool) -> None:
    assert near.pairs(facts(one, other)) == ([(0, 1)] if alike else [])


def test_groups_reach_through_others_and_carry_the_first_position() -> None:
    chain = [ENGLISH, ENGLISH + " Regards, Tom", ENGLISH + " Regards, Tom Miller of London"]
    assert near.groups(facts(CHINESE, chain[2], chain[0], CHINESE, "unlike", chain[1])) == [0, 1, 1, 0, 4, 1]


def test_equal_samples_are_one_group_however_short() -> None:
    assert near.groups(facts("a", "b", "a")) == [0, 1, 0]


def test_a_long_system_turn_makes_nothing_alike() -> None:
    system = ("system", "".join(random.Random(1).choices("abcdefghijklmnop ", k=3000)))
    talks = [[system, ("user", text), ("assistant", "ok")] for text in (ENGLISH, "Where is my parcel?", CHINESE)]
    assert near.groups(facts(*talks)) == [0, 1, 2]


def test_one_of_two_without_the_system_turn_is_still_alike() -> None:
    talk = [("user", ENGLISH), ("assistant", "ok")]
    system = ("system", "".join(random.Random(1).choices("abcdefghijklmnop ", k=500)))
    assert near.groups(facts([system, *talk], talk)) == [0, 0]


def test_samples_that_cannot_be_read_are_not_alike() -> None:
    broken = [Facts(Sample({"id": str(at), "messages": [{"content": ENGLISH}]})) for at in range(3)]
    assert near.groups(broken) == [0, 1, 2]


def test_shipped_samples_of_one_template_are_not_alike() -> None:
    samples = json.loads(SHIPPED.read_text(encoding="utf-8"))
    assert near.pairs([Facts(Sample(raw)) for raw in samples]) == []


def test_what_was_signed_is_not_signed_again() -> None:
    known = facts(ENGLISH, CHINESE)
    near.sign(known)
    before = known[0].near
    known[1] = facts(ENGLISH[:100])[0]
    near.groups(known)
    assert known[0].near is before
    assert np.array_equal(known[1].near, near.signature(ENGLISH[:100] + "\nok"))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 0.2))
def test_signatures_agree_in_the_share_of_common_runs(seed: int, changed: float) -> None:
    rng = random.Random(seed)
    one = "".join(rng.choices("abcdefgh你我他好吗谢", k=400))
    other = "".join(rng.choice("xyz") if rng.random() < changed else sign for sign in one)
    first, second = near.signature(one), near.signature(other)
    estimate = (first == second).sum() / ((first | second) != 0).sum()
    true = len(runs(one) & runs(other)) / len(runs(one) | runs(other))
    assert abs(estimate - true) < 0.2


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_no_pair_is_missed_that_comparing_each_with_each_finds(seed: int) -> None:
    rng = random.Random(seed)
    texts = ["".join(rng.choices("abc你好", k=rng.randint(5, 300))) for _ in range(3)]
    while len(texts) < 8:
        text = list(rng.choice(texts))
        for _ in range(rng.randint(0, 3)):
            text[rng.randrange(len(text))] = rng.choice("xyz")
        texts.append("".join(text))
    known = facts(*texts)
    wanted = list(range(len(texts)))
    near.sign(known)
    for one, other in combinations(range(len(texts)), 2):
        first, second = known[one].near, known[other].near
        same, filled = ((first == second) & (first != 0)).sum(), ((first | second) != 0).sum()
        if known[one].same == known[other].same or (filled and same >= near.ALIKE * filled - 1e-9):
            low, high = sorted((wanted[one], wanted[other]))
            wanted = [low if group == high else group for group in wanted]
    assert near.groups(known) == wanted
