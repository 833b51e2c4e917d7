"""Loading a model: the most memory it takes beside the weights it ends with, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

from qwenlab.models import catalogue, loading
from qwenlab.training import memory
from qwenlab.workspace import Workspace

KINDS = ("bfloat16", "float32")
Row = tuple[str, str, str]


def rows(model: str) -> Iterator[Row]:
    """Peak by weights, for the stored number format and for one that must be converted to."""
    for kind in KINDS:
        command = [sys.executable, "-m", "benchmarks.loading", model, kind]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
        program = f"program {found['program'] / 1e6:.0f} MB"
        how = f"{model}, {found['weights'] / 1e6:.0f} MB in {found['seconds']:.1f} s; {program}"
        yield f"loading in {kind}, memory : weights", f"{found['peak'] / found['weights']:.2f}x", how


def main() -> None:
    """Load the model named on the command line, read every weight once, and print what that took as JSON."""
    import torch
    import transformers.models.llama.modeling_llama
    import transformers.models.qwen2.modeling_qwen2  # noqa: F401 - the program is here before it is measured

    model, kind = sys.argv[1:]
    folder = catalogue.locate(Workspace.default(), model)
    loading.load_tokenizer(folder)
    program, start = psutil.Process().memory_info().rss, time.perf_counter()
    loaded = loading.load(folder, getattr(torch, kind))
    for weight in loaded.model.parameters():  # a mapped file is in memory once it has been read
        weight.sum()
    spent = time.perf_counter() - start
    peak = memory.peak() - program
    print(json.dumps({"program": program, "peak": peak, "weights": loaded.bytes, "seconds": spent}))


if __name__ == "__main__":
    main()
