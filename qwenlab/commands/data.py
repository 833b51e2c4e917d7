"""qwenlab data: check, import, export and split training conversations, and list their kept versions."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.conversations import checks, formats, labels, split, tables
from qwenlab.conversations.dataset import DataSet, versions
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.preview import Preview
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError, nearest
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `data check | import | export | split | versions`."""
    room = verbs.add_parser("data", help="check, import, export or split training conversations")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")

    checking = actions.add_parser("check", help="name every problem of a train.json; exit 1 when there are any")
    checking.add_argument("file", type=Path)
    checking.add_argument("--schema", type=Path, help="JSON Schema that assistant answers must satisfy")
    checking.set_defaults(run=check_data)

    importing = actions.add_parser("import", help="read train.json, ShareGPT, Alpaca, OpenAI, JSONL, CSV or Excel")
    importing.add_argument("file", type=Path)
    importing.add_argument("-o", "--output", type=Path, help="the new train.json")
    importing.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="PART=NAME",
        help=f"for tables: which column is which of {', '.join(tables.COLUMNS)}; once for each",
    )
    importing.add_argument("--sheet", help="of an Excel file; default: the first with known columns")
    importing.add_argument("--preview", action="store_true", help="say what would be taken in, and write nothing")
    importing.set_defaults(run=import_data)

    exporting = actions.add_parser("export", help="write .json, .jsonl (OpenAI), .csv, .tsv or .xlsx")
    exporting.add_argument("file", type=Path)
    exporting.add_argument("-o", "--output", type=Path, required=True)
    exporting.add_argument("--labels", action="store_true", help="write tags and notes too")
    exporting.set_defaults(run=export_data)

    splitting = actions.add_parser("split", help="divide into NAME.train.json and NAME.validation.json")
    splitting.add_argument("file", type=Path)
    splitting.add_argument("--validation", type=float, default=0.1, help="share that goes to validation, default 0.1")
    splitting.add_argument("--seed", type=int, default=7, help="the same seed gives the same parts, default 7")
    splitting.add_argument("-o", "--output", type=Path, required=True, help="folder for the two files")
    splitting.set_defaults(run=split_data)

    listing = actions.add_parser("versions", help="list the kept versions of a train.json, newest first")
    listing.add_argument("file", type=Path)
    listing.set_defaults(run=list_versions)

    for one in (checking, importing, exporting, splitting, listing):
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
    """Import into a new train.json, or only say what would be taken in; an existing file is never replaced."""
    if not chosen.preview:
        _must_be_new(chosen.output)
    columns = _columns(chosen.column) or None
    if chosen.preview:
        found = formats.preview(chosen.file, columns, chosen.sheet)
        console.result(_told(found), _printable("\n".join([*_table_words(found), *found.describe()])))
        return DONE if found.samples else BELOW
    samples, found = formats.import_file(chosen.file, columns, chosen.sheet)
    DataSet.new(chosen.output, samples).save()
    console.result({**_told(found), "path": str(chosen.output)}, _printable("\n".join(found.describe())))
    return DONE if samples else BELOW


def _columns(named: list[str]) -> dict[str, str]:
    found = {}
    for one in named:
        part, equals, name = one.partition("=")
        if not equals or part not in tables.COLUMNS:
            raise QwenlabError(
                f"--column {one} names no part of a conversation.{nearest(part, tables.COLUMNS)}",
                f"Write PART=NAME with one of {', '.join(tables.COLUMNS)}.",
                zh=(
                    f"--column {one} 没有指明对话的哪一部分。{nearest(part, tables.COLUMNS, 'zh')}",
                    f"请写成 PART=NAME，PART 可为 {'、'.join(tables.COLUMNS)}。",
                ),
            )
        found[part] = name
    return found


