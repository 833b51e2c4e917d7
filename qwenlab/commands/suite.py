"""qwenlab suite: begin a test suite from a data set, and check one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.conversations import attached
from qwenlab.conversations.document import Document
from qwenlab.evals import suite_draft
from qwenlab.evals.suite import find_suite
from qwenlab.evals.suite_check import examine
from qwenlab.evals.suite_draft import Draft
from qwenlab.evals.suite_files import read_written
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `suite new | check`."""
    room = verbs.add_parser("suite", help="begin a test suite from a data set, or check one")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")

    beginning = actions.add_parser("new", help="hold samples out of a data set, infer the schema and propose rules")
    beginning.add_argument("name", help="of the new suite, which appears in the workspace")
    beginning.add_argument("--from", dest="data", type=Path, required=True, metavar="FILE", help="the train.json")
    beginning.add_argument(
        "--hold-out",
        type=int,
        default=suite_draft.HELD_OUT,
        metavar="N",
        help=f"samples that leave the training data and become cases, default {suite_draft.HELD_OUT}",
    )
    beginning.add_argument("--seed", type=int, default=0, help="the same seed holds out the same samples, default 0")
    beginning.add_argument(
        "--infer-schema", action="store_true", help="from the answers, although the data set names a schema"
    )
    beginning.add_argument("--preview", action="store_true", help="say what would be made, and write nothing")
    beginning.set_defaults(run=new)

    checking = actions.add_parser("check", help="name everything that is wrong with a suite; exit 1 when there is any")
    checking.add_argument("suite", help="a suite's name, folder or file")
    checking.set_defaults(run=check)

    for one in (beginning, checking):
        one.add_argument("--json", action="store_true", help="print JSON")


def new(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Make a suite; its cases leave the data set, whose earlier version is kept."""
    document = Document.open(chosen.data, workspace)
    try:
        schema = None if chosen.infer_schema else attached.schema_of(document.dataset.path)
        made = suite_draft.draft(chosen.name, document.samples, document.facts, chosen.hold_out, chosen.seed, schema)
        lines = _words(made)
        told: dict[str, Any] = {"name": made.name, "cases": len(made.held), "left": made.left}
        told |= {"schema": made.content.get("schema"), "attached": made.attached, "answers": made.answers}
        told["fields"] = [
            {"pointer": one.pointer, "rule": one.rule, "reason": one.reason.en, "evidence": one.evidence.en}
            for one in made.proposals
        ]
        if not chosen.preview:
            begun = suite_draft.begin(workspace, document, made)
            told |= {"folder": str(begun.folder), "data": str(begun.data)}
            lines += [
                f"Written to {begun.folder}: look at suite.yaml, then run qwenlab test {made.name}.",
                f"{made.left} samples stay for training in {begun.data}; the version before is kept.",
            ]
        console.result(told, "\n".join(lines))
    finally:
        document.close()
    return DONE


def _words(made: Draft) -> list[str]:
    lines = [f"{len(made.held)} samples become test cases."]
    if made.proposals:
        source = "taken from the data set" if made.attached else f"inferred from {made.answers} answers"
        lines.append(f"The schema is {source}. A rule for each field:")
        width = max(len(one.pointer) for one in made.proposals)
        for one in made.proposals:
            rest = "".join(f", {key} {value}" for key, value in one.rule.items() if key not in ("rule", "critical"))
            critical = ", critical" if one.rule.get("critical") else ""
            lines.append(f"  {one.pointer:<{width}}  {one.rule['rule']}{rest}{critical}")
            lines.append(f"  {'':<{width}}    {one.reason.en} ({one.evidence.en})")
    return [*lines, *(remark.en for remark in made.remarks)]


def check(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Print every fault of a suite."""
    written = read_written(find_suite(workspace, chosen.suite))
    faults = examine(written).faults
    rows = [
        {"case": None if one.case is None else _id(written.cases[one.case].raw), "what": one.error.what}
        | {"remedy": one.error.remedy}
        for one in faults
    ]
    words = [f"{row['what']} {row['remedy']}" for row in rows]
    words.append(f"{written.name}: {len(written.cases)} cases, {len(rows)} faults.")
    console.result({"suite": written.name, "cases": len(written.cases), "faults": rows}, "\n".join(words))
    return BELOW if rows else DONE


def _id(raw: Any) -> str:
    return str(raw.get("id", "")) if isinstance(raw, dict) else ""
