"""qwenlab report and qwenlab history: a test result as a file to hand on, and a suite over time."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from qwenlab.commands.console import DONE, Console
from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals import history, reports
from qwenlab.evals.compare import sentence
from qwenlab.evals.findings import gather
from qwenlab.evals.report import aligned
from qwenlab.evals.result import SUITE, load_result
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `report` and `history`."""
    reporting = verbs.add_parser("report", help="write a test result as HTML, Markdown, CSV, JUnit XML or JSON")
    reporting.add_argument("result", help="a result folder, or its name in the workspace")
    reporting.add_argument("--format", choices=reports.FORMS, help="default: by the file's ending, else markdown")
    reporting.add_argument("-o", "--output", type=Path, help="file to write; default: print it")
    reporting.add_argument("--language", choices=("en", "zh"), help="of the report; default: the suite's")
    reporting.set_defaults(run=report)
    telling = verbs.add_parser("history", help="what every result of a suite reached, the oldest first")
    telling.add_argument("suite", help="the suite's name")
    telling.set_defaults(run=tell)
    for one in (reporting, telling):
        one.add_argument("--json", action="store_true", help="print JSON")


def report(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Write or print one report."""
    form: reports.Form = "json" if console.machine else "markdown"
    if chosen.format:
        form = chosen.format
    elif chosen.output:
        form = reports.form_of(chosen.output)
    findings = gather(load_result(find_result(workspace, chosen.result)), chosen.language, workspace.results)
    if chosen.output:
        reports.write(findings, chosen.output, form)
        console.result({"report": str(chosen.output), "format": form}, f"Written: {chosen.output}")
    else:
        console.raw(reports.render(findings, form))
    return DONE


def find_result(workspace: Workspace, named: str) -> Path:
    """A result folder by path, or by name in the workspace.

    Raises:
        QwenlabError: when there is none.
    """
    for folder in (Path(named), workspace.results / named):
        if (folder / SUITE).is_file():
            return folder
    known = sorted(path.parent.name for path in workspace.results.glob(f"*/{SUITE}"))
    raise QwenlabError(
        f"There is no test result {named}.{nearest(named, known)}",
        f"Known: {', '.join(known)}." if known else "Run qwenlab test first.",
        zh=(
            f"没有测试结果 {named}。{nearest(named, known, 'zh')}",
            f"可用：{'、'.join(known)}。" if known else "请先运行 qwenlab test。",
        ),
    )


def tell(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Print the history of a suite, and how its newest result compares with the one before."""
    found = history.find_history(workspace.results, chosen.suite)
    verdicts = history.since_last(found)
    value = {**found.to_json(), "since_last": [verdict.to_json() for verdict in verdicts]}
    lines = [aligned(history.as_table(found)), *(sentence(verdict, "en") for verdict in verdicts)]
    console.result(value, "\n".join(lines))
    return DONE
