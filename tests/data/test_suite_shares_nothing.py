"""The shipped suite: sound in itself, and apart from the training data in templates, products and texts."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "eval_suites" / "after-sales-tickets"
sys.path.insert(0, str(ROOT / "data"))

import after_sales_chinese  # noqa: E402
import after_sales_english  # noqa: E402
import after_sales_suite_templates as templates  # noqa: E402
from after_sales_ticket import CJK, SYSTEM  # noqa: E402

SETTINGS = yaml.safe_load((SUITE / "suite.yaml").read_text(encoding="utf-8"))
CASES = [
    json.loads(line) for name in SETTINGS["cases"] for line in (SUITE / name).read_text(encoding="utf-8").splitlines()
]
SAMPLES = json.loads((ROOT / "data" / "after-sales.train.json").read_text(encoding="utf-8"))
WORDS = {"en": after_sales_english, "zh": after_sales_chinese}


def case_text(case: dict) -> str:
    turns = case.get("history") or [{"role": "user", "content": case["prompt"]}]
    return "\n".join(turn["content"] for turn in turns if turn["role"] == "user")


def sample_text(sample: dict) -> str:
    return "\n".join(turn["value"] for turn in sample["conversations"] if turn["from"] == "user")


def five_grams(text: str) -> set[tuple[str, ...]]:
    """Runs of five words, a Chinese character counting as a word; the received line is left out."""
    tokens = re.findall("[\u3400-\u9fff]|[a-z0-9']+", text.partition("\n")[2].lower())
    return {tuple(tokens[start : start + 5]) for start in range(max(1, len(tokens) - 4))}


def names(catalogue: dict[str, list[tuple[str, str]]]) -> set[str]:
    return {one.lower() for items in catalogue.values() for one, _ in items}


def test_counts_of_languages_sources_and_dialogues():
    assert Counter("zh" if CJK.search(case_text(case)) else "en" for case in CASES) == {"en": 60, "zh": 60}
    sources = Counter((case["tags"][0], case["tags"][1]) for case in CASES)
    assert sources == {
        ("generated", "en"): 40, ("generated", "zh"): 40, ("handwritten", "en"): 20, ("handwritten", "zh"): 20,
    }  # fmt: skip
    assert sum("history" in case for case in CASES) == 8
    assert len({case["id"] for case in CASES}) == 120


def test_every_expected_ticket_satisfies_the_schema():
    validator = jsonschema.Draft202012Validator(json.loads((SUITE / "schema.json").read_text(encoding="utf-8")))
    for case in CASES:
        assert not list(validator.iter_errors(case["expected"])), case["id"]
        for turn in case.get("history", []):
            if turn["role"] == "assistant":
                assert not list(validator.iter_errors(json.loads(turn["content"]))), case["id"]


def test_system_prompts_are_those_of_the_training_data():
    assert SETTINGS["system"] == SYSTEM["en"]
    for case in CASES:
        assert case.get("system") == (SYSTEM["zh"] if CJK.search(case_text(case)) else None), case["id"]


def test_expected_facts_stand_in_the_message():
    for case in CASES:
        said, expected = case_text(case), case["expected"]
        if expected["order_id"]:
            assert expected["order_id"] in re.sub("[ #-]", "", said).upper(), case["id"]
        if expected["product"]["name"]:
            assert expected["product"]["name"] in said, case["id"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_enum_value_is_asked_for(lang):
    schema = json.loads((SUITE / "schema.json").read_text(encoding="utf-8"))
    for key in ("intent", "requested_action", "urgency"):
        seen = {case["expected"][key] for case in CASES if case["tags"][1] == lang}
        assert seen == set(schema["properties"][key]["enum"])


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_product_is_in_both_catalogues(lang):
    assert len(names(WORDS[lang].PRODUCTS)) >= 60
    assert not names(WORDS[lang].PRODUCTS) & names(templates.PRODUCTS[lang])


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_no_sentence_template_is_in_both_generators(lang):
    words = WORDS[lang]
    training = [story for stories in words.STORIES.values() for story in stories]
    training += [request for requests in words.REQUESTS.values() for request in requests]
    training += [line for lines in words.URGENCY.values() for line in lines] + words.ASIDES
    suite = [template.text + "\n" + template.follow for template in templates.TEMPLATES[lang]]
    for sentence in training:
        bare = re.sub(r"\{\w+\}", "", sentence).strip(" .!?。！？")
        long = len(bare.split()) > 3 if lang == "en" else len(bare) > 6
        assert not long or not [text for text in suite if bare in re.sub(r"\{\w+\}", "", text)], sentence


def test_no_case_is_near_a_training_sample():
    training = [(sample["id"], five_grams(sample_text(sample))) for sample in SAMPLES]
    for case in CASES:
        grams = five_grams(case_text(case))
        for sample_id, other in training:
            assert len(grams & other) < 0.2 * len(grams | other), (case["id"], sample_id)


def test_cases_of_one_template_share_a_group_and_handwritten_ones_stand_alone():
    groups = Counter(case.get("group", "") for case in CASES if case["tags"][0] == "generated")
    assert set(groups.values()) == {2}
    assert len(groups) == 40
    assert not [case["id"] for case in CASES if case["tags"][0] == "handwritten" and "group" in case]
