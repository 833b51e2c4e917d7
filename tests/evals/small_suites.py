"""Small suites for tests, one of JSON cases and one of text cases."""

from __future__ import annotations

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
