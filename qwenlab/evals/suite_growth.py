"""A suite that grows: one more case, written so that the suite's own text and comments stay as they are."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import yaml

from qwenlab import files
from qwenlab.conversations import strict_json
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.errors import QwenlabError
from qwenlab.evals import audit
from qwenlab.evals.bilingual import why_not_json
from qwenlab.evals.suite import SUITE_FILES, load_suite, suite_from
from qwenlab.evals.suite_model import Suite
from qwenlab.models.contestant import Message
from qwenlab.workspace import Workspace

ADDED = "added.jsonl"
"""The file beside a suite that takes its new cases, where the suite has no JSONL file yet."""
_GROWING = threading.Lock()


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
    with _GROWING:
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
        own = _own(workspace, path)
        _write(own, raw, len(suite.cases) + 1)
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


def _own(workspace: Workspace, path: Path) -> Path:
    """The suite where it may be written: a copy in the workspace unless it lies there already."""
    if path.resolve().is_relative_to(workspace.suites.resolve()):
        return path
    target = workspace.suites / path.name
    if target.exists():
        raise QwenlabError(
            f"The workspace holds another suite named {path.name} already.",
            "Rename one of the two.",
            zh=(f"工作区中已有另一个名为 {path.name} 的测试集。", "请给其中一个改名。"),
        )
    making = workspace.suites / f".{path.name}.making"
    shutil.rmtree(making, ignore_errors=True)
    if path.is_dir():
        shutil.copytree(path, making)
        making.rename(target)
    else:
        files.write_bytes(target, path.read_bytes())
    return target


# --- writing ---------------------------------------------------------------------------------------------


def _write(path: Path, raw: dict[str, Any], cases: int) -> None:
    """Change the files of a suite, once a copy of them with the change has been read and counted."""
    file = path if path.is_file() else next(path / name for name in SUITE_FILES if (path / name).is_file())
    changed = _changes(file, raw)
    with TemporaryDirectory() as scratch:
        trial = Path(scratch) / file.parent.name
        beside = [
            one for one in file.parent.iterdir() if one.is_file() and (path.is_dir() or one.stat().st_size < 2**26)
        ]
        trial.mkdir()
        for one in beside:
            shutil.copyfile(one, trial / one.name)
        for name, text in changed.items():
            (trial / name).write_text(text, encoding="utf-8")
        if len(load_suite(trial / file.name).cases) != cases:
            raise QwenlabError(
                f"A case cannot be added to {file} without rewriting it.",
                f'Write the name of a file into its "cases", such as {ADDED}.',
                zh=(f"不改写 {file} 就无法加入用例。", f"请在它的“cases”中写上一个文件名，例如 {ADDED}。"),
            )
    for name, text in changed.items():  # the cases first: a suite must never name a file that is not there
        files.write_text(file.parent / name, text)


def _changes(file: Path, raw: dict[str, Any]) -> dict[str, str]:
    """File name -> new text, in the order to write them."""
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
