"""A list of messages answered by several contestants: every answer is on disk as soon as it exists.

A batch is a folder:

    about.json               the system turn, decoding settings, schema, and who answers
    messages.jsonl           what is asked
    <name>/answers.jsonl     the raw answers of one contestant, appended; the case is the message's number from 1
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import tables
from qwenlab.conversations.messages import MOST, Question, checked, read_questions, write_questions
from qwenlab.conversations.sample import to_json
from qwenlab.errors import QwenlabError
from qwenlab.evals.answers import Answered, AnswerLog
from qwenlab.evals.json_ladder import Reading, classify
from qwenlab.evals.schema import SchemaCheck, Violation
from qwenlab.models.contestant import Answer, Contestant, Generation

ABOUT, MESSAGES = "about.json", "messages.jsonl"
FORMS = ("csv", "xlsx", "jsonl")
_NAME = re.compile(r"\w[\w.+ -]{0,63}")


@dataclass(frozen=True)
class Plan:
    """What a batch asks, and whom.

    Attributes:
        contestants: (name, spec) of each.
        schema: what JSON answers must satisfy; None: nothing is known.
    """

    contestants: tuple[tuple[str, str], ...]
    system: str = ""
    settings: Generation = Generation()
    schema: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "contestants": [list(one) for one in self.contestants]}

    @classmethod
    def of(cls, found: dict[str, Any]) -> Plan:
        """Read what `to_json` wrote."""
        who = tuple((str(name), str(spec)) for name, spec in found["contestants"])
        return cls(who, str(found["system"]), Generation(**found["settings"]), found["schema"])


@dataclass(frozen=True)
class Progress:
    """How far a batch is: answers that are there, of how many; who answers; seconds left, None while unknown."""

    done: int
    total: int
    contestant: str
    seconds_left: float | None


@dataclass(frozen=True)
class Cell:
    """One answer and how it was read; violations: where it breaks the schema, None without one or when unreadable."""

    answer: Answer
    reading: Reading
    violations: tuple[Violation, ...] | None


@dataclass(frozen=True)
class Batch:
    """A batch as it stands on disk: the plan, its questions, and by name the answer to each; None: not yet."""

    plan: Plan
    questions: tuple[Question, ...]
    cells: dict[str, tuple[Cell | None, ...]]

    @property
    def done(self) -> int:
        """Answers that are there."""
        return sum(cell is not None for column in self.cells.values() for cell in column)

    @property
    def total(self) -> int:
        """Answers that are wanted."""
        return len(self.questions) * len(self.plan.contestants)


def prepare(folder: Path, plan: Plan, questions: Sequence[Question]) -> None:
    """Make the folder of a new batch, or find that it is this one already and can go on.

    Raises:
        QwenlabError: when the folder holds another batch, or there is nothing to ask.
    """
    _check_names([name for name, _ in plan.contestants])
    text = write_questions(checked(list(questions)))
    if (folder / ABOUT).exists():
        same = files.read_json(folder / ABOUT) == json.loads(json.dumps(plan.to_json()))
        if not same or (folder / MESSAGES).read_text(encoding="utf-8") != text:
            raise QwenlabError(
                f"{folder} holds the answers to another batch.",
                "Choose a new folder.",
                zh=(f"{folder} 中是另一批留言的回答。", "请换一个新文件夹。"),
            )
        return
    files.write_text(folder / MESSAGES, text)
    files.write_json(folder / ABOUT, plan.to_json())  # last: with it the batch is there


def _check_names(names: Sequence[str]) -> None:
    """Each contestant's answers have a folder under its name."""
    bad = next((name for name in names if not _NAME.fullmatch(name) or names.count(name) > 1), None)
    if bad is not None:
        raise QwenlabError(
            f'"{bad}" cannot name a contestant here.',
            "Give each its own name of letters, digits, dots, dashes and spaces.",
            zh=(f"测试对象不能命名为“{bad}”。", "请给每个取不同的名称，只用文字、数字、点、短横线和空格。"),
        )


Opened = Callable[[str, str], AbstractContextManager[Contestant]]
"""Opens the contestant of (name, spec) and closes it afterwards."""


