"""Tables as people bring them: any dialect, several sheets, cells as they are seen, no formula ever run."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.conversations import formats, tables
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError

ASKED = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
openpyxl = pytest.importorskip("openpyxl")


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """Write sheets, given as name=rows, into in.xlsx."""

    def write(**sheets: list[list[Any]]) -> Path:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
        book.save(tmp_path / "in.xlsx")
        return tmp_path / "in.xlsx"

    return write


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("prompt,answer\nq,a\n", "utf-8"),
        ("问题;系统;回答\nq;s;a\n", "utf-8-sig"),
        ("问题\t回答\nq\ta\n", "gb18030"),
        ("问题,回答\r\nq,a\r\n", "utf-16"),
        ("prompt|answer\nq|a\n", "utf-8"),
        ("sep=;\nprompt;answer\nq;a\n", "utf-8"),
        ('\n售后记录, 2024;;\n;;\n"prompt";"answer"\nq;a\n', "utf-8"),
        ('Question,Answer\n"q\nr","a, ""b"""\n,\n', "utf-8"),
    ],
)
def test_csv_of_any_dialect_is_read(write: Callable[..., Path], text: str, encoding: str) -> None:
    samples, report = formats.import_file(write(text.encode(encoding), "in.csv"))
    assert len(samples) == 1
    assert samples[0].turns[-1].text.startswith("a")
    assert report.refused == []


def test_line_breaks_in_quoted_cells_are_kept(write: Callable[..., Path]) -> None:
    samples, _ = formats.import_file(write(b'prompt,answer\n"a\r\nb\n\nc","d\re"\n', "in.csv"))
    assert [turn.text for turn in samples[0].turns] == ["a\r\nb\n\nc", "d\re"]


def test_csv_without_known_columns_names_those_it_has(write: Callable[..., Path]) -> None:
    path = write("foo,,foo\nq,a,x\nr,b,y\n", "in.csv")
    with pytest.raises(DataError, match=r"foo, \(B\), foo \(C\)"):
        formats.import_file(path)
    report = formats.preview(path)
    assert report.needs_columns
    assert report.table is not None
    assert report.table.first() == [["q", "a", "x"], ["r", "b", "y"]]
    samples, report = formats.import_file(path, columns={"prompt": "foo", "answer": "(B)", "system": ""})
    assert samples[0].to_messages() == ASKED
    assert report.changed("en")[0] == "Columns that stay out: foo (C)."


def test_column_that_is_not_there_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="its columns are: prompt, answer"):
        formats.import_file(write("prompt,answer\nq,a\n", "in.csv"), columns={"prompt": "prompt", "answer": "reply"})


def test_refused_rows_are_named_as_a_spreadsheet_shows_them(write: Callable[..., Path]) -> None:
    content = 'prompt,answer\n"q\nr",a\n\nq,\n#N/A,a\nq,"a"b\nq,a\n'
    samples, report = formats.import_file(write(content, "in.csv"))
    assert len(samples) == 2
    assert sorted((one.place.number, one.code) for one in report.refused) == [
        (4, "row_no_answer"),
        (5, "row_cell"),
        (6, "row_quote"),
    ]
    assert {one.where("zh") for one in report.refused} == {"第 4 行", "第 5 行", "第 6 行"}


def test_quote_that_is_never_closed_does_not_swallow_the_rest(write: Callable[..., Path]) -> None:
    rows = "".join(f"q{at},a\n" for at in range(50))
    samples, report = formats.import_file(write(f'prompt,answer\n{rows}q,"never closed\n{rows}', "in.csv"))
    assert len(samples) == 100
    assert [(one.place.number, one.code) for one in report.refused] == [(52, "row_quote")]


def test_csv_of_broken_quotes_alone_ends_soon(write: Callable[..., Path]) -> None:
    _, report = formats.import_file(write("prompt,answer\n" + 'q,"a"b\n' * 3000, "in.csv"))
    assert len(report.refused) == tables.BROKEN_LIMIT


