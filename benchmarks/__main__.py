"""`python -m benchmarks [NAME ...]`: measures on this machine and prints a Markdown table."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

MODEL = "smollm2-135m"
TRAINED = os.environ.get("QWENLAB_MODEL", MODEL)
"""What the trainers are compared on."""
ROUNDS = 3
Row = tuple[str, str, str]
"""What was measured, the figure, and how."""


def _median(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median wall seconds."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def start_up() -> Iterator[Row]:
    """How long a person waits for the command line and for the page's code."""
    for module in ("qwenlab.cli", "qwenlab.ui.page"):
        seconds = _median(lambda name=module: subprocess.run([sys.executable, "-c", f"import {name}"], check=True))
        yield f"import {module}", f"{seconds:.2f} s", f"fresh process, median of {ROUNDS}"


def scoring() -> Iterator[Row]:
    """Saved answers scored again, alone and as a whole result."""
    from benchmarks.scoring import rows

    yield from rows()


def chat() -> Iterator[Row]:
    """A single chat, two columns of Compare, a suite's batch; then llama.cpp."""
    from benchmarks.chat import rows

    for model in (MODEL, *([TRAINED] if TRAINED != MODEL else [])):
        yield from rows(model)


def loading() -> Iterator[Row]:
    """The memory that loading takes, in the stored number format and in another."""
    from benchmarks.loading import rows

    for model in (MODEL, *([TRAINED] if TRAINED != MODEL else [])):
        yield from rows(model)


def conversion() -> Iterator[Row]:
    """The memory and time that converting a Qwen 1 takes."""
    from benchmarks.conversion import rows

    yield from rows()


def training() -> Iterator[Row]:
    """Our trainer beside the original recipe and TRL; then few samples and many."""
    from benchmarks.training import rows, scale

    yield from rows(TRAINED)
    yield from scale(MODEL)


def data() -> Iterator[Row]:
    """The Data room with 100,000 and 1,000,000 conversations."""
    from benchmarks.data import rows

    yield from rows()


def endpoint() -> Iterator[Row]:
    """A large suite on an OpenAI-compatible server."""
    from benchmarks.endpoint import rows

    yield from rows()


def export() -> Iterator[Row]:
    """Merging, GGUF and GPTQ: time, memory, closeness to the 16-bit model, speed of the result."""
    from benchmarks.export import rows

    yield from rows(TRAINED)


def page() -> Iterator[Row]:
    """The lab before any model: start, memory, polling."""
    from benchmarks.page import rows

    yield from rows()


def users() -> Iterator[Row]:
    """Twenty users at once."""
    from benchmarks.users import rows

    yield from rows()


ALL = {
    "start": start_up,
    "scoring": scoring,
    "endpoint": endpoint,
    "chat": chat,
    "loading": loading,
    "conversion": conversion,
    "training": training,
    "data": data,
    "export": export,
    "page": page,
    "users": users,
}


def main() -> int:
    """Run the named benchmarks, or all."""
    named = sys.argv[1:] or list(ALL)
    unknown = [name for name in named if name not in ALL]
    if unknown:
        print(f"There is no benchmark {unknown[0]}. Known: {', '.join(ALL)}.", file=sys.stderr)
        return 2
    print("| what | measured | how |\n|---|---:|---|")
    for name in named:
        for what, figure, how in ALL[name]():
            print(f"| {what} | {figure} | {how} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
