"""Cases from a table: one row a case, the expected answer in one cell as JSON or in one column for each field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qwenlab.conversations import strict_json, tables
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.errors import QwenlabError
from qwenlab.evals import pointer as pointers
from qwenlab.evals import schema_places
from qwenlab.evals.bilingual import Words, line_of, meant
from qwenlab.evals.rules import read_number
from qwenlab.evals.suite_model import Case

SUFFIXES = (".csv", ".tsv", ".xlsx")
EXPECTED = "expected"
NAMES_ZH = {
    "编号": "id",
    "问题": "prompt",
    "系统提示": "system",
    "历史": "history",
    "标签": "tags",
    "分组": "group",
    "期望答案": EXPECTED,
    "期望": EXPECTED,
    "规则": "rule",
    "也可接受": "accept",
}
"""What columns may be called in Chinese."""
_JSON_COLUMNS = ("history", "accept")
_YES_NO = {
    **dict.fromkeys(("true", "yes", "是", "真"), True),
    **dict.fromkeys(("false", "no", "否", "假"), False),
}
_MONEY = re.compile(r"^[¥￥$€£]\s*|\s*元$")
_UNNAMED = re.compile(r"\([A-Z]+\)")
"""What `tables` calls a column without a name."""
_ABSENT: Any = object()
Row = dict[str, str]


def read_cases(path: Path, text: str | None, schema: Any) -> list[tuple[Words, dict[str, Any]]]:
    """The cases of a table, each with the place of its row.

    Args:
        path: of the table. text: its text when it is no Excel file.
        schema: of the suite; None: text cases.

    Raises:
        QwenlabError: naming row and column, for anything that cannot be taken.
    """
    table = tables.read(path, text)
    if table.broken:
        place = line_of(path, table.broken[0])
        raise QwenlabError(
            f"{place.en}: a quote is not closed.",
            "Close it, or write two quotes where one is meant.",
            zh=(f"{place.zh}：引号没有闭合。", "请补上引号；文中的引号要写两个。"),
        )
    columns = [name if _UNNAMED.fullmatch(name) else _column(path, name, schema) for name in table.columns]
    found = []
    for number, cells in table.rows:
        place = line_of(path, number)
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise _refused(place, "", Words("there are more cells than columns", "单元格多于列"))
        row = {key: cell for key, cell in zip(columns, cells, strict=False) if cell.strip()}
        if stray := next((key for key in row if _UNNAMED.fullmatch(key)), None):
            raise _refused(place, stray, Words("the column has no name", "该列没有列名"))
        found.append((place, _case(row, columns, place, schema)))
    return found


def _column(path: Path, name: str, schema: Any) -> str:
    """What a column is called in a case; a field of the expected answer is "expected" with its JSON pointer."""
    head, mark, rest = re.fullmatch(r"(?s)([^./]*)([./]?)(.*)", name.strip()).groups()  # type: ignore[union-attr]
    head = NAMES_ZH.get(head.strip(), head.strip())
    if head == EXPECTED and rest and schema is not None:
        pointer = rest if rest.startswith("/") else f"/{rest}" if mark == "/" else pointers.from_keys(rest.split("."))
        return EXPECTED + pointer
    known = list(Case.model_fields)
    if head in known and not rest:
        return head
    listed = Words(f"Known columns: {', '.join(known)}.", f"可用的列：{'、'.join(known)}。")
    hint = meant(name, known, listed)
    raise QwenlabError(f'{path}: unknown column "{name}".', hint.en, zh=(f"{path}：未知的列“{name}”。", hint.zh))


def _case(row: Row, columns: list[str], place: Words, schema: Any) -> dict[str, Any]:
    as_json = schema is not None and "rule" not in row
    case: dict[str, Any] = {}
    for column, cell in row.items():
        if column.startswith(f"{EXPECTED}/"):
            continue
        if column in _JSON_COLUMNS or (column == EXPECTED and as_json):
            case[column] = _json(cell, place, column)
        elif column == EXPECTED:
            case[column] = _texts(cell)
        elif column == "tags":
            case[column] = [tag.strip() for tag in re.split("[,;，；、]", cell) if tag.strip()]
        else:
            case[column] = cell
    fields = [column for column in columns if column.startswith(f"{EXPECTED}/")]
    if as_json and fields and EXPECTED not in row:
        case[EXPECTED] = _document(row, fields, place, schema)
    elif stray := next((column for column in fields if column in row), None):
        reason = Words(
            '"expected" is filled in too, or the row has a rule for text', "“expected”也填了，或该行是文本用例"
        )
        raise _refused(place, stray, reason)
    return case


def _texts(cell: str) -> Any:
    """The expected text, or texts where the cell is a JSON list of them."""
    if cell.lstrip().startswith("["):
        try:
            value = strict_json.read(cell.strip())
        except NotJsonError:
            return cell
        if value and all(isinstance(text, str) for text in value):
            return value
    return cell


def _json(cell: str, place: Words, column: str) -> Any:
    try:
        return strict_json.read(cell)
    except NotJsonError as error:
        raise QwenlabError(
            f'{place.en}: "{column}" is not JSON: {cell[:60]}',
            "Write it as JSON, text in double quotes.",
            zh=(f"{place.zh}：“{column}”不是 JSON：{cell[:60]}", "请写成 JSON，文本放在双引号中。"),
        ) from error


def _refused(place: Words, column: str, reason: Words) -> QwenlabError:
    named = Words(f'column "{column}": ', f"“{column}”列：") if column else Words("", "")
    return QwenlabError(
        f"{place.en}, {named.en}{reason.en}." if column else f"{place.en}: {reason.en}.",
        "Correct the cell.",
        zh=(f"{place.zh}{named.zh}{reason.zh}。" if column else f"{place.zh}：{reason.zh}。", "请改正该单元格。"),
    )


# --- one column for each field ----------------------------------------------------------------------------


def _document(row: Row, fields: list[str], place: Words, schema: Any) -> Any:
    """The expected answer from the cells of its fields, with the types that the schema names."""
    tree: dict[str, Any] = {}
    for column in fields:
        keys = pointers.split(column.removeprefix(EXPECTED))
        holder = tree
        for key in keys[:-1]:
            holder = holder.setdefault(key, {})
            if not isinstance(holder, dict):
                raise _refused(place, column, Words("another column holds the whole of it", "另一列已包含它的全部内容"))
        cell = row.get(column, "")
        holder[keys[-1]] = _Cell(_typed(cell, schema_places.types(schema, keys), place, column))
    found = _closed(tree, [], schema)
    return {} if found is _ABSENT else found


class _Cell:
    """A value that was read, apart from the objects around it."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _closed(node: Any, keys: list[str], schema: Any) -> Any:
    """A value; an object whose cells are all empty is null where the schema allows that, else left out if it may be."""
    if isinstance(node, _Cell):
        return node.value
    inner = {key: _closed(child, [*keys, key], schema) for key, child in node.items()}
    there = {key: value for key, value in inner.items() if value is not _ABSENT}
    if keys and all(value is None for value in there.values()):
        if "null" in schema_places.types(schema, keys):
            return None
        if not there:
            return _ABSENT
    return there


