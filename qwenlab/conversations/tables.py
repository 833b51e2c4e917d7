"""Conversations in CSV and Excel: one row a sample with earlier turns in "history", or one row a turn."""

from __future__ import annotations

import csv
import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations.sample import Sample, to_json
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError

SUFFIXES = (".csv", ".tsv", ".xlsx")
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "编号", "序号"),
    "system": ("system", "systemprompt", "系统", "系统提示", "系统提示词"),
    "history": ("history", "历史", "历史对话"),
    "prompt": (
        *("prompt", "question", "user", "query", "input", "message", "request"),
        *("问题", "提问", "用户", "消息", "输入", "留言", "咨询", "用户问题", "客户问题", "客户留言", "用户输入"),
    ),
    "answer": (
        *("answer", "response", "assistant", "output", "completion", "reply"),
        *("回答", "答案", "回复", "输出", "答复", "标准答案", "标准回答", "参考答案", "客服回复", "助手"),
    ),
    "conversation": (
        *("conversationid", "conversation", "dialogid", "dialogueid", "sessionid", "session", "chatid"),
        *("对话编号", "会话编号", "对话id", "会话id", "对话", "会话"),
    ),
    "role": ("role", "from", "speaker", "sender", "角色", "发言人", "发言者", "说话人", "发送者"),
    "text": ("text", "content", "value", "message", "内容", "文字", "文本", "消息", "消息内容"),
}
"""What a column may be called; capitals, spaces, - and _ make no difference."""

ROWS, TURNS = ("prompt", "answer"), ("role", "text")
"""The columns without which a row is no sample, or no turn of one."""
CELL_LIMIT, ROW_LIMIT, UNPACKED_LIMIT = 32_767, 1_048_576, 2 * 2**30
PACKED_LIMIT, PACKED_FREE = 250, 50 * 2**20
"""A file that unpacks to so many times its size, beyond what is free, was made to fill the memory."""
CELLS_LIMIT = 50_000_000
"""Cells of a sheet, empty ones too: one far-away cell makes its row 16,384 wide."""
BROKEN_LIMIT = 1000
SHOWN_ROWS = 3
HEADER_WITHIN = 10
"""Rows with content among which the names of the columns are looked for."""