def _told(found: Preview) -> dict[str, Any]:
    refused = [
        {"place": one.place.number, "unit": one.place.unit, "part": one.place.part, "code": one.code}
        | {"reason": one.why("en")}
        for one in found.refused
    ]
    value: dict[str, Any] = {
        "samples": len(found.samples),
        "forms": dict(found.forms),
        "changes": dict(found.changes),
        "serialized": found.changes["serialized"],
        "refused": refused,
        "first": [sample.raw for sample in found.samples[:3]],
    }
    if found.table:
        table = {"columns": found.table.columns, "mapping": found.mapping, "rows": found.table.first()}
        value["table"] = {**table, "sheet": found.table.sheet, "sheets": found.table.sheets}
    # Half a character cannot be printed, and NaN is no JSON.
    told: dict[str, Any] = json.loads(_printable(json.dumps(value, ensure_ascii=False)), parse_constant=str)
    return told


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _table_words(found: Preview) -> list[str]:
    if not found.table:
        return []
    parts = {name: part for part, name in found.mapping.items()}
    first = (found.table.first() or [[""] * len(found.table.columns)])[0]
    lines = [
        f"  {name}: {parts.get(name, 'stays out')}, such as {cell.strip()[:60]!r}"
        for name, cell in zip(found.table.columns, first, strict=True)
    ]
    sheet = [f"Sheet {found.table.sheet} of {', '.join(found.table.sheets)}"] if found.table.sheets else []
    asked = ["Say which columns are question and answer: --column prompt=NAME --column answer=NAME"]
    return [*sheet, "Columns:", *lines, *(asked if found.needs_columns else [])]


def export_data(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Export a train.json into the form that the file name's ending says."""
    _must_be_new(chosen.output)
    samples = DataSet.open(chosen.file).samples
    if chosen.labels:
        labels.attach(chosen.file, samples, [Facts(sample) for sample in samples])
    count = formats.export_file(samples, chosen.output, chosen.labels)
    left_out = len(samples) - count
    words = f"{count} samples written to {chosen.output}"
    if left_out:
        words += f"\n{left_out} cannot be read as conversations and stand only in a .json export"
    console.result({"samples": count, "left_out": left_out, "path": str(chosen.output)}, words)
    return DONE


def split_data(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Divide a train.json in two; near-duplicates stay on one side, and no file is replaced."""
    dataset = DataSet.open(chosen.file)
    facts = [Facts(sample) for sample in dataset.samples]
    labels.attach(chosen.file, dataset.samples, facts)
    parts = split.split(facts, chosen.validation, chosen.seed)
    paths = [chosen.output / f"{dataset.name}.{part}.json" for part in ("train", "validation")]
    for path in paths:
        _must_be_new(path)
    for path, positions in zip(paths, parts, strict=True):
        split.write_part(chosen.file, path, [dataset.samples[at] for at in positions], [facts[at] for at in positions])
    told = [{"path": str(path), "samples": len(part)} for path, part in zip(paths, parts, strict=True)]
    words = [f"{one['samples']} samples written to {one['path']}" for one in told]
    console.result({"train": told[0], "validation": told[1], "seed": chosen.seed}, "\n".join(words))
    return DONE


def list_versions(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """List what was kept of a train.json at its saves and at each start of a training."""
    if not chosen.file.exists():
        raise DataError("file_missing", path=chosen.file)
    found = [(path, path.stat()) for path in versions(chosen.file)]
    rows = [
        {"path": str(path), "time": datetime.fromtimestamp(known.st_mtime).isoformat(" ", "seconds")}
        | {"bytes": known.st_size}
        for path, known in found
    ]
    words = [f"{row['time']}  {row['bytes']:>12,} bytes  {row['path']}" for row in rows]
    console.result({"versions": rows}, "\n".join(words or [f"No versions of {chosen.file} are kept yet."]))
    return DONE


def _must_be_new(path: Path | None) -> None:
    if path is None:
        raise QwenlabError(
            "Nothing says where to write.",
            "Name a new file with -o, or add --preview.",
            zh=("没有说明要写到哪里。", "请用 -o 指定一个新文件，或加上 --preview。"),
        )
    if path.exists():
        raise QwenlabError(f"{path} exists already.", "Name a new file.", zh=(f"{path} 已存在。", "请指定一个新文件。"))
