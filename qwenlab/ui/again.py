"""A test taken up again: an interrupted one goes on where it was, saved answers are scored under the rules of today."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals.result import CONTESTANT, RESULT, SUITE, Result, rescore
from qwenlab.evals.suite import Suite
from qwenlab.jobs import MARKER, Job
from qwenlab.models.contestant import enforced_name
from qwenlab.ui import suites
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

ITS_OWN = (RESULT, "job.json", MARKER)
"""Files of a result that say how it was made and what came of it; a result made from its answers has its own."""


def can_go_on(folder: Path, result: Result | None) -> bool:
    """Whether a test started from the page has cases without an answer: it was cut off, or some ended in an error."""
    job = Job(folder)
    if not _argv(job) or job.state() == "running":
        return False
    return not everybody_answered(job, result) or (result is not None and errors(result) > 0)


def everybody_answered(job: Job, result: Result | None) -> bool:
    """Whether each contestant that a test asks has had every case; one that was not reached has no answers at all."""
    if result is None or not result.complete:
        return False
    return set(asked(job)) <= {one.name for one in result.contestants}


def errors(result: Result) -> int:
    """Answers that ended in an error: going on asks these cases again."""
    lots = [answers for one in result.contestants for answers in one.given]
    return sum(answered.answer.finish == "error" for answers in lots for answered in answers.values())


def go_on(lab: Lab, t: Translator, folder: Path) -> Job:
    """Start a test again on its own folder: only cases without an answer are asked, by the suite as it was then.

    Raises:
        QwenlabError: when it was not started from the page, or another test is running.
    """
    newest = suites.newest_test(lab.workspace)
    if newest is not None and newest.state() == "running":
        raise QwenlabError(t("test_running", name=newest.id), t("test_running_remedy"))
    argv = command(lab.workspace, folder)
    if not argv:
        raise QwenlabError(t("test_go_on_unknown", name=folder.name), t("test_go_on_unknown_remedy"))
    job = Job(folder)
    job.start("test", argv)
    return job


def command(workspace: Workspace, folder: Path) -> list[str]:
    """The command line that goes on with a test; [] where it was not started from the page."""
    argv = _argv(Job(folder))
    if argv:
        for flag, value in (("--workspace", workspace.root), ("--job", folder)):  # the workspace may have moved
            argv[argv.index(flag) + 1] = str(value)
        if (folder / SUITE).exists():
            argv[argv.index("test") + 1] = str(folder / SUITE)
    return argv


def _argv(job: Job) -> list[str]:
    """The command line of a test that was started from the page; [] for any other folder."""
    try:
        argv = [str(one) for one in files.read_json(job.folder / "job.json")["argv"]]
    except (QwenlabError, KeyError, TypeError):
        return []
    return argv if {"--workspace", "--job", "test"} <= set(argv) else []


def asked(job: Job) -> list[str]:
    """The names of everybody whom a test asks, in their order."""
    argv = _argv(job)
    names = [argv[at + 1].partition("=")[0] for at, word in enumerate(argv[:-1]) if word == "-c"]
    if "--enforce" not in argv:
        return names
    return [one for name in names for one in (name, enforced_name(name))]


# --- other rules -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What became of a result's suite since.

    Attributes:
        suite: as it is now, with those cases of the result whose question is still the same; None without any.
        asked_otherwise: how many cases are asked differently now; their answers answer them no more.
    """

    suite: Suite | None
    asked_otherwise: int


def change(lab: Lab, result: Result) -> Change | None:
    """How today's rules differ from those of a result; None where they do not, or the suite is not there any more."""
    now = _today(lab, result)
    if now is None:
        return None
    then, known = result.suite, now.by_id
    both = [(case, known[case.id]) for case in then.cases if case.id in known]
    same = [new for old, new in both if old.messages(then) == new.messages(now)]
    if _rules(then, now, len(both) == len(then.cases)):
        return None
    return Change(now.model_copy(update={"cases": same}) if same else None, len(both) - len(same))


def _today(lab: Lab, result: Result) -> Suite | None:
    try:
        return suites.read_suite(lab, result.suite.name)
    except QwenlabError:
        return None  # a suite that is being written may not hold together; where it is chosen, that is said


def _rules(then: Suite, now: Suite, all_there: bool) -> bool:
    """Whether answers are judged alike: by the same schema, rules and cases."""
    known = {case.id: case for case in now.cases}
    return (
        all_there
        and then.json_schema == now.json_schema
        and then.fields == now.fields
        and then.system == now.system
        and all(case == known[case.id] for case in then.cases)
    )


def score_again(lab: Lab, result: Result, suite: Suite) -> Path:
    """Score the saved answers under the rules of `suite`, as a new result beside the old one; returns its folder.

    Raises:
        QwenlabError: when it cannot be read or written.
    """
    folder = files.new_folder(lab.workspace.results, f"{suite.name}-rescored")
    try:
        for path in result.folder.glob("*.json"):
            if path.name not in ITS_OWN:
                shutil.copy2(path, folder / path.name)
        for path in result.folder.glob(f"*/{CONTESTANT}"):
            shutil.copytree(path.parent, folder / path.parent.name)
        rescore(folder, suite)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise QwenlabError(
            f"Cannot write {folder}: {error.strerror}.",
            "Free some disk space, then try again.",
            zh=(f"无法写入 {folder}：{error.strerror}。", "请释放一些磁盘空间，然后重试。"),
        ) from error
    except QwenlabError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder
