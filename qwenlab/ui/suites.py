"""The test suites that can be chosen, and the results of tests: found, read once, read again when they change."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import slices
from qwenlab.evals.compare import Verdict
from qwenlab.evals.result import ANSWERS, CONTESTANT, SUITE, Result, load_result
from qwenlab.evals.slices import SliceRate
from qwenlab.evals.steps import Step, steps
from qwenlab.evals.suite import Suite, find_suites, load_suite
from qwenlab.jobs import Job
from qwenlab.ui.lab import Lab
from qwenlab.ui.roster import Entrant
from qwenlab.ui.texts import Translator
from qwenlab.workspace import SHIPPED, Workspace

KEPT = 4
"""Results kept in memory."""


def suite_paths(lab: Lab) -> dict[str, Path]:
    """Name -> path; a suite of the person's own takes the place of a shipped one of the same name."""
    folders = (SHIPPED / "eval_suites", lab.workspace.suites)
    return {path.stem: path for folder in folders for path in find_suites(folder)}


def chosen_suite(lab: Lab) -> str:
    """The name of the chosen suite, or of the first there is; "" when there is none."""
    known = suite_paths(lab)
    name = Path(lab.choices.suite).stem
    return name if name in known else next(iter(known), "")


def read_suite(lab: Lab, name: str) -> Suite | None:
    """The suite of that name, read again when a file of it changed; None for "".

    Raises:
        QwenlabError: when it cannot be read.
    """
    path = suite_paths(lab).get(name) if name else None
    if path is None:
        return None
    inside = [path, *path.iterdir()] if path.is_dir() else [path]
    return _read_suite(path, max(one.stat().st_mtime_ns for one in inside))


@lru_cache(maxsize=8)
def _read_suite(path: Path, _changed: int) -> Suite:
    return load_suite(path)


# --- running ---------------------------------------------------------------------------------------------


def start_test(
    lab: Lab,
    t: Translator,
    suite: str,
    entrants: Sequence[Entrant],
    languages: Sequence[str],
    limit: int | None,
    thinking: bool = False,
) -> Job:
    """Start a test in its own process; returns its job, whose folder is the result.

    Args:
        thinking: let models think first whose chat template knows that.

    Raises:
        QwenlabError: when there is no such suite, no case is left, or another test is running.
    """
    found, path = read_suite(lab, suite), suite_paths(lab).get(suite)
    if found is None or path is None:
        raise QwenlabError(t("test_no_suite"), t("test_no_suite_remedy"))
    if not any(case.language in languages for case in found.cases):
        raise QwenlabError(t("test_no_case"), t("test_no_case_remedy"))
    newest = newest_test(lab.workspace)
    if newest is not None and newest.state() == "running":
        raise QwenlabError(t("test_running", name=newest.id), t("test_running_remedy"))
    job = Job(files.new_folder(lab.workspace.results, found.name))
    argv = ["qwenlab", "--workspace", str(lab.workspace.root), "--job", str(job.folder), "test", str(path)]
    for one in entrants:
        argv += ["-c", f"{one.name}={one.spec}"]
    for language in languages:
        argv += ["--language", language]
    if limit:
        argv += ["--limit", str(limit)]
    if thinking:
        argv.append("--thinking")
    job.start("test", argv)
    return job


def start_proof(lab: Lab, t: Translator, suite: str, export: Path, limit: int | None) -> Job:
    """Start the proof of an export in its own process; its job's folder is the result.

    Raises:
        QwenlabError: when there is no such suite, or a test is running.
    """
    path = needed_suite(lab, t, suite)
    newest = newest_test(lab.workspace)
    if newest is not None and newest.state() == "running":
        raise QwenlabError(t("test_running", name=newest.id), t("test_running_remedy"))
    job = Job(files.new_folder(lab.workspace.results, f"proof-{export.name}"))
    argv = ["qwenlab", "--workspace", str(lab.workspace.root), "--job", str(job.folder), "prove", str(export)]
    job.start("test", [*argv, "--suite", str(path), *(["--limit", str(limit)] if limit else []), "--json"])
    return job


def needed_suite(lab: Lab, t: Translator, name: str) -> Path:
    """The path of a suite.

    Raises:
        QwenlabError: when there is none of that name.
    """
    path = suite_paths(lab).get(name)
    if path is None:
        raise QwenlabError(t("test_no_suite"), t("test_no_suite_remedy"))
    return path


def newest_test(workspace: Workspace) -> Job | None:
    """The test that was started last from a page."""
    found = list(workspace.results.glob("*/job.json"))
    return Job(max(found, key=lambda path: path.stat().st_mtime_ns).parent) if found else None


