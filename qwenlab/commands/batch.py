"""qwenlab batch: a file of messages answered by all contestants into one table."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.commands.console import BELOW, DONE, Console
from qwenlab.commands.models import ensure
from qwenlab.conversations.messages import read_questions
from qwenlab.evals import batch
from qwenlab.models import catalogue
from qwenlab.models.contestant import Contestant, Generation
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `batch`."""
    asking = verbs.add_parser("batch", help="let contestants answer a file of messages; exit 1 when one had no answer")
    asking.add_argument("messages", type=Path, help=".txt (one a line), .csv, .xlsx, .jsonl or .json")
    asking.add_argument(
        *("-c", "--contestant"),
        dest="contestants",
        action="append",
        required=True,
        metavar="NAME=SPEC",
        help="base=MODEL, tuned=MODEL+RUN, small=model.gguf or cluster=http://host/v1; several times",
    )
    asking.add_argument("--system", default="", help="system turn")
    asking.add_argument("--schema", type=Path, help="JSON Schema that answers are held against")
    asking.add_argument("--max-new-tokens", type=int, default=256)
    asking.add_argument("--temperature", type=float, default=0.0)
    asking.add_argument("--seed", type=int, default=0)
    asking.add_argument("--table", type=Path, help="also write the answers to this .csv, .xlsx or .jsonl")
    asking.add_argument("-o", "--output", type=Path, help="folder of the answers; naming an old one goes on with it")
    asking.add_argument("--json", action="store_true", help="print JSON")
    asking.set_defaults(run=answer_batch)


def answer_batch(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Ask every contestant every message; what was answered before is not asked again."""
    from qwenlab.chat import contestants

    folder = chosen.output or (console.job.folder if console.job else files.new_folder(workspace.batches, "batch"))
    if not (folder / batch.ABOUT).exists() or not console.job:  # the page prepares the folder itself
        specs = tuple(contestants.parse(one) for one in chosen.contestants)
        schema = files.read_json(chosen.schema) if chosen.schema else None
        settings = Generation(chosen.max_new_tokens, chosen.temperature, seed=chosen.seed)
        plan = batch.Plan(specs, chosen.system, settings, schema)
        batch.prepare(folder, plan, read_questions(chosen.messages))
    for _, spec in batch.read_plan(folder)[0].contestants:
        if catalogue.entry(spec.partition("+")[0]):
            ensure(workspace, spec.partition("+")[0], console)
    batch.run(folder, _opener(workspace), lambda now: _show(console, now), lambda: _stopped(console))
    found = batch.read(folder)
    if chosen.table:
        batch.export(found, chosen.table)
    errors = sum(
        cell is not None and cell.answer.finish not in ("stop", "length")
        for column in found.cells.values()
        for cell in column
    )
    value = {"folder": str(folder), "messages": len(found.questions), "answers": found.done, "errors": errors}
    words = f"{found.done} of {found.total} answers, {errors} of them errors. Every answer is in {folder}"
    console.result({**value, "contestants": list(found.cells)}, words)
    return BELOW if errors or found.done < found.total else DONE


def _opener(workspace: Workspace) -> batch.Opened:
    """Contestants of one base one after the other share what is loaded; another base takes its place."""
    from qwenlab.chat import contestants
    from qwenlab.chat.pool import ModelPool

    pool, last = ModelPool(), ""

    @contextmanager
    def opened(name: str, spec: str) -> Iterator[Contestant]:
        nonlocal last
        base = spec.partition("+")[0]
        if base != last:
            pool.unload()
        last = base
        contestant = contestants.make(workspace, pool, name, spec)
        try:
            yield contestant
        finally:
            contestant.close()

    return opened


def _show(console: Console, now: batch.Progress) -> None:
    console.progress(
        f"{now.contestant} answers",
        now.done / max(1, now.total),
        seconds_left=now.seconds_left,
        contestant=now.contestant,
        done=now.done,
        total=now.total,
    )


def _stopped(console: Console) -> bool:
    return console.job is not None and console.job.asked_to_stop()
