"""The reports that leave the lab: a result as HTML, Markdown, CSV, JUnit XML or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.evals import case_table
from qwenlab.evals.findings import Findings
from qwenlab.evals.junit import to_junit
from qwenlab.evals.remarks import remarks
from qwenlab.evals.report_markdown import to_markdown
from qwenlab.evals.report_page import to_html

Form = Literal["html", "markdown", "csv", "junit", "json"]
FORMS: tuple[Form, ...] = get_args(Form)
ENDINGS: dict[str, Form] = {
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".csv": "csv",
    ".xml": "junit",
    ".json": "json",
}


def form_of(path: Path) -> Form:
    """The form that a file's ending stands for.

    Raises:
        QwenlabError: for another ending.
    """
    form = ENDINGS.get(path.suffix.lower())
    if form is None:
        known = list(ENDINGS)
        raise QwenlabError(
            f"A report cannot be written as {path.name}.",
            f"End its name in one of {', '.join(known)} (.xml is JUnit).",
            zh=(f"无法把报告写成 {path.name}。", f"文件名请以 {'、'.join(known)} 之一结尾（.xml 为 JUnit）。"),
        )
    return form


def render(findings: Findings, form: Form) -> bytes:
    """The report as the bytes of a file.

    Raises:
        QwenlabError: when no contestant was asked every case.
    """
    if not findings.contestants:
        raise QwenlabError(
            f"{findings.result.folder} holds no contestant that was asked every case.",
            "Go on with that test first: qwenlab test ... -o FOLDER.",
            zh=(
                f"{findings.result.folder} 中没有答完全部用例的测试对象。",
                "请先继续该测试：qwenlab test ... -o 文件夹。",
            ),
        )
    if form == "csv":
        return case_table.to_csv(findings)
    if form == "junit":
        return to_junit(findings)
    if form == "json":
        text = json.dumps(to_json(findings), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    else:
        text = to_html(findings) if form == "html" else to_markdown(findings)
    return text.encode("utf-8", "replace")  # a broken answer may hold half a character


def write(findings: Findings, path: Path, form: Form | None = None) -> None:
    """Write a report whole or not at all; its form by the file's ending where none is named.

    Raises:
        QwenlabError: for an unknown ending, an unfinished result, or a folder that cannot be written.
    """
    files.write_bytes(path, render(findings, form or form_of(path)))


def to_json(findings: Findings) -> dict[str, Any]:
    """Plain values: the result with its gates, slices, steps and every case."""
    return {
        **findings.result.to_json(),
        "time": round(findings.time, 3),
        "gates": [gate.to_json() for gate in findings.gates],
        "slices": [one.to_json() for one in findings.slices],
        "steps": [
            {"before": step.before, "after": step.after, "broken": list(step.broken), "fixed": list(step.fixed)}
            for step in findings.steps
        ],
        "remarks": remarks(findings.result, findings.language),
        "history": findings.history.to_json()["results"] if findings.history else [],
        "cases": list(case_table.rows(findings)),
    }
