"""The Data room with large sets: how long a person waits, and how much memory the lab takes.

Every measurement runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SIZES = {100_000: ("look", "edit", "check"), 1_000_000: ("look", "edit")}
SEED = 7
_ZH = (
    "您好请问订单退货换货物流快递发票保修质量问题客服处理时间三天内回复谢谢耐心等待我们会尽快为核实型号颜色尺寸价格优惠"
)
_EN = (
    *("hello", "please", "the", "order", "return", "exchange", "parcel", "invoice", "warranty", "broken", "kettle"),
    *("refund", "days", "reply", "thank", "you", "model", "size"),
)


def write_set(path: Path, number: int, seed: int = SEED) -> None:
    """Write `number` conversations of two to six turns, Chinese and English, about 500 bytes each."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        file.write("[\n")
        for at in range(number):
            say = _chinese if chance.random() < 0.5 else _english
            roles = ("user", "assistant") * chance.randint(1, 3)
            length = chance.randint(100, 300) // len(roles)
            turns = [{"from": role, "value": say(chance, length)} for role in roles]
            sample = {"id": f"sample-{at}", "conversations": turns}
            file.write("  " + json.dumps(sample, ensure_ascii=False) + (",\n" if at + 1 < number else "\n"))
        file.write("]\n")


def _chinese(chance: random.Random, length: int) -> str:
    return "".join(chance.choices(_ZH, k=length))


def _english(chance: random.Random, length: int) -> str:
    return " ".join(chance.choices(_EN, k=length // 6))


def rows() -> Iterator[tuple[str, str, str]]:
    """What was measured, the figure, and how."""
    with tempfile.TemporaryDirectory() as folder:
        for number, parts in SIZES.items():
            path = Path(folder) / f"large-{number}.train.json"
            write_set(path, number)
            for part in parts:
                yield from _in_fresh_process(part, path, Path(folder) / "home", number)


def _in_fresh_process(part: str, path: Path, home: Path, number: int) -> Iterator[tuple[str, str, str]]:
    command = [sys.executable, "-m", "benchmarks.data", part, str(path), str(home)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    how = f"{number:,} conversations, {path.stat().st_size / 1e6:.0f} MB"
    for line in done.stdout.splitlines():
        what, figure = json.loads(line)
        yield f"data: {what}", figure, how


def _timed(what: str, work: Callable[[], Any], milliseconds: bool = True) -> Any:
    start = time.perf_counter()
    found = work()
    spent = time.perf_counter() - start
    _say(what, f"{spent * 1000:.0f} ms" if milliseconds else f"{spent:.1f} s")
    return found


def _say(what: str, figure: str) -> None:
    print(json.dumps([what, figure]), flush=True)


class _Page:
    """An open data set and what the page draws of it after every action."""

    def __init__(self, path: str, home: str) -> None:
        from qwenlab.conversations.document import Document
        from qwenlab.ui import data_view
        from qwenlab.ui.editor import EditorState
        from qwenlab.ui.texts import Translator
        from qwenlab.workspace import Workspace

        self._open = lambda: Document.open(Path(path), Workspace(Path(home)))
        self._state_of, self._view, self._t = EditorState, data_view, Translator("en")

    def open(self, what: str = "") -> Any:
        """Open the set in a new editor, as the only one; timed when it has a name."""
        self.state = None
        self.state = self._state_of(_timed(what, self._open, milliseconds=False) if what else self._open())
        return self.state

    def timed(self, what: str, action: Callable[[], Any]) -> None:
        """Time an action together with drawing list and conversation."""

        def work() -> None:
            action()
            self._view.conversation(self.state, self._t)
            self._view.sample_list(self.state, self._t)

        _timed(what, work)


def look(path: str, home: str) -> None:
    """Open, page, search, filter."""
    page = _Page(path, home)
    state = page.open("open")
    page.timed("first page", lambda: None)
    page.timed("next page", lambda: setattr(state, "page", 1))
    for what, wanted in (
        ("search, one word", ("退货", "", "", "file")),
        ("search, two words", ("kettle refund", "", "", "file")),
        ("search, nothing found", ("xylophone", "", "", "file")),
        ("filter by length", ("", "short", "", "file")),
        ("filter by edited", ("", "edited", "", "file")),
        ("sort by length", ("", "", "", "longest")),
    ):
        page.timed(what, lambda wanted=wanted: state.look_for(*wanted))
    page.timed("open the last sample", lambda: state.open(len(state.document.samples) - 1))


def edit(path: str, home: str) -> None:
    """Durable edits, undo, save."""
    page = _Page(path, home)
    page.open()
    page.state.open(len(page.state.document.samples) // 2)
    page.timed("first page", lambda: None)
    page.timed("first durable edit", lambda: page.state.set_text(0, "Changed words 改过的文字"))
    page.timed("durable edit", lambda: page.state.set_text(1, "Other words 别的文字"))
    page.timed("undo", page.state.undo)
    page.timed("redo", page.state.redo)
    page.timed("delete", page.state.delete_sample)
    _timed("save", page.state.document.save, milliseconds=False)
    page.state.document.close()
    page.open("open again, with history")


def check(path: str, home: str) -> None:
    """The full check."""
    page = _Page(path, home)
    state = page.open()
    _timed("full check", state.document.check, milliseconds=False)
    page.timed("page with problems", lambda: None)
    page.timed("filter by problem", lambda: state.look_for("", "any"))


PARTS = {"look": look, "edit": edit, "check": check}


def main() -> None:
    """One part in this process; prints what it measured as JSON lines."""
    part, path, home = sys.argv[1:]
    PARTS[part](path, home)
    _say(f"peak memory, {part}", f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
