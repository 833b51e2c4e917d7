"""Cases from CSV, TSV, Excel and YAML files: types come from the schema, a bad cell is named by row and column."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from small_suites import TICKET_SCHEMA

from qwenlab.errors import QwenlabError
from qwenlab.evals.suite import Suite, load_suite

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "n": {"type": "integer"},
        "price": {"type": ["number", "null"]},
        "paid": {"type": "boolean"},
        "day": {"type": ["string", "null"], "format": "date"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "amount": {
            "anyOf": [
                {"type": "null"},
                {"type": "object", "properties": {"value": {"type": "number"}, "currency": {"enum": ["CNY", "EUR"]}}},
            ]
        },
    },
}


def suite(folder: Path, table: str, schema: Any = SCHEMA, name: str = "cases.csv") -> Suite:
    (folder / name).write_text(table, encoding="utf-8")
    content = {"name": "n", "cases": name} | ({} if schema is None else {"schema": schema})
    (folder / "suite.json").write_text(json.dumps(content), encoding="utf-8")
    return load_suite(folder)


CELLS = [
    ("expected./id", "007", {"id": "007"}),
    ("expected.id", "12", {"id": "12"}),
    ("expected/n", "12", {"n": 12}),
    ("expected.n", "１２", {"n": 12}),
    ("expected.n", "5.0", {"n": 5}),
    ("expected.price", "1299.5", {"price": 1299.5}),
    ("expected.price", '"¥1,299.50"', {"price": 1299.5}),
    ("expected.price", "22 元", {"price": 22}),
    ("expected.price", "null", {"price": None}),
    ("expected.paid", "TRUE", {"price": ..., "paid": True}),
    ("expected.paid", "否", {"paid": False}),
    ("expected.day", "2024-03-17", {"day": "2024-03-17"}),
    ("expected.tags", '"[""a"", ""b""]"', {"tags": ["a", "b"]}),
    ("expected.amount.value", "5", {"amount": {"value": 5}}),
    ("expected./amount/currency", "EUR", {"amount": {"currency": "EUR"}}),
    ("期望答案.n", "3", {"n": 3}),
]  # fmt: skip


@pytest.mark.parametrize(("column", "cell", "expected"), CELLS, ids=[f"{row[0]}={row[1]}" for row in CELLS])
def test_a_cell_has_the_type_that_the_schema_names(tmp_path: Path, column: str, cell: str, expected: Any) -> None:
    (case,) = suite(tmp_path, f"id,prompt,{column}\na,Question?,{cell}\n").cases
    assert case.expected == {key: value for key, value in expected.items() if value is not ...}


def test_empty_cells_are_null_where_that_is_allowed_and_else_not_there(tmp_path: Path) -> None:
    columns = "id,prompt,expected.id,expected.price,expected.amount.value,expected.amount.currency"
    table = f"{columns}\na,Q?,,,,\nb,Q2?,x,1,,CNY\n"
    empty, half = suite(tmp_path, table).cases
    assert empty.expected == {"price": None, "amount": None}
    assert half.expected == {"id": "x", "price": 1, "amount": {"currency": "CNY"}}


BAD_CELLS = [
    ("expected.n", "many", 'line 2, column "expected/n": must be a whole number', "应为整数"),
    ("expected.n", "1.5", "must be a whole number", "应为整数"),
    ("expected.price", "cheap", "must be a number, not 'cheap'", "应为数字"),
    ("expected.paid", "perhaps", "must be true or false", "应为 true 或 false"),
    ("expected.tags", "a; b", "must be a list as JSON", "应为 JSON 列表"),
    ("expected.tags", '"[a"', '"expected/tags" is not JSON', "不是 JSON"),
]


@pytest.mark.parametrize(("column", "cell", "words", "zh"), BAD_CELLS)
def test_a_cell_that_cannot_be_taken_is_named_by_row_and_column(
    tmp_path: Path, column: str, cell: str, words: str, zh: str
) -> None:
    with pytest.raises(QwenlabError) as caught:
        suite(tmp_path, f"id,prompt,{column}\na,Question?,{cell}\n")
    assert words in caught.value.what
    assert zh in caught.value.say("zh")[0]
    assert "第 2 行" in caught.value.say("zh")[0]


BAD_TABLES = [
    ("id,promt,expected\na,Q,1\n", 'unknown column "promt"', 'Did you mean "prompt"'),
    ("id,prompt,expected,expected.n\na,Q,{},5\n", "filled in too", "Correct the cell"),
    ("id,prompt,expected.amount,expected.amount.value\na,Q,,5\n", "another column holds the whole", "Correct"),
    ('id,prompt,expected\na,"Q,1\nb,Q2,{}\n', "a quote is not closed", "Close it"),
    ("id,prompt,expected\na,Q,{},too,many\n", 'column "(D)": the column has no name', "Correct"),
]


@pytest.mark.parametrize(("table", "words", "remedy"), BAD_TABLES)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, table: str, words: str, remedy: str) -> None:
    with pytest.raises(QwenlabError) as caught:
        suite(tmp_path, table)
    assert words in caught.value.what
    assert remedy in caught.value.remedy
    assert all(re.search("[\u4e00-\u9fff]", said) for said in caught.value.say("zh"))


def test_excel_keeps_numbers_days_and_money_as_they_were_meant(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(
        ["编号", "问题", "标签", "expected.n", "expected.price", "expected.day", "expected.id", "expected.paid"]
    )
    sheet.append(["a", "How much?", "money; 钱", 3, 1299.5, date(2024, 3, 17), "007", True])
    sheet["E2"].number_format = "¥#,##0.00"
    book.save(tmp_path / "cases.xlsx")
    (tmp_path / "suite.json").write_text(json.dumps({"name": "n", "schema": SCHEMA, "cases": "cases.xlsx"}))
    (case,) = load_suite(tmp_path).cases
    assert case.tags == ["money", "钱"]
    assert case.expected == {"n": 3, "price": 1299.5, "day": "2024-03-17", "id": "007", "paid": True}


def test_a_table_with_semicolons_or_tabs_is_read_too(tmp_path: Path) -> None:
    assert suite(tmp_path, "id;prompt;expected.n\na;Q, or not?;5\n").cases[0].expected == {"n": 5}
    assert suite(tmp_path, "id\tprompt\texpected.n\na\tQ?\t5\n", name="cases.tsv").cases[0].expected == {"n": 5}


def test_text_cases_stand_in_a_table_with_json_ones(tmp_path: Path) -> None:
    table = (
        'id,prompt,rule,expected,expected.n\na,Q?,,,5\nb,Hello?,contains,"[""good"", ""day""]",\nc,Bye?,equals,[sic],\n'
    )
    found = suite(tmp_path, table)
    assert [found.as_json(case) for case in found.cases] == [True, False, False]
    assert [case.expected for case in found.cases] == [{"n": 5}, ["good", "day"], "[sic]"]


def test_a_broken_excel_file_and_a_missing_one_are_named(tmp_path: Path) -> None:
    (tmp_path / "suite.json").write_text('{"name": "n", "cases": "cases.xlsx"}')
    with pytest.raises(QwenlabError, match="There is no file"):
        load_suite(tmp_path)
    (tmp_path / "cases.xlsx").write_bytes(b"PK not really")
    with pytest.raises(QwenlabError) as caught:
        load_suite(tmp_path)
    assert "cases.xlsx" in caught.value.what


@pytest.mark.parametrize("name", ["cases.yaml", "cases.yml", "cases.json"])
def test_cases_may_be_a_list_in_a_file_of_their_own(tmp_path: Path, name: str) -> None:
    rows = [{"id": "a", "prompt": "Q?", "expected": {"intent": "refund", "amount": None}}]
    assert suite(tmp_path, json.dumps(rows), TICKET_SCHEMA, name).cases[0].id == "a"
    (tmp_path / name).write_text('{"id": "a"}')
    with pytest.raises(QwenlabError, match="not a list of cases"):
        load_suite(tmp_path)
