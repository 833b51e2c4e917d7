"""Conversations in CSV and Excel: one row a sample, earlier turns in a "history" column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import layout
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.words import DataError

SUFFIXES = (".csv", ".tsv", ".xlsx")
COLUMNS = {
    "id": ("id", "编号", "序号"),
    "system": ("system", "系统", "系统提示", "系统提示词"),
    "history": ("history", "历史"),
    "prompt": (
        "prompt",
        "question",
        "user",
        "query",
        "input",
        "message",
        "问题",
        "提问",
        "用户",
        "消息",
        "输入",
    ),
    "answer": (
        "answer",
        "response",
        "assistant",
        "output",
        "completion",
        "reply",
        "回答",
        "答案",
        "回复",
        "输出",
    ),
}
"""What a column may be called, in any case."""

_CELL_LIMIT = 32767


def match(header: Sequence[Any]) -> dict[str, str]:
    """Which column plays which part: {"prompt": "问题", ...}; the first fitting column of each part."""
    known = {str(name).strip().casefold(): str(name) for name in reversed(header) if name is not None}
    found = {}
    for part, names in COLUMNS.items():
        fitting = next((known[name] for name in names if name in known), None)
        if fitting is not None:
            found[part] = fitting
    return found


def read(path: Path, columns: dict[str, str] | None = None) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (row number as the spreadsheet shows it, {"prompt", "answer", ...}) for every row with content.

    Raises:
        DataError: when the file cannot be read or has no question and answer columns.
    """
    rows = _excel_rows(path) if path.suffix.lower() == ".xlsx" else _csv_rows(path)
    header = next((row for _, row in rows if any(row)), [])
    named = columns or match(header)
    if not named.keys() >= {"prompt", "answer"} or not set(named.values()) <= set(header):
        raise DataError("import_columns", name=path.name, columns=", ".join(header) or "-")
    places = {part: header.index(column) for part, column in named.items()}
    for number, row in rows:
        if any(row):
            yield number, {part: row[at] if at < len(row) else "" for part, at in places.items()}


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = layout.decode(path.read_bytes())
    except OSError as error:
        raise DataError("file_unreadable", path=path, why=error.strerror) from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(2**27)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        yield from enumerate(reader, 1)
    except csv.Error as error:
        raise DataError("file_unreadable", path=path, why=error) from error


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise DataError("import_excel") from error
    return openpyxl


def _excel_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        book = _openpyxl().load_workbook(path, read_only=True, data_only=True)
    except DataError:
        raise
    except Exception as error:  # a damaged zip or XML raises many kinds
        raise DataError("import_excel_broken", name=path.name, why=error) from error
    try:
        for number, row in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
            yield number, ["" if cell is None else str(cell) for cell in row]
    finally:
        book.close()


def write(samples: Sequence[Sample], path: Path) -> None:
    """Write one row a sample: id, system, history (JSON pairs), prompt, answer.

    Raises:
        DataError: when text does not fit into an Excel cell.
    """
    rows = [_row(sample) for sample in samples]
    header = ["id", "system", "history", "prompt", "answer"]
    if path.suffix.lower() == ".xlsx":
        files.write_bytes(path, _excel(header, rows))
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\r\n")
    writer.writerows([header, *rows])
    # Excel reads UTF-8 only when a BOM stands before it.
    files.write_bytes(path, b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace"))


def _row(sample: Sample) -> list[str]:
    turns = [(turn.role, turn.text) for turn in sample.turns]
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    answer = turns.pop()[1] if turns and turns[-1][0] == "assistant" else ""
    prompt = turns.pop()[1] if turns else ""
    history = json.dumps(_earlier(turns), ensure_ascii=False) if turns else ""
    return [sample.id, system, history, prompt, answer]


def _earlier(turns: list[tuple[str, str]]) -> list[Any]:
    """Alpaca's [question, answer] pairs, or full turns where the roles do not alternate."""
    roles = [role for role, _ in turns]
    if roles == ["user", "assistant"] * (len(turns) // 2):
        return [[turns[at][1], turns[at + 1][1]] for at in range(0, len(turns), 2)]
    return [{"from": role, "value": text} for role, text in turns]


def _excel(header: list[str], rows: list[list[str]]) -> bytes:
    openpyxl = _openpyxl()
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(header)
    for number, row in enumerate(rows, 2):
        for column, text in enumerate(row, 1):
            if len(text) > _CELL_LIMIT or ILLEGAL_CHARACTERS_RE.search(text):
                raise DataError("export_cell", id=row[0] or number - 1)
            cell = sheet.cell(number, column)
            cell.value = text
            cell.data_type = "s"  # words that begin with "=" are words, not a formula
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()
