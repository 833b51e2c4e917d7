"""A suite over time: what every result of it reached, and where its cases or rules changed in between."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from qwenlab import files
from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals import result
from qwenlab.evals.compare import Verdict, compare_rounds
from qwenlab.evals.rates import Rate
from qwenlab.evals.report import percent
from qwenlab.evals.words import Language, measure_name

Part = Literal["cases", "rules", "settings"]
MEASURES = ("strict", "usable", "field_accuracy", "document_exact", "passed")
_PARTS: dict[Part, tuple[str, ...]] = {
    "cases": ("cases",),
    "rules": ("schema", "fields"),
    "settings": ("system", "generation"),
}
"""What of a suite makes results of it comparable; a new name, description or threshold does not matter."""
_CHANGED: dict[Part, dict[Language, str]] = {
    "cases": {"en": "the cases changed", "zh": "用例有改动"},
    "rules": {"en": "the rules changed", "zh": "评判规则有改动"},
    "settings": {"en": "the instructions or settings changed", "zh": "系统提示或生成设置有改动"},
}


@dataclass(frozen=True)
class Point:
    """What one contestant reached in one result.

    Attributes:
        contestant: its name there. n: cases in the headline; errors: those without an answer.
        rates: measure -> rate with its interval, without the measures that do not apply.
        made_by: a short fingerprint of what answered; the same name may stand for other weights the next time.
    """

    contestant: str
    n: int
    errors: int
    rates: Mapping[str, Rate]
    made_by: str


@dataclass(frozen=True)
class Past:
    """One result of a suite.

    Attributes:
        folder: of the result. time: of its last answer, seconds since the epoch.
        parts: part of the suite -> fingerprint of it. changed: the parts that differ from the result before.
        points: one per contestant that was asked every case and answered freely.
    """

    folder: Path
    time: float
    parts: Mapping[Part, str]
    points: tuple[Point, ...]
    changed: tuple[Part, ...] = ()

    def point(self, contestant: str) -> Point | None:
        """What the contestant of that name reached; None where it was not asked."""
        return next((one for one in self.points if one.contestant == contestant), None)


@dataclass(frozen=True)
class History:
    """All results of the suites of one name, the oldest first."""

    suite: str
    results: tuple[Past, ...]

    @property
    def contestants(self) -> list[str]:
        """Every name that was tested, in the order of its first appearance."""
        return list(dict.fromkeys(point.contestant for past in self.results for point in past.points))

    def to_json(self) -> dict[str, Any]:
        """Plain values; rates as fractions of 1, times in seconds since the epoch."""
        return {"suite": self.suite, "results": [_past_json(past) for past in self.results]}


def _past_json(past: Past) -> dict[str, Any]:
    return {
        "result": past.folder.name,
        "time": round(past.time, 3),
        "changed": list(past.changed),
        "contestants": [
            {
                "name": point.contestant,
                "n": point.n,
                "errors": point.errors,
                "made_by": point.made_by,
                **{measure: found.value for measure, found in point.rates.items()},
                "intervals": {measure: [found.low, found.high] for measure, found in point.rates.items()},
            }
            for point in past.points
        ],
    }


# --- reading ---------------------------------------------------------------------------------------------


def read_history(results: Path, suite: str) -> History:
    """Everything that was tested with a suite of this name; folders that cannot be read are left out.

    Args:
        results: the folder of all result folders.
    """
    found = [past for path in results.glob(f"*/{result.SUITE}") if (past := _read_past(path.parent, suite))]
    found.sort(key=lambda past: (past.time, past.folder.name))
    return History(suite, tuple(_marked(found)))


def find_history(results: Path, suite: str) -> History:
    """Like `read_history`, for a suite that must have results.

    Raises:
        QwenlabError: when it has none.
    """
    found = read_history(results, suite)
    if found.results:
        return found
    known = sorted({about[0] for path in results.glob(f"*/{result.SUITE}") if (about := _suite_parts(path))})
    raise QwenlabError(
        f'There is no finished result of a suite "{suite}".{nearest(suite, known)}',
        f"Results there are of: {', '.join(known)}." if known else "Run qwenlab test first.",
        zh=(
            f"没有测试集“{suite}”的已完成结果。{nearest(suite, known, 'zh')}",
            f"已有结果的测试集：{'、'.join(known)}。" if known else "请先运行 qwenlab test。",
        ),
    )


def until(history: History, folder: Path) -> History:
    """The history up to the result in that folder; all of it where the folder is none of its results."""
    at = next((at for at, past in enumerate(history.results) if past.folder.resolve() == folder.resolve()), None)
    return history if at is None else History(history.suite, history.results[: at + 1])


def _marked(found: Sequence[Past]) -> list[Past]:
    """Each with what changed since the one before."""
    marked = list(found[:1])
    for before, past in zip(found, found[1:], strict=False):
        changed = tuple(part for part in _PARTS if past.parts[part] != before.parts[part])
        marked.append(replace(past, changed=changed))
    return marked


def _read_past(folder: Path, suite: str) -> Past | None:
    about = _suite_parts(folder / result.SUITE)
    if about is None or about[0] != suite:
        return None
    try:
        stamp = tuple(sorted((path, path.stat().st_mtime_ns) for path in folder.glob(f"*/{result.SUMMARY}")))
    except OSError:  # it is being deleted
        return None
    points, seconds = _points(stamp)
    return Past(folder, seconds, about[1], points) if points else None


@lru_cache(maxsize=1024)
def _points(summaries: tuple[tuple[Path, int], ...]) -> tuple[tuple[Point, ...], float]:
    """The points of a result and the time of its last answer; read once, since the page asks again and again."""
    points, times = [], [0.0]
    for path, _ in sorted(summaries, key=lambda item: _order(item[0])):
        try:
            about = files.read_json(path)
            if about["describe"].get("enforced_for"):
                continue
            points.append(_point(about))
            known = about.get("time") or (path.parent / result.ANSWERS).stat().st_mtime  # older results do not say
            times.append(float(known))
        except (QwenlabError, OSError, KeyError, TypeError, ValueError):
            continue  # one broken folder must not hide all others
    return tuple(points), max(times)


def _order(summary: Path) -> tuple[int, str]:
    try:
        return int(files.read_json(summary.parent / result.CONTESTANT).get("order", 0)), summary.parent.name
    except (QwenlabError, ValueError, TypeError, AttributeError):
        return 0, summary.parent.name


def _point(about: Mapping[str, Any]) -> Point:
    n = int(about["n"])
    rates = {
        measure: Rate(float(about[measure]), n, *map(float, about["intervals"][measure]))
        for measure in MEASURES
        if about.get(measure) is not None
    }
    # A folder's name says nothing of what is in it, and the same weights may move.
    made = {key: value for key, value in about["describe"].items() if key not in ("path", "model", "adapter")}
    digest = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:8]
    return Point(str(about["name"]), n, int(about["errors"]), rates, digest)


def _suite_parts(path: Path) -> tuple[str, dict[Part, str]] | None:
    """Name of a kept suite and the fingerprints of its parts; None where it cannot be read."""
    try:
        return _suite_parts_at(path, path.stat().st_mtime_ns)
    except (QwenlabError, OSError, KeyError, TypeError, AttributeError):
        return None


@lru_cache(maxsize=1024)
def _suite_parts_at(path: Path, changed: int) -> tuple[str, dict[Part, str]]:
    suite = files.read_json(path)
    parts: dict[Part, str] = {}
    for part, keys in _PARTS.items():
        text = json.dumps([suite.get(key) for key in keys], ensure_ascii=True, sort_keys=True)
        parts[part] = hashlib.sha256(text.encode()).hexdigest()
    return str(suite["name"]), parts


# --- since the last time -----------------------------------------------------------------------------------


def since_last(history: History) -> list[Verdict]:
    """Each contestant of the newest result against the one of its name in the newest earlier comparable result.

    Comparable is what asked the same cases in the same way under the same rules; without one a contestant is left out.
    The verdicts' names carry the times of the results.
    """
    if len(history.results) < 2:
        return []
    *earlier, newest = history.results
    found: list[Verdict] = []
    for point in newest.points:
        before = next(
            (past for past in reversed(earlier) if past.parts == newest.parts and past.point(point.contestant)), None
        )
        if before is not None:
            found += _compared(before, newest, point.contestant)
    return found


def _compared(before: Past, after: Past, name: str) -> list[Verdict]:
    left, right = result.load_result(before.folder), result.load_result(after.folder)
    names = (f"{name} ({moment(before.time)})", f"{name} ({moment(after.time)})")
    leaked = left.leaked | right.leaked
    rounds = (left.contestant(name).rounds, right.contestant(name).rounds)
    return [compare_rounds(*rounds, names, measure, right.suite.groups, leaked) for measure in right.compared]


# --- in words --------------------------------------------------------------------------------------------


def moment(seconds: float) -> str:
    """A local time to the minute: 2026-11-25 04:12."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def changed_words(parts: Sequence[Part], language: Language) -> str:
    """What changed since the result before, as part of a sentence; "" when nothing did."""
    return (", " if language == "en" else "，").join(_CHANGED[part][language] for part in parts)


def as_table(history: History, language: Language = "en") -> list[list[str]]:
    """Rows of text, a heading first: one per result and contestant, and one where the suite changed."""
    measures = [
        one
        for one in ("passed", "strict", "usable", "field_accuracy")
        if any(one in point.rates for past in history.results for point in past.points)
    ]
    heading = [("time" if language == "en" else "时间"), measure_name("contestant", language)]
    table = [[*heading, measure_name("n", language), *(measure_name(one, language) for one in measures)]]
    for past in history.results:
        if past.changed:
            table.append([f"-- {changed_words(past.changed, language)} --"])
        for point in past.points:
            rates = [percent(point.rates.get(one)) for one in measures]
            table.append([moment(past.time), point.contestant, str(point.n), *rates])
    return table
