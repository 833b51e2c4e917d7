"""qwenlab data: check, import and export training conversations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.conversations import checks, formats
from qwenlab.conversations.dataset import DataSet
from qwenlab.errors import QwenlabError
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `data check | import | export`."""
    room = verbs.add_parser("data", help="check, import or export training conversations")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")
    checking = actions.add_parser("check", help="name every problem of a train.json; exit 1 when there are any")
    checking.add_argument("file", type=Path)
    checking.add_argument("--schema", type=Path, help="JSON Schema that assistant answers must satisfy")
    checking.set_defaults(run=check_data)
    importing = actions.add_parser("import", help="read ShareGPT, Alpaca, OpenAI, JSONL, CSV or Excel")
    importing.add_argument("file", type=Path)
    importing.set_defaults(run=import_data)
    exporting = actions.add_parser("export", help="write .json, .jsonl (OpenAI), .csv or .xlsx")
    exporting.add_argument("file", type=Path)
    exporting.set_defaults(run=export_data)
    for one in (importing, exporting):
        one.add_argument("-o", "--output", type=Path, required=True)
    for one in (checking, importing, exporting):
        one.add_argument("--json", action="store_true", help="print JSON")


def check_data(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Print every problem with its sample."""
    dataset = DataSet.open(chosen.file)
    schema = files.read_json(chosen.schema) if chosen.schema else None
    problems = checks.check(dataset, schema, lambda done, total: console.progress("checking", done / max(1, total)))
    rows = [
        {
            "sample": problem.sample_index,
            "id": problem.sample_id,
            "turn": problem.turn_index,
            "code": problem.code,
            "message": checks.describe(problem),
        }
        for problem in problems
    ]
    words = [f"{row['id'] or '#' + str(row['sample'])}: {row['message']}" for row in rows]
    words.append(f"{len(dataset.samples)} samples, {len(rows)} problems.")
    console.result({"samples": len(dataset.samples), "problems": rows}, "\n".join(words))
    return BELOW if rows else DONE


def import_data(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Import into a new train.json; an existing file is never replaced."""
    if chosen.output.exists():
        raise QwenlabError(f"{chosen.output} exists already.", "Name a new file.")
    samples, report = formats.import_file(chosen.file)
    DataSet.new(chosen.output, samples).save()
    value = {"samples": report.taken, "forms": report.forms, "serialized": report.serialized}
    value["refused"] = [{"place": place, "code": code} for place, code, _ in report.refused]
    console.result(value, "\n".join(report.describe()))
    return DONE if samples else BELOW


def export_data(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Export a train.json into the form that the file name's ending says."""
    if chosen.output.exists():
        raise QwenlabError(f"{chosen.output} exists already.", "Name a new file.")
    count = formats.export_file(DataSet.open(chosen.file).samples, chosen.output)
    console.result({"samples": count, "path": str(chosen.output)}, f"{count} samples written to {chosen.output}")
    return DONE
