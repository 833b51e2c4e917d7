"""qwenlab verify: an export checked anywhere - files, sums, loading, and whether it answers as its scorecard says."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.commands.prove import PROOF
from qwenlab.commands.scorecard import MEASURES
from qwenlab.commands.stopping import stoppable
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.evals.answers import AnswerLog, score_answers
from qwenlab.evals.compare import compare_passes
from qwenlab.evals.report import summarize
from qwenlab.evals.result import ANSWERS, SUITE
from qwenlab.evals.suite import suite_from
from qwenlab.export import card, package
from qwenlab.workspace import Workspace

CASES = 8
"""Cases that are asked again: enough to notice an engine or machine on which the export answers otherwise."""
NEAR = 1e-6
"""Rates that differ by less are the same."""


def add_verbs(verbs: Any) -> None:
    """Add `verify`."""
    verifying = verbs.add_parser("verify", help="check an export's files, load it in a fresh process, ask it again")
    verifying.add_argument("folder", type=Path, metavar="DIR")
    verifying.add_argument("--cases", type=int, default=CASES, help="cases of its scorecard to ask again; 0: none")
    verifying.add_argument("--json", action="store_true", help="print JSON")
    verifying.set_defaults(run=verify)


def verify(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Check all that can be checked with the folder alone; exit 1 when something is wrong or the proof failed."""
    folder = chosen.folder.absolute()
    manifest = package.read_manifest(folder)
    wrong = [*package.require(folder, manifest["kind"]), *package.check_sums(folder)]
    value: dict[str, Any] = {"path": str(chosen.folder), "kind": manifest["kind"], "wrong": list(dict.fromkeys(wrong))}
    if wrong:
        files_named = ", ".join(value["wrong"])
        console.result(
            {**value, "ok": False}, f"{chosen.folder} is damaged: {files_named} differ from SHA256SUMS. Copy it again."
        )
        return BELOW
    if manifest["kind"] == "adapter":
        words = f"{chosen.folder} is whole. It answers together with its base, {manifest.get('base')}."
        console.result({**value, "ok": True}, words)
        return DONE
    with stoppable(console.job):
        loaded = package.prove_loading(folder)
        checked = check_scorecard(folder, chosen.cases, workspace, console)
    passed = (read_scorecard(folder) or {}).get("passed")
    ok = passed is not False and (checked is None or (checked["matches"] and checked["code"] != "worse"))
    lines = [f"{chosen.folder} is whole and answers: {loaded['answer']!r}", _words(checked)]
    if passed is False:
        lines.append("It FAILED its check when it was proven: do not deploy it. README.md says why.")
    console.result({**value, **loaded, "ok": ok, "passed": passed, "scorecard": checked}, "\n".join(lines))
    return DONE if ok else BELOW


def read_scorecard(folder: Path) -> dict[str, Any] | None:
    """What the proof wrote; None where there was none.

    Raises:
        QwenlabError: when it is something else.
    """
    if not (folder / card.SCORECARD).exists():
        return None
    found = files.read_json(folder / card.SCORECARD)
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise QwenlabError(
            f"{folder / card.SCORECARD} is no scorecard.",
            "Copy the export again, or prove it again.",
            zh=(f"{folder / card.SCORECARD} 不是成绩单。", "请重新复制导出，或重新验证。"),
        )
    return dict(found)


def check_scorecard(folder: Path, cases: int, workspace: Workspace, console: Console) -> dict[str, Any] | None:
    """Score the kept answers again, and ask the first cases again.

    Returns:
        {"matches": whether the scorecard says what the answers are worth, "asked", "same": answers that are the same
        to the letter, "code": the paired verdict of the new answers against the kept ones}; None where the export has
        no scorecard, or was made without the cases.
    """
    home, scores = folder / PROOF, read_scorecard(folder)
    if scores is None or not (home / SUITE).exists():
        return None
    suite = suite_from(files.read_json(home / SUITE), str(home / SUITE))
    leaked = files.read_json(home / "leaked.json")
    kept = AnswerLog(home / ANSWERS).latest()
    before = score_answers(suite, kept.values())
    rates = summarize(before, leaked).rates
    row: Mapping[str, Any] = next((one for one in scores["rows"] if one.get("name") == scores.get("after")), {})
    matches = all(
        (found := rates.get(name)) is not None and abs(found.value - row[name]) < NEAR
        for name in MEASURES
        if row.get(name) is not None
    )
    if cases < 1:
        return {"matches": matches, "asked": 0, "same": 0, "code": "cannot_tell"}
    few = suite.only(None, None, cases)
    answers = _asked(few, folder, workspace, console)
    ids = {case.id for case in few.cases}
    proven, here = [one for one in before if one.case_id in ids], score_answers(few, answers.values())
    verdict = compare_passes(proven, here, ("proven", "here"), "usable")
    same = sum(answers[case].answer.text == kept[case].answer.text for case in ids if case in answers and case in kept)
    return {"matches": matches, "asked": len(ids), "same": same, "code": verdict.code}


def _asked(suite: Any, folder: Path, workspace: Workspace, console: Console) -> Any:
    from qwenlab.chat import contestants
    from qwenlab.chat.pool import ModelPool

    def show(progress: runner.Progress) -> None:
        console.progress("asking again", progress.done / max(1, progress.total), seconds_left=progress.seconds_left)

    contestant = contestants.make(workspace, ModelPool(), "here", str(folder))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return runner.run(suite, [contestant], Path(scratch), show).contestant("here").answers
        finally:
            contestant.close()


def _words(checked: Mapping[str, Any] | None) -> str:
    if checked is None:
        return "It has no scorecard that could be checked: `qwenlab prove` makes one."
    said = "Its scorecard is what its answers are worth" if checked["matches"] else "Its scorecard is WRONG"
    if not checked["asked"]:
        return said + "."
    verdict = " It answers WORSE here than when it was proven." if checked["code"] == "worse" else ""
    return (
        f"{said}; asked {checked['asked']} cases again, {checked['same']} answers are the same to the letter.{verdict}"
    )
