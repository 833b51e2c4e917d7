"""How far a run's export has come - merged, quantized, proven - read from job and export folders alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import package
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import runs
from qwenlab.workspace import Workspace

SMALL = {"gguf": "int4", "gptq": "gptq-int4"}
"""What the quantized folder of a run is called, after the run's name."""


@dataclass(frozen=True)
class Export:
    """A finished export folder with its manifest, its size in bytes, and when it was made (epoch seconds)."""

    folder: Path
    about: dict[str, Any]
    bytes: int
    made: float


def read_export(folder: Path) -> Export | None:
    """The export in that folder; None where there is none."""
    manifest = folder / package.MANIFEST
    try:
        # The manifest is written when the weights stand; a model card made later does not touch it.
        stamp = manifest.stat().st_mtime_ns
        about = files.read_json(manifest)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    except (OSError, QwenlabError):
        return None
    return Export(folder, about, size, stamp / 1e9) if isinstance(about, dict) else None


def exports(workspace: Workspace) -> list[Export]:
    """All exports, newest first."""
    found = [read_export(path.parent) for path in workspace.exports.glob(f"[!.]*/{package.MANIFEST}")]
    return sorted((one for one in found if one), key=lambda one: -one.made)


def verb_of(job: Job) -> tuple[str, list[str]]:
    """The verb that a job runs, and what follows it; ("", []) for anything else."""
    try:
        argv = [str(one) for one in files.read_json(job.folder / "job.json")["argv"]]
    except (QwenlabError, KeyError, TypeError):
        return "", []
    rest = argv[1:] if argv[:1] == ["qwenlab"] else []
    while rest and rest[0].startswith("--"):
        rest = rest[2:]
    return (rest[0], rest[1:]) if rest else ("", [])


def export_jobs(workspace: Workspace) -> list[Job]:
    """Merging, quantizing and checking jobs, newest first."""
    found = sorted(workspace.jobs.glob("export-*/job.json"), key=lambda path: -path.stat().st_mtime_ns)
    return [Job(path.parent) for path in found]


@dataclass(frozen=True)
class Ladder:
    """The three steps of one run in one format.

    Attributes:
        merged, small: the folders' exports, where they exist.
        merging, quantizing, checking, proving: the newest job of each step.
    """

    workspace: Workspace
    run: Job
    form: str
    merged: Export | None
    small: Export | None
    merging: Job | None
    quantizing: Job | None
    checking: Job | None
    proving: Job | None

    @property
    def merged_folder(self) -> Path:
        """Where the merged model goes."""
        return self.workspace.exports / f"{self.run.id}-merged"

    @property
    def small_folder(self) -> Path:
        """Where the quantized model goes."""
        return self.workspace.exports / f"{self.run.id}-{SMALL[self.form]}"

    @property
    def last(self) -> Export | None:
        """What would be handed over: the quantized folder, else the merged one."""
        return self.small or self.merged

    def working(self) -> Job | None:
        """The step in progress."""
        steps = (self.merging, self.quantizing, self.checking, self.proving)
        return next((job for job in steps if job is not None and job.state() == "running"), None)

    def contestants(self) -> list[tuple[str, str]]:
        """(name, spec) of everyone that the proof asks."""
        model = runs.recipe_of(self.run).model
        found = [("base", model), ("adapter", f"{model}+{self.run.id}")]
        if self.merged:
            found.append(("merged", str(self.merged.folder)))
        if self.small:
            found.append(("int4", str(self.small.folder)))
        return found


def read_ladder(workspace: Workspace, run: Job, form: str) -> Ladder:
    """How far a run has come, from folders alone."""
    merged = workspace.exports / f"{run.id}-merged"
    small = workspace.exports / f"{run.id}-{SMALL[form]}"
    jobs = [(job, *verb_of(job)) for job in export_jobs(workspace)]

    def newest(verb: str, *wanted: Path) -> Job | None:
        names = {str(path) for path in wanted}
        # A verb's target stands last but for flags; a source of the same name is another step's.
        return next((job for job, name, rest in jobs if name == verb and names & set(_targets(verb, rest))), None)

    return Ladder(
        workspace,
        run,
        form,
        read_export(merged),
        read_export(small),
        newest("merge", merged),
        newest("quantize", small),
        newest("verify", merged, small),
        _proof_job(workspace, run, form),
    )


def _targets(verb: str, rest: Sequence[str]) -> list[str]:
    if verb == "verify":
        return list(rest[:1])
    return [rest[at + 1] for at, word in enumerate(rest[:-1]) if word in ("-o", "--output")]


def _proof_job(workspace: Workspace, run: Job, form: str) -> Job | None:
    """The newest test that asked this run's merged model, and its quantized one in this format where any."""
    other = {f"int4={workspace.exports / f'{run.id}-{SMALL[one]}'}" for one in SMALL if one != form}
    found = sorted(workspace.results.glob("*/job.json"), key=lambda path: -path.stat().st_mtime_ns)
    for path in found:
        verb, rest = verb_of(Job(path.parent))
        asked = set(rest)
        if verb == "test" and f"merged={workspace.exports / f'{run.id}-merged'}" in asked and not other & asked:
            return Job(path.parent)
    return None


def started(job: Job) -> float:
    """When the job was last started, in seconds since the epoch; 0 when it does not say."""
    try:
        return float(files.read_json(job.folder / "job.json")["started"])
    except (QwenlabError, KeyError, TypeError, ValueError):
        return 0.0


def adapter_time(run: Job) -> float:
    """When the run's newest adapter was saved; 0 when it has none."""
    try:
        return (adapters.of_run(run.folder) / "adapter_model.safetensors").stat().st_mtime
    except (QwenlabError, OSError):
        return 0.0
