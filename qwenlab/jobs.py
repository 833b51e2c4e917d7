"""Long work in its own process: started, watched, stopped and found again through files alone.

A job is a folder:

    job.json        what was started: kind, argv, time
    pid             the worker's process id and its birth (ids are reused)
    events.jsonl    what happened, appended as it happens; one JSON object a line
    log.txt         everything the worker printed
    stop            present once a person asked it to stop
    room            space taken at the start, so that the final marker can be written on a full disk
    done.json       written last: {"state": "finished" | "stopped" | "failed", "reason": ..., "remedy": ...};
                    reason_zh and remedy_zh say the same in Chinese, error is the name of its class

Closing the page or killing the lab changes nothing here, so a restarted lab sees the same picture.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from qwenlab import files
from qwenlab.errors import QwenlabError

State = Literal["new", "running", "finished", "stopped", "failed", "interrupted"]
"""interrupted: the worker vanished without a word (killed, power loss); what it had saved is there."""
Outcome = Literal["finished", "stopped", "failed"]
"""How a worker itself says it ended."""
OUTCOMES: tuple[str, ...] = get_args(Outcome)

MARKER = "done.json"
ROOM = "room"
ROOM_BYTES = 16384
"""Far more than any final marker has."""
ENDING_SECONDS = 40.0
"""More than torch's launcher gives its workers to end."""
STARTING_SECONDS = 30.0
"""Within which a worker that can work has claimed its folder."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Job:
    """One job folder, seen from outside (page, command line) or from inside the worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.folder.name

    # --- seen from outside -------------------------------------------------------------------------------

    def start(self, kind: str, argv: Sequence[str]) -> None:
        """Start `python -m argv...` detached from this process, in its own session.

        Raises:
            QwenlabError: when the job already runs.
        """
        if self.state() == "running":
            raise QwenlabError(
                f"{self.id} is already running.",
                "Wait for it, or stop it first.",
                zh=(f"{self.id} 正在运行。", "请等它结束，或先停止它。"),
            )
        self._wait_for_the_last()
        self._prepare(kind, argv)
        files.write_json(self.folder / "pid", {"starting": time.time()})
        try:
            with (self.folder / "log.txt").open("ab") as log:
                worker = subprocess.Popen(
                    [sys.executable, "-m", *argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
                )
        except OSError:
            (self.folder / "pid").unlink(missing_ok=True)
            raise
        self._write_pid(worker.pid)

    def _wait_for_the_last(self) -> None:
        """Wait until the attempt before, whose end is told, has really ended: it might spoil what the next one writes.

        Raises:
            QwenlabError: when it does not end.
        """
        last = self._process()
        if last is not None and psutil.wait_procs([last], timeout=ENDING_SECONDS)[1]:
            raise QwenlabError(
                f"{self.id} is still ending.",
                "Try again in a minute.",
                zh=(f"{self.id} 尚未完全结束。", "请一分钟后重试。"),
            )

    def _prepare(self, kind: str, argv: Sequence[str]) -> None:
        """Make the folder as every attempt finds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("stop", MARKER, "pid"):
            (self.folder / name).unlink(missing_ok=True)
        files.write_bytes(self.folder / ROOM, b" " * ROOM_BYTES)
        files.write_json(self.folder / "job.json", {"kind": kind, "argv": list(argv), "started": time.time()})

    def state(self) -> State:
        """Where the job stands, read from its folder and the process table."""
        done = self.outcome()
        if done:
            return done["state"]
        if self._alive() or self._starting():
            return "running"
        return "interrupted" if (self.folder / "job.json").exists() else "new"

    def outcome(self) -> dict[str, Any] | None:
        """The final marker: state, reason and remedy; None while the job runs."""
        try:
            found = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) and found.get("state") in OUTCOMES else None

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """Events from byte `offset` on and the offset to continue from; a half-written last line waits."""
        try:
            with (self.folder / "events.jsonl").open("rb") as file:
                file.seek(offset)
                chunk = file.read()
        except OSError:
            return [], offset
        complete, newline, _ = chunk.rpartition(b"\n")
        found = []
        for line in complete.splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):  # a line torn by a crash: the next ones still count
                continue
            if isinstance(event, dict) and "event" in event:
                found.append(event)
        return found, offset + len(complete) + len(newline)

    def follow(self, poll_seconds: float = 0.5) -> Iterator[dict[str, Any]]:
        """Yield events as they come until the job ends."""
        offset = 0
        while True:
            running = self.state() == "running"
            found, offset = self.events(offset)
            yield from found
            if not running:
                return
            time.sleep(poll_seconds)

    def stop(self) -> None:
        """Ask the worker to save and stop; it does so within a step."""
        if self.state() != "running":
            raise QwenlabError(
                f"{self.id} is not running.",
                "There is nothing to stop.",
                zh=(f"{self.id} 没有在运行。", "没有需要停止的任务。"),
            )
        files.write_text(self.folder / "stop", "")

    def kill(self) -> None:
        """End the worker and everything it started at once; what it had saved stays."""
        worker = self._process()
        if worker is None:
            return
        family = [worker, *worker.children(recursive=True)]
        for process in family:
            try:
                process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=10)

    def log_tail(self, characters: int = 4000) -> str:
        """The end of what the worker printed."""
        try:
            return (self.folder / "log.txt").read_bytes()[-characters:].decode("utf-8", "replace")
        except OSError:
            return ""

    # --- seen from inside the worker ---------------------------------------------------------------------

    def claim(self, kind: str, argv: Sequence[str], pid: int) -> None:
        """Note who works on this folder, where nobody did: started by hand, or by a lab that died in that moment.

        Args:
            pid: of the process that ends last: this one, or its launcher.

        Raises:
            QwenlabError: when another process already works on it.
        """
        known = self._process()
        if known is not None and known.pid != pid:
            raise QwenlabError(
                f"{self.id} is already running.",
                "Wait for it, or stop it first.",
                zh=(f"{self.id} 正在运行。", "请等它结束，或先停止它。"),
            )
        if known is None:
            if self.outcome() or not (self.folder / ROOM).exists():
                self._prepare(kind, argv)
            self._write_pid(pid)

    def report(self, event: str, **values: Any) -> None:
        """Append one event with its time, in seconds since the epoch."""
        line = json.dumps({"event": event, "time": time.time(), **values}, ensure_ascii=False)
        files.append_line(self.folder / "events.jsonl", line)

    def asked_to_stop(self) -> bool:
        """Whether a person asked this job to stop."""
        return (self.folder / "stop").exists()

    def finish(self, state: Outcome, failure: QwenlabError | None = None) -> None:
        """Write the final marker; nothing may be written to the folder's results afterwards."""
        words = {"reason": "", "remedy": ""}
        if failure:
            words = {"reason": failure.what, "remedy": failure.remedy}
            words["reason_zh"], words["remedy_zh"] = failure.say("zh")
            words["error"] = type(failure).__name__
        with contextlib.suppress(OSError):  # the disk may be full; the marker says it, too
            self.report(state, **words)
        self._mark({"state": state, **words})

    def _mark(self, outcome: dict[str, Any]) -> None:
        """Write the final marker into the space that was taken for it, then give it its name."""
        room = self.folder / ROOM
        if not room.exists():
            files.write_json(self.folder / MARKER, outcome)
            return
        with room.open("rb+") as file:
            file.write((json.dumps(outcome, ensure_ascii=False, indent=2) + "\n").encode("utf-8"))
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        room.replace(self.folder / MARKER)
        files.sync_folder(self.folder)

    # --- the process -------------------------------------------------------------------------------------

    def _write_pid(self, pid: int) -> None:
        files.write_json(self.folder / "pid", {"pid": pid, "born": _birth(pid)})

    def _process(self) -> psutil.Process | None:
        try:
            known = json.loads((self.folder / "pid").read_text(encoding="utf-8"))
            process = psutil.Process(known["pid"])
            # Process ids are reused: the same number with another birth is a stranger.
            if _birth(process.pid) != known["born"] or process.status() == psutil.STATUS_ZOMBIE:
                return None
            return process
        except (OSError, ValueError, KeyError, psutil.Error):
            return None

    def _alive(self) -> bool:
        return self._process() is not None

    def _starting(self) -> bool:
        """Whether a worker may just be beginning whose id is not noted: who started it was killed in that moment."""
        try:
            since = json.loads((self.folder / "pid").read_text(encoding="utf-8"))["starting"]
            return 0 <= time.time() - since < STARTING_SECONDS
        except (OSError, ValueError, KeyError, TypeError):
            return False


def _birth(pid: int) -> str:
    """What no other process of that id has; empty when there is none.

    On Linux the boot and the clock ticks since then: the time of day, which psutil tells, moves when the clock is set,
    and a run in progress would be taken for dead.
    """
    try:
        if BOOT_ID.exists():
            after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            return f"{BOOT_ID.read_text().strip()} {after_name.split()[19]}"
        return f"{psutil.Process(pid).create_time():.2f}"
    except (OSError, psutil.Error):
        return ""