def run(
    folder: Path,
    opened: Opened,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Answer what is not answered yet, one contestant after the other; errors are tried again.

    A contestant that cannot be had answers every message with its error, and the others go on.

    Raises:
        QwenlabError: when the folder cannot be read or written.
    """
    plan, questions = read_plan(folder)
    total, done = len(questions) * len(plan.contestants), 0
    for at, (name, spec) in enumerate(plan.contestants):
        log = AnswerLog(folder / name / "answers.jsonl")
        log.path.parent.mkdir(exist_ok=True)
        log.drop_torn_line()
        known = log.latest()
        final = {case for case, item in known.items() if item.final}
        left = [number for number in range(1, len(questions) + 1) if str(number) not in final]
        done = at * len(questions) + len(questions) - len(left)
        progress(Progress(done, total, name, None))
        if not left or should_stop():
            continue
        began, fresh = time.monotonic(), 0
        try:
            with opened(name, spec) as contestant:
                asked = [questions[number - 1].messages(plan.system) for number in left]
                for item in _answers(contestant, asked, left, plan.settings, should_stop):
                    log.append(item)
                    fresh += 1
                    spent = (time.monotonic() - began) / fresh
                    progress(Progress(done + fresh, total, name, spent * (total - done - fresh)))
            if should_stop():
                return
        except QwenlabError as error:
            for number in left[fresh:]:
                log.append(Answered(str(number), Answer.failed(error)))


def _answers(
    contestant: Contestant,
    asked: list[Any],
    numbers: list[int],
    settings: Generation,
    should_stop: Callable[[], bool],
) -> Iterator[Answered]:
    answers = contestant.answer(asked, settings, should_stop)
    try:
        for index, answer in answers:
            if answer.finish != "stopped":
                yield Answered(str(numbers[index]), answer)
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()


def read_plan(folder: Path) -> tuple[Plan, tuple[Question, ...]]:
    """What a batch asks.

    Raises:
        QwenlabError: when the folder holds no batch.
    """
    try:
        return Plan.of(files.read_json(folder / ABOUT)), tuple(read_questions(folder / MESSAGES))
    except (KeyError, TypeError, ValueError) as error:
        raise QwenlabError(
            f"{folder} holds no batch that can be read.",
            "Start it anew.",
            zh=(f"{folder} 中没有可读的批量任务。", "请重新开始。"),
        ) from error


def read(folder: Path) -> Batch:
    """A batch with the answers it has so far. Raises QwenlabError when it cannot be read."""
    plan, questions = read_plan(folder)
    schema = "" if plan.schema is None else json.dumps(plan.schema)
    cells: dict[str, tuple[Cell | None, ...]] = {}
    for name, _ in plan.contestants:
        known = AnswerLog(folder / name / "answers.jsonl").latest()
        found = [known.get(str(number)) for number in range(1, len(questions) + 1)]
        cells[name] = tuple(None if item is None else _cell(item.answer, schema) for item in found)
    return Batch(plan, questions, cells)


def changed(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Something else whenever a file of the batch was written: names, times and sizes."""
    known = [path for path in (folder / ABOUT, folder / MESSAGES, *folder.glob("*/answers.jsonl")) if path.exists()]
    return tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in known)


@lru_cache(maxsize=2 * MOST)
def _cell(answer: Answer, schema: str) -> Cell:
    """An answer as it was read; a batch that grows judges only what is new. `schema` as JSON text, "" for none."""
    reading = classify(answer.text)
    violations = tuple(_check(schema).violations(reading.value)) if schema and reading.parsed else None
    return Cell(answer, reading, violations)


@lru_cache(maxsize=4)
def _check(schema: str) -> SchemaCheck:
    return SchemaCheck(json.loads(schema))


# --- export ----------------------------------------------------------------------------------------------


def export(batch: Batch, path: Path) -> None:
    """Write the table by the file's ending: .csv, .xlsx or .jsonl, one row a message.

    Raises:
        QwenlabError: for another ending, or when it cannot be written.
    """
    form = path.suffix.lower().removeprefix(".")
    if form == "jsonl":
        files.write_text(path, "".join(to_json(row) + "\n" for row in _records(batch)))
    elif form == "csv":
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(
            [tables.guarded(cell) for cell in row] for row in _table(batch)
        )
        files.write_bytes(path, b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace"))
    elif form == "xlsx":
        header, *rows = _table(batch)
        files.write_bytes(path, tables.workbook(header, rows))
    else:
        raise QwenlabError(
            f"A table cannot be written as {path.name}.",
            f"Use one of {', '.join(FORMS)}.",
            zh=(f"无法把表格写成 {path.name}。", f"请使用 {'、'.join(FORMS)} 之一。"),
        )


def _records(batch: Batch) -> Iterator[dict[str, Any]]:
    for at, question in enumerate(batch.questions):
        answers = {
            name: None
            if (cell := column[at]) is None
            else {
                "answer": cell.answer.text,
                "finish": cell.answer.finish,
                "tokens": cell.answer.tokens,
                "rung": cell.reading.rung,
                "schema_valid": schema_valid(cell),
                **({"error": cell.answer.error} if cell.answer.error else {}),
            }
            for name, column in batch.cells.items()
        }
        known = {"expected": question.expected} if question.expected else {}
        yield {"id": at + 1, "message": question.text, **known, "answers": answers}


def schema_valid(cell: Cell) -> bool | None:
    """Whether an answer fits the schema; None without one or where no JSON could be read."""
    return None if cell.violations is None else not cell.violations


def _table(batch: Batch) -> Iterator[list[str]]:
    names = list(batch.cells)
    with_expected = any(one.expected for one in batch.questions)
    parts = [f"{name}{part}" for name in names for part in ("", " JSON", " schema", " finish")]
    yield ["id", "message", *(["expected"] if with_expected else []), *parts]
    fits = {True: "ok", False: "broken", None: ""}
    for at, question in enumerate(batch.questions):
        row = [str(at + 1), question.text, *([question.expected] if with_expected else [])]
        for name in names:
            cell = batch.cells[name][at]
            if cell is None:
                row += ["", "", "", ""]
            else:
                said = cell.answer.text or cell.answer.error
                row += [said, cell.reading.rung, fits[schema_valid(cell)], cell.answer.finish]
        yield row
