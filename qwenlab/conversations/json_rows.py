"""Rows of a JSON file in whatever shape it has: a list, lines, an object around them, or what can be saved of it."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from qwenlab.conversations import layout, strict_json, tables
from qwenlab.conversations.preview import Notes, Place, RowError, Rows
from qwenlab.conversations.sample import ALIASES
from qwenlab.conversations.words import DataError

WINDOW = 2**20
"""Characters in which the next sample after a broken one is looked for at once."""
_NO_SPACE = re.compile(r"[^ \t\n\r]")


def read_text(path: Path, notes: Notes) -> str:
    """The text of a file, whatever its encoding; what is odd about it goes to `notes`. Raises DataError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("file_missing", path=path) from error
    except OSError as error:
        raise DataError("file_unreadable", path=path, why=error.strerror) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        notes["encoding:UTF-16"] = 1
        return layout.decode(content)
    text = content.decode("utf-8-sig", "replace")
    damaged = text.count("\ufffd")
    if not damaged:
        return text
    if damaged < (len(text) - len(text.encode("ascii", "ignore"))) / 10:  # GBK read as UTF-8 is all damage
        notes["damaged"] = damaged
        return text
    notes["encoding:GBK"] = 1
    return layout.decode(content)


def read_rows(text: str, path: Path, notes: Notes) -> Rows:
    """Rows of a JSON list, of lists inside one object, of one object, or of JSON lines."""
    listed = path.suffix.lower() not in (".jsonl", ".ndjson")
    start = _skip(text, 0)
    if text[start : start + 1] not in ("[", "{") and text[start : start + 2] != "//" and listed:
        raise DataError("import_kind", name=path.name)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        if _is_lines(text):
            yield from _lines(text, notes)
            return
        plain = layout.without_comments(text) if "//" in text else text
        notes += _comments(text, plain)
        try:
            whole = json.loads(plain)
        except (ValueError, RecursionError):
            found: Notes = Counter()
            scanned = list(_scanned(plain, found))
            if text[start : start + 1] == "{" and not any(_is_sample(row) for _, row in scanned):
                yield Place(1), read_value(plain)  # one broken sample, and no list of them
                return
            notes += found
            yield from scanned
            return
    rows = whole if isinstance(whole, list) else [whole]
    if isinstance(whole, dict) and not _is_sample(whole):
        lists = {key: value for key, value in whole.items() if isinstance(value, list) and any(map(_is_sample, value))}
        rows = [] if lists else rows
        for key, inner in lists.items():
            yield from ((Place(number, "sample", key), row) for number, row in enumerate(inner, 1))
    yield from ((Place(number), row) for number, row in enumerate(rows, 1))


def _is_sample(row: Any) -> bool:
    try:
        return bool(recognize(row))
    except RowError:
        return False


def _comments(text: str, plain: str) -> Notes:
    return Counter({"comments": sum(a != b for a, b in zip(text.split("\n"), plain.split("\n"), strict=True))})


def _is_lines(text: str) -> bool:
    """Whether it is no list, and one of the first lines is an object by itself."""
    lines = [line for line in text.split("\n", 50)[:50] if line.strip()]
    begin = next((line for line in lines if not line.lstrip().startswith("//")), "")
    if begin.lstrip("\ufeff \t").startswith("["):
        return False
    return any(line[0] == "{" and isinstance(read_value(line), dict) for line in lines)


def _lines(text: str, notes: Notes) -> Rows:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip("\ufeff \t\r"):
            continue
        row = read_value(line)
        if isinstance(row, RowError) and "//" in line:
            plain = layout.without_comments(line)
            notes += _comments(line, plain)
            row = read_value(plain) if plain.strip() else None
        if row is not None:
            yield Place(number, "line"), row


def read_value(text: str) -> Any:
    """The value, or a RowError that says why there is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return _why_not(error, placed=False)


def _why_not(error: Exception, placed: bool = True) -> RowError:
    if not isinstance(error, json.JSONDecodeError):
        return RowError("row_not_json", reason="json_deep" if isinstance(error, RecursionError) else "json_number")
    place = {"line": error.lineno, "column": error.colno} if placed else {}
    return RowError("row_not_json", reason=strict_json.reason(error), **place)


def _scanned(text: str, notes: Notes) -> Rows:
    """Rows of a list that JSON cannot read as a whole: each by itself, going on after a broken one."""
    decoder, number, broken = json.JSONDecoder(), 0, 0
    place = text.find("[") + 1
    while (place := _skip(text, place)) < len(text):
        ended = text[place] == "]"
        place = _skip(text, place + 1) if ended else place
        if ended and text[place : place + 1] in ("", "}"):
            return
        number += 1
        if ended or broken == tables.BROKEN_LIMIT:
            yield Place(number), RowError("row_rest", line=text.count("\n", 0, place) + 1)
            return
        try:
            row, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            yield Place(number), _why_not(error)
            broken += 1
            place = _next_row(text, place, decoder)
            continue
        yield Place(number), row
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place += 1
        elif text[place : place + 1] == "{":
            notes["commas"] += 1
    notes["cut"] = 1


def _skip(text: str, place: int) -> int:
    found = _NO_SPACE.search(text, place)
    return found.start() if found else len(text)


def _next_row(text: str, place: int, decoder: json.JSONDecoder) -> int:
    """Where the next object begins that is a sample by itself; the end when there is none."""
    while place < len(text):
        window, at = text[place : place + WINDOW], 0  # an error counts lines from the start of what is read
        while (at := window.find("{", at + 1)) > 0:
            try:
                row, end = decoder.raw_decode(window, at)
            except ValueError:
                continue
            except RecursionError:  # whatever begins among the next brackets is as deep
                at += 300
                continue
            if _is_sample(row):
                return place + at
            at = end - 1
        place += WINDOW // 2
    return len(text)


def recognize(row: Any) -> str:
    """The form of one row: a key of `FORM_NAMES`. Raises RowError."""
    if isinstance(row, RowError):
        raise row
    if not isinstance(row, dict):
        raise RowError("row_not_object")
    if "conversations" in row or "conversation" in row:
        turns = row.get("conversations", row.get("conversation"))
        turns = turns if isinstance(turns, list) else []
        foreign = any(isinstance(turn, dict) and ("role" in turn or turn.get("from") in ALIASES) for turn in turns)
        return "sharegpt" if foreign else "train"
    if "messages" in row:
        return "openai"
    if "output" in row and ("instruction" in row or "input" in row):
        return "alpaca"
    if tables.match(list(row)).keys() >= set(tables.ROWS):
        return "pairs"
    raise RowError("row_unknown", keys=", ".join(map(str, row))[:200] or "-")
