"""How far a run's export has come - merged, quantized, proven - read from job and export folders alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import card, package
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.workspace import Workspace


@dataclass(frozen=True)
class Form:
    """A way to quantize: as `qwenlab quantize` takes it, and how its folder's name ends."""

    form: str
    bits: int
    ending: str

    @property
    def flags(self) -> list[str]:
        """For the command line."""
        return ["--format", self.form, "--bits", str(self.bits)]


FORMS = {
    "int4": Form("gguf", 4, "int4"),
    "int5": Form("gguf", 5, "int5"),
    "int8": Form("gguf", 8, "int8"),
    "gptq-int4": Form("gptq", 4, "gptq-int4"),
    "gptq-int8": Form("gptq", 8, "gptq-int8"),
}
"""By the name under which the page knows them."""


@dataclass(frozen=True)
class Export:
    """A finished export folder with its manifest, its size in bytes, and when it was made (epoch seconds).

    Attributes:
        proof: its scorecard (see `commands.scorecard`); None before it is proven.
    """

    folder: Path
    about: dict[str, Any]
    bytes: int
    made: float
    proof: dict[str, Any] | None = None

    @property
    def passed(self) -> bool | None:
        """Whether it passed its check; None before it is proven."""
        return None if self.proof is None else bool(self.proof.get("passed"))

    @property
    def proven_at(self) -> float:
        """When it was proven (epoch seconds); 0 before."""
        made = (self.proof or {}).get("made")
        return float(made) if isinstance(made, int | float) else 0.0


def read_export(folder: Path) -> Export | None:
    """The export in that folder; None where there is none."""
    manifest = folder / package.MANIFEST
    try:
        # The manifest is written when the weights stand; what a proof adds later does not touch it.
        stamp = manifest.stat().st_mtime_ns
        about = files.read_json(manifest)
        size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        proof = files.read_json(folder / card.SCORECARD) if (folder / card.SCORECARD).exists() else None
    except (OSError, QwenlabError):
        return None
    if not isinstance(about, dict):
        return None
    return Export(folder, about, size, stamp / 1e9, proof if isinstance(proof, dict) else None)


def newest_of(folder: Path) -> Export | None:
    """The export of that name, or the one under the name of a failed check, whichever is newer.

    The same weights under both names are left by a proof that was killed: then the newer one counts.
    """
    both = (read_export(folder), read_export(folder.with_name(folder.name + package.FAILED)))
    return max((one for one in both if one), key=lambda one: (one.made, one.proven_at), default=None)


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
        form: a key of FORMS.
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
        return small_folder(self.workspace, self.run, self.form)

    @property
    def last(self) -> Export | None:
        """What would be handed over: the quantized folder, else the merged one."""
        return self.small or self.merged

    def working(self) -> Job | None:
        """The step in progress."""
        steps = (self.merging, self.quantizing, self.checking, self.proving)
        return next((job for job in steps if job is not None and job.state() == "running"), None)

    @property
    def outdated(self) -> bool:
        """Whether the run learned, or was merged, since what would be handed over was made."""
        merged = self.merged is not None and adapter_time(self.run) > self.merged.made
        return merged or (self.small is not None and self.merged is not None and self.small.made < self.merged.made)


def small_folder(workspace: Workspace, run: Job, form: str) -> Path:
    """Where a run's quantized model goes."""
    return workspace.exports / f"{run.id}-{FORMS[form].ending}"


def read_ladder(workspace: Workspace, run: Job, form: str) -> Ladder:
    """How far a run has come, from folders alone."""
    merged = workspace.exports / f"{run.id}-merged"
    small = small_folder(workspace, run, form)
    jobs = [(job, *verb_of(job)) for job in export_jobs(workspace)]

    def newest(verb: str, *wanted: Path) -> Job | None:
        names = {str(path) for path in wanted}
        # A verb's target stands last but for flags; a source of the same name is another step's.
        return next((job for job, name, rest in jobs if name == verb and names & set(_targets(verb, rest))), None)

    return Ladder(
        workspace,
        run,
        form,
        newest_of(merged),
        newest_of(small),
        newest("merge", merged),
        newest("quantize", small),
        newest("verify", *_names(merged), *_names(small)),
        _proof_job(workspace, {str(path) for path in (*_names(merged), *_names(small))}),
    )


def _targets(verb: str, rest: Sequence[str]) -> list[str]:
    if verb == "verify":
        return list(rest[:1])
    return [rest[at + 1] for at, word in enumerate(rest[:-1]) if word in ("-o", "--output")]


def _names(folder: Path) -> tuple[Path, Path]:
    return folder, folder.with_name(folder.name + package.FAILED)


def _proof_job(workspace: Workspace, folders: set[str]) -> Job | None:
    """The newest proof of one of these exports."""
    found = sorted(workspace.results.glob("*/job.json"), key=lambda path: -path.stat().st_mtime_ns)
    for path in found:
        verb, rest = verb_of(Job(path.parent))
        if verb == "prove" and folders & set(rest[:1]):
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
