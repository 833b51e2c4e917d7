"""Excel files made to fill the memory, or to read other files, are refused in one sentence."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import openpyxl
import pytest

from qwenlab.conversations import formats
from qwenlab.errors import QwenlabError

SHEET = "xl/worksheets/sheet1.xml"
HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
TAIL = "</sheetData></worksheet>"


def cell(text: str) -> str:
    return f'<row r="1"><c r="A1" t="inlineStr"><is><t>{text}</t></is></c></row>'


def book(folder: Path, sheet: str, more: dict[str, str] | None = None) -> Path:
    """An Excel file whose sheet is this XML, with more parts in it."""
    made = io.BytesIO()
    openpyxl.Workbook().save(made)
    path = folder / "bomb.xlsx"
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.infolist():
            target.writestr(part.filename, sheet if part.filename == SHEET else source.read(part.filename))
        for name, text in (more or {}).items():
            target.writestr(name, text)
    return path


def doubled(words: str) -> str:
    """Entities of which each is ten of the one before."""
    names = "abcdefghi"
    entities = "".join(f'<!ENTITY {now} "{f"&{last};" * 10}">' for last, now in zip(names, names[1:], strict=False))
    return f'<!DOCTYPE x [<!ENTITY a "{words}">{entities}]>'


BOMBS = {
    "one cell of 300 MB": (HEAD + cell("a" * 300_000_000) + TAIL, "unpacks to"),
    "far-away cells": (HEAD + "".join(f'<row r="{n}"><c r="XFD{n}"/></row>' for n in range(1, 4001)) + TAIL, "cells"),
    "entities in entities": (doubled("lol" * 100) + HEAD + cell("&i;") + TAIL, "cannot be read as an Excel file"),
    "another file as an entity": (
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + HEAD + cell("&a;") + TAIL,
        "cannot be read as an Excel file",
    ),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_bomb_is_refused_in_one_sentence_and_little_memory(name: str, tmp_path: Path) -> None:
    sheet, words = BOMBS[name]
    path = book(tmp_path, sheet)
    tracemalloc.start()
    with pytest.raises(QwenlabError, match=words):
        formats.preview(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50_000_000


def test_row_a_million_rows_down_costs_little(tmp_path: Path) -> None:
    far = '<row r="1048576"><c r="B1048576"><v>1</v></c></row>'
    assert formats.preview(book(tmp_path, HEAD + cell("prompt") + far + TAIL)).samples == []


def test_names_in_the_archive_lead_nowhere(tmp_path: Path) -> None:
    path = book(tmp_path, HEAD + cell("prompt") + TAIL, {"../../escaped.txt": "x", "/tmp/escaped.txt": "x"})
    formats.preview(path)
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["bomb.xlsx"]
    assert not Path("/tmp/escaped.txt").exists()
