"""Messages to be answered: from lines, CSV, Excel, JSON or JSONL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab.conversations import tables
from qwenlab.conversations.json_rows import read_rows, read_text
from qwenlab.conversations.preview import RowError
from qwenlab.conversations.sample import Sample, as_text, to_json
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Message

SUFFIXES = (".txt", *tables.SUFFIXES, ".jsonl", ".json")
MOST = 20_000
"""Messages of one batch."""
LONGEST = 20_000
"""Characters of a message."""


@dataclass(frozen=True)
class Question:
    """One message to be answered.

    Attributes:
        turns: the conversation up to it, without a system turn unless the file has one.
        expected: the right answer where the file knows it; "" where not.
    """

    turns: tuple[Message, ...]
    expected: str = ""

    @property
    def text(self) -> str:
        """What is asked last."""
        return self.turns[-1]["content"]

    def messages(self, system: str) -> list[Message]:
        """The conversation to answer; with `system` before it where it brings no system turn."""
        told = system.strip() and self.turns[0]["role"] != "system"
        return [*([Message(role="system", content=system)] if told else []), *self.turns]


def of_lines(text: str) -> list[Question]:
    """One question a line; blank lines are left out."""
    return [_asked(line.strip()) for line in text.splitlines() if line.strip()]


def read_questions(path: Path) -> list[Question]:
    """The questions of a file.

    Args:
        path: .txt (one a line), .csv, .tsv or .xlsx (a column such as "prompt" or "message", perhaps "answer",
            "system" and "history" too), .jsonl or .json (texts, such objects, or conversations whose last user turn
            is asked).

    Raises:
        QwenlabError: when there is no question, too many, or one that no small model can read.
    """
    suffix = path.suffix.lower()
    if suffix == ".txt":
        found = of_lines(read_text(path, Counter()))
    elif suffix in tables.SUFFIXES:
        found = list(_of_table(path, tables.read(path, None if suffix == ".xlsx" else read_text(path, Counter()))))
    elif suffix in SUFFIXES:
        found = [one for _, row in read_rows(read_text(path, Counter()), path, Counter()) if (one := _of_row(row))]
    else:
        raise QwenlabError(
            f"Messages in {path.name} cannot be read.",
            f"Use one of {', '.join(SUFFIXES)}.",
            zh=(f"无法读取 {path.name} 中的留言。", f"请使用 {'、'.join(SUFFIXES)} 之一。"),
        )
    return checked(found)


def checked(found: list[Question]) -> list[Question]:
    """The questions, when they can be asked. Raises QwenlabError otherwise."""
    if not found:
        raise QwenlabError(
            "There is no message to answer.",
            "Write one a line, or choose a file with a column such as prompt or message.",
            zh=("没有要回答的留言。", "请每行写一条，或选择带有“留言”“问题”等列的文件。"),
        )
    if len(found) > MOST:
        raise QwenlabError(
            f"There are {len(found):,} messages; at most {MOST:,} are answered in one go.",
            "Split the file.",
            zh=(f"共有 {len(found):,} 条留言，一次最多回答 {MOST:,} 条。", "请拆分文件。"),
        )
    at = next((at for at, one in enumerate(found, 1) if len(one.text) > LONGEST), None)
    if at:
        raise QwenlabError(
            f"Message {at} has more than {LONGEST:,} characters.",
            "Shorten it, or leave it out.",
            zh=(f"第 {at} 条留言超过 {LONGEST:,} 个字符。", "请缩短或去掉它。"),
        )
    return found


def write_questions(questions: Sequence[Question]) -> str:
    """The questions as JSONL that `read_questions` reads back."""
    return "".join(
        to_json({"messages": list(one.turns), **({"answer": one.expected} if one.expected else {})}) + "\n"
        for one in questions
    )


def _asked(text: str, expected: str = "", earlier: Iterable[Message] = ()) -> Question:
    return Question((*earlier, Message(role="user", content=text)), expected)


def _of_table(path: Path, table: tables.Table) -> Iterator[Question]:
    named = tables.match(table.columns)
    if "prompt" not in named:
        known = next((part for part in ("prompt", "text") if part in (found := _parts(table.columns))), "")
        if known:
            named = {"prompt": found[known]}
        elif len(table.columns) == 1:  # a list without a name above it
            yield _asked(table.columns[0].strip())
            named = {"prompt": table.columns[0]}
        else:
            raise QwenlabError(
                f"{path.name} has no column with messages; it has: {', '.join(table.columns) or '-'}.",
                "Name the column prompt, question or message.",
                zh=(
                    f"{path.name} 中没有留言列，现有：{'、'.join(table.columns) or '-'}。",
                    "请把该列命名为“留言”“问题”或 prompt。",
                ),
            )
    at = {part: table.columns.index(name) for part, name in named.items()}
    for _, row in table.rows:
        parts = {part: row[i].strip() if i < len(row) else "" for part, i in at.items()}
        if parts["prompt"]:
            told = [Message(role="system", content=parts["system"])] if parts.get("system") else []
            yield _asked(parts["prompt"], parts.get("answer", ""), told)


def _parts(columns: Sequence[str]) -> dict[str, str]:
    """Column by part, of single columns that `match` does not take without their partners."""
    found: dict[str, str] = {}
    for part, names in tables.COLUMNS.items():
        for column in columns:
            if "".join(column.casefold().split()).replace("_", "").replace("-", "") in names:
                found.setdefault(part, column)
    return found


def _of_row(row: Any) -> Question | None:
    """The question of a JSON value; None when it has none."""
    if isinstance(row, str):
        return _asked(row.strip()) if row.strip() else None
    if not isinstance(row, dict) or isinstance(row, RowError):
        return None
    turns = row.get("messages", row.get("conversations"))
    if isinstance(turns, list):
        raw = [
            {"from": turn.get("from", turn.get("role")), "value": turn.get("value", turn.get("content"))}
            for turn in turns
            if isinstance(turn, dict)
        ]
        sample = Sample({"id": "", "conversations": raw})
        return of_sample(sample, as_text(row.get("answer")))
    found = _parts(list(row))
    asked = as_text(row.get(found.get("prompt", found.get("text", "")))).strip()
    return _asked(asked, as_text(row.get(found.get("answer", "")))) if asked else None


def of_sample(sample: Sample, expected: str = "") -> Question | None:
    """The last question of a conversation with what comes before it; its answer is the expected one."""
    turns = sample.to_messages()
    if turns and turns[-1]["role"] == "assistant":
        expected = expected or turns[-1]["content"]
        turns = turns[:-1]
    if not turns or turns[-1]["role"] != "user" or not turns[-1]["content"].strip():
        return None
    return Question(tuple(turns), expected)
