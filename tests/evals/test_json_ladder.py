"""The JSON ladder: every rung and every known trap."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.evals.json_ladder import classify

STRICT = [
    ("object", '{"a": 1}', {"a": 1}),
    ("json white space around it", ' \t\r\n{"a":1}\n', {"a": 1}),
    ("array", "[1, 2.5, -0]", [1, 2.5, 0]),
    ("string", '"订单"', "订单"),
    ("null", "null", None),
    ("number", "-12.5e3", -12500.0),
    ("big integer kept exactly", "[12345678901234567890123456789]", [12345678901234567890123456789]),
    ("surrogate pair", '["\\ud83d\\ude00"]', ["😀"]),
    ("fence inside a string", '{"a": "```json"}', {"a": "```json"}),
    ("think tag inside a string", '{"a": "<think>"}', {"a": "<think>"}),
    ("full-width digits in a string", '{"a": "１２"}', {"a": "１２"}),
    ("nested 200 deep", "[" * 200 + "]" * 200, None),
]


@pytest.mark.parametrize(("text", "value"), [row[1:] for row in STRICT], ids=[row[0] for row in STRICT])
def test_a_reply_that_is_one_rfc_8259_value_is_strict(text, value):
    reading = classify(text)
    assert (reading.rung, reading.flags) == ("strict", ())
    assert reading.parsed
    if value is not None:
        assert reading.value == value


FENCED = [
    ("with language tag", '```json\n{"a": 1}\n```'),
    ("without language tag", '```\n{"a": 1}\n```'),
    ("other language tag", '```javascript\n{"a": 1}\n```'),
    ("white space around it", '\n ```JSON \n\n{"a": 1}\n\n```\n'),
    ("tildes", '~~~\n{"a": 1}\n~~~'),
    ("four backticks", '````json\n{"a": 1}\n````'),
]


@pytest.mark.parametrize("text", [row[1] for row in FENCED], ids=[row[0] for row in FENCED])
def test_one_fence_and_nothing_else_is_fenced(text):
    reading = classify(text)
    assert (reading.rung, reading.value, reading.flags) == ("fenced", {"a": 1}, ())


EXTRACTED = [
    ("prose before", 'Here you are: {"a": 1}', ()),
    ("prose after", '{"a": 1}\nI hope this helps!', ()),
    ("prose around a fence", 'Sure:\n```json\n{"a": 1}\n```\nBye', ()),
    ("closed think", '<think>first {"a": 2}, no</think>\n{"a": 1}', ("think_leak",)),
    ("think closed but never opened", 'let me see {"a": 2}</think>{"a": 1}', ("think_leak",)),
    ("think before a fence", '<think>hm</think>\n```json\n{"a": 1}\n```', ("think_leak",)),
    ("byte order mark", '\ufeff{"a": 1}', ("byte_order_mark",)),
    ("no-break space", '\u00a0{"a": 1}', ()),
    ("brackets in prose", 'As asked [see above] and {so on}: {"a": 1}', ()),
    ("a lone quote in prose", 'The 5" one: {"a": 1}', ()),
    ("brackets inside a string", 'Yes: {"a": 1} [really', ()),
    ("fence on one line", '```{"a": 1}```', ()),
]


@pytest.mark.parametrize(("text", "flags"), [row[1:] for row in EXTRACTED], ids=[row[0] for row in EXTRACTED])
def test_one_value_among_other_things_is_extracted(text, flags):
    reading = classify(text)
    assert (reading.rung, reading.value, reading.flags) == ("extracted", {"a": 1}, flags)


REPAIRED = [
    ("trailing comma", '{"a": 1,}', ()),
    ("single quotes", "{'a': 1}", ()),
    ("unquoted key", "{a: 1}", ()),
    ("cut off", '{"a": 1', ()),
    ("NaN", '{"a": NaN}', ("not_a_number",)),
    ("duplicate keys", '{"a": 0, "a": 1}', ("duplicate_keys",)),
    ("duplicate keys in a fence", '```json\n{"a": 0, "a": 1}\n```', ("duplicate_keys",)),
    ("comment", '{"a": 1 /* one */}', ()),
    ("raw newline in a string", '{"a": "x\ny"}', ()),
    ("full-width digit as number", '{"a": １}', ()),
    ("Chinese quotes and colon", "{“a”：“退款”}", ()),
    ("words around it, placeholders among them", 'Dear [Your Name], the ticket: {"a": 1,} [see below]', ()),
    ("cut off inside: its parts are not the answer", '{"a": 1, "b": [{"c": 1}], "d', ()),
]


@pytest.mark.parametrize(("text", "flags"), [row[1:] for row in REPAIRED], ids=[row[0] for row in REPAIRED])
def test_what_only_a_repair_library_reads_is_repaired_and_not_parsed(text, flags):
    reading = classify(text)
    assert (reading.rung, reading.flags) == ("repaired", flags)
    assert "a" in reading.value
    assert not reading.parsed


NONE = [
    ("empty", "", ("empty",)),
    ("white space", " \n\t", ("empty",)),
    ("prose", "I cannot help with that.", ()),
    ("two values", '{"a": 1}{"a": 2}', ("several_values",)),
    ("two lines", '{"a": 1}\n{"a": 1}', ("several_values",)),
    ("two fences", '```\n{"a": 1}\n```\n```\n{"b": 1}\n```', ("several_values",)),
    ("one whole, one broken", '{"a": 1} or {"a": 1,}', ("several_values",)),
    ("unclosed think", '<think>so {"a": 1}', ("think_leak",)),
    ("bare NaN", "NaN", ("not_a_number",)),
    ("bare Infinity", "-Infinity", ("not_a_number",)),
    ("overflowing number", "1e999", ("number_too_large",)),
    ("overflowing number inside", "[-1e999]", ("number_too_large",)),
    ("integer beyond Python's digit limit", "9" * 5000, ("number_too_large",)),
    ("lone surrogate, escaped", '["\\ud800"]', ("lone_surrogate",)),
    ("lone surrogate, raw", '["\ud800"]', ("lone_surrogate",)),
    ("full-width digit", "５", ()),
    ("python literal", "True", ()),
    ("number with prose", "It is 5", ()),
    ("nested too deep", "[" * 201 + "]" * 201, ("too_deep",)),
    ("only thinking", "<think>hm</think>", ("think_leak",)),
]


LETTERS = [
    ("letter", "Dear [Your Name],\n\nThank you for your message. We will refund 5 yuan.\n\nBest regards,\n[Agent]"),
    ("letter with lists of placeholders", "Dear [First Name, Last Name], your order [number: see above] is sent."),
    ("Chinese letter", "尊敬的[客户姓名]，您好！\n\n您的订单[订单号]已经发出，预计三天内送达。\n\n此致\n[公司名称]"),
    ("Chinese placeholders after a colon", "【工单】\n姓名：[请填写]\n电话：[请填写，必填]\n问题：{水壶坏了}"),
    ("template braces", "Hello {name}, please send {order_number} to {service team}."),
    ("citation", "According to the warranty [see section 3], repairs are free."),
    ("check list", "- [x] refund\n- [o] repair"),
    ("Markdown link", "Please fill in [the form](https://example.com/form) and send it back."),
    ("key and value lines", "intent: refund\namount: 5\ncurrency: CNY [yuan]"),
    ("Chinese key and value lines", "意图：退款\n金额：5 元（[人民币]）"),
    ("program", "def total(items):\n    return sum(item[price] for item in items)"),
    ("begun as JSON, goes on as a letter",
     '{"intent": "refund", we are very sorry that your kettle broke. Please send it back to the shop, and we will '
     "return the money within three days."),
    ("begun as JSON, goes on in Chinese",
     '{"意图": "退款" 非常抱歉您的水壶坏了，请将它寄回购买的商店，我们会在三天之内退款'),
]  # fmt: skip


@pytest.mark.parametrize("text", [row[1] for row in LETTERS], ids=[row[0] for row in LETTERS])
def test_prose_with_brackets_in_it_is_no_json(text):
    reading = classify(text)
    assert (reading.rung, reading.value, reading.flags) == ("none", None, ())


TICKETS = [
    ("cut off at the length limit", '{"intent": "refund", "amount": {"value": 5, "currency": "CN', "intent"),
    ("cut off in an open fence", '```json\n{"intent": "refund", "reason": "The kettle', "intent"),
    ("comments", '{\n  "intent": "refund", // the customer wants the money\n  "amount": 5 // in yuan\n}', "intent"),
    ("Python", "{'intent': 'refund', 'open': True, 'amount': None}", "intent"),
    ("prose around it", 'Here is the ticket, [Agent]:\n{"intent": "refund", "amount": 5,}\nAnything else?', "intent"),
    ("missing commas", '{\n  "intent": "refund"\n  "amount": 5\n}', "intent"),
    ("Chinese, cut off", '{"意图": "退款", "原因": "水壶坏了，客户要求', "意图"),
    ("Chinese quotes", "{“意图”：“退款”，“金额”：5}", "意图"),
    ("Chinese prose around it", "好的，工单如下：\n{'意图': '退款', '金额': 5}\n请查收，[客户姓名]。", "意图"),
    ("Chinese with an unescaped quote", '{"意图": "退款", "原因": "客户说"坏了""}', "意图"),
]


@pytest.mark.parametrize(("text", "key"), [row[1:] for row in TICKETS], ids=[row[0] for row in TICKETS])
def test_broken_json_of_small_models_is_repaired(text, key):
    reading = classify(text)
    assert reading.rung == "repaired"
    assert reading.value[key] in ("refund", "退款")


@pytest.mark.parametrize(("text", "flags"), [row[1:] for row in NONE], ids=[row[0] for row in NONE])
def test_the_rest_stands_on_no_rung(text, flags):
    reading = classify(text)
    assert (reading.rung, reading.value, reading.flags) == ("none", None, flags)
    assert not reading.parsed


@pytest.mark.parametrize("text", ["01", "+1", ".5", "1.", "1e", "'a'", "[1,]", '{"a":1}\x00', '"\t"', '"\\x41"', "tru"])
def test_what_rfc_8259_forbids_is_not_strict(text):
    assert classify(text).rung != "strict"


ADVERSARIAL = [
    "[", "{", '{"a":', '"', '\\"', '{"a":1}', "[x ", '[x "', '{ "', "<think>", "</think>", "```json\n", "```\n{}\n",
    "[1,", "[x] ", "{{", "}", "~", "~~~\n", "`", "\n ", '[x "\\"', "{'a':'", '{"a":"b" ', "\\",
    "{“", "{a", "{a：", "[1，", "“", "{ ",
]  # fmt: skip


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_hostile_text_takes_linear_time(unit):
    text = (unit * 100_000)[:100_000]
    start = time.process_time()
    reading = classify(text)
    assert time.process_time() - start < 3
    assert reading.rung in ("none", "repaired")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_whatever_json_dumps_writes_is_strict_and_read_back(value, ascii_only):
    reading = classify(json.dumps(value, ensure_ascii=ascii_only))
    assert (reading.rung, reading.value, reading.flags) == ("strict", value, ())


@given(json_values)
def test_a_fence_around_any_json_is_fenced(value):
    reading = classify(f"```json\n{json.dumps(value, ensure_ascii=False, indent=1)}\n```")
    assert (reading.rung, reading.value) == ("fenced", value)


@given(st.dictionaries(st.text(), json_values, max_size=3))
def test_an_object_in_a_letter_is_extracted_whatever_placeholders_stand_around(value):
    text = f"Dear [Your Name], 您好 {{客户}}:\n{json.dumps(value, ensure_ascii=False)}\n[Agent, see above]"
    reading = classify(text)
    assert (reading.rung, reading.value, reading.flags) == ("extracted", value, ())


@given(st.text(alphabet='{}[]":,\\ax1 `\n<think>/'))
def test_no_text_crashes_the_ladder(text):
    assert classify(text).rung in ("strict", "fenced", "extracted", "repaired", "none")
