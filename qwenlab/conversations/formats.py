"""Conversations from and to other forms: OpenAI messages, ShareGPT, Alpaca, CSV and Excel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import layout, strict_json, tables
from qwenlab.conversations.layout import Layout
from qwenlab.conversations.sample import ALIASES, Sample, as_text, to_json
from qwenlab.conversations.words import DataError, Language, json_reason

REFUSALS = {
    "row_not_object": ("it is not an object", "不是对象"),
    "row_unknown": ("it has none of the known keys", "没有可识别的键"),
    "row_turn": ("a turn is not an object with role and text", "有一轮不是带角色和文字的对象"),
    "row_no_question": ("the question is empty", "问题为空"),
    "row_no_answer": ("the answer is empty", "回答为空"),
    "row_tool": ('the role "{role}" cannot be trained', "角色“{role}”不能用于训练"),
    "row_not_json": ("it is not JSON: {why}", "不是 JSON：{why}"),
}
"""Why a row was not taken, in English and Chinese."""

FORM_NAMES = {
    "train": "train.json",
    "openai": "OpenAI messages",
    "sharegpt": "ShareGPT",
    "alpaca": "Alpaca",
    "csv": "CSV",
    "excel": "Excel",
}


class RowError(ValueError):
    """One row cannot become a sample."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


@dataclass
class Report:
    """What an import did.

    Attributes:
        forms: which forms were found, by key of `FORM_NAMES`, with their number of rows.
        taken: samples read.
        serialized: turns whose value was an object or list and became JSON text.
        refused: (place, code, values) per row left out; the place is a row or line number from 1.
    """

    forms: dict[str, int] = field(default_factory=dict)
    taken: int = 0
    serialized: int = 0
    refused: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    def describe(self, language: Language = "en", most: int = 10) -> list[str]:
        """The report as sentences; at most `most` refused rows are spelled out."""
        zh = language == "zh"
        forms = ", ".join(FORM_NAMES[form] for form in self.forms)
        lines = [
            f"从 {forms or '-'} 读入 {self.taken} 个样本。"
            if zh
            else f"Samples taken from {forms or '-'}: {self.taken}."
        ]
        if self.serialized:
            lines.append(
                f"{self.serialized} 轮的值是对象，已转为 JSON 文本。"
                if zh
                else f"Turns that held an object and became JSON text: {self.serialized}."
            )
        for place, code, values in self.refused[:most]:
            values = dict(values)
            if "reason" in values:
                values["why"] = json_reason(values.pop("reason"), language, **values)
            why = REFUSALS[code][zh].format_map(values)
            lines.append(f"第 {place} 行未读入：{why}。" if zh else f"Row {place} was left out: {why}.")
        if len(self.refused) > most:
            rest = len(self.refused) - most
            lines.append(f"另有 {rest} 行未读入。" if zh else f"Further rows left out: {rest}.")
        return lines


def import_file(path: Path, columns: dict[str, str] | None = None) -> tuple[list[Sample], Report]:
    """Read a file in any known form; one bad row never discards the good ones.

    Args:
        path: .json, .jsonl, .csv, .tsv or .xlsx.
        columns: for tables, which column is "prompt", "answer", "system" or "id"; None: by their names.

    Raises:
        DataError: when the file as a whole cannot be read.
    """
    suffix = path.suffix.lower()
    report = Report()
    if suffix in tables.SUFFIXES:
        rows: Iterator[tuple[int, Any]] = tables.read(path, columns)
        form: str | None = "excel" if suffix == ".xlsx" else "csv"
    else:
        rows, form = _json_rows(_text(path), path, report), None
    samples: list[Sample] = []
    for place, row in rows:
        try:
            found = form or recognize(row)
            samples.append(READERS[found](row, f"{path.stem}_{place}", report))
        except RowError as error:
            report.refused.append((place, error.code, error.values))
        else:
            report.forms[found] = report.forms.get(found, 0) + 1
    report.taken = len(samples)
    if not samples and not report.refused:
        raise DataError("import_kind", name=path.name)
    return samples, report


def _text(path: Path) -> str:
    try:
        return layout.decode(path.read_bytes())
    except OSError as error:
        raise DataError("file_unreadable", path=path, why=error.strerror) from error


def _json_rows(text: str, path: Path, report: Report) -> Iterator[tuple[int, Any]]:
    """Rows of a JSON list, of a list inside one object, of one object, or of JSON lines."""
    if text.lstrip()[:1] == "[":
        samples, _ = layout.split(text)
        yield from ((place, sample.raw) for place, sample in enumerate(samples, 1))
        return
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip()[:1] != "{":
            raise DataError("import_kind", name=path.name) from None
        yield from _lines(text, report)
        return
    if not isinstance(whole, dict):
        raise DataError("import_kind", name=path.name)
    inner = next((whole[key] for key in ("data", "samples", "train") if isinstance(whole.get(key), list)), [whole])
    yield from enumerate(inner, 1)


def _lines(text: str, report: Report) -> Iterator[tuple[int, Any]]:
    for place, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield place, json.loads(line)
        except json.JSONDecodeError as error:
            report.refused.append((place, "row_not_json", {"reason": strict_json.reason(error)}))
        except (ValueError, RecursionError):
            report.refused.append((place, "row_not_json", {"reason": "json_deep"}))


