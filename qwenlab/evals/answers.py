"""The answers of one contestant as a file: appended as each one exists, so a crash loses none of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals.bilingual import Words, line_of, meant
from qwenlab.evals.scoring import CaseScore, not_answered, score_answer
from qwenlab.evals.suite_model import Suite
from qwenlab.models.contestant import Answer, Finish


@dataclass(frozen=True)
class Answered:
    """One line of answers.jsonl.

    Attributes:
        case: its id. answer: as it came.
        wall: seconds since the answer before it; 0 for one from the cache.
        repeat: which answer to this case it is, from 0.
        cached: whether it was given in an earlier test, by the same weights to the same messages.
        at: when it came, seconds since the epoch; 0 in logs of older versions.
    """

    case: str
    answer: Answer
    wall: float = 0.0
    repeat: int = 0
    cached: bool = False
    at: float = 0.0

    @property
    def final(self) -> bool:
        """Whether the case need not be asked again: it has an answer, not an error or half of one."""
        return self.answer.finish in ("stop", "length")


class AnswerLog:
    """answers.jsonl of one contestant."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, item: Answered) -> None:
        """Write one line and flush it."""
        line = {
            "case": item.case,
            "text": item.answer.text,
            "finish": item.answer.finish,
            "prompt_tokens": item.answer.prompt_tokens,
            "tokens": item.answer.tokens,
            "seconds": round(item.answer.seconds, 6),
            "error": item.answer.error,
            "error_zh": item.answer.error_zh,
            "wall": round(item.wall, 6),
            **({"repeat": item.repeat} if item.repeat else {}),
            **({"cached": True} if item.cached else {}),
            **({"at": round(item.at, 3)} if item.at else {}),
        }
        try:
            content = json.dumps(line, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:  # half of a surrogate pair from a broken detokenizer
            content = json.dumps(line).encode("ascii")
        try:
            with self.path.open("ab") as file:
                file.write(content + b"\n")
                file.flush()
        except OSError as error:
            raise QwenlabError(
                f"Cannot write {self.path}: {error.strerror}.",
                "Free some disk space, then run the test again.",
                zh=(f"无法写入 {self.path}：{error.strerror}。", "请释放一些磁盘空间，然后重新运行测试。"),
            ) from error

    def drop_torn_line(self) -> None:
        """Cut off a last line that a crash left unfinished."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        if content and not content.endswith(b"\n"):
            with self.path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)

    def read(self) -> list[Answered]:
        """All complete lines, in the order they were written.

        Raises:
            QwenlabError: naming the line, when a complete one cannot be read.
        """
        return list(self.lines())

    def lines(self) -> Iterator[Answered]:
        """The same one by one: a log may be larger than memory."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n") and line != b"\n":  # what a crash left unfinished is no line
                    yield self._read(line, number)

    def _read(self, line: bytes, number: int) -> Answered:
        try:
            item = json.loads(line)
            own = {key: item.pop(key) for key in ("wall", "repeat", "cached", "at") if key in item}
            return Answered(item.pop("case"), Answer(**item), **own)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            place = line_of(self.path, number)
            raise QwenlabError(
                f"{place.en} cannot be read.",
                "Delete that line; its case is then asked again.",
                zh=(f"{place.zh}无法读取。", "请删除这一行，对应的用例会重新提问。"),
            ) from error

    def latest(self) -> dict[str, Answered]:
        """Case id -> its last line."""
        return {item.case: item for item in self.lines()}


def score_answers(suite: Suite, answers: Iterable[Answered]) -> list[CaseScore]:
    """Scores in the order of the suite; a case without an answer counts as not answered."""
    known = {item.case: item.answer for item in answers}
    return [
        score_answer(suite, case, known[case.id].text, known[case.id].finish)
        if case.id in known
        else not_answered(suite, case)
        for case in suite.cases
    ]


def score_answers_file(suite: Suite, path: Path) -> list[CaseScore]:
    """Score answers made elsewhere: one line {"case": id, "answer": text} each, "finish" optional.

    Cases that the file does not answer count as not answered; other keys of a line are left alone.

    Raises:
        QwenlabError: naming the line, for an unknown or repeated case or a line that cannot be read.
    """
    text = files.read_text(path)
    found: dict[str, Answered] = {}
    known = {case.id for case in suite.cases}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = line_of(path, number)
        item = _answer_line(line, place)
        if item.case not in known:
            hint = meant(
                item.case,
                known,
                Words("Each line names a case of this suite.", "每一行都要写明此测试集的一个用例。"),
            )
            raise QwenlabError(
                f'{place.en}: the suite "{suite.name}" has no case "{item.case}".',
                hint.en,
                zh=(f"{place.zh}：测试集“{suite.name}”中没有用例“{item.case}”。", hint.zh),
            )
        if item.case in found:
            raise QwenlabError(
                f'{place.en}: the case "{item.case}" is answered twice.',
                "Keep one of the lines.",
                zh=(f"{place.zh}：用例“{item.case}”回答了两次。", "请只保留其中一行。"),
            )
        found[item.case] = item
    return score_answers(suite, found.values())


_LINE = Words(
    'Write one line {"case": id, "answer": text} for each case.',
    '请为每个用例写一行 {"case": 编号, "answer": 文本}。',
)


def _answer_line(line: str, place: Words) -> Answered:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise QwenlabError(f"{place.en} is not JSON.", _LINE.en, zh=(f"{place.zh}不是 JSON。", _LINE.zh)) from error
    if not isinstance(value, dict):
        raise QwenlabError(f"{place.en} is not an object.", _LINE.en, zh=(f"{place.zh}不是对象。", _LINE.zh))
    for key in ("case", "answer"):
        if key not in value:
            raise QwenlabError(f'{place.en} has no "{key}".', _LINE.en, zh=(f"{place.zh}缺少“{key}”。", _LINE.zh))
    if not isinstance(value["answer"], str):
        raise QwenlabError(
            f'{place.en}: "answer" must be text, exactly as the model wrote it.',
            "Put the raw reply in quotes.",
            zh=(f"{place.zh}：“answer”必须是文本，与模型写的完全一致。", "请把原始回复放在双引号中。"),
        )
    finish = value.get("finish", "stop")
    if finish not in get_args(Finish):
        raise QwenlabError(
            f'{place.en}: unknown finish "{finish}".',
            f"Known: {', '.join(get_args(Finish))}.",
            zh=(f"{place.zh}：未知的 finish“{finish}”。", f"可用：{'、'.join(get_args(Finish))}。"),
        )
    return Answered(str(value["case"]), Answer(value["answer"], finish))
