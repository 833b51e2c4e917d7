"""Other forms in and out: nothing good is lost, and what was refused is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenlab.conversations import formats
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.words import DataError

ASKED = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("row", "form", "messages"),
    [
        ({"conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]}, "train", ASKED),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, "sharegpt", ASKED),
        ({"messages": ASKED}, "openai", ASKED),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, ASKED[1]]}, "openai", ASKED),
        ({"instruction": "q", "input": "", "output": "a"}, "alpaca", ASKED),
        (
            {"instruction": "q", "output": "a", "system": "s", "history": [["p", "b"]]},
            "alpaca",
            [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "p"},
                {"role": "assistant", "content": "b"},
                *ASKED,
            ],
        ),
        ({"question": "q", "answer": "a"}, "csv", ASKED),
        (
            {"system": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
            "sharegpt",
            [{"role": "system", "content": "s"}, *ASKED],
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_each_form_is_recognized(
    write: Callable[..., Path], row: dict[str, Any], form: str, messages: list[dict[str, str]], suffix: str
) -> None:
    text = json.dumps([row, row]) if suffix == ".json" else f"{json.dumps(row)}\n\n{json.dumps(row)}\n"
    samples, report = formats.import_file(write(text, "in" + suffix))
    assert [sample.to_messages() for sample in samples] == [messages, messages]
    assert report.forms == {form: 2}
    assert len({sample.id for sample in samples}) == 2


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("text", "row_not_object"),
        ({"foo": 1}, "row_unknown"),
        ({"messages": "x"}, "row_turn"),
        ({"messages": [{"role": "user"}]}, "row_turn"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "row_tool"),
        ({"instruction": "", "output": "a"}, "row_no_question"),
        ({"question": "q", "answer": None}, "row_no_answer"),
        ({"instruction": "q", "output": "a", "history": [["x"]]}, "row_turn"),
    ],
)
def test_bad_row_is_named_and_discards_no_good_one(write: Callable[..., Path], bad: Any, code: str) -> None:
    samples, report = formats.import_file(write([{"messages": ASKED}, bad, {"messages": ASKED}]))
    assert len(samples) == 2
    assert [(place, why) for place, why, _ in report.refused] == [(2, code)]
    assert "Row 2 was left out" in report.describe("en")[-1]
    assert "第 2 行未读入" in report.describe("zh")[-1]


def test_torn_line_of_jsonl_is_named_and_the_others_are_taken(write: Callable[..., Path]) -> None:
    line = json.dumps({"messages": ASKED})
    samples, report = formats.import_file(write(f"{line}\n{line[:20]}\n{line}", "in.jsonl"))
    assert len(samples) == 2
    assert report.refused[0][0] == 2


def test_object_answer_becomes_json_text_and_is_counted(write: Callable[..., Path]) -> None:
    row = {"messages": [ASKED[0], {"role": "assistant", "content": {"金额": 1.5}}]}
    samples, report = formats.import_file(write([row]))
    assert samples[0].turns[1].text == '{"金额": 1.5}'
    assert report.serialized == 1
    assert any("became JSON text" in line for line in report.describe("en"))


@pytest.mark.parametrize("content", ["hello", "[]", "", "3", b"\x00\xff\xfe\x81"])
def test_file_of_no_known_form_is_refused(write: Callable[..., Path], content: Any) -> None:
    with pytest.raises(DataError):
        formats.import_file(write(content, "in.json"))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("prompt,answer\nq,a\n", "utf-8"),
        ("问题;系统;回答\nq;s;a\n", "utf-8-sig"),
        ("问题\t回答\nq\ta\n", "gb18030"),
        ('Question,Answer\n"q\nr","a, ""b"""\n,\n', "utf-8"),
    ],
)
def test_csv_of_any_dialect_is_read(write: Callable[..., Path], text: str, encoding: str) -> None:
    samples, report = formats.import_file(write(text.encode(encoding), "in.csv"))
    assert len(samples) == 1
    assert samples[0].turns[-1].text.startswith("a")
    assert report.refused == []


def test_csv_without_known_columns_names_those_it_has(write: Callable[..., Path]) -> None:
    path = write("foo,bar\nq,a\n", "in.csv")
    with pytest.raises(DataError, match="foo, bar"):
        formats.import_file(path)
    samples, _ = formats.import_file(path, columns={"prompt": "foo", "answer": "bar"})
    assert samples[0].to_messages() == ASKED


def test_csv_row_without_answer_is_named_by_its_line(write: Callable[..., Path]) -> None:
    samples, report = formats.import_file(write("prompt,answer\nq,a\nq,\n", "in.csv"))
    assert len(samples) == 1
    assert report.refused == [(3, "row_no_answer", {})]


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: text.strip())
lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(
    lambda text: text.strip()
)


@st.composite
def conversations(draw: st.DrawFn, text: st.SearchStrategy[str] = lines) -> list[tuple[str, str]]:
    turns = [("system", draw(text))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        turns += [("user", draw(text)), ("assistant", draw(text))]
    return turns


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".tsv"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks=st.lists(conversations(), min_size=1, max_size=4))
def test_every_form_gives_back_what_it_was_given(
    tmp_path: Path, suffix: str, talks: list[list[tuple[str, str]]]
) -> None:
    samples = [Sample.make(f"s{number}", turns) for number, turns in enumerate(talks)]
    path = tmp_path / f"out{suffix}"
    assert formats.export_file(samples, path) == len(samples)
    found, report = formats.import_file(path)
    assert [sample.to_messages() for sample in found] == [sample.to_messages() for sample in samples]
    assert [sample.id for sample in found] == [sample.id for sample in samples]
    assert report.refused == []


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(talks=st.lists(conversations(words), min_size=1, max_size=3))
def test_excel_gives_back_what_it_was_given(tmp_path: Path, talks: list[list[tuple[str, str]]]) -> None:
    pytest.importorskip("openpyxl")
    samples = [Sample.make(f"s{number}", turns) for number, turns in enumerate(talks)]
    path = tmp_path / "out.xlsx"
    formats.export_file(samples, path)
    found, _ = formats.import_file(path)
    assert [sample.to_messages() for sample in found] == [sample.to_messages() for sample in samples]


def test_words_that_look_like_a_formula_stay_words(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    path = tmp_path / "out.xlsx"
    formats.export_file([Sample.make("s", [("user", "=1+1"), ("assistant", "+2")])], path)
    assert formats.import_file(path)[0][0].turns[0].text == "=1+1"


def test_damaged_excel_file_is_one_clear_error(write: Callable[..., Path]) -> None:
    pytest.importorskip("openpyxl")
    with pytest.raises(DataError, match="cannot be read as an Excel file"):
        formats.import_file(write(b"PK not a zip", "in.xlsx"))


def test_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Use \.json"):
        formats.export_file([], tmp_path / "out.pdf")


def test_exported_train_json_opens_as_a_data_set(tmp_path: Path) -> None:
    path = tmp_path / "out.train.json"
    formats.export_file([Sample.make("a", [("user", "q"), ("assistant", "a")])], path)
    assert DataSet.open(path).samples[0].to_messages() == ASKED
