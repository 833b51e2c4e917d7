"""Suites of any shape are read, or refused in one sentence in both languages; nothing else ever comes out."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from small_suites import FACTS, TICKETS

from qwenlab.errors import QwenlabError
from qwenlab.evals import suite_edit
from qwenlab.evals.scoring import score_answer
from qwenlab.evals.suite import load_suite
from qwenlab.evals.suite_check import examine
from qwenlab.evals.suite_files import read_written

WORDS = st.sampled_from(
    [
        "name",
        "cases",
        "schema",
        "fields",
        "id",
        "prompt",
        "expected",
        "history",
        "role",
        "content",
        "rule",
        "regex",
        "(",
    ]
    + ["items", "values", "weight", "critical", "accept", "tags", "/a", "/intent", "/amount/value", "*", "~", "", "c1"]
    + ["cases.jsonl", "../x", "\x00", "type", "object", "$ref", "#/x", "pattern", "enum", "thresholds", "usable", "zh"]
    + ["number", "date", "2024-03-17", "(a+)+", "properties", "required", "anyOf", "generation", "max_new_tokens"]
)
SCALAR = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([1e300, -0.5, 10**400, 0.01]) | WORDS
VALUE = st.recursive(
    SCALAR | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(found for key, below in inner for found in places(below, (*way, key)))]


@st.composite
def nearly_right(draw: st.DrawFn) -> Any:
    """A real suite with a few places replaced, or taken out, or given other keys."""
    suite = copy.deepcopy(draw(st.sampled_from([TICKETS, FACTS])))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(suite)[1:])) or [None]
        holder: Any = suite
        for key in way:
            holder = holder[key]
        match draw(st.integers(0, 2)):
            case 0:
                holder[last] = draw(VALUE)
            case 1:
                del holder[last]
            case _ if isinstance(holder, dict):
                holder[draw(WORDS)] = draw(VALUE)
        if not isinstance(suite, dict) or not suite:
            break
    return suite


def only_our_errors(folder: Path) -> None:
    """Everything that reads a suite; whatever goes wrong is said by us, in both languages."""
    for look in (load_suite, _examined, _scored):
        said = _said(look, folder)
        assert said is None or (said.what and said.zh and said.zh[0])


def _said(look: Callable[[Path], object], folder: Path) -> QwenlabError | None:
    try:
        look(folder)
    except QwenlabError as error:
        return error
    return None


def _examined(folder: Path) -> None:
    written = read_written(folder)
    found = examine(written)
    assert all(fault.error.zh for fault in found.faults)
    assert (_said(load_suite, folder) is None) == (not found.faults)
    suite_edit.changes(written, suite_edit.with_head(written, description="x"))


def _scored(folder: Path) -> None:
    suite = load_suite(folder)
    for case in suite.cases:
        for text in ("", "{}", '{"intent": "refund", "amount": null}', "a" * 60, json.dumps(case.expected)):
            score_answer(suite, case, text)


@settings(max_examples=300, deadline=None)
@given(nearly_right() | st.fixed_dictionaries({"cases": VALUE}, optional={"schema": VALUE, "fields": VALUE}) | VALUE)
def test_a_tree_of_any_shape(content: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "suite.json").write_text(json.dumps(content), encoding="utf-8")
        only_our_errors(Path(scratch))


@settings(max_examples=150, deadline=None)
@given(st.lists(nearly_right() | VALUE, min_size=1, max_size=3), st.sampled_from(["jsonl", "yaml", "json"]))
def test_cases_of_any_shape_in_a_file_of_their_own(rows: list[Any], ending: str) -> None:
    text = "\n".join(map(json.dumps, rows)) if ending == "jsonl" else json.dumps(rows)
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / f"cases.{ending}").write_text(text, encoding="utf-8")
        content = {**TICKETS, "cases": [f"cases.{ending}", TICKETS["cases"][0]]}
        (Path(scratch) / "suite.json").write_text(json.dumps(content), encoding="utf-8")
        only_our_errors(Path(scratch))


SUITE_LINES = ["name: s", "cases:", "- id: c1", "  prompt: q", "  expected: {a: 1}", "schema: {}", "fields:"]
ODD_LINES = ["cases: [", "]", "- &a [*a]", "- *a", "? x", ": y", "!!binary x", "--- ", "...", "\t- x", "%TAG ! x", "'"]
LINES = st.lists(st.sampled_from(SUITE_LINES) | st.sampled_from(ODD_LINES) | st.text(max_size=8), max_size=10)


@settings(max_examples=250, deadline=None)
@given(LINES)
def test_text_of_any_shape(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "suite.yaml").write_text("\n".join(lines), encoding="utf-8", errors="replace")
        only_our_errors(Path(scratch))


CELLS = st.sampled_from(
    ["id", "prompt", "expected", "expected.a", "expected./b/c", "expected.", "expected/", "tags", "rule"]
)
TABLE = st.lists(st.lists(CELLS | st.text(max_size=4) | WORDS, min_size=1, max_size=5), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(TABLE, st.binary(max_size=20), st.booleans())
def test_tables_of_any_shape(rows: list[list[str]], rubbish: bytes, with_schema: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"properties": {"c": {"type": "null"}}}}}
    content = {"name": "n", "cases": "cases.csv", **({"schema": schema} if with_schema else {})}
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "suite.json").write_text(json.dumps(content), encoding="utf-8")
        text = "\n".join(",".join(row) for row in rows).encode("utf-8", "replace")
        (Path(scratch) / "cases.csv").write_bytes(text + rubbish)
        only_our_errors(Path(scratch))


def test_a_suite_of_bytes(tmp_path: Path) -> None:
    for content in (b"", b"\xff\xfe", b"\x00" * 9, b"\xef\xbb\xbf", b"name: " + b"\xf0\x9f" * 3):
        (tmp_path / "suite.yaml").write_bytes(content)
        only_our_errors(tmp_path)
