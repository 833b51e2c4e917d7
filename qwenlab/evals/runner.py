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
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import asking, result
from qwenlab.evals.answer_cache import AnswerCache
from qwenlab.evals.answers import AnswerLog
from qwenlab.evals.asking import Progress
from qwenlab.evals.bilingual import Words
from qwenlab.evals.suite_model import Suite
from qwenlab.models.contestant import Contestant

_NAME = re.compile(r"\w[\w.+ ()-]{0,79}")


def run(
    suite: Suite,
    contestants: Sequence[Contestant],
    folder: Path,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    leaked: Collection[str] = (),
    cache: AnswerCache | None = None,
) -> result.Result:
    """Let each contestant answer the suite, and score the answers.

    On a folder that holds answers already, only cases without a final answer are asked (errors are tried again);
    contestants may be added to it later. Closing the contestants is the caller's business.

    Args:
        should_stop: asked after every answer; what was answered stays.
        leaked: ids of cases that are also in the training data (see `leaks.leaked`), or used to choose the checkpoint
            (see `selection.used`).
        cache: where answers are taken from that were given before; None asks every case.

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
        log = AnswerLog(folder / contestant.name / result.ANSWERS)
        total = len(suite.cases) * suite.generation.repeats
        meter = asking.Meter(contestant.name, index, len(contestants), total, progress)
        if not asking.answer_all(suite, contestant, log, meter, should_stop, cache):
            break
        result.write_scores(folder, contestant.name)
    return result.write_result(folder)


def _claim(suite: Suite, folder: Path) -> None:
    """Take the folder for this suite, or find that it is taken by it already."""
    path = folder / result.SUITE
    if not path.exists():
        result.write_suite(folder, suite)
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
        "fingerprint": Words(
            "was made from other weights or another template, or on other hardware", "使用的权重、模板或硬件不同"
        ),
        "suite": Words("answered another version of the suite", "回答的是测试集的另一个版本"),
        "generation": Words("decoded with other settings", "使用的生成设置不同"),
    }
    # What an earlier version did not describe yet is not held against its answers.
    same = {
        "fingerprint": all(described.get(key) == value for key, value in before.get("describe", {}).items()),
        "suite": before.get("suite") == now["suite"],
        "generation": before.get("generation") == now["generation"],
    }
    for key, reason in reasons.items():
        if not same[key]:
            raise QwenlabError(
                f'The earlier answers of "{contestant.name}" in {folder.parent} cannot be continued: it {reason.en}.',
                "Choose a new folder, or another name for this contestant.",
                zh=(
                    f"{folder.parent} 中“{contestant.name}”以前的回答不能接着用：当时{reason.zh}。",
                    "请换一个新文件夹，或给这个测试对象换一个名称。",
                ),
            )
