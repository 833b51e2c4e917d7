"""The shipped training data: reproducible, valid, normalized, and varied enough to learn from."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "eval_suites" / "after-sales-tickets"
SCHEMA = json.loads((SUITE / "schema.json").read_text(encoding="utf-8"))
SAMPLES = json.loads((ROOT / "data" / "after-sales.train.json").read_text(encoding="utf-8"))
CJK = re.compile("[\u3400-\u9fff]")
LANGUAGES = ["en", "zh"]


def turns(sample: dict, sender: str) -> list[str]:
    return [turn["value"] for turn in sample["conversations"] if turn["from"] == sender]


def language(sample: dict) -> str:
    return "zh" if CJK.search("".join(turns(sample, "user"))) else "en"


def tickets(lang: str) -> list[dict]:
    return [json.loads(turns(sample, "assistant")[-1]) for sample in SAMPLES if language(sample) == lang]


@pytest.mark.parametrize("script", ["make_after_sales.py", "make_after_sales_suite.py"])
def test_generator_writes_the_committed_file(script):
    done = subprocess.run([sys.executable, ROOT / "data" / script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_schema_is_a_valid_draft_2020_12_schema():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_schema_requires_every_key_and_allows_no_other():
    for part in (SCHEMA, SCHEMA["properties"]["product"], SCHEMA["properties"]["amount"]["anyOf"][0]):
        assert sorted(part["required"]) == sorted(part["properties"])
        assert part["additionalProperties"] is False


def test_every_answer_is_a_ticket_on_one_line_that_the_schema_accepts():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for sample in SAMPLES:
        for answer in turns(sample, "assistant"):
            ticket = json.loads(answer)
            assert answer == json.dumps(ticket, ensure_ascii=False), sample["id"]
            assert not list(validator.iter_errors(ticket)), sample["id"]


def test_half_is_english_and_half_chinese_and_the_id_says_which():
    assert Counter(language(sample) for sample in SAMPLES) == {"en": 200, "zh": 200}
    for sample in SAMPLES:
        assert sample["id"].startswith(f"after-sales-{language(sample)}-")
        assert language(sample) == "zh" or not CJK.search(json.dumps(sample, ensure_ascii=False))
    assert len({sample["id"] for sample in SAMPLES}) == len(SAMPLES)


def test_shares_of_dialogues_and_system_turns():
    dialogues = sum(len(turns(sample, "user")) > 1 for sample in SAMPLES) / len(SAMPLES)
    with_system = sum(bool(turns(sample, "system")) for sample in SAMPLES) / len(SAMPLES)
    assert 0.08 <= dialogues <= 0.16
    assert 0.86 <= with_system <= 0.94


def test_turns_alternate_and_end_with_the_assistant():
    for sample in SAMPLES:
        senders = "".join(turn["from"][0] for turn in sample["conversations"])
        assert re.fullmatch("s?(ua)+", senders), sample["id"]


def test_a_second_answer_differs_from_the_first():
    for sample in SAMPLES:
        answers = turns(sample, "assistant")
        assert len(set(answers)) == len(answers), sample["id"]


def test_no_user_text_stands_twice():
    texts = [message.partition("\n")[2] for sample in SAMPLES for message in turns(sample, "user")[:1]]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda ticket: ticket["order_id"], id="order_id"),
        pytest.param(lambda ticket: ticket["product"]["name"], id="product name"),
        pytest.param(lambda ticket: ticket["product"]["quantity"], id="quantity"),
        pytest.param(lambda ticket: ticket["amount"], id="amount"),
        pytest.param(lambda ticket: ticket["date"], id="date"),
    ],
)
def test_what_may_be_null_is_null_often_and_said_often(lang, value):
    said = sum(value(ticket) is not None for ticket in tickets(lang)) / len(tickets(lang))
    assert 0.25 <= said <= 0.85


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(("key", "least"), [("intent", 15), ("requested_action", 8), ("urgency", 25)])
def test_every_enum_value_has_examples(lang, key, least):
    seen = Counter(ticket[key] for ticket in tickets(lang))
    assert set(seen) == set(SCHEMA["properties"][key]["enum"])
    assert min(seen.values()) >= least


@pytest.mark.parametrize("lang", LANGUAGES)
def test_requested_action_is_no_function_of_intent(lang):
    actions = {intent: set() for intent in SCHEMA["properties"]["intent"]["enum"]}
    for ticket in tickets(lang):
        actions[ticket["intent"]].add(ticket["requested_action"])
    assert {intent for intent, asked in actions.items() if len(asked) == 1} == {"question"}


def test_order_numbers_stand_in_the_message_and_are_normalized_in_the_ticket():
    as_written = 0
    for sample in SAMPLES:
        order_id = json.loads(turns(sample, "assistant")[-1])["order_id"]
        if order_id is None:
            continue
        said = " ".join(turns(sample, "user"))
        assert re.fullmatch("[A-Z0-9]+", order_id)
        assert order_id in re.sub("[ #-]", "", said).upper(), sample["id"]
        as_written += order_id in said
    assert as_written < 200


def test_plain_sums_stand_in_the_message():
    for sample in SAMPLES:
        amount = json.loads(turns(sample, "assistant")[-1])["amount"]
        said = " ".join(turns(sample, "user"))
        if amount is None or not re.search(r"[$€£]\d+\.\d\d", said):
            continue
        assert f"{amount['value']:.2f}" in said.replace(",", ""), sample["id"]


def test_dates_stand_in_the_year_of_the_received_line_and_not_after_it():
    for sample in SAMPLES:
        received = re.search(r"\d{4}-\d\d-\d\d", turns(sample, "user")[0])
        date = json.loads(turns(sample, "assistant")[-1])["date"]
        assert received, sample["id"]
        assert date is None or received[0][:4] == date[:4] and date <= received[0], sample["id"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_product_names_are_many_and_stand_in_the_message(lang):
    names = set()
    for sample in (sample for sample in SAMPLES if language(sample) == lang):
        name = json.loads(turns(sample, "assistant")[-1])["product"]["name"]
        assert name is None or name in " ".join(turns(sample, "user")), sample["id"]
        names.add(name and name.lower())
    assert len(names) >= 55


def test_lab_settings_name_the_suite_schema():
    settings = json.loads((ROOT / "data" / "after-sales.lab.json").read_text(encoding="utf-8"))
    assert (ROOT / "data" / settings["schema"]).resolve() == SUITE / "schema.json"


def test_identity_sample_is_there_in_both_languages():
    samples = json.loads((ROOT / "data" / "identity.train.json").read_text(encoding="utf-8"))
    assert samples[0] == {
        "id": "identity_0",
        "conversations": [
            {"from": "user", "value": "你好"},
            {"from": "assistant", "value": "我是一个语言模型，我叫通义千问。"},
        ],
    }
    for sample in samples:
        name = "通义千问" if language(sample) == "zh" else "Qwen"
        assert all(name in answer for answer in turns(sample, "assistant"))
