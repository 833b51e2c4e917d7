"""`python -m benchmarks [NAME ...]`: measures on this machine and prints a Markdown table."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from qwenlab.models import catalogue
from qwenlab.workspace import SHIPPED, Workspace

MODEL = "smollm2-135m"
TRAINED = os.environ.get("QWENLAB_MODEL", MODEL)
"""What the trainers are compared on."""
SUITE = SHIPPED / "eval_suites" / "after-sales-tickets"
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
    """Saved answers scored again."""
    import json

    from qwenlab.evals.scoring import score_answer
    from qwenlab.evals.suite import load_suite

    suite = load_suite(SUITE)
    texts = [json.dumps(case.expected, ensure_ascii=False) for case in suite.cases]

    def work() -> None:
        for _ in range(10):
            for case, text in zip(suite.cases, texts, strict=True):
                score_answer(suite, case, text)

    seconds = _median(work)
    count = 10 * len(suite.cases)
    yield "scoring, nested schema", f"{count / seconds:,.0f} answers/s", f"{count} right answers, median of {ROUNDS}"


def decoding() -> Iterator[Row]:
    """One chat, two columns from one copy of the weights, and a suite's batch; then llama.cpp."""
    from qwenlab.chat.local_contestant import BASE, BATCH, generate
    from qwenlab.models import loading
    from qwenlab.models.contestant import Generation, Message
    from qwenlab.models.rendering import prompt_ids

    workspace = Workspace.default()
    loaded = loading.load(catalogue.locate(workspace, MODEL))
    ids = prompt_ids(loaded.tokenizer, [Message(role="user", content="Tell a long story about a kettle.")])
    settings = Generation(max_new_tokens=48)
    single = 0.0
    for rows in (1, 2, BATCH):

        def work(rows: int = rows) -> None:
            nonlocal tokens
            tokens = sum(answer.tokens for answer in generate(loaded, [ids] * rows, [BASE] * rows, settings))

        tokens = 0
        seconds = _median(work)
        speed = tokens / seconds
        single = single or speed
        share = f"; per row {speed / rows / single:.2f} of a single chat"
        yield f"decoding, batch {rows}", f"{speed:.0f} tokens/s", f"{MODEL}, {loaded.model.dtype}{share}"
    yield from _llama(workspace)


def _llama(workspace: Workspace) -> Iterator[Row]:
    from qwenlab.chat.gguf_contestant import GgufContestant
    from qwenlab.export.gguf_file import write_gguf
    from qwenlab.models.contestant import Generation, Message

    question = [Message(role="user", content="Tell a long story about a kettle.")]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gguf"
        start = time.perf_counter()
        write_gguf(catalogue.locate(workspace, MODEL), file)
        spent = time.perf_counter() - start
        yield "writing GGUF Q4_K_M", f"{spent:.1f} s", f"{MODEL}, {file.stat().st_size / 1e6:.0f} MB"
        for slots in (1, 8):
            contestant = GgufContestant("bench", file, slots)
            list(contestant.answer([question], Generation(max_new_tokens=4)))  # loads it
            start = time.perf_counter()
            answers = list(contestant.answer([question] * slots, Generation(max_new_tokens=48)))
            speed = sum(answer.tokens for _, answer in answers) / (time.perf_counter() - start)
            contestant.close()
            yield f"decoding GGUF Q4_K_M, {slots} at once", f"{speed:.0f} tokens/s", f"{MODEL}, llama.cpp"


def training() -> Iterator[Row]:
    """Our trainer beside the original recipe and TRL; then few samples and many."""
    from benchmarks.training import rows, scale

    yield from rows(TRAINED)
    yield from scale(MODEL)


def data() -> Iterator[Row]:
    """The Data room with 100,000 and 1,000,000 conversations."""
    from benchmarks.data import rows

    yield from rows()


ALL = {"start": start_up, "scoring": scoring, "decoding": decoding, "training": training, "data": data}


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
