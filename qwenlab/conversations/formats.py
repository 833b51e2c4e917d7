"""Conversations from and to other forms: OpenAI messages, ShareGPT, Alpaca, CSV and Excel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import tables
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.json_rows import read_rows, read_text, read_value, recognize
from qwenlab.conversations.layout import Layout
from qwenlab.conversations.preview import Notes, Place, Preview, Refusal, RowError, Rows
from qwenlab.conversations.sample import ALIASES, NO_LABELS, ROLES, Sample, as_text, to_json
from qwenlab.conversations.strict_json import MAX_DEPTH
from qwenlab.conversations.words import DataError

ROLE_NAMES = {
    **ALIASES,
    **dict.fromkeys(("developer", "系统"), "system"),
    **dict.fromkeys(("customer", "client", "用户", "客户", "顾客", "买家"), "user"),
    **dict.fromkeys(("chatgpt", "agent", "助手", "客服", "机器人", "卖家"), "assistant"),
}
"""Other names of the roles, in small letters."""
TOOLS = {"tool", "function", "observation", "function_call", "function_response", "tool_call", "tool_response"}
CELL_ERRORS = {"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!"}
ALPACA_KEYS = {"id", "instruction", "input", "output", "history", "system"}
CONTENT_PARTS = {"text", "input_text", "output_text", "image_url", "input_image", "image", "input_audio", "audio"}
CONTENT_PARTS |= {"video", "video_url", "file", "input_file"}


def preview(path: Path, columns: dict[str, str] | None = None, sheet: str | None = None) -> Preview:
    """Read a file in any known form and say what an import would bring; one bad row never discards the good ones.

    Args:
        path: .json, .jsonl, .csv, .tsv or .xlsx.
        columns: for tables, which column is "prompt", "answer", "system", "id" or "history", or where a row is a
            turn "conversation", "role", "text"; None: by their names.
        sheet: of an Excel file; None: the likeliest.

    Raises:
        DataError: when the file as a whole cannot be read, or has no column of that name.
    """
    found = Preview(path.name)
    if path.suffix.lower() == ".xlsx":
        rows = _table_rows(path, None, columns, sheet, found)
    else:
        text = read_text(path, found.changes)
        if path.suffix.lower() in tables.SUFFIXES:
            rows = _table_rows(path, text, columns, sheet, found)
        else:
            rows = read_rows(text, path, found.changes)
    table_form = {".xlsx": "excel", ".csv": "csv", ".tsv": "csv"}.get(path.suffix.lower())
    stem = path.name.split(".")[0] or "sample"
    for place, row in rows:
        notes: Notes = Counter()
        try:
            form = recognize(row)
            sample = READERS[form](row, f"{stem}_{place.number}", notes)
        except RowError as error:
            found.refused.append(Refusal(place, error.code, error.values))
        except RecursionError:
            found.refused.append(Refusal(place, "row_not_json", {"reason": "json_deep"}))
        else:
            found.samples.append(sample)
            found.forms[table_form or form] += 1
            if notes:
                found.changes.update(notes)
    found.samples, twice = with_free_ids(found.samples, ())
    found.changes += Counter({"ids_taken": twice})
    if not found.samples and not found.refused and not found.table:
        raise DataError("import_kind", name=path.name)
    return found


def import_file(
    path: Path, columns: dict[str, str] | None = None, sheet: str | None = None
) -> tuple[list[Sample], Preview]:
    """The samples of a file in any known form, and what there is to say about them. Arguments as for `preview`.

    Raises:
        DataError: when the file as a whole cannot be read, or its columns are not known.
    """
    found = preview(path, columns, sheet)
    if found.needs_columns and found.table:
        raise DataError("import_columns", name=path.name, columns=", ".join(found.table.columns) or "-")
    return found.samples, found


def with_free_ids(samples: Sequence[Sample], taken: Collection[str]) -> tuple[list[Sample], int]:
    """The samples under ids that are not taken and all different, and how many got another one."""
    used, own, numbers = set(taken), {sample.id for sample in samples}, Counter[str]()
    made, changed = [], 0
    for sample in samples:
        name = wanted = sample.id
        while name in used or (name != wanted and name in own):
            numbers[wanted] += 1
            name = f"{wanted}-{numbers[wanted] + 1}"
        used.add(name)
        changed += name != wanted
        made.append(sample if name == wanted else sample.with_id(name))
    return made, changed


def duplicates(samples: Sequence[Sample], facts: Iterable[Facts]) -> list[int]:
    """Positions of the samples whose turns all stand in one of `facts` already."""
    there = {known.same for known in facts}
    return [at for at, sample in enumerate(samples) if Facts(sample).same in there]


# --- rows of a file --------------------------------------------------------------------------------------


def _table_rows(
    path: Path, text: str | None, columns: dict[str, str] | None, sheet: str | None, found: Preview
) -> Rows:
    """Rows of a table as objects: by part, or one conversation of all the rows that belong to it."""
    table = tables.read(path, text, sheet)
    named = {part: name for part, name in columns.items() if name} if columns else tables.match(table.columns)
    if not set(named.values()) <= set(table.columns):
        raise DataError("import_columns", name=path.name, columns=", ".join(table.columns) or "-")
    found.table, found.mapping = table, named
    if not tables.complete(named):
        return
    found.changes.update(f"columns:{name}" for name in table.columns if name not in named.values())
    found.changes += Counter({"unquoted": table.unquoted})
    yield from ((Place(number, "row"), RowError("row_quote")) for number in table.broken)
    at = {part: table.columns.index(name) for part, name in named.items()}
    rows = (
        (Place(number, "row", table.sheet), {part: row[i] if i < len(row) else "" for part, i in at.items()})
        for number, row in table.rows
    )
    yield from rows if named.keys() >= set(tables.ROWS) else _conversations(rows)


def _conversations(turns: Iterable[tuple[Place, dict[str, str]]]) -> Rows:
    """One object of the turns of each conversation; an empty cell means the conversation above."""
    found: dict[str, tuple[Place, dict[str, Any]]] = {}
    key = ""
    for place, turn in turns:
        key = turn["conversation"].strip() or key
        _, whole = found.setdefault(key, (place, {"id": key, "conversations": []}))
        whole["conversations"].append({"from": turn["role"].strip(), "value": turn["text"]})
        if turn.get("system", "").strip():
            whole["system"] = turn["system"]
    yield from found.values()


# --- one row ---------------------------------------------------------------------------------------------


def _value(value: Any, notes: Notes) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_part(part) for part in value):
        if not all(isinstance(part.get("text"), str) for part in value):
            raise RowError("row_media")
        if len(value) > 1:
            notes["parts"] += len(value)
        return "".join(part["text"] for part in value)
    if value is not None:
        notes["serialized"] += 1
    return as_text(value)


def _is_part(part: Any) -> bool:
    """Whether it is a piece of a message's content as OpenAI writes it, and not an answer of its own."""
    return isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] in CONTENT_PARTS


