"""Messages to be answered are found in whatever file a person has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab.conversations import messages, tables
from qwenlab.conversations.messages import of_lines, read_questions, write_questions
from qwenlab.errors import QwenlabError


def texts(path: Path) -> list[tuple[str, str]]:
    return [(one.text, one.expected) for one in read_questions(path)]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.txt", "one\n\n  two  \r\n", [("one", ""), ("two", "")]),
        ("a.csv", "id,message\n1,hello\n2,\n3,bye\n", [("hello", ""), ("bye", "")]),
        ("a.csv", "客户留言,标准答案\n你好,您好\n", [("你好", "您好")]),
        ("a.csv", "first message\nsecond message\n", [("first message", ""), ("second message", "")]),
        ("a.tsv", "question\tnote\nwhy?\tx\n", [("why?", "")]),
        ("a.jsonl", '"one"\n{"prompt": "two", "answer": "2"}\n{"x": 1}\n', [("one", ""), ("two", "2")]),
        (
            "a.json",
            '[{"conversations": [{"from": "user", "value": "q"}, {"from": "assistant", "value": "a"}]}]',
            [("q", "a")],
        ),
    ],
)
def test_questions_are_read(tmp_path: Path, name: str, content: str, found: list[tuple[str, str]]) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert texts(path) == found


def test_excel_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(tables.workbook(["prompt", "answer"], [["=1+1", "2"], ["hi", ""]]))
    assert texts(path) == [("=1+1", "2"), ("hi", "")]


def test_earlier_turns_come_along_and_survive_writing(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": [*turns, {"role": "user", "content": "c"}]}), encoding="utf-8")
    (one,) = read_questions(path)
    assert [turn["content"] for turn in one.messages("another system")] == ["s", "a", "b", "c"]
    path.write_text(write_questions([one]), encoding="utf-8")
    assert read_questions(path) == [one]


def test_system_turn_comes_first() -> None:
    assert [turn["role"] for turn in of_lines("hello")[0].messages("be brief")] == ["system", "user"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "\n\n", "no message"),
        ("a.csv", "a,b\n1,2\n", "no column with messages"),
        ("a.pdf", "x", "cannot be read"),
        ("a.txt", "x" * (messages.LONGEST + 1), "Message 1 has more"),
        ("a.txt", "x\n" * (messages.MOST + 1), "at most"),
    ],
)
def test_file_that_cannot_be_asked_is_refused_in_words(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(QwenlabError, match=words) as caught:
        read_questions(path)
    assert caught.value.zh