def _typed(cell: str, types: set[str], place: Words, column: str) -> Any:
    """A cell as the first of the allowed types that it can be; an empty one is null where null is allowed."""
    text = cell.strip()
    if not text:
        return None if "null" in types else _ABSENT
    if text == "null" and "null" in types and "string" not in types:
        return None
    if types & {"number", "integer"}:
        number = read_number(_MONEY.sub("", text))
        if number is not None and (number.denominator == 1 or "number" in types):
            return int(number) if number.denominator == 1 else float(number)
    if "boolean" in types and text.casefold() in _YES_NO:
        return _YES_NO[text.casefold()]
    if types & {"array", "object"} and text[:1] in "[{":
        return _json(text, place, column)
    if not types or "string" in types:
        return cell
    wanted = {
        "integer": Words("a whole number", "整数"),
        "number": Words("a number", "数字"),
        "boolean": Words("true or false", " true 或 false"),
        "array": Words("a list as JSON", " JSON 列表"),
        "object": Words("an object as JSON", " JSON 对象"),
        "null": Words("empty", "空"),
    }
    one = wanted[next(kind for kind in wanted if kind in types)]
    raise _refused(place, column, Words(f"must be {one.en}, not {text[:60]!r}", f"应为{one.zh}，而不是“{text[:60]}”"))
