"""What a test run left in its folder: raw answers apart from their scores, so that they can be scored again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import repeats
from qwenlab.evals.answers import Answered, AnswerLog, score_answers
from qwenlab.evals.compare import Verdict, compare_rounds
from qwenlab.evals.format_split import FormatSplit, split
from qwenlab.evals.repeats import Repeats
from qwenlab.evals.report import Row, Summary, summarize
from qwenlab.evals.scoring import CaseScore
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.evals.suite_model import PairedMeasure

SUITE, RESULT, LEAKS = "suite.json", "result.json", "leaked.json"
CONTESTANT, ANSWERS, SCORES, SUMMARY = "contestant.json", "answers.jsonl", "scores.json", "summary.json"


@dataclass(frozen=True)
class ContestantResult:
    """What one contestant answered and what it is worth.

    Attributes:
        name: as the person gave it. describe: how its answers were produced.
        given: the first answers by case id, then the second ones, and so on.
        scores: of the first answers; one per case of the suite once complete, before that one per answered case.
        complete: whether it was asked every case.
        tokens_per_s: generated tokens by wall seconds of answering; None when nothing was generated.
        seconds: wall time of answering.
        rounds: the scores of all first answers, of all second ones, and so on; the rates of the
            summary are means over all. Only the first while it is not complete.
        repeats: what the repeated answers say together; None where there is one answer a case, or it is not complete.
        time: of its last answer, seconds since the epoch; 0 without one.
        cached, fresh: answers that were taken from the cache, on which no speed is measured, and those asked anew.
    """

    name: str
    describe: dict[str, str]
    given: tuple[dict[str, Answered], ...]
    scores: list[CaseScore]
    summary: Summary
    complete: bool
    tokens_per_s: float | None
    seconds: float
    rounds: tuple[list[CaseScore], ...]
    repeats: Repeats | None = None
    time: float = 0.0
    cached: int = 0
    fresh: int = 0

    @property
    def answers(self) -> dict[str, Answered]:
        """The first answer to each case."""
        return self.given[0]

    @property
    def enforced_for(self) -> str:
        """The contestant that answers here with the schema enforced; "" where none is."""
        return self.describe.get("enforced_for", "")

    @cached_property
    def right(self) -> dict[str, bool | None]:
        """Case id -> whether every answer to it passes; None where none fails, but one could not be judged."""
        found: dict[str, bool | None] = {}
        for scores in zip(*self.rounds, strict=True):
            failed = any(not score.passed and not score.unjudged for score in scores)
            found[scores[0].case_id] = False if failed else None if any(score.unjudged for score in scores) else True
        return found

    def row(self, size: int | None = None) -> Row:
        """This contestant on a scoreboard; `size` in bytes on disk, where known."""
        return Row(self.name, self.summary, self.tokens_per_s, size)

    def to_json(self) -> dict[str, Any]:
        """Plain values: the summary with speed and state."""
        return {
            "name": self.name,
            "complete": self.complete,
            **self.summary.to_json(),
            "tokens_per_s": self.tokens_per_s,
            "answer_seconds": round(self.seconds, 3),
            "time": round(self.time, 3),
            "describe": self.describe,
            **({"cached": self.cached} if self.cached else {}),
            **({"repeats": self.repeats.to_json()} if self.repeats else {}),
        }

    def cases_json(self) -> list[dict[str, Any]]:
        """Plain values of every score, with what its repeats say."""
        known = self.repeats.cases if self.repeats else {}
        return [
            {**score.to_json(), **({"repeats": vars(known[score.case_id])} if score.case_id in known else {})}
            for score in self.scores
        ]


@dataclass(frozen=True)
class Result:
    """A result folder, read and scored."""

    folder: Path
    suite: Suite
    leaked: frozenset[str]
    contestants: list[ContestantResult]

    @property
    def complete(self) -> bool:
        """Whether every contestant was asked every case."""
        return all(contestant.complete for contestant in self.contestants)

    @property
    def compared(self) -> tuple[PairedMeasure, ...]:
        """The measures by which two contestants are compared."""
        return ("passed", "field_accuracy") if self.suite.is_json else ("passed",)

    def contestant(self, name: str) -> ContestantResult:
        """The contestant of that name.

        Raises:
            QwenlabError: when there is none.
        """
        for found in self.contestants:
            if found.name == name:
                return found
        known = ", ".join(contestant.name for contestant in self.contestants)
        raise QwenlabError(
            f'{self.folder} has no contestant "{name}".',
            f"It has: {known}.",
            zh=(f"{self.folder} 中没有测试对象“{name}”。", f"其中有：{known}。"),
        )

    def verdicts(self, base: str | None = None) -> list[Verdict]:
        """Every other complete contestant against `base`: passed, then field accuracy.

        Without a base, all that answer freely against the first of them.
        """
        complete = [one for one in self.contestants if one.complete and (base is not None or not one.enforced_for)]
        first = self.contestant(base) if base is not None else next(iter(complete), None)
        if first is None or not first.complete:
            return []
        others = [one for one in complete if one.name != first.name]
        return [self.verdict(first, one, measure) for one in others for measure in self.compared]

    def verdict(self, base: ContestantResult, other: ContestantResult, measure: PairedMeasure = "passed") -> Verdict:
        """One complete contestant against another, leaked cases left out."""
        names = (base.name, other.name)
        return compare_rounds(base.rounds, other.rounds, names, measure, self.suite.groups, self.leaked)

    @property
    def splits(self) -> list[FormatSplit]:
        """Of every contestant that also answered with the schema enforced: what of its error is format."""
        complete = {one.name: one for one in self.contestants if one.complete}
        pairs = [(complete[two.enforced_for], two) for two in complete.values() if two.enforced_for in complete]
        return [split((one.name, two.name), one.rounds, two.rounds, self.leaked) for one, two in pairs]

    @property
    def judged(self) -> ContestantResult:
        """The last contestant that answers freely: the one a suite's thresholds are for."""
        free = [one for one in self.contestants if not one.enforced_for]
        return (free or self.contestants)[-1]

    def to_json(self) -> dict[str, Any]:
        """Plain values: suite, contestants and verdicts."""
        return {
            "suite": self.suite.name,
            "suite_fingerprint": self.suite.fingerprint(),
            "state": "finished" if self.complete else "stopped",
            "leaked": sorted(self.leaked),
            "contestants": [contestant.to_json() for contestant in self.contestants],
            "verdicts": [verdict.to_json() for verdict in self.verdicts()],
            **({"format_content": [one.to_json() for one in self.splits]} if self.splits else {}),
        }