def recognize(row: Any) -> str:
    """The form of one row: a key of `FORM_NAMES`. Raises RowError."""
    if not isinstance(row, dict):
        raise RowError("row_not_object")
    if "conversations" in row or "conversation" in row:
        turns = row.get("conversations", row.get("conversation"))
        first = turns[0] if isinstance(turns, list) and turns else {}
        named = first.get("from") if isinstance(first, dict) else None
        return "sharegpt" if named in ALIASES or (isinstance(first, dict) and "role" in first) else "train"
    if "messages" in row:
        return "openai"
    if "output" in row and ("instruction" in row or "input" in row):
        return "alpaca"
    if tables.match(list(row)).keys() >= {"prompt", "answer"}:
        return "csv"
    raise RowError("row_unknown")


def _value(value: Any, report: Report) -> str:
    if isinstance(value, list) and value and all(isinstance(part, dict) and "text" in part for part in value):
        return "".join(str(part["text"]) for part in value)  # OpenAI's list of content parts
    if isinstance(value, (dict, list)):
        report.serialized += 1
    return as_text(value)


def _turn_list(turns: Any, report: Report) -> list[dict[str, Any]]:
    if not isinstance(turns, list):
        raise RowError("row_turn")
    found = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise RowError("row_turn")
        role = turn.get("from", turn.get("role"))
        if not isinstance(role, str) or not ("value" in turn or "content" in turn):
            raise RowError("row_turn")
        role = ALIASES.get(role, "system" if role == "developer" else role)
        if role in ("tool", "function", "observation", "function_call"):
            raise RowError("row_tool", role=role)
        value = turn["value"] if "value" in turn else turn["content"]
        rest = {key: turn[key] for key in turn if key not in ("from", "role", "value", "content")}
        found.append({"from": role, "value": _value(value, report), **rest})
    return found


def _conversation(row: dict[str, Any], fallback: str, report: Report) -> Sample:
    key = next((key for key in ("conversations", "conversation", "messages") if key in row), "conversations")
    turns = _turn_list(row.get(key), report)
    system = row.get("system")
    if isinstance(system, str) and system.strip() and not any(turn["from"] == "system" for turn in turns):
        turns.insert(0, {"from": "system", "value": system})
        row = {name: row[name] for name in row if name != "system"}
    rest = {name: row[name] for name in row if name not in (key, "id")}
    return Sample({"id": as_text(row.get("id")) or fallback, "conversations": turns, **rest})


def _alpaca(row: dict[str, Any], fallback: str, report: Report) -> Sample:
    asked = "\n".join(part for part in (as_text(row.get("instruction")), as_text(row.get("input"))) if part)
    pairs = row.get("history")
    return _from_parts(row, fallback, report, asked, row["output"], pairs if isinstance(pairs, list) else [])


def _table_row(row: dict[str, Any], fallback: str, report: Report) -> Sample:
    named = tables.match(list(row))
    earlier = row.get(named.get("history", ""), "")
    try:
        pairs = json.loads(earlier) if isinstance(earlier, str) and earlier.strip() else earlier or []
    except ValueError as error:
        raise RowError("row_turn") from error
    if not isinstance(pairs, list):
        raise RowError("row_turn")
    columns = {**row, "id": row.get(named.get("id", "")), "system": row.get(named.get("system", ""))}
    return _from_parts(columns, fallback, report, as_text(row[named["prompt"]]), row[named["answer"]], pairs)


def _from_parts(
    row: dict[str, Any], fallback: str, report: Report, asked: str, answer: Any, pairs: Sequence[Any]
) -> Sample:
    answered = _value(answer, report)
    if not asked.strip():
        raise RowError("row_no_question")
    if not answered.strip():
        raise RowError("row_no_answer")
    turns = [("system", as_text(row.get("system")))] if as_text(row.get("system")).strip() else []
    for pair in pairs:
        if isinstance(pair, dict):
            turns += [(turn["from"], turn["value"]) for turn in _turn_list([pair], report)]
        elif isinstance(pair, list) and len(pair) == 2:
            turns += [("user", as_text(pair[0])), ("assistant", _value(pair[1], report))]
        else:
            raise RowError("row_turn")
    return Sample.make(as_text(row.get("id")) or fallback, [*turns, ("user", asked), ("assistant", answered)])


READERS: dict[str, Callable[[dict[str, Any], str, Report], Sample]] = {
    "train": _conversation,
    "sharegpt": _conversation,
    "openai": _conversation,
    "alpaca": _alpaca,
    "csv": _table_row,
    "excel": _table_row,
}


def to_openai(sample: Sample) -> dict[str, Any]:
    """One sample in OpenAI form: {"messages": [{"role", "content"}]}, with its id when it has one."""
    named = {"id": sample.id} if sample.id else {}
    return {**named, "messages": sample.to_messages()}


def export_file(samples: Sequence[Sample], path: Path) -> int:
    """Write samples by the file's ending: .json (train.json), .jsonl (OpenAI), .csv or .xlsx.

    Returns:
        How many were written; broken samples have no turns and stand only in .json.

    Raises:
        DataError: for another ending, or text that an Excel cell cannot hold.
    """
    suffix = path.suffix.lower()
    whole = [sample for sample in samples if sample.turns]
    if suffix == ".json":
        files.write_bytes(path, Layout().join([Sample(sample.raw) for sample in samples]))
        return len(samples)
    if suffix == ".jsonl":
        files.write_text(path, "".join(to_json(to_openai(sample)) + "\n" for sample in whole))
    elif suffix in tables.SUFFIXES:
        tables.write(whole, path)
    else:
        raise DataError("export_kind", suffix=suffix or path.name)
    return len(whole)
