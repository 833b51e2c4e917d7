"""Runs that wait for their turn: one run at a time on a machine, the next one started when it ends.

A waiting run is a run folder with a file waiting.json: `since` gives its place. The worker of the run that ends starts
the next one as its last act, so that the queue moves on with the lab closed; whoever shows the queue does the same, for
a worker that was killed before it could. A lock, and `since` against the time of the last start, make it once.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.failures import explain
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.training import runs
from qwenlab.workspace import Workspace

WAITING = "waiting.json"
LOCK = ".queue.lock"
LOCK_SECONDS = 60.0
"""Longer than anybody holds the lock: to start a process takes no second, unless its last attempt is still ending."""

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_", "OMP_NUM_THREADS")
"""How the names begin that torch.distributed.run puts into its workers' environment."""


class Queue:
    """The runs of a workspace that wait.

    Attributes:
        begin: starts the process of a run.
    """

    def __init__(self, workspace: Workspace, begin: Callable[[Job], None] = runs.resume) -> None:
        self.workspace = workspace
        self.begin = begin

    def waiting(self) -> list[Job]:
        """The runs that wait, in the order in which they will start."""
        places = {path.parent: _number(path, "since") for path in self.workspace.runs.glob(f"*/{WAITING}")}
        # Who started a run may have died before it could take it out of the queue.
        still = [folder for folder, since in places.items() if _number(folder / "job.json", "started") < since]
        return [Job(folder) for folder in sorted(still, key=lambda one: (places[one], one.name))]

    def running(self) -> Job | None:
        """The run in progress."""
        return next((job for job in self._started() if job.state() == "running"), None)

    def paused_by(self) -> Job | None:
        """The run that a person stopped, so that nothing starts by itself after it; None when the queue moves."""
        last = max(self._started(), key=lambda job: _number(job.folder / "job.json", "started"), default=None)
        if last is None or not last.asked_to_stop() or last.state() == "running":
            return None
        return last if self.waiting() else None

    def check_unused(self, model: str) -> None:
        """Refuse to remove a model that the run in progress, or one that waits, is to learn on.

        Raises:
            QwenlabError: naming the run.
        """
        try:
            folder = catalogue.locate(self.workspace, model)
        except QwenlabError:
            return  # nothing learns on what is not here
        busy = self.running()
        for job in [*([busy] if busy else []), *self.waiting()]:
            if runs.base_of(job) == folder:
                raise QwenlabError(
                    f"The run {job.id} is learning on this model, or waits to.",
                    "Stop that run first.",
                    zh=(f"训练 {job.id} 正在使用或等待使用该模型。", "请先停止那次训练。"),
                )

    def add(self, job: Job) -> None:
        """Put a run at the end of the queue.

        Raises:
            QwenlabError: when it runs or has finished.
        """
        with self._lock():
            if job.state() in ("running", "finished"):
                raise QwenlabError(
                    f"{job.id} is running or has finished, so it cannot wait.",
                    "Start a new run.",
                    zh=(f"{job.id} 正在运行或已经完成，无法排队。", "请新建一个训练。"),
                )
            last = max((_number(one.folder / WAITING, "since") for one in self.waiting()), default=0.0)
            files.write_json(job.folder / WAITING, {"since": max(time.time(), last + 1e-3)})

    def remove(self, run: str) -> None:
        """Take a run out of the queue; one that was never started is deleted. Nothing happens when it does not wait."""
        with self._lock():
            for job in self.waiting():
                if job.id == run:
                    (job.folder / WAITING).unlink(missing_ok=True)
                    if job.state() == "new":
                        shutil.rmtree(job.folder, ignore_errors=True)

    def start(self, job: Job) -> bool:
        """Start or resume a run at once, or put it at the end of the queue when another one runs.

        Returns:
            Whether it was started.

        Raises:
            QwenlabError: when it runs already or has finished.
        """
        with self._lock():
            free = self.running() is None
            if free:
                (job.folder / WAITING).unlink(missing_ok=True)
                self.begin(job)
        if not free:
            self.add(job)
        return free

    def start_next(self, although_stopped: bool = False) -> Job | None:
        """Start the first run that waits, when none runs; None when there is nothing to do.

        A run that cannot be started is marked as failed, and the one after it has its turn.

        Args:
            although_stopped: whether a person who stopped the last run has said that the queue shall go on.
        """
        if not self.waiting():
            return None
        with self._lock():
            if self.running() is not None or (self.paused_by() is not None and not although_stopped):
                return None
            for job in self.waiting():
                try:
                    self.begin(job)
                except (QwenlabError, OSError) as error:
                    _failed_to_start(job, explain(error))
                    (job.folder / WAITING).unlink(missing_ok=True)
                    continue
                (job.folder / WAITING).unlink(missing_ok=True)
                return job
            return None

    def _started(self) -> list[Job]:
        return [Job(path.parent) for path in self.workspace.runs.glob("*/job.json")]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with FileLock(self.workspace.root / LOCK, timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise QwenlabError(
                "Another program holds the queue of runs.",
                "Try again in a minute; if it stays so, restart the computer.",
                zh=("训练队列正被另一个程序占用。", "请一分钟后重试；若仍如此，请重启电脑。"),
            ) from error


def go_on(ended: Job, environment: Mapping[str, str]) -> None:
    """The last act of a run's first process, after its final marker: start the run that waits.

    Whatever happens here is printed and nothing more: the run itself has ended as its marker says.

    Args:
        environment: as the process found it; the next run gets it, without what the launcher of this one put there.
    """
    launched = "TORCHELASTIC_RUN_ID" in environment
    kept = {name: value for name, value in environment.items() if not (launched and name.startswith(LAUNCHED))}
    os.environ.clear()
    os.environ.update(kept)
    try:
        Queue(Workspace(ended.folder.parent.parent)).start_next()
    except Exception:
        traceback.print_exc()


def _failed_to_start(job: Job, why: QwenlabError) -> None:
    if not (job.folder / "job.json").exists():  # without it the run would be in no list
        files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": time.time()})
    job.finish("failed", why)


def _number(path: Path, key: str) -> float:
    """A number in a small JSON file; 0 where there is none."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))[key])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
