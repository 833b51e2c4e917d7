"""qwenlab train and qwenlab runs: start, follow, stop and resume training."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from qwenlab.commands.console import DONE, FAILED, Console, clock
from qwenlab.commands.models import ensure
from qwenlab.errors import QwenlabError
from qwenlab.evals import selection
from qwenlab.jobs import Job
from qwenlab.models import adapters, catalogue
from qwenlab.training import launch, presets, runs
from qwenlab.training import recipe as recipes
from qwenlab.training.recipe import Recipe
from qwenlab.workspace import Workspace


def add_verbs(verbs: Any) -> None:
    """Add `train` and `runs list | stop | resume`; one flag per setting of the recipe."""
    training = verbs.add_parser("train", help="train an adapter from a recipe")
    training.add_argument("recipe", nargs="?", type=Path, help="YAML or JSON file; flags beat it")
    for name, setting in Recipe.model_fields.items():
        many = {"nargs": "*"} if name == "languages" else {}
        training.add_argument(
            f"--{name.replace('_', '-')}", dest=f"set_{name}", metavar=name.upper(), help=setting.description, **many
        )
    training.add_argument(
        "--preset", choices=list(presets.PRESETS), help="start from these settings; the recipe beats it"
    )
    training.add_argument("--detach", action="store_true", help="start it and come back at once")
    training.add_argument("--json", action="store_true", help="print JSON")
    training.set_defaults(run=train)
    room = verbs.add_parser("runs", help="list, stop or resume training runs")
    actions = room.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="every run, newest first")
    listing.set_defaults(run=list_runs)
    stopping = actions.add_parser("stop", help="save and stop")
    stopping.set_defaults(run=stop_run)
    resuming = actions.add_parser("resume", help="go on from the last checkpoint")
    resuming.add_argument("--detach", action="store_true", help="start it and come back at once")
    resuming.set_defaults(run=resume_run)
    for one in (stopping, resuming):
        one.add_argument("name")
    for one in (listing, stopping, resuming):
        one.add_argument("--json", action="store_true", help="print JSON")


def recipe_from(chosen: argparse.Namespace) -> Recipe:
    """The recipe that preset, recipe file and flags make together; each beats the one before.

    Raises:
        QwenlabError: naming the first setting that is wrong.
    """
    values = recipes.read_file(chosen.recipe) if chosen.recipe else {}
    values.setdefault("model", os.environ.get("QWENLAB_MODEL", catalogue.DEFAULT))
    flags = {name: getattr(chosen, f"set_{name}") for name in Recipe.model_fields}
    values |= {name: value for name, value in flags.items() if value is not None}
    if chosen.preset:
        values = presets.preset(chosen.preset, str(values["model"])) | values
    return recipes.read(values)


def train(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Make a run from recipe file and flags, start it and follow it."""
    recipe = recipe_from(chosen)
    for warning, _ in presets.warnings(recipe):
        console.say(warning)
    ensure(workspace, recipe.model, console)
    speaks = recipe.languages or catalogue.languages(recipe.model)
    suite = selection.deciding(workspace, recipe.suite, speaks)
    if suite:
        asked = len(selection.part(suite, speaks, recipe.look_cases).cases)
        console.say(f"{asked} cases of {suite.name} choose the checkpoint; a later test of this run counts them apart.")
    job = runs.create(workspace, recipe, suite.to_json() if suite else None)
    runs.start(job)
    _tell_other_machines(job, recipe, console)
    if chosen.detach:
        console.result({"run": job.id, "state": "running"}, f"Started {job.id}. See: qwenlab runs list")
        return DONE
    return finish(job, follow(job, console), console)


def _tell_other_machines(job: Job, recipe: Recipe, console: Console) -> None:
    """Print what the other machines of a run have to start."""
    for node_rank in range(1, recipe.machines):
        line = launch.words(recipe, job.folder, node_rank, *launch.here(recipe))
        console.say(f"On machine {node_rank + 1}, with this folder under the same path: {line}")


def follow(job: Job, console: Console) -> runs.Progress:
    """Show a run's progress until it ends; Ctrl-C asks it to save and stop."""
    seen = runs.Progress()
    try:
        for event in job.follow():
            _show(seen, event, console)
    except KeyboardInterrupt:
        console.say("Stopping: the run saves first.")
        job.stop()
        for event in job.follow():
            _show(seen, event, console)
    return runs.progress(job)


