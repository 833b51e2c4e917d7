"""What gates are asked for: in a suite, on the command line, and kept with a result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from qwenlab import files
from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals.report import MEASURES
from qwenlab.evals.suite_model import PairedMeasure, Suite

ASKED = "gates.json"
"""In a result folder: the gates that were asked of it beside the suite's own thresholds."""
PAIRED: tuple[str, ...] = get_args(PairedMeasure)


@dataclass(frozen=True)
class Asked:
    """A gate before it is judged.

    Attributes:
        measure: see `report.MEASURES`. contestant: whom it judges; "" for the last one.
        least: the threshold, a fraction of 1; None where the contestant is held against the first one.
        margin: the largest loss against the first that must be excluded, a fraction of 1; None: it must only not be
            worse beyond doubt.
    """

    measure: str
    contestant: str = ""
    least: float | None = None
    margin: float | None = None


def threshold(written: str) -> Asked:
    """Read "usable=0.9" or "tuned:usable=0.9".

    Raises:
        QwenlabError: when the measure is unknown or the rate is no fraction of 1.
    """
    name, measure, rate = _parts(written, MEASURES)
    return Asked(measure, name, least=_fraction(rate, written, "usable=0.9", ("threshold", "门槛")))


def not_worse(written: str) -> list[Asked]:
    """Read "field_accuracy,usable", or with a contestant and a margin "tuned:usable=0.02".

    Raises:
        QwenlabError: when a measure is unknown or a margin is no fraction of 1.
    """
    found = []
    for one in filter(None, (part.strip() for part in written.split(","))):
        name, measure, margin = _parts(one, PAIRED)
        known = None if margin is None else _fraction(margin, one, "usable=0.02", ("margin", "允许的差距"))
        found.append(Asked(measure, name, margin=known))
    return found


def _parts(written: str, known: Sequence[str]) -> tuple[str, str, str | None]:
    left, equals, value = written.partition("=")
    name, _, measure = left.rpartition(":")
    measure = measure.strip()
    if measure not in known:
        raise QwenlabError(
            f"There is no measure {measure}.{nearest(measure, known)}",
            f"Known: {', '.join(known)}.",
            zh=(f"没有指标 {measure}。{nearest(measure, known, 'zh')}", f"可用：{'、'.join(known)}。"),
        )
    return name.strip(), measure, value if equals else None


def _fraction(text: str | None, written: str, example: str, what: tuple[str, str]) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise QwenlabError(
            f"The {what[0]} {written!r} is no fraction of 1.",
            f"Write for example {example}.",
            zh=(f"{what[1]} {written!r} 不是 0 到 1 之间的数。", f"请写成例如 {example}。"),
        )
    return value


def of_suite(suite: Suite) -> list[Asked]:
    """The suite's own gates, which judge the last contestant."""
    least = suite.thresholds.model_dump(exclude_none=True).items()
    found = [Asked(measure, least=wanted) for measure, wanted in least]
    return found + [Asked(measure, margin=margin) for measure, margin in suite.not_worse.items()]


def resolve(written: Sequence[Asked], names: Sequence[str]) -> list[Asked]:
    """Gates of the command line, each with the contestant it judges.

    Args:
        names: of the contestants, in their order.

    Raises:
        QwenlabError: when a gate names none of them, or holds the first against itself.
    """
    found = []
    for one in written:
        name = one.contestant or names[-1]
        if name not in names:
            raise QwenlabError(
                f'A gate names the contestant "{name}", which is not asked.{nearest(name, names)}',
                f"Asked are: {', '.join(names)}.",
                zh=(
                    f"门槛写明了测试对象“{name}”，但没有测试它。{nearest(name, names, 'zh')}",
                    f"测试的有：{'、'.join(names)}。",
                ),
            )
        if one.least is None and name == names[0]:
            raise QwenlabError(
                f'"{name}" is the first contestant: it cannot be held against itself.',
                "Name the one to compare with first, then the one to judge.",
                zh=(f"“{name}”是第一个测试对象，不能与自己比较。", "请先写用来比较的对象，再写要评判的对象。"),
            )
        found.append(replace(one, contestant=name))
    return found


def remember(folder: Path, resolved: Sequence[Asked]) -> None:
    """Note in a result folder what was asked beside the suite's thresholds, so that every later report judges it."""
    if resolved or (folder / ASKED).exists():
        files.write_json(folder / ASKED, [asdict(one) for one in resolved])


def remembered(folder: Path) -> list[Asked]:
    """What `remember` noted in a result folder; nothing where there is no such note."""
    path = folder / ASKED
    return [Asked(**one) for one in files.read_json(path)] if path.exists() else []