def _role(role: str, notes: Notes) -> str:
    if role in ROLES:
        return role
    short = role.strip().casefold()
    if short in TOOLS:
        raise RowError("row_tool", role=role)
    known = ROLE_NAMES.get(short, short)
    if known not in ROLES:
        raise RowError("row_role", role=role)
    notes[f"roles:{role} → {known}"] += 1
    return known


def _turn_list(turns: Any, notes: Notes) -> list[dict[str, Any]]:
    if not isinstance(turns, list):
        raise RowError("row_turn")
    found = []
    for turn in turns:
        if not isinstance(turn, dict):
            raise RowError("row_turn")
        role = turn.get("from", turn.get("role"))
        if turn.get("tool_calls") or turn.get("function_call"):
            raise RowError("row_tool", role="tool_calls")
        if not isinstance(role, str) or not ("value" in turn or "content" in turn):
            raise RowError("row_turn")
        value = turn["value"] if "value" in turn else turn["content"]
        made = {"from": _role(role, notes), "value": _value(value, notes)}
        found.append(made if len(turn) == 2 else {**made, **_others(turn, ("from", "role", "value", "content"))})
    return found


def _conversation(row: dict[str, Any], fallback: str, notes: Notes) -> Sample:
    key = next(key for key in ("conversations", "conversation", "messages") if key in row)
    turns = _turn_list(row[key], notes)
    if not turns:
        raise RowError("row_empty")
    system = row.get("system")
    if isinstance(system, str) and not any(turn["from"] == "system" for turn in turns):
        row = {name: row[name] for name in row if name != "system"}
        if system.strip():
            turns.insert(0, {"from": "system", "value": system})
            notes["system"] += 1
    return Sample({"id": _id(row.get("id"), fallback, notes), "conversations": turns, **_others(row, (key, "id"))})


