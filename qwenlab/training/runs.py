"""Training runs: made, started, found again, and read back from their folders alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations.dataset import DataSet, keep_version, shipped
from qwenlab.errors import QwenlabError, nearest
from qwenlab.jobs import Job, State
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.training import endings, launch, looks, methods
from qwenlab.training import recipe as recipes
from qwenlab.training.looks import Look, Score
from qwenlab.training.recipe import Recipe
from qwenlab.workspace import SHIPPED, Workspace

SETTLED = 5
"""Steps after which a process's own speed is known."""


def create(workspace: Workspace, recipe: Recipe, suite: Mapping[str, Any] | None = None) -> Job:
    """Make a run folder with the resolved recipe and its own copies of the training data and of the deciding test.

    Args:
        suite: the test that the recipe names, as plain values; training itself cannot read tests.

    A data set that did not come with the program also keeps the version that is trained.

    Raises:
        QwenlabError: when the model or the data set cannot be used, or a package that the method needs is missing.
    """
    base = catalogue.locate(workspace, recipe.model)
    methods.check(recipe, base)
    data = find_data(workspace, recipe.data)
    speaks: list[Any] = list(recipe.languages or catalogue.languages(recipe.model))
    everything = DataSet.open(data)
    chosen = [sample for sample in everything.samples if sample.broken() or sample.language in speaks]
    if not chosen:
        raise QwenlabError(
            f"{data.name} has no sample in {' or '.join(speaks)}, the languages of {recipe.model}.",
            "Choose another model or another data set.",
            zh=(
                f"{data.name} 中没有 {'、'.join(speaks)} 的样本，而 {recipe.model} 使用这些语言。",
                "请选择其他模型或其他数据集。",
            ),
        )
    resolved = recipe.model_copy(update={"model": recipe.model, "data": str(data), "languages": speaks})
    folder = files.new_folder(workspace.runs, data.name.split(".")[0])
    files.write_json(folder / "recipe.json", resolved.model_dump())
    files.write_json(folder / "base.json", {"folder": str(base)})
    files.write_bytes(folder / "data.json", data.read_bytes())
    if not shipped(data):
        with suppress(QwenlabError):  # the run has its own copy, whatever that folder forbids
            keep_version(data)
    if suite is not None:
        files.write_json(folder / "suite.json", suite)
    return Job(folder)


def find_data(workspace: Workspace, named: str) -> Path:
    """The data set of that path, searched as given, in the workspace, then among the shipped ones.

    Raises:
        QwenlabError: when there is none.
    """
    for folder in (Path(), workspace.root, SHIPPED):
        path = folder / Path(named).expanduser()
        if path.is_file():
            return path.resolve()
    raise QwenlabError(
        f"There is no data set {named}.",
        "Name a train.json file.",
        zh=(f"没有数据集 {named}。", "请指定一个 train.json 文件。"),
    )


def start(job: Job) -> None:
    """Start or resume the run in processes of its own; from the last complete checkpoint where there is one.

    Raises:
        QwenlabError: when it already runs, or a package that its method needs is missing.
    """
    recipe = recipe_of(job)
    methods.check(recipe, base_of(job))
    address, port = launch.here(recipe)
    job.start("train", launch.arguments(recipe, job.folder, 0, address, port))


def resume(job: Job) -> None:
    """Go on with a run from its last complete checkpoint; from the beginning where it has none.

    Raises:
        QwenlabError: when it runs or has finished.
    """
    if job.state() == "finished":
        raise QwenlabError(
            f"The run {job.id} has finished.",
            "Start a new one, with more epochs if it needs them.",
            zh=(f"训练 {job.id} 已经完成。", "请新建一个训练；需要时增加轮数。"),
        )
    start(job)


def find(workspace: Workspace, named: str) -> Job:
    """The run of that id.

    Raises:
        QwenlabError: with the nearest known id.
    """
    known = [job.id for job in all_runs(workspace)]
    if named in known:
        return Job(workspace.runs / named)
    raise QwenlabError(
        f"There is no run {named}.{nearest(named, known)}",
        "See: qwenlab runs list",
        zh=(f"没有训练 {named}。{nearest(named, known, 'zh')}", "可用 qwenlab runs list 查看。"),
    )


