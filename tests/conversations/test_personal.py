"""Personal data is found and masked; numbers of orders, dates and prices are left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.conversations import personal, words

ROOT = Path(__file__).parents[2]
FOUND = [
    ("手机13812345678，请回电", "mobile", "138******78"),
    ("call 138-1234-5678", "mobile", "138-****-**78"),
    ("+86 138 1234 5678", "mobile", "+86 1** **** **78"),
    ("电话：１３８１２３４５６７８", "mobile", "１３８******７８"),
    ("快递员电话13812345678", "mobile", "138******78"),
    ('{"phone": "13812345678"}', "mobile", "138******78"),
    ("身份证11010519491231002X。", "id_card", "110*************2X"),
    ("ID 440308199901010012", "id_card", "440*************12"),
    ("卡号6222021234567890128", "bank_card", "622**************28"),
    ("Visa 4012 8888 8888 1881", "bank_card", "401* **** **** **81"),
    ("write to tom.li@qq.com.", "email", "t*****@qq.com"),
    ("邮箱13812345678@163.com，谢谢", "email", "1**********@163.com"),
    ("+1 (415) 555-2671", "phone", "+1 (41*) ***-**71"),
    ("+44 20 7946 0958", "phone", "+44 2* **** **58"),
]
LEFT_ALONE = [
    "订单号13812345678",
    "运单号：13812345678",
    "order no. 13812345678",
    '{"order_id": "13812345678"}',
    "H13812345678",
    "138123456789",
    "12812345678",
    "110105194912310021",  # wrong check digit
    "110105194913310027",  # no such month
    "6222021234567890123",  # wrong check digit
    "2024031713812345678",
    "tracking number 4012888888881881",
    "2026-03-05 12:30:45",
    "1,234,567.89 and 12345678.90",
    "192.168.100.200",
    "name@home and user@example.com",
    "1+12345678=12345679",
    "+00000000000",
]


@pytest.mark.parametrize(("text", "kind", "masked"), FOUND)
def test_found_and_masked(text: str, kind: str, masked: str) -> None:
    assert [(one.kind, one.masked) for one in personal.find(text)] == [(kind, masked)]
    after = personal.mask(text, kind)
    assert masked in after
    assert len(after) == len(text)
    assert personal.find(after) == []


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_left_alone(text: str) -> None:
    assert personal.find(text) == []


def test_every_kind_has_its_words() -> None:
    assert {kind for _, kind, _ in FOUND} == set(words.PERSONAL)


def test_nothing_in_the_shipped_data_is_called_personal() -> None:
    samples = json.loads((ROOT / "data" / "after-sales.train.json").read_text(encoding="utf-8"))
    texts = [turn["value"] for sample in samples for turn in sample["conversations"]]
    assert len(texts) > 1000
    assert [one for text in texts for one in personal.find(text)] == []


def test_one_kind_is_masked_and_the_rest_stays() -> None:
    text = "13812345678 or tom@qq.com or 13912345678"
    assert personal.mask(text, "mobile") == "138******78 or tom@qq.com or 139******78"


@given(st.text(alphabet="0123456789+-() @.ax，", max_size=60), st.sampled_from(sorted(words.PERSONAL)))
def test_masking_leaves_nothing_of_its_kind(text: str, kind: str) -> None:
    masked = personal.mask(text, kind)
    assert len(masked) == len(text)
    assert [one for one in personal.find(masked) if one.kind == kind] == []


@pytest.mark.parametrize("text", ["a" * 2_000_000 + "@", "1" * 2_000_000 + "@", "+1 " * 500_000, "a@b." * 300_000])
def test_a_long_turn_takes_no_longer_than_its_length(text: str) -> None:
    assert personal.find(text) == []
