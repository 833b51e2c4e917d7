"""Small suites for tests, one of JSON cases and one of text cases; and what a result says whenever it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qwenlab.evals.suite import Suite, suite_from

TICKET_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["intent", "amount"],
    "additionalProperties": False,
    "properties": {
        "intent": {"enum": ["refund", "repair", "other"]},
        "date": {"type": ["string", "null"], "format": "date"},
        "amount": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "required": ["value", "currency"],
                    "additionalProperties": False,
                    "properties": {"value": {"type": "number"}, "currency": {"type": "string"}},
                },
            ]
        },
    },
}

TICKETS: dict[str, Any] = {
    "name": "tickets",
    "system": "Answer with one ticket in JSON.",
    "schema": TICKET_SCHEMA,
    "fields": {
        "/intent": {"rule": "enum", "critical": True},
        "/amount/value": {"rule": "number", "tolerance": 0.01, "weight": 2},
        "/amount/currency": "text",
        "/date": "date",
    },
    "cases": [
        {"id": "c1", "prompt": "Refund 5 yuan!", "tags": ["money"],
         "expected": {"intent": "refund", "amount": {"value": 5, "currency": "CNY"}}},
        {"id": "c2", "prompt": "水壶坏了，请修理。", "expected": {"intent": "repair", "amount": None}},
        {"id": "c3", "expected": {"intent": "other", "amount": None, "date": "2024-03-17"}, "group": "g", "system": "",
         "history": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
                     {"role": "user", "content": "When do you open? It is 17 March 2024."}]},
    ],
}  # fmt: skip

FACTS: dict[str, Any] = {
    "name": "facts",
    "cases": [
        {"id": "t1", "prompt": "Capital of France?", "expected": "Paris"},
        {"id": "t2", "prompt": "Name two colours", "rule": "contains", "expected": ["red", "blue"]},
        {"id": "t3", "prompt": "Be polite", "rule": "not_contains", "expected": "idiot"},
        {"id": "t4", "prompt": "Year?", "rule": "regex", "expected": "\\b2024\\b"},
        {"id": "t5", "prompt": "是或否？", "rule": "any_of", "expected": ["是", "是的"]},
    ],
}


def tickets(**changes: Any) -> Suite:
    """The JSON suite, with top-level keys changed."""
    return suite_from({**TICKETS, **changes}, "suite.yaml")


def facts() -> Suite:
    """The text suite."""
    return suite_from(FACTS, "suite.yaml")


CLOCK = {"tokens_per_s", "answer_seconds", "wall", "seconds", "at", "time"}
"""Keys of a result that depend on the clock."""


def without_times(folder: Path) -> dict[str, Any]:
    """All JSON of a result folder with what depends on the clock taken out."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stripped(item) for key, item in value.items() if key not in CLOCK}
        return [stripped(item) for item in value] if isinstance(value, list) else value

    found = {}
    for path in sorted(folder.rglob("*.json*")):
        text = path.read_text(encoding="utf-8")
        content: Any
        if path.suffix == ".jsonl":
            lines = [json.loads(line) for line in text.splitlines()]
            content = sorted(lines, key=lambda line: (line["case"], line.get("repeat", 0)))
        else:
            content = json.loads(text)
        found[str(path.relative_to(folder))] = stripped(content)
    return found