def _others(row: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Keys that mean nothing here, and are kept all the same."""
    found = {key: value for key, value in row.items() if key not in known}
    level = [value for value in found.values() if isinstance(value, (dict, list))]
    for _ in range(MAX_DEPTH):
        if not level:
            return found
        inner = (value for one in level for value in (one.values() if isinstance(one, dict) else one))
        level = [value for value in inner if isinstance(value, (dict, list))]
    raise RowError("row_not_json", reason="json_deep")  # it could be read, but not be written again


def _id(value: Any, fallback: str, notes: Notes) -> str:
    found = as_text(value)
    if not found:
        notes["ids"] += 1
    return found or fallback


def _alpaca(row: dict[str, Any], fallback: str, notes: Notes) -> Sample:
    asked = "\n".join(part for part in (_value(row.get("instruction"), notes), _value(row.get("input"), notes)) if part)
    return _from_parts(row, fallback, notes, asked, row["output"], _others(row, ALPACA_KEYS))


def _pairs(row: dict[str, Any], fallback: str, notes: Notes) -> Sample:
    if "conversations" in row:
        return _conversation(row, fallback, notes)
    named = tables.match(list(row))
    parts = {part: row[name] for part, name in named.items()}
    error = next((cell for cell in parts.values() if isinstance(cell, str) and cell in CELL_ERRORS), None)
    if error:
        raise RowError("row_cell", cell=error)
    others = _others(row, named.values())
    return _from_parts(parts, fallback, notes, _value(parts["prompt"], notes), parts["answer"], others)


def _from_parts(
    row: dict[str, Any], fallback: str, notes: Notes, asked: str, answer: Any, others: dict[str, Any]
) -> Sample:
    earlier, system = _history(row.get("history")), as_text(row.get("system"))
    turns = [{"from": "system", "value": system}] if system.strip() else []
    for pair in earlier:
        if isinstance(pair, dict):
            turns += _turn_list([pair], notes)
        elif isinstance(pair, (list, tuple)) and len(pair) == 2:
            turns += [
                {"from": "user", "value": _value(pair[0], notes)},
                {"from": "assistant", "value": _value(pair[1], notes)},
            ]
        else:
            raise RowError("row_history")
    answered = _value(answer, notes)
    if asked.strip() or answered.strip() or not earlier:  # a conversation of another shape is all history
        if not asked.strip():
            raise RowError("row_no_question")
        if not answered.strip():
            raise RowError("row_no_answer")
        turns += [{"from": "user", "value": asked}, {"from": "assistant", "value": answered}]
    return Sample({"id": _id(row.get("id"), fallback, notes), "conversations": turns, **others})


def _history(value: Any) -> list[Any]:
    """Earlier turns, from a list or from a cell that holds one as JSON."""
    found = read_value(value) if isinstance(value, str) and value.strip() else value or []
    if not isinstance(found, list):
        raise RowError("row_history")
    return found


READERS: dict[str, Callable[[dict[str, Any], str, Notes], Sample]] = {
    "train": _conversation,
    "sharegpt": _conversation,
    "openai": _conversation,
    "alpaca": _alpaca,
    "pairs": _pairs,
}


# --- export ----------------------------------------------------------------------------------------------


def to_openai(sample: Sample) -> dict[str, Any]:
    """One sample in OpenAI form: {"messages": [{"role", "content"}]}, with its id when it has one."""
    named = {"id": sample.id} if sample.id else {}
    return {**named, "messages": sample.to_messages()}


def export_file(samples: Sequence[Sample], path: Path, labels: bool = False) -> int:
    """Write samples by the file's ending: .json (train.json), .jsonl (OpenAI), .csv, .tsv or .xlsx.

    Only train.json holds everything; the others hold the id and the words of each turn.

    Args:
        labels: write tags and notes too: under the key "labels", or in columns of their own.

    Returns:
        How many were written; samples without readable turns stand only in .json.

    Raises:
        DataError: for another ending, or text that an Excel cell cannot hold.
    """
    suffix = path.suffix.lower()
    whole = [sample for sample in samples if sample.turns]
    if suffix == ".json":
        files.write_bytes(path, Layout().join([Sample(_labelled(sample.raw, sample, labels)) for sample in samples]))
        return len(samples)
    if suffix == ".jsonl":
        rows = (_labelled(to_openai(sample), sample, labels) for sample in whole)
        files.write_text(path, "".join(to_json(row) + "\n" for row in rows))
    elif suffix in tables.SUFFIXES:
        tables.write(whole, path, labels)
    else:
        raise DataError("export_kind", suffix=suffix or path.name)
    return len(whole)


def _labelled(raw: Any, sample: Sample, labels: bool) -> Any:
    wanted = labels and sample.labels != NO_LABELS and isinstance(raw, dict)
    return {**raw, "labels": sample.labels.to_json()} if wanted else raw