def all_runs(workspace: Workspace) -> list[Job]:
    """Every run of the workspace, newest first."""
    folders = [folder for folder in workspace.runs.iterdir() if (folder / "recipe.json").exists()]
    return [Job(folder) for folder in sorted(folders, key=lambda one: one.stat().st_mtime_ns, reverse=True)]


def recipe_of(job: Job) -> Recipe:
    """The resolved recipe a run was made with. Raises QwenlabError when it cannot be read."""
    return recipes.read(files.read_object(job.folder / "recipe.json"))


def base_of(job: Job) -> Path:
    """The base model's folder."""
    return Path(files.read_json(job.folder / "base.json")["folder"])


@dataclass
class Progress:
    """What a run's event log says, for the page and the command line.

    Attributes:
        losses: (step, loss) pairs; a step that was repeated after a resume stands once.
        validation: (step, loss on the samples kept out).
        eta_seconds: None before the first steps are timed; right after a resume it follows from the speed before.
        seconds_per_step: mean of the steps since the last start.
        saved: the step of the last checkpoint.
        heard: when the newest event was written, in seconds since the epoch.
        starts: how often a process was started for it; more than once after a resume.
        left_out_number, shortened_number: how many samples; those that follow name the first thousand.
        left_out: (sample id, reason) of what could not be trained; left_out_zh: the same in Chinese.
        shortened: (sample id, what was dropped) of samples trained without their oldest turns; the same.
        extras: what the event "extras" said of each optional package: name, used, reason, reason_zh.
        early_stop: what the event "early_stop" said; empty for a run that did not end early.
        longest, longest_answer: most tokens of a sample, and most that are trained.
        damaged: what was found damaged on the disk at the last resume, in a sentence; damaged_zh: the same.
        reason, remedy: why it failed and what to do; of an interrupted run what is likely, if anything is.
        looks: step -> what the deciding test said of the model then.
        failed_looks: step -> reason and remedy of a look that could not be taken, with reason_zh and remedy_zh.
        asking: (questions answered, asked) of the look that is being taken; (0, 0) while none is.
    """

    state: State = "new"
    step: int = 0
    total: int = 0
    losses: dict[int, float] = field(default_factory=dict)
    validation: dict[int, float] = field(default_factory=dict)
    learning_rates: dict[int, float] = field(default_factory=dict)
    tokens_per_s: float = 0.0
    eta_seconds: float | None = None
    seconds_per_step: float = 0.0
    saved: int = 0
    starts: int = 0
    heard: float = 0.0
    memory_bytes: int = 0
    samples: int = 0
    tokens: int = 0
    left_out_number: int = 0
    shortened_number: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    left_out_zh: list[tuple[str, str]] = field(default_factory=list)
    shortened: list[tuple[str, str]] = field(default_factory=list)
    shortened_zh: list[tuple[str, str]] = field(default_factory=list)
    extras: dict[str, dict[str, Any]] = field(default_factory=dict)
    early_stop: dict[str, Any] = field(default_factory=dict)
    longest: int = 0
    longest_answer: int = 0
    damaged: str = ""
    damaged_zh: str = ""
    looks: dict[int, Look] = field(default_factory=dict)
    failed_looks: dict[int, dict[str, str]] = field(default_factory=dict)
    asking: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    phase: str = ""
    reason: str = ""
    remedy: str = ""
    reason_zh: str = ""
    remedy_zh: str = ""
    _before: float = field(default=0.0, repr=False)  # seconds per step before the last start
    _timed: int = field(default=0, repr=False)  # steps since then

    @property
    def best(self) -> tuple[int, Score] | None:
        """Step and score of the checkpoint that is the result; None where no test has decided."""
        found = looks.best(self.looks.values())
        return (found.step, found.score) if found and found.score else None

    def take(self, event: dict[str, Any]) -> None:
        """Fold one event into the picture."""
        kind, self.heard = event.get("event"), event.get("time", self.heard)
        self.asking = (event["done"], event["total"]) if kind == "asking" else (0, 0)
        if kind == "phase":
            self.phase = event["name"]
            if self.phase == "loading":
                self._begin()
        elif kind == "damaged":
            self.damaged, self.damaged_zh = event["words"], event["words_zh"]
        elif kind == "encoded":
            self.samples, self.tokens, self.total = event["samples"], event["tokens"], event["steps"]
            self.phase = "model"
            self.left_out = [(name, reason) for name, reason in event["left_out"]]
            self.left_out_zh = [(name, reason) for name, reason in event.get("left_out_zh", event["left_out"])]
            self.shortened = [(name, what) for name, what in event.get("shortened", [])]
            self.shortened_zh = [(name, what) for name, what in event.get("shortened_zh", [])]
            self.left_out_number = event.get("left_out_number", len(self.left_out))
            self.shortened_number = event.get("shortened_number", len(self.shortened))
            self.longest, self.longest_answer = event.get("longest", 0), event.get("longest_answer", 0)
        elif kind == "step":
            self._step(event)
        elif kind == "validation":
            self.validation[event["step"]] = event["loss"]
        elif kind == "saved":
            self.saved = event["step"]
        elif kind == "extras":
            self.extras[event["name"]] = event
        elif kind == "early_stop":
            self.early_stop = event
        elif kind == "look":
            score = Score(*(event[name] for name in ("score", "usable", "field_accuracy", "passed", "n")))
            self.looks[event["step"]] = Look(event["step"], score, event.get("loss"), event["seconds"])
        elif kind == "look_failed":
            self.failed_looks[event["step"]] = event
        elif kind == "timing":
            self.seconds += event["seconds"]  # a resumed run has several
        elif kind in ("finished", "stopped", "failed"):
            self.phase = ""
            self.tell(event)

    def tell(self, words: dict[str, Any]) -> None:
        """Take over reason and remedy, in both languages, from an event or a final marker."""
        self.reason, self.remedy = words.get("reason", ""), words.get("remedy", "")
        self.reason_zh, self.remedy_zh = words.get("reason_zh", ""), words.get("remedy_zh", "")

    def _begin(self) -> None:
        """A process starts, and goes on from what was saved."""
        self.damaged = self.damaged_zh = ""
        self.starts, self._timed, self._before = self.starts + 1, 0, self.seconds_per_step
        if self._before:
            self.eta_seconds = self._before * (self.total - self.saved)

    def _step(self, event: dict[str, Any]) -> None:
        self.step, self.total = event["step"], event["total"]
        for known in (self.losses, self.learning_rates):
            for later in [step for step in known if step > self.step]:
                del known[later]  # went back to a checkpoint: the steps behind it are done again
        for seen in (self.validation, self.looks, self.failed_looks):
            for later in [step for step in seen if step >= self.step]:
                del seen[later]
        self.losses[self.step], self.learning_rates[self.step] = event["loss"], event["learning_rate"]
        self.tokens_per_s, self.memory_bytes = event["tokens_per_s"], event["memory_bytes"]
        self.eta_seconds, self.phase = event["eta_seconds"], "training"
        self._timed += 1
        left = self.total - self.step
        if left <= 0 or self.eta_seconds is None:
            return
        self.seconds_per_step = self.eta_seconds / left
        if self._before and self._timed < SETTLED:  # the first steps of a process say little
            weight = self._timed / SETTLED
            self.seconds_per_step = weight * self.seconds_per_step + (1 - weight) * self._before
            self.eta_seconds = self.seconds_per_step * left


