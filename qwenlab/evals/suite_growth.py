"""A suite that grows: one more case, written so that the suite's own text and comments stay as they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from qwenlab.conversations import strict_json
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.errors import QwenlabError
from qwenlab.evals import audit, suite_store
from qwenlab.evals.bilingual import why_not_json
from qwenlab.evals.suite import load_suite, suite_from
from qwenlab.evals.suite_files import suite_file
from qwenlab.evals.suite_model import Suite
from qwenlab.models.contestant import Message
from qwenlab.workspace import Workspace

ADDED = "added.jsonl"
"""The file beside a suite that takes its new cases, where the suite has no JSONL file yet."""


@dataclass(frozen=True)
class Grown:
    """What came of it.

    Attributes:
        path: the suite, which for a shipped one is now the copy in the workspace.
        case: the id of the new case, or of the one that is there already.
        outcome: "added", "there" (the same case is there), or "contradicts" (the same question is there with
            another expected answer; nothing was written).
    """

    path: Path
    case: str
    outcome: Literal["added", "there", "contradicts"]


def add_case(workspace: Workspace, path: Path, messages: Sequence[Message], expected: str, stem: str) -> Grown:
    """Append a case to a suite; a suite outside the workspace is copied into it first.

    Args:
        path: the suite's folder or file.
        messages: the conversation up to the question, with its system turn if it has one.
        expected: the right answer as a person wrote it: JSON where the suite has a schema.
        stem: begins the id of the case.

    Raises:
        QwenlabError: when the case does not fit the suite, or the suite cannot be read or written.
    """
    with suite_store.WRITING:
        suite = load_suite(path)
        value = _expected(suite, expected)
        for case in suite.cases:
            if _same(case.messages(suite), messages):
                same = _canonical(case.expected) == _canonical(value)
                return Grown(path, case.id, "there" if same else "contradicts")
        name = next(f"{stem}-{at:04}" for at in range(1, len(suite.cases) + 2) if f"{stem}-{at:04}" not in suite.by_id)
        raw = _case(suite, name, messages, value)
        content = suite.to_json()
        audit.audit(suite_from({**content, "cases": [*content["cases"], raw]}, suite.name), suite.name)
        own = suite_store.own(workspace, path)
        file = own if own.is_file() else suite_file(own)
        assert file is not None, "the suite was read"
        suite_store.write(own, _changes(file, raw), lambda grown: len(grown.cases) == len(suite.cases) + 1)
        return Grown(own, name, "added")


def _expected(suite: Suite, text: str) -> Any:
    if not suite.is_json:
        return text.strip()
    try:
        return strict_json.read(text.strip())
    except NotJsonError as error:
        why = why_not_json(error)
        raise QwenlabError(
            f'The suite "{suite.name}" expects JSON, and the expected answer is none: {why.en}.',
            "Correct the expected answer.",
            zh=(f"测试集“{suite.name}”期望 JSON，而期望的回答不是：{why.zh}。", "请改正期望的回答。"),
        ) from error


def _same(known: Sequence[Message], messages: Sequence[Message]) -> bool:
    """Whether two conversations ask the same; spaces at the ends and the system turn make no difference."""
    left, right = (
        [(m["role"], m["content"].strip()) for m in one if m["role"] != "system"] for one in (known, messages)
    )
    return left == right


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def _case(suite: Suite, name: str, messages: Sequence[Message], expected: Any) -> dict[str, Any]:
    told = messages[0]["content"] if messages and messages[0]["role"] == "system" else ""
    turns = [one for one in messages if one["role"] != "system"]
    asked: dict[str, Any] = {"prompt": turns[-1]["content"]} if len(turns) == 1 else {"history": list(turns)}
    own = {} if told == suite.system else {"system": told}
    return {"id": name, **asked, **own, "expected": expected, "tags": ["compare"]}


# --- writing ---------------------------------------------------------------------------------------------


def _changes(file: Path, raw: dict[str, Any]) -> dict[str, str]:
    """File name -> new text; the cases first: a suite must never name a file that is not there."""
    text = file.read_text(encoding="utf-8-sig")
    line = json.dumps(raw, ensure_ascii=False)
    content = strict_json.read(text) if file.suffix == ".json" else yaml.safe_load(text)
    named = content["cases"]
    listed = [one for one in ([named] if isinstance(named, str) else named) if isinstance(one, str)]
    lines = next((name for name in reversed(listed) if name.endswith(".jsonl")), None)
    if lines is not None:
        before = (file.parent / lines).read_text(encoding="utf-8-sig")
        return {lines: before + ("" if before.endswith("\n") or not before else "\n") + line + "\n"}
    if file.suffix == ".json":
        content["cases"] = [*([named] if isinstance(named, str) else named), raw]
        return {file.name: json.dumps(content, ensure_ascii=False, indent=2) + "\n"}
    if listed:  # tables: the new case gets a file of its own
        return {ADDED: line + "\n", file.name: _in_yaml(text, ADDED, named)}
    return {file.name: _in_yaml(text, line, named)}


def _in_yaml(text: str, item: str, named: Any) -> str:
    """The text with one more entry in its list of cases; everything else stays as it is."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode), "the suite was read as a mapping"
    node = next(value for key, value in root.value if key.value == "cases")
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(named, str):
        return f"{text[:start]}[{text[start:end]}, {item}]{text[end:]}"
    if node.flow_style:
        return f"{text[: end - 1].rstrip().removesuffix(',')}, {item}]{text[end:]}"
    last = node.value[-1].end_mark.index
    rest = text[last:]
    # A block's last scalar ends behind its line; a flow value ends within it.
    cut = last if last and text[last - 1] == "\n" else last + (rest.find("\n") + 1 if "\n" in rest else len(rest))
    head = text[:cut] if text[:cut].endswith("\n") else text[:cut] + "\n"
    return f"{head}{' ' * node.start_mark.column}- {item}\n{text[cut:]}"