def _show(seen: runs.Progress, event: dict[str, Any], console: Console) -> None:
    seen.take(event)
    if event["event"] == "encoded":
        for name, reason in seen.left_out:
            console.say(f"Left out {name}: {reason}")
        for name, reason in seen.shortened:
            console.say(f"Shortened {name}: {reason}")
    if event["event"] == "damaged":
        console.say(seen.damaged)
    if event["event"] == "step":
        console.progress(
            f"training  loss {seen.losses[seen.step]:.3f}",
            seen.step / max(1, seen.total),
            seconds_left=seen.eta_seconds,
            tokens_per_s=seen.tokens_per_s,
        )
    if event["event"] == "asking":
        console.progress("asking the test's questions", event["done"] / event["total"])
    if event["event"] == "look":
        console.say(f"Step {event['step']}: score {event['score']:.1%} on {event['n']} cases")
    if event["event"] == "look_failed":
        console.say(f"Step {event['step']} could not be scored, training goes on: {event['reason']} {event['remedy']}")


def finish(job: Job, progress: runs.Progress, console: Console) -> int:
    """Print how a run ended.

    Raises:
        QwenlabError: when it failed or was killed.
    """
    check_ended(job, progress)
    whole = adapters.whole_model(job.folder)
    made = {"model_folder": str(whole)} if whole else {"adapter": str(adapters.of_run(job.folder))}
    value = {**describe(job, progress), **made}
    words = f"{job.id} {progress.state} after {progress.step} steps in {clock(progress.seconds)}."
    if progress.best:
        step, score = progress.best
        words += f"\nThe best checkpoint is that of step {step}: score {score.score:.1%} on {score.n} cases."
    hint = f"Test it: qwenlab test SUITE --contestant tuned={whole or f'{runs.recipe_of(job).model}+{job.id}'}"
    console.result(value, f"{words}\n{hint}")
    return DONE


def check_ended(job: Job, progress: runs.Progress) -> None:
    """Pass a run that finished or was stopped by a person.

    Raises:
        QwenlabError: when it failed or was killed.
    """
    if progress.state == "failed":
        raise QwenlabError(
            f"The run {job.id} failed: {progress.reason}",
            progress.remedy,
            zh=(
                f"训练 {job.id} 失败：{progress.reason_zh or progress.reason}",
                progress.remedy_zh or progress.remedy,
            ),
        )
    if progress.state == "interrupted":
        likely = f" {progress.reason} {progress.remedy}" if progress.reason else ""
        likely_zh = f"{progress.reason_zh}{progress.remedy_zh}" if progress.reason else ""
        raise QwenlabError(
            f"The run {job.id} was killed.{likely}",
            f"Go on with: qwenlab runs resume {job.id}",
            zh=(f"训练 {job.id} 意外中断。{likely_zh}", f"可以接着训练：qwenlab runs resume {job.id}"),
        )


def describe(job: Job, progress: runs.Progress) -> dict[str, Any]:
    """A run as plain values."""
    return {
        "id": job.id,
        "state": progress.state,
        "model": runs.recipe_of(job).model,
        "step": progress.step,
        "steps": progress.total,
        "loss": progress.losses.get(progress.step),
        "score": progress.best[1].score if progress.best else None,
        "best_step": progress.best[0] if progress.best else None,
        "tokens_per_s": round(progress.tokens_per_s, 1),
        "eta_seconds": progress.eta_seconds if progress.state == "running" else None,
        "seconds": round(progress.seconds, 1),
        "left_out": len(progress.left_out),
        "reason": progress.reason,
    }


def list_runs(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Print every run, newest first."""
    rows = [describe(job, runs.progress(job)) for job in runs.all_runs(workspace)]
    lines = [
        f"{row['id']:<32} {row['state']:<12} {row['step']:>5}/{row['steps']:<5} loss "
        f"{'-' if row['loss'] is None else format(row['loss'], '.3f'):<6} score "
        f"{'-' if row['score'] is None else format(row['score'], '.1%'):<6}  {row['model']}"
        for row in rows
    ]
    console.result({"runs": rows}, "\n".join(lines) or "No runs yet. Start one with: qwenlab train")
    return DONE


def stop_run(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Ask a run to save and stop, and wait until it has."""
    job = runs.find(workspace, chosen.name)
    job.stop()
    for _ in job.follow():
        pass
    console.result({"id": job.id, "state": job.state()}, f"{job.id} {job.state()}.")
    return DONE if job.state() in ("stopped", "finished") else FAILED


def resume_run(chosen: argparse.Namespace, workspace: Workspace, console: Console) -> int:
    """Go on with a run that was stopped, failed or was killed."""
    job = runs.find(workspace, chosen.name)
    runs.resume(job)
    _tell_other_machines(job, runs.recipe_of(job), console)
    if chosen.detach:
        console.result({"run": job.id, "state": "running"}, f"Resumed {job.id}.")
        return DONE
    return finish(job, follow(job, console), console)
