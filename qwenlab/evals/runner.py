"""Asking contestants the questions of a suite; every answer is on disk as soon as it exists.

A result is a folder:

    suite.json                      the resolved suite
    <contestant>/contestant.json    who answered, how, and to which suite
    <contestant>/answers.jsonl      the raw answers, appended
    <contestant>/scores.json        one score per case, written when all are answered
    <contestant>/summary.json       the rates
    result.json                     all contestants and their verdicts against the first
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import result
from qwenlab.evals.answers import Answered, AnswerLog
from qwenlab.evals.bilingual import Words
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.models.contestant import Answer, Contestant

_NAME = re.compile(r"\w[\w.+ -]{0,63}")


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        contestant: who is answering; `index` of `contestants`, from 0.
        done, total: cases of this contestant. seconds_left: for this contestant; None while unknown.
        tokens_per_s: generated tokens by wall time, so far.
        case, answer: the newest one; None before the first.
    """

    contestant: str
    index: int
    contestants: int
    done: int
    total: int
    tokens_per_s: float = 0.0
    seconds_left: float | None = None
    case: str | None = None
    answer: Answer | None = None


def run(
    suite: Suite,
    contestants: Sequence[Contestant],
    folder: Path,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    leaked: Collection[str] = (),
) -> result.Result:
    """Let each contestant answer the suite, and score the answers.

    On a folder that holds answers already, only cases without a final answer are asked (errors are tried again);
    contestants may be added to it later. Closing the contestants is the caller's business.

    Args:
        should_stop: asked after every answer; what was answered stays.
        leaked: ids of cases that are also in the training data (see `leaks.leaked`), or used to choose the checkpoint
            (see `selection.used`).

    Raises:
        QwenlabError: when the folder holds another suite, or answers of a contestant that was made otherwise.
    """
    names = [contestant.name for contestant in contestants]
    for name in names:
        if not _NAME.fullmatch(name):
            raise QwenlabError(
                f'"{name}" cannot name a contestant.',
                "Use letters, digits, dots, dashes and spaces.",
                zh=(f"测试对象不能命名为“{name}”。", "请只用文字、数字、点、短横线和空格。"),
            )
        if names.count(name) > 1:
            raise QwenlabError(
                f'Two contestants are named "{name}".',
                "Give each its own name.",
                zh=(f"有两个测试对象都叫“{name}”。", "请给它们各取一个名称。"),
            )
    _claim(suite, folder)
    result.remember_leaks(folder, leaked)
    for index, contestant in enumerate(contestants):
        _claim_contestant(suite, contestant, folder / contestant.name)
        meter = _Meter(contestant.name, index, len(contestants), len(suite.cases), progress)
        if not _answer_all(suite, contestant, AnswerLog(folder / contestant.name / result.ANSWERS), meter, should_stop):
            break
        result.write_scores(folder, contestant.name)
    return result.write_result(folder)


def _claim(suite: Suite, folder: Path) -> None:
    """Take the folder for this suite, or find that it is taken by it already."""
    path = folder / result.SUITE
    if not path.exists():
        files.write_json(path, suite.to_json())
    elif result.read_suite(folder).fingerprint() != suite.fingerprint():
        raise QwenlabError(
            f"{folder} holds answers to another suite, or to an older version of it.",
            "Choose a new folder, or score the old answers again under the new rules.",
            zh=(
                f"{folder} 中已有另一个测试集（或它的旧版本）的回答。",
                "请换一个新文件夹，或按新规则重新评判旧回答。",
            ),
        )


def _claim_contestant(suite: Suite, contestant: Contestant, folder: Path) -> None:
    described = contestant.describe()
    now: dict[str, Any] = {
        "name": contestant.name,
        "describe": described,
        "fingerprint": hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest(),
        "suite": suite.fingerprint(),
        "generation": asdict(suite.settings()),
    }
    if not now["generation"]["thinking"]:
        del now["generation"]["thinking"]  # answers from before the switch existed can be continued
    path = folder / result.CONTESTANT
    if not path.exists():
        order = len(list(folder.parent.glob(f"*/{result.CONTESTANT}")))
        files.write_json(path, {**now, "order": order})
        return
    before = files.read_json(path)
    reasons = {
        "fingerprint": Words("was made from other weights or another template", "使用的权重或模板不同"),
        "suite": Words("answered another version of the suite", "回答的是测试集的另一个版本"),
        "generation": Words("decoded with other settings", "使用的生成设置不同"),
    }
    for key, reason in reasons.items():
        if before.get(key) != now[key]:
            raise QwenlabError(
                f'The earlier answers of "{contestant.name}" in {folder.parent} cannot be continued: it {reason.en}.',
                "Choose a new folder, or another name for this contestant.",
                zh=(
                    f"{folder.parent} 中“{contestant.name}”以前的回答不能接着用：当时{reason.zh}。",
                    "请换一个新文件夹，或给这个测试对象换一个名称。",
                ),
            )


class _Meter:
    """Counts answers and tokens, and tells whoever listens."""

    def __init__(
        self, name: str, index: int, contestants: int, total: int, listener: Callable[[Progress], None] | None
    ) -> None:
        self.place = (name, index, contestants)
        self.total = total
        self.listener = listener
        self.done = self.fresh = self.tokens = 0
        self.seconds = self.fresh_seconds = 0.0

    def start(self, earlier: Sequence[Answered], open_cases: int) -> None:
        self.done = self.total - open_cases
        self.tokens = sum(item.answer.tokens for item in earlier)
        self.seconds = sum(item.wall for item in earlier)
        self._tell(None)

    def count(self, item: Answered) -> None:
        self.done += 1
        self.fresh += 1
        self.tokens += item.answer.tokens
        self.seconds += item.wall
        self.fresh_seconds += item.wall
        self._tell(item)

    def _tell(self, item: Answered | None) -> None:
        if self.listener is None:
            return
        left = self.fresh_seconds / self.fresh * (self.total - self.done) if self.fresh else None
        speed = self.tokens / self.seconds if self.seconds > 0 else 0.0
        newest = (item.case, item.answer) if item else (None, None)
        self.listener(Progress(*self.place, self.done, self.total, speed, left, *newest))


def _answer_all(
    suite: Suite, contestant: Contestant, log: AnswerLog, meter: _Meter, should_stop: Callable[[], bool]
) -> bool:
    """Ask what is not answered yet; False when it was stopped before the end."""
    log.drop_torn_line()
    earlier = log.read()
    final = {item.case for item in earlier if item.final}
    cases = [case for case in suite.cases if case.id not in final]
    meter.start(earlier, len(cases))
    if not cases:
        return True
    if should_stop():
        return False
    waiting: dict[int, Case] = dict(enumerate(cases))
    answers = contestant.answer([case.messages(suite) for case in cases], suite.settings())
    then = time.monotonic()
    try:
        for index, answer in answers:
            now = time.monotonic()
            item = Answered(waiting.pop(index).id, answer, now - then)
            then = now
            log.append(item)
            meter.count(item)
            if waiting and should_stop():
                return False
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()
    silent = QwenlabError("The contestant gave no answer.", zh=("测试对象没有给出回答。", ""))
    for case in waiting.values():  # it stays in the denominator
        log.append(Answered(case.id, Answer.failed(silent)))
    return True
