"""The lab itself, before any model: how soon it is there, what it holds in memory, what ten open pages cost."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.workspace import Workspace
from tests.attacks.stranger import Stranger, running

PAGES = 10
SECONDS = 60.0
STARTS = 3
HEADER_SECONDS = 15.0
"""How often a window that nobody works in asks for the line above the tabs (SELDOM in header.js)."""
Row = tuple[str, str, str]


def rows() -> Iterator[Row]:
    """Starting, memory and polling of a lab with one data set."""
    with TemporaryDirectory() as scratch:
        home = Path(scratch) / "home"
        new_data_set(Workspace(home), "tickets", [Sample.make("a", [("user", "q"), ("assistant", "a")])])
        yield (
            "the page answers, from `python app.py` on",
            f"{_start(home):.1f} s",
            f"median of {STARTS}, disk cache warm",
        )
        with running(home) as address:
            server = server_of(home)
            pages = [Stranger(address) for _ in range(PAGES)]
            for page in pages:
                page.open_page()
            yield "memory of the idle lab, ten pages open", f"{memory(server) / 2**20:.0f} MiB", "PSS with its children"
            share, calls = polling(server, pages, SECONDS)
            how = f"{calls / SECONDS:.1f} calls/s of the page as it is opened, {SECONDS:.0f} s"
            yield f"processor time of {PAGES} open pages, of one core", f"{share:.1%}", how
            yield "and the memory after that", f"{memory(server) / 2**20:.0f} MiB", "PSS with its children"


def _start(home: Path) -> float:
    spent = []
    for _ in range(STARTS + 1):  # the first fills the disk cache
        begun = time.perf_counter()
        with running(home) as address:
            Stranger(address)
            spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


def server_of(home: Path) -> psutil.Process:
    """The process that serves this workspace."""
    return next(one for one in psutil.process_iter(["cmdline"]) if str(home) in (one.info["cmdline"] or []))


def memory(server: psutil.Process) -> int:
    """Proportional set size of a process and its children, in bytes."""
    family = [server, *server.children(recursive=True)]
    return sum(one.memory_full_info().pss for one in family)


def polling(server: psutil.Process, pages: list[Stranger], seconds: float) -> tuple[float, int]:
    """What the timers of open pages cost.

    Returns:
        The server's processor time by wall time, and how many calls the pages made.
    """
    until, counted = time.monotonic() + seconds, [0] * len(pages)

    def watch(at: int, page: Stranger) -> None:
        (line,) = page.calls("context", "submit")
        ticks = [(line, HEADER_SECONDS), *page.timers()]
        due = {call["id"]: time.monotonic() + seconds for call, seconds in ticks}
        while (now := time.monotonic()) < until:
            ready = [(call, pause) for call, pause in ticks if due[call["id"]] <= now]
            for call, pause in ready:
                due[call["id"]] = now + pause
            if ready:
                page.answers({page.join(call, page.values(call)) for call, _ in ready})
                counted[at] += len(ready)
            time.sleep(max(0.0, min(due.values()) - time.monotonic()) if due else 1.0)

    before, begun = sum(server.cpu_times()[:2]), time.monotonic()
    watchers = [threading.Thread(target=watch, args=one) for one in enumerate(pages)]
    for one in watchers:
        one.start()
    for one in watchers:
        one.join()
    return (sum(server.cpu_times()[:2]) - before) / (time.monotonic() - begun), sum(counted)