@pytest.mark.parametrize(
    "rows",
    [
        [["会话ID", "角色", "内容"], ["1", "客户", "q"], ["1", "客服", "a"], ["2", "用户", "q"], ["2", "助手", "a"]],
        [["conversation_id", "role", "text"], ["1", "user", "q"], ["", "assistant", "a"], ["2", "User", "q"]]
        + [["2", "GPT", "a"]],
        [["id", "from", "value"], ["1", "human", "q"], ["2", "human", "q"], ["1", "gpt", "a"], ["2", "gpt", "a"]],
    ],
)
def test_rows_that_are_turns_become_conversations(workbook: Callable[..., Path], rows: list[list[str]]) -> None:
    samples, report = formats.import_file(workbook(talk=rows))
    assert [(sample.id, sample.to_messages()) for sample in samples] == [("1", ASKED), ("2", ASKED)]
    assert report.refused == []
    assert report.forms == {"excel": 2}


def test_conversation_with_a_speaker_nobody_knows_is_named_by_its_first_row(workbook: Callable[..., Path]) -> None:
    rows = [
        ["session", "speaker", "text"],
        [1, "user", "q"],
        [1, "assistant", "a"],
        [2, "老王", "q"],
        [2, "assistant", "a"],
    ]
    samples, report = formats.import_file(workbook(talk=rows))
    assert len(samples) == 1
    assert report.refused[0].where("en") == "Row 4 (talk)"
    assert report.refused[0].why("en") == 'nobody is known as "老王"'


def test_likely_sheet_is_chosen_and_any_other_can_be(workbook: Callable[..., Path]) -> None:
    rows = [["prompt", "answer"], ["q", "a"]]
    rows = [["Shop records 2024"], *rows]
    path = workbook(Notes=[["just words"]], Empty=[], May=rows, June=[*rows, ["r", "b"]])
    report = formats.preview(path)
    assert report.table is not None
    assert (report.table.sheet, report.table.sheets) == ("May", ("Notes", "Empty", "May", "June"))
    assert report.table.columns == ("prompt", "answer")
    assert len(formats.preview(path, sheet="June").samples) == 2
    assert formats.preview(path, sheet="Empty").needs_columns
    with pytest.raises(QwenlabError, match="no sheet July") as caught:
        formats.preview(path, sheet="July")
    assert "没有工作表" in caught.value.say("zh")[0]


@pytest.mark.parametrize(
    ("value", "form", "seen"),
    [
        (3.0, "General", "3"),
        (3, "General", "3"),
        (0.1 + 0.2, "General", "0.3"),
        (13800138000.0, "General", "13800138000"),
        (123456789012345678, "General", "123456789012345678"),
        (1e20, "General", "100000000000000000000"),
        (-2.5, "General", "-2.5"),
        (3.5, "0.00", "3.50"),
        (0.15, "0%", "15%"),
        (0.1234, "0.0%", "12.3%"),
        (1234.5, "#,##0.00", "1,234.50"),
        (1234.5, '"¥"#,##0.00', "¥1,234.50"),
        (-1234.5, "[$¥-804]#,##0.0_);[Red](#,##0.0)", "-¥1,234.5"),
        (12, '0" 件"', "12 件"),
        (42, "00000", "00042"),
        (1.5, "0.##", "1.5"),
        (2.0, "0.##", "2"),
        (-0.001, "0.0", "0.0"),
        (1.5, "0.00E+00", "1.5"),
        (True, "General", "TRUE"),
        (datetime(2024, 5, 1), "yyyy-mm-dd h:mm:ss", "2024-05-01"),
        (datetime(2024, 5, 1, 14, 30), "yyyy-mm-dd h:mm", "2024-05-01 14:30"),
        (datetime(2024, 5, 1, 14, 30, 5), "yyyy-mm-dd h:mm:ss", "2024-05-01 14:30:05"),
        (datetime(2024, 5, 1, 14, 30), 'yyyy"年"m"月"d"日"', "2024-05-01"),
        (date(2024, 5, 1), "yyyy-mm-dd", "2024-05-01"),
        (time(3, 4), "h:mm", "03:04"),
        (timedelta(hours=30, seconds=5), "[hh]:mm:ss", "30:00:05"),
        ("a_x000D_\nb", "General", "a\r\nb"),
        ("'=1+1", "@", "=1+1"),
        ("it's", "General", "it's"),
    ],
)
def test_cell_is_read_as_a_person_sees_it(value: Any, form: str, seen: str) -> None:
    assert tables.shown(value, form) == seen