def last_progress(job: Job, tail_bytes: int = 8192) -> dict[str, Any] | None:
    """The newest progress event, read from the end of the event log alone: it is asked for again and again."""
    return next(
        (event for event in _newest(job.folder / "events.jsonl", tail_bytes) if event.get("event") == "progress"), None
    )


def last_answer(folder: Path, contestant: str, tail_bytes: int = 65536) -> dict[str, Any] | None:
    """The newest line of a contestant's answers (see `AnswerLog`), read from the end of the file alone."""
    return next(iter(_newest(folder / contestant / ANSWERS, tail_bytes)), None)


def _newest(path: Path, tail_bytes: int) -> Iterator[dict[str, Any]]:
    """The objects in the last lines of a JSONL file, the newest first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - tail_bytes))
            lines = file.read().split(b"\n")
    except OSError:
        return
    for line in reversed(lines):
        try:
            found = json.loads(line)
        except ValueError:  # the first line of the tail is cut, the last may be half written
            continue
        if isinstance(found, dict):
            yield found


# --- results ---------------------------------------------------------------------------------------------


class Shown:
    """A result as the page shows it, with its verdicts, which take a moment to compute and are computed when asked for.

    Attributes:
        result: as read. seconds: how long reading took.
    """

    def __init__(self, result: Result, seconds: float = 0.0) -> None:
        self.result = result
        self.seconds = seconds
        self.read_at = time.monotonic()
        self._against: dict[str, list[Verdict]] = {}

    def against(self, reference: str) -> list[Verdict]:
        """Everybody else who is complete against one contestant; none while that one is not complete."""
        if reference not in self._against:
            self._against[reference] = self.result.verdicts(reference)
        return self._against[reference]

    @property
    def verdicts(self) -> list[Verdict]:
        """Everybody against the first who is complete."""
        first = next((one.name for one in self.result.contestants if one.complete), None)
        return self.against(first) if first is not None else []

    @cached_property
    def parts(self) -> list[SliceRate]:
        """What everybody who is complete reaches by language, length and tag."""
        return slices.of_result(self.result)

    @cached_property
    def steps(self) -> list[Step]:
        """The way of one model from base to int4; empty where the contestants are none."""
        return steps(self.result)


_cache: OrderedDict[Path, tuple[tuple[Any, ...], Shown]] = OrderedDict()
SLOW, REST = 0.5, 10
"""A result that took longer than SLOW seconds to read is read again after REST times as long at the earliest."""
_lock = threading.Lock()


def results(workspace: Workspace) -> list[Path]:
    """Result folders, newest first."""
    found = {path.parent for name in (SUITE, "job.json") for path in workspace.results.glob(f"*/{name}")}
    return sorted(found, key=began, reverse=True)


def label(folder: Path) -> str:
    """What the list of results says of one: its folder, and who was tested."""
    paths = sorted(folder.glob(f"*/{CONTESTANT}"))
    names = [path.parent.name for path in sorted(paths, key=_order)]
    return " · ".join([folder.name, ", ".join(names)]) if names else folder.name


@lru_cache(maxsize=512)
def _order(path: Path) -> int:
    """The place of a contestant in its test, by its contestant.json, which never changes that."""
    try:
        return int(files.read_json(path)["order"])
    except (QwenlabError, KeyError, TypeError, ValueError):
        return 0


def began(folder: Path) -> float:
    """When a test was started, in seconds since the epoch."""
    stamps = [path.stat().st_mtime for name in ("job.json", SUITE) if (path := folder / name).exists()]
    return min(stamps, default=0.0)


def read_result(folder: Path) -> Shown | None:
    """The result in `folder`, read and scored again only when an answer came; None before it has a suite.

    Raises:
        QwenlabError: when it cannot be read.
    """
    stamp = _stamp(folder)
    if not stamp:
        return None
    with _lock:
        known = _cache.get(folder)
        if known is not None and (known[0] == stamp or _resting(known[1])):
            _cache.move_to_end(folder)
            return known[1]
        began = time.monotonic()
        found = load_result(folder)
        shown = Shown(found, time.monotonic() - began)
        _cache[folder] = (stamp, shown)
        while len(_cache) > KEPT:
            _cache.popitem(last=False)
        return shown


def _resting(shown: Shown) -> bool:
    """Whether a large result was read only just now: a test that is running changes it every second."""
    return shown.seconds > SLOW and time.monotonic() - shown.read_at < REST * shown.seconds


def _stamp(folder: Path) -> tuple[Any, ...]:
    """When the files that decide a result were written, and their sizes; empty without a suite."""
    if not (folder / SUITE).exists():
        return ()
    paths = [folder / SUITE, *sorted(folder.glob("*.json")), *sorted(folder.glob(f"*/{ANSWERS}"))]
    paths += sorted(folder.glob("*/scores.json"))
    return tuple((path.name, stat.st_mtime_ns, stat.st_size) for path in paths if (stat := path.stat()))