def load_result(folder: Path) -> Result:
    """Read a result folder and score its answers, also of a run that was cut off.

    Raises:
        QwenlabError: when the folder is no result.
    """
    suite, leaked = read_suite(folder), _leaked(folder / LEAKS)
    known = folder.glob(f"*/{CONTESTANT}")
    described = [(path.parent, files.read_object(path, name=str, describe=dict)) for path in known]
    described.sort(key=lambda item: (item[1].get("order", 0), item[0].name))
    contestants = [_contestant(suite, path, about, leaked) for path, about in described]
    return Result(folder, suite, leaked, contestants)


def _leaked(path: Path) -> frozenset[str]:
    """The cases that stand in training data, too. A damaged list must not pass for an empty one."""
    if not path.exists():
        return frozenset()
    found = files.read_json(path)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise QwenlabError(
            f"{path} is no list of cases.",
            "Restore it from a copy, or run the test again.",
            zh=(f"{path} 不是用例列表。", "请用备份恢复它，或重新测试。"),
        )
    return frozenset(found)


def rescore(folder: Path, suite: Suite) -> Result:
    """Score the answers in `folder` again under the rules of `suite`; no model is asked.

    The new suite takes the place of the old one. It may drop cases; cases it adds count as not answered.

    Raises:
        QwenlabError: when it asks a case differently from what was answered.
    """
    if not all((path.parent / SCORES).exists() for path in folder.glob(f"*/{CONTESTANT}")):
        for contestant in load_result(folder).contestants:  # complete, and so also under a suite with more cases
            if contestant.complete:
                _write_scores(folder, contestant)
    before = read_suite(folder)
    known = before.by_id
    for case in suite.cases:
        if case.id in known and case.messages(suite) != known[case.id].messages(before):
            raise QwenlabError(
                f'The question of case "{case.id}" has changed: the old answers do not answer it.',
                "Give the changed case a new id, or run the suite again in a new folder.",
                zh=(
                    f"用例“{case.id}”的问题已经改变，旧回答不再对应。",
                    "请给改动过的用例换一个新编号，或在新文件夹中重新运行测试集。",
                ),
            )
    write_suite(folder, suite)
    fingerprint = suite.fingerprint()
    for path in folder.glob(f"*/{CONTESTANT}"):
        files.write_json(path, {**files.read_json(path), "suite": fingerprint})
    found = load_result(folder)
    for contestant in found.contestants:
        if contestant.complete:
            _write_scores(folder, contestant)
    files.write_json(folder / RESULT, found.to_json())
    return found