def test_numbers_and_dates_of_a_real_workbook_are_read_as_seen(workbook: Callable[..., Path]) -> None:
    path = workbook(Sheet1=[["id", "prompt", "answer"], [7.0, datetime(2024, 5, 1), 3.0], ["x", 0.5, None]])
    samples, report = formats.import_file(path)
    assert [sample.id for sample in samples] == ["7"]
    assert [turn.text for turn in samples[0].turns] == ["2024-05-01", "3"]
    assert report.refused[0].where("en") == "Row 3 (Sheet1)"


def test_size_that_a_program_wrote_wrongly_loses_no_rows(workbook: Callable[..., Path], tmp_path: Path) -> None:
    path = workbook(Sheet1=[["prompt", "answer"], ["q", "a"], ["r", "b"]])
    wrong = tmp_path / "wrong.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(wrong, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'ref="A1:B3"', b'ref="A1"'))
    assert len(formats.import_file(wrong)[0]) == 2


@pytest.mark.parametrize("content", [b"PK not a zip", b"", b"\xd0\xcf\x11\xe0 an old .xls", b"prompt,answer\nq,a\n"])
def test_damaged_excel_file_is_one_clear_error(write: Callable[..., Path], content: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read as an Excel file"):
        formats.import_file(write(content, "in.xlsx"))


def test_workbook_cut_short_is_one_clear_error(workbook: Callable[..., Path], tmp_path: Path) -> None:
    path = workbook(Sheet1=[["prompt", "answer"], ["q", "a"]])
    torn = tmp_path / "torn.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(torn, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name)[: 300 if "sheet1" in name else None])
    with pytest.raises(DataError, match="cannot be read as an Excel file"):
        formats.import_file(torn)


@given(st.text(st.characters()) | st.text("=+-@'\t\r\nab", max_size=6))
def test_guard_gives_the_text_back_and_no_cell_begins_a_formula(text: str) -> None:
    cell = tables.guarded(text)
    assert tables.unguarded(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")', "'=1"])
def test_no_cell_of_an_export_is_a_formula(tmp_path: Path, evil: str) -> None:
    sample = Sample.make(evil, [("system", evil), ("user", evil), ("assistant", evil)])
    path = tmp_path / "out.csv"
    formats.export_file([sample], path)
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in rows[1])
    formats.export_file([sample], tmp_path / "out.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert {cell.data_type for cell in sheet[2] if cell.value is not None} == {"s"}
    assert all(cell.quotePrefix for cell in sheet[2] if str(cell.value)[0] in "=+-@" and cell.value)


def test_text_longer_than_a_cell_is_refused_in_one_sentence(tmp_path: Path) -> None:
    sample = Sample.make("long", [("user", "q"), ("assistant", "😀" * 16384)])
    with pytest.raises(DataError, match="Sample long does not fit into an Excel cell"):
        formats.export_file([sample], tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()
    formats.export_file([sample], tmp_path / "out.csv")


def test_other_keys_do_not_reach_a_table(tmp_path: Path) -> None:
    sample = Sample({"id": "a", "conversations": [{"from": "user", "value": "q", "x": 1}], "secret": "s"})
    formats.export_file([sample], tmp_path / "out.csv")
    assert "secret" not in (tmp_path / "out.csv").read_text("utf-8-sig")
