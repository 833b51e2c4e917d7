"""qwenlab demo: the whole loop on the shipped case: train, merge, quantize, and test all four on one suite."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qwenlab import files
from qwenlab.commands import prove as proving
from qwenlab.commands import test, train
from qwenlab.commands.chat import default_model
from qwenlab.commands.console import DONE, Console, clock
from qwenlab.commands.export import merge_run, quantize_folder
from qwenlab.commands.models import ensure
from qwenlab.evals import report
from qwenlab.evals.compare import sentence
from qwenlab.evals.suite import load_suite
from qwenlab.export import package
from qwenlab.jobs import Job
from qwenlab.models import adapters, catalogue
from qwenlab.training import recipe as recipes
from qwenlab.training import runs
from qwenlab.workspace import SHIPPED, Workspace

DATA = "data/after-sales.train.json"
SUITE = "after-sales-tickets"


def add_verbs(verbs: Any) -> None:
    """Add `demo`."""
    showing = verbs.add_parser("demo", help="train, test, merge and quantize on the shipped case; print a scoreboard")
    showing.add_argument("--model", help="catalogue name or folder; default: QWENLAB_MODEL or the Qwen default")
    showing.add_argument("--max-steps", type=int, help="train for so many steps only, for a quick look")
    showing.add_argument("--limit", type=int, help="test on the first so many cases only")
    showing.add_argument("--json", action="store_true", help="print JSON")
    showing.set_defaults(run=demo)


def demo(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Run the loop and print one scoreboard."""
    model = chosen.model or default_model()
    seconds: dict[str, float] = {}
    with _timed("model", seconds):
        ensure(workspace, model, console)
    suite = load_suite(SHIPPED / "eval_suites" / SUITE).only(catalogue.languages(model), None, chosen.limit)
    with _timed("train", seconds):
        job = _train(workspace, model, chosen.max_steps, console)
    merged, int4 = workspace.exports / f"{job.id}-merged", workspace.exports / f"{job.id}-int4"
    with _timed("merge", seconds):
        proof = merge_run(workspace, job.id, merged, console, title=f"after-sales tickets ({job.id})")
    with _timed("quantize", seconds):
        quantize_folder(workspace, merged, int4, console)
    specs = [("base", model), ("adapter", f"{model}+{job.id}"), ("merged", str(merged)), ("int4", str(int4))]
    folder = files.new_folder(workspace.results, suite.name)
    for spec in specs:
        with _timed(f"test {spec[0]}", seconds):
            found = test.run_contestants(workspace, suite, [spec], folder, [job.folder / "data.json"], console)
    with _timed("compare next tokens", seconds):
        held_out = proving.held_out(workspace, package.read_manifest(int4), suite, merged, None)
        closeness = proving.measure_closeness(merged, int4, held_out, console)
    seconds["total"] = round(sum(seconds.values()) - seconds["model"], 1)
    proofs = [
        proving.record(workspace, merged, found, specs[:3], None),
        proving.record(workspace, int4, found, specs, closeness),
    ]
    rows = [one.row(test.size_of(workspace, dict(specs)[one.name])) for one in found.contestants]
    value = {
        "model": model,
        "run": job.id,
        "suite": suite.name,
        "cases": len(suite.cases),
        "contestants": [_as_json(row) for row in rows],
        "verdicts": [{**verdict.to_json(), "sentence": sentence(verdict, "en")} for verdict in found.verdicts()],
        "merge_proof": proof,
        "seconds": seconds,
        "folder": str(folder),
        "exports": {"merged": proofs[0]["path"], "int4": proofs[1]["path"]},
        "proofs": [{key: proof[key] for key in ("passed", "sentence", "closeness")} for proof in proofs],
    }
    files.write_json(folder / "demo.json", value)
    console.result(value, _words(rows, value))
    return DONE


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 1)


def _train(workspace: Workspace, model: str, max_steps: int | None, console: Console) -> Job:
    values = {"model": model, "data": str(SHIPPED / DATA), **recipes.recommended(model)}
    if max_steps:
        values["max_steps"] = max_steps
    job = runs.create(workspace, recipes.read(values))
    runs.start(job)
    progress = train.follow(job, console)
    train.check_ended(job, progress)
    adapters.of_run(job.folder)
    return job


def _as_json(row: report.Row) -> dict[str, Any]:
    summary = row.summary.to_json()
    measures = ("strict", "usable", "field_accuracy", "document_exact", "n", "errors", "intervals")
    speed = None if row.tokens_per_s is None else round(row.tokens_per_s, 1)
    return {"name": row.name, **{key: summary[key] for key in measures}, "tokens_per_s": speed, "bytes": row.bytes}


def _words(rows: list[report.Row], value: dict[str, Any]) -> str:
    times = ", ".join(f"{stage} {clock(spent)}" for stage, spent in value["seconds"].items())
    sentences = [verdict["sentence"] for verdict in value["verdicts"]]
    return "\n".join(
        [
            f"\n{value['model']} on {value['suite']}, {value['cases']} cases\n",
            report.scoreboard(rows),
            *sentences,
            *(proof["sentence"]["en"] for proof in value["proofs"]),
            f"Merging: largest logit difference {value['merge_proof']['max_logit_difference']:.2g} in float32.",
            f"Time: {times}",
            f"To deploy: {value['exports']['int4']}",
        ]
    )