def write_suite(folder: Path, suite: Suite) -> None:
    """Keep the resolved suite with the answers to it."""
    files.write_rows(folder / SUITE, suite.to_json(), "cases")


def read_suite(folder: Path) -> Suite:
    """The resolved suite of a result folder."""
    path = folder / SUITE
    if not path.exists():
        raise QwenlabError(
            f"{folder} is not a test result: it has no {SUITE}.",
            "Choose another folder.",
            zh=(f"{folder} 不是测试结果：其中没有 {SUITE}。", "请选择其他文件夹。"),
        )
    return suite_from(files.read_json(path), str(path))


def remember_leaks(folder: Path, leaked: Collection[str]) -> None:
    """Note which cases are known from training; what is known from earlier runs stays."""
    path = folder / LEAKS
    before = set(files.read_json(path)) if path.exists() else set()
    if not before.issuperset(leaked) or not path.exists():
        files.write_json(path, sorted(before | set(leaked)))


def write_scores(folder: Path, name: str) -> None:
    """Write scores.json and summary.json of one contestant."""
    about = files.read_object(folder / name / CONTESTANT, name=str, describe=dict)
    _write_scores(folder, _contestant(read_suite(folder), folder / name, about, _leaked(folder / LEAKS)))


def _write_scores(folder: Path, found: ContestantResult) -> None:
    files.write_rows(folder / found.name / SCORES, {"cases": found.cases_json()}, "cases")
    files.write_json(folder / found.name / SUMMARY, found.to_json())


def write_result(folder: Path) -> Result:
    """Read the folder and write its result.json."""
    found = load_result(folder)
    files.write_json(folder / RESULT, found.to_json())
    return found


def _contestant(suite: Suite, folder: Path, about: dict[str, Any], leaked: Collection[str]) -> ContestantResult:
    lines = AnswerLog(folder / ANSWERS).read()
    given: list[dict[str, Answered]] = [{} for _ in range(suite.generation.repeats)]
    for line in lines:
        if line.answer.finish != "stopped" and line.repeat < len(given):
            given[line.repeat][line.case] = line
    complete = all(case.id in answers for answers in given for case in suite.cases) or (folder / SCORES).exists()
    rounds = [score_answers(suite, answers.values()) for answers in given]
    scores = rounds[0] if complete else [score for score in rounds[0] if score.case_id in given[0]]
    repeated = repeats.of_rounds(suite, rounds, given, leaked) if complete and len(rounds) > 1 else None
    asked = [line for line in lines if not line.cached]
    tokens, seconds = sum(line.answer.tokens for line in asked), sum(line.wall for line in asked)
    kept = [line for answers in given for line in answers.values()]
    cached = sum(line.cached for line in kept)
    return ContestantResult(
        name=about["name"],
        describe=about["describe"],
        given=tuple(given),
        scores=scores,
        summary=repeats.summary(rounds, repeated, leaked) if repeated else summarize(scores, leaked),
        complete=complete,
        tokens_per_s=tokens / seconds if tokens and seconds > 0 else None,
        seconds=seconds,
        rounds=tuple(rounds) if repeated else (scores,),
        repeats=repeated,
        time=max((line.at for line in lines), default=0.0) or _written(folder / ANSWERS),
        cached=cached,
        fresh=len(kept) - cached,
    )


def _written(answers: Path) -> float:
    """When a log was written last; answers of older versions do not say when they came."""
    return answers.stat().st_mtime if answers.exists() else 0.0
