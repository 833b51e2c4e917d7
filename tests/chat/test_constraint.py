"""Answers forced into a schema: always valid, and what cannot be enforced is said."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from qwenlab.chat import arena, constraint
from qwenlab.chat.local_contestant import LocalContestant
from qwenlab.errors import QwenlabError
from qwenlab.models import loading
from qwenlab.models.contestant import Answer, Generation, Message

TICKET = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "likes": {"type": "array", "items": {"enum": ["tea", "咖啡"]}, "maxItems": 2},
    },
    "required": ["name", "age", "likes"],
    "additionalProperties": False,
}
ALICE = [Message(role="user", content="Alice is 30 years old and likes tea. Describe her.")]
STORY = [Message(role="user", content="Tell me a long story about a kettle.")]


@pytest.mark.parametrize(
    ("schema", "english", "chinese"),
    [
        (TICKET, [], []),
        (
            {"type": "array", "uniqueItems": True, "items": {"not": {"type": "null"}}},
            ["not cannot be enforced.", "uniqueItems cannot be enforced."],
            ["无法强制执行 not。", "无法强制执行 uniqueItems。"],
        ),
        (
            {"type": "string", "format": "iban"},
            ['The format "iban" cannot be enforced.'],
            ["无法强制执行格式“iban”。"],
        ),
        (
            {"oneOf": [{"type": "integer"}, {"type": "number"}]},
            ["oneOf is enforced as anyOf: more than one may fit."],
            ["oneOf 按 anyOf 执行：可能同时符合多项。"],
        ),
    ],
)
def test_what_cannot_be_enforced_is_said(schema: dict[str, Any], english: list[str], chinese: list[str]) -> None:
    said = constraint.unenforced(schema)
    assert [one for one, _ in said] == english
    assert [one for _, one in said] == chinese


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strin"}, "Invalid type: strin"),
        ({"type": "string", "pattern": "(?=a)b"}, "regex parse error"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "Unsatisfiable schema"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "not present"),
    ],
)
def test_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(QwenlabError, match=words) as caught:
        constraint.unenforced(schema)
    assert caught.value.say("zh")[0].startswith("无法强制回答符合该 JSON Schema：")


def answers(contestant: Any, talks: list[list[Message]], settings: Generation, schema: Any = None) -> list[Answer]:
    *_, columns = arena.stream([contestant] * len(talks), talks, settings, threading.Event(), schema)
    return [column.answer for column in columns if column.answer]


@pytest.mark.model
@pytest.mark.parametrize("temperature", [0.0, 1.5], ids=["greedy", "drawn"])
def test_base_model_that_never_gave_json_gives_valid_json(smollm2: Path, temperature: float) -> None:
    base = LocalContestant("base", loading.load(smollm2))
    settings = Generation(max_new_tokens=200, temperature=temperature, seed=1)
    free = answers(base, [ALICE, STORY], Generation(max_new_tokens=24))
    for answer in free:
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(answer.text)
    for answer in answers(base, [ALICE, STORY], settings, TICKET):
        assert answer.finish == "stop"
        jsonschema.validate(json.loads(answer.text), TICKET)


@pytest.mark.model
def test_forced_answer_can_still_be_cut_and_says_so(smollm2: Path) -> None:
    base = LocalContestant("base", loading.load(smollm2))
    (answer,) = answers(base, [ALICE], Generation(max_new_tokens=5), TICKET)
    assert answer.finish == "length"
    assert answer.text.startswith("{")


@pytest.mark.model
def test_schema_that_cannot_be_used_is_said_in_its_column(smollm2: Path) -> None:
    base = LocalContestant("base", loading.load(smollm2))
    (answer,) = answers(base, [ALICE], Generation(), {"type": "strin"})
    assert "cannot be forced into this JSON Schema" in answer.error
    assert answer.error_zh


@pytest.mark.model
def test_schema_is_compiled_once_for_each_tokenizer(smollm2: Path) -> None:
    loaded = loading.load(smollm2)
    first, again = (
        constraint.compiler(loaded.tokenizer, loaded.ends, loaded.model.config.vocab_size) for _ in range(2)
    )
    assert first is again
    one, two = first.constraint(TICKET), first.constraint(TICKET)
    before = two.allowed()
    one.take(loaded.tokenizer.encode("{")[0])
    assert one.allowed() != before
    assert two.allowed() == before, "answers do not share a state"