class Reader:
    """Reads a run's events as they grow: each tick costs only what is new."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.progress = Progress()
        self._offset = 0

    def update(self) -> Progress:
        """The run as it stands now."""
        state = self.job.state()
        events, self._offset = self.job.events(self._offset)
        for event in events:
            self.progress.take(event)
        if state != self.progress.state:
            self._explain(state)
        self.progress.state = state
        return self.progress

    def _explain(self, state: State) -> None:
        """Say why a run ended where its events do not: on a full disk, or when it vanished."""
        if state == "interrupted":
            likely = self._likely()
            zh = likely.say("zh") if likely else ("", "")
            what = {"reason": likely.what, "remedy": likely.remedy} if likely else {}
            self.progress.tell({**what, "reason_zh": zh[0], "remedy_zh": zh[1]})
        elif state == "running":
            self.progress.tell({})
        elif state == "failed" and not self.progress.reason:
            self.progress.tell(self.job.outcome() or {})

    def _likely(self) -> QwenlabError | None:
        seen = self.progress
        try:
            recipe, config = recipe_of(self.job), model_folder.read_config(base_of(self.job))
        except QwenlabError:
            return None
        log = self.job.log_tail(500)  # its very last words
        return endings.of_interrupted(
            self.job.folder, log, seen.memory_bytes, recipe, config, seen.longest, seen.longest_answer
        )


def progress(job: Job) -> Progress:
    """One look at a run."""
    return Reader(job).update()