_GUARD = re.compile(r"'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_ASIDE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_LITERAL = re.compile(r'"([^"]*)"|\[\$([^-\]]*)|([¥￥$€£])')
_NUMBER = re.compile(r"([#0,]*[#0])(\.[0#]+)?(%?)")


@dataclass(frozen=True)
class Table:
    """A table as it stands in a file.

    Attributes:
        columns: their names, each different; a column without a name has its letter.
        rows: (row number as a spreadsheet shows it, cells) below the names; rows without content are left out.
        broken: row numbers of a CSV where a quote is not closed.
        sheet, sheets: the sheet that was read and those there are; empty for CSV.
        unquoted: cells from which a guarding apostrophe was taken.
    """

    columns: tuple[str, ...]
    rows: list[tuple[int, list[str]]]
    broken: list[int] = field(default_factory=list)
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    unquoted: int = 0

    def first(self) -> list[list[str]]:
        """The first rows, every column filled."""
        width = len(self.columns)
        return [(row + [""] * width)[:width] for _, row in self.rows[:SHOWN_ROWS]]


def match(header: Sequence[Any]) -> dict[str, str]:
    """Which column plays which part: {"prompt": "问题", ...}; the first fitting column of each part.

    The columns of one row a turn (conversation, role, text) count only where there is no question and answer.
    """
    known = {_plain(name): str(name) for name in reversed(header) if name is not None}
    found: dict[str, str] = {}
    for part, names in COLUMNS.items():
        fitting = next((known[name] for name in names if name in known), None)
        if fitting is not None:
            found[part] = fitting
    wanted = ("conversation", "id", "system", *TURNS)
    if found.keys() >= set(ROWS) or not found.keys() >= set(TURNS):
        wanted = ("id", "system", "history", *ROWS)
    elif "conversation" not in found:
        found["conversation"] = found.get("id", "")
    return {part: found[part] for part in COLUMNS if part in wanted and found.get(part)}


def _plain(name: Any) -> str:
    return re.sub(r"[\s_\-]+", "", str(name)).casefold()


def complete(mapping: Mapping[str, str]) -> bool:
    """Whether the columns that are needed are named: question and answer, or conversation, role and text."""
    return mapping.keys() >= set(ROWS) or mapping.keys() >= {"conversation", *TURNS}


def read(path: Path, text: str | None, sheet: str | None = None) -> Table:
    """Read a whole table.

    Args:
        path: the file.
        text: its text when it is a CSV; None for Excel.
        sheet: which one of an Excel file; None: the first with columns that are known, or the first with content.

    Raises:
        DataError: when the file cannot be read.
        QwenlabError: when there is no such sheet.
    """
    if text is None:
        return _excel_table(path, sheet)
    rows, broken = _csv_rows(text, "\t" if path.suffix.lower() == ".tsv" else None)
    unquoted = sum(bool(_GUARDED.match(cell)) for _, row in rows for cell in row)
    return _table([(number, [unguarded(cell) for cell in row]) for number, row in rows], broken, unquoted=unquoted)


def _table(rows: list[tuple[int, list[str]]], broken: Sequence[int] = (), **known: Any) -> Table:
    rows = [(number, row) for number, row in rows if any(cell.strip() for cell in row)]
    start = _header_at([row for _, row in rows[:HEADER_WITHIN]])
    header = rows[start][1] if rows else []
    width = max((len(row) for _, row in rows[start : start + SHOWN_ROWS + 1]), default=0)
    names: list[str] = []
    for at in range(width):
        name = header[at].strip() if at < len(header) else ""
        names.append(f"{name} ({_letter(at)})".strip() if name in names or not name else name)
    return Table(tuple(names), rows[start + 1 :], list(broken), **known)


def _header_at(rows: Sequence[Sequence[str]]) -> int:
    """Which row names the columns: the first whose names are known, as a title may stand above; or the first."""
    return next((at for at, row in enumerate(rows) if complete(match(row))), 0)


def _letter(at: int) -> str:
    """A to Z, AA, AB, ...: the name a spreadsheet gives to a column."""
    return (_letter(at // 26 - 1) if at >= 26 else "") + chr(65 + at % 26)


# --- CSV -------------------------------------------------------------------------------------------------


def _csv_rows(text: str, delimiter: str | None) -> tuple[list[tuple[int, list[str]]], list[int]]:
    csv.field_size_limit(2**27)
    lines = list(io.StringIO(text, newline=""))
    start, number = 0, 0
    if lines and (said := re.fullmatch(r"sep=(.)\s*", lines[0])):  # Excel's own hint
        start, number, delimiter = 1, 1, said[1]
    delimiter = delimiter or max(",;\t|", key=lambda mark: _fits(lines, mark))
    rows: list[tuple[int, list[str]]] = []
    broken: list[int] = []
    while start < len(lines) and len(broken) < BROKEN_LIMIT:
        reader = csv.reader(itertools.islice(lines, start, None), delimiter=delimiter, strict=True)
        whole = 0
        try:
            for row in reader:
                number += 1
                rows.append((number, row))
                whole = reader.line_num
            break
        except csv.Error:  # a quote that is never closed would swallow all that follows
            number += 1
            broken.append(number)
            start += whole + 1
    return rows, broken


def _fits(lines: Sequence[str], delimiter: str) -> tuple[int, int]:
    rows = [row for row in csv.reader(lines[: 2 * HEADER_WITHIN], delimiter=delimiter) if any(row)][:HEADER_WITHIN]
    header = rows[_header_at(rows)] if rows else []
    return len(match(header)), len(header)


def guarded(text: str) -> str:
    """A CSV cell that no spreadsheet takes for a formula; `unguarded` gives the same text back."""
    return "'" + text if _GUARD.match(text) else text


def unguarded(cell: str) -> str:
    """The text of a cell that `guarded` wrote."""
    return cell[1:] if _GUARDED.match(cell) else cell


# --- Excel -----------------------------------------------------------------------------------------------


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise DataError("import_excel") from error
    return openpyxl


def _excel_table(path: Path, sheet: str | None) -> Table:
    openpyxl = _openpyxl()
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(part.file_size for part in packed.infolist())
            if unpacked > min(UNPACKED_LIMIT, PACKED_FREE + PACKED_LIMIT * path.stat().st_size):
                raise ValueError(f"it unpacks to {unpacked / 1e6:,.0f} MB")
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # a damaged zip or XML raises many kinds
        raise DataError("import_excel_broken", name=path.name, why=error) from error
    try:
        sheets = [one for one in book.worksheets if one.sheet_state == "visible"] or book.worksheets
        names = tuple(one.title for one in sheets)
        if sheet is not None and sheet not in names:
            raise QwenlabError(
                f"{path.name} has no sheet {sheet}.",
                f"Its sheets are: {', '.join(names)}.",
                zh=(f"{path.name} 中没有工作表“{sheet}”。", f"现有工作表：{'、'.join(names)}。"),
            )
        chosen = sheets[names.index(sheet)] if sheet is not None else _likely(sheets)
        return _table(list(_excel_rows(chosen)), sheet=chosen.title, sheets=names)
    except QwenlabError:
        raise
    except Exception as error:  # the XML of a sheet is read only now
        raise DataError("import_excel_broken", name=path.name, why=error) from error
    finally:
        book.close()


def _likely(sheets: Sequence[Any]) -> Any:
    """The first sheet with columns that are known, or the first with content."""
    begins = [[row for _, row in itertools.islice(_excel_rows(sheet), HEADER_WITHIN) if any(row)] for sheet in sheets]
    known = [any(complete(match(row)) for row in rows) for rows in begins]
    filled = [bool(rows) for rows in begins]
    return sheets[known.index(True) if any(known) else filled.index(True) if any(filled) else 0]


def _excel_rows(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    sheet.reset_dimensions()  # some programs write a wrong size, and rows beyond it would be lost
    cells = 0
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells += len(row)
        if cells > CELLS_LIMIT:
            raise ValueError(f"it has more than {CELLS_LIMIT:,} cells")
        values = ["" if cell.value is None else shown(cell.value, cell.number_format) for cell in row]
        while values and not values[-1]:
            values.pop()
        yield number, values


def shown(value: Any, form: str = "General") -> str:
    """A cell as a person sees it: 3 and not 3.0, 2024-05-01 and not 2024-05-01 00:00:00, 15% and not 0.15."""
    if isinstance(value, str):
        return unguarded(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), value))
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return _number(value, form)
    if isinstance(value, datetime):
        timed = value.time() != time() and re.search("[hs]", _ASIDE.sub("", form.lower())) is not None
        return f"{value.date()} {_clock(value.time())}" if timed else str(value.date())
    if isinstance(value, time):
        return _clock(value)
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
    return str(value) if isinstance(value, date) else to_json(value)


def _clock(value: time) -> str:
    return f"{value:%H:%M:%S}" if value.second else f"{value:%H:%M}"


def _number(value: float, form: str) -> str:
    section = form.split(";")[0]
    plain = _ASIDE.sub("", section)
    found = _NUMBER.search(plain)
    if found is None or plain.casefold() == "general" or re.search(r"[Ee/?@]", plain):
        if isinstance(value, int):
            return str(value)
        short = f"{value:.15g}"  # what a spreadsheet keeps of a number
        return format(float(short), "f").rstrip("0").rstrip(".") if "e" in short and abs(value) >= 1 else short
    whole, fraction, percent = found[1], found[2] or "", found[3]
    scaled = value * 100 if percent else value
    text = f"{abs(scaled):{',' if ',' in whole else ''}.{max(len(fraction) - 1, 0)}f}"
    for _ in range(fraction.count("#")):  # digits that are shown only when there are any
        text = text.removesuffix("0")
    head, point, tail = text.removesuffix(".").partition(".")
    sign = "-" if scaled < 0 and text.strip("0.,") else ""
    before, _, after = section.partition(found[0])
    return f"{sign}{_words(before)}{head.zfill(whole.count('0'))}{point}{tail}{percent}{_words(after)}"


def _words(form: str) -> str:
    """What a number format writes beside the number: a currency, a unit."""
    return "".join(itertools.chain.from_iterable(_LITERAL.findall(form)))


# --- writing ---------------------------------------------------------------------------------------------


def write(samples: Sequence[Sample], path: Path, labels: bool = False) -> None:
    """Write one row a sample: id, system, history (JSON), prompt, answer; with `labels` also tags and note.

    A conversation of another shape than question and answer in turn stands in the history as a whole.

    Raises:
        DataError: when text does not fit into an Excel cell.
        QwenlabError: when there are more rows than an Excel sheet has.
    """
    header = ["id", "system", "history", "prompt", "answer", *(("tags", "note") if labels else ())]
    rows = (_row(sample, labels) for sample in samples)
    if path.suffix.lower() == ".xlsx":
        files.write_bytes(path, _excel(header, rows, len(samples)))
        return
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    # Excel reads UTF-8 only when a BOM stands before it; an id or note may still hold half a character.
    files.write_bytes(path, b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace"))


def _row(sample: Sample, labels: bool) -> list[str]:
    turns = [(turn.role, turn.text) for turn in sample.turns]
    known = [", ".join(sample.labels.tags), sample.labels.note] if labels else []
    system = turns[0][1] if turns[0][0] == "system" else ""
    rest = turns[1:] if system.strip() else turns
    roles = [role for role, _ in rest]
    if roles != ["user", "assistant"] * (len(rest) // 2) or not rest or not _fit_cells([system, *rest[-2], *rest[-1]]):
        return [sample.id, "", to_json([{"from": role, "value": text} for role, text in turns]), "", "", *known]
    earlier = [[rest[at][1], rest[at + 1][1]] for at in range(0, len(rest) - 2, 2)]
    return [sample.id, system, to_json(earlier) if earlier else "", rest[-2][1], rest[-1][1], *known]


def _fit_cells(texts: Sequence[str]) -> bool:
    """Whether cells hold the texts as they are: UTF-8 has no half characters, and a blank cell says nothing."""
    return all(text.strip() or at == 0 for at, text in enumerate(texts)) and not any(
        "\ud800" <= sign <= "\udfff" for text in texts if not text.isascii() for sign in text
    )


def _excel(header: list[str], rows: Iterator[list[str]], number: int) -> bytes:
    if number >= ROW_LIMIT:
        raise QwenlabError(
            f"An Excel sheet ends at {ROW_LIMIT:,} rows; this data set has {number:,} samples.",
            "Export as .csv or .jsonl instead.",
            zh=(f"Excel 工作表最多 {ROW_LIMIT:,} 行，此数据集有 {number:,} 个样本。", "请改用 .csv 或 .jsonl 导出。"),
        )
    return workbook(header, rows, "conversations")


def workbook(header: Sequence[str], rows: Iterable[Sequence[str]], title: str = "answers") -> bytes:
    """An Excel file of one sheet, in which every cell is text and none is a formula.

    Raises:
        DataError: when text does not fit into a cell.
    """
    openpyxl = _openpyxl()
    from openpyxl.cell import WriteOnlyCell

    written = [[_in_xml("'" + text if _GUARDED.match(text) else text) for text in row] for row in rows]
    for at, row in enumerate(written, 1):
        if any(len(text.encode("utf-16-le")) > 2 * CELL_LIMIT for text in row):
            raise DataError("export_cell", id=row[0] or at)
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    sheet.append(list(header))
    for row in written:
        cells = [WriteOnlyCell(sheet, text) for text in row]
        for cell, text in zip(cells, row, strict=True):
            cell.data_type = "s"  # words that begin with "=" are words, and stay so when someone edits the cell
            cell.quotePrefix = text.startswith(("=", "+", "-", "@"))
        sheet.append(cells)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _in_xml(text: str) -> str:
    """Characters that XML has no place for, written _x000D_ as Excel does."""
    return _NOT_IN_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
