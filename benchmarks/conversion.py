"""Converting a Qwen 1: the most memory and the time it takes, of random weights in shards, in a process of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from qwenlab.models import qwen1, qwen1_weights
from qwenlab.training import memory

CONFIG: dict[str, Any] = {
    "architectures": ["QWenLMHeadModel"],
    "model_type": "qwen",
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_attention_heads": 16,
    "num_hidden_layers": 8,
    "seq_length": 8192,
    "vocab_size": 8192,
}
"""A third of Qwen-1.8B's layers, and few words: 0.9 GB, so that it is measured in a minute."""
SHARDS = 2
Row = tuple[str, str, str]


def rows() -> Iterator[Row]:
    """Peak of the whole process beside the largest shard, for both kinds of weight files."""
    for suffix in ("safetensors", "bin"):
        with tempfile.TemporaryDirectory() as place:
            original = Path(place) / "original"
            largest = _write(original, suffix)
            command = [sys.executable, "-m", "benchmarks.conversion", str(original), str(Path(place) / "made")]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
        most = 1.3 * largest + 2**30
        figure = f"{found['peak'] / 1e6:,.0f} MB of {most / 1e6:,.0f}"
        how = f"{SHARDS} shards of {largest / 1e6:.0f} MB; program {found['program'] / 1e6:.0f} MB"
        yield f"Qwen 1 from .{suffix}, memory : 1.3 x largest shard + 1 GiB", figure, how
        yield f"Qwen 1 from .{suffix}, time", f"{found['seconds']:.1f} s", f"{SHARDS * largest / 1e9:.1f} GB, verified"


def _write(folder: Path, suffix: str) -> int:
    """Write the checkpoint; return the size of its largest shard in bytes."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    ranks = (f"{base64.b64encode(bytes([one])).decode()} {one}" for one in range(256))
    (folder / "qwen.tiktoken").write_text("\n".join(ranks))
    shapes = list(qwen1_weights.expected(CONFIG).items())
    stem, sizes = ("model" if suffix == "safetensors" else "pytorch_model"), []
    for number in range(SHARDS):
        part = shapes[number * len(shapes) // SHARDS : (number + 1) * len(shapes) // SHARDS]
        weights = {name: torch.randn(shape, dtype=torch.bfloat16) for name, shape in part}
        path = folder / f"{stem}-{number + 1:05}-of-{SHARDS:05}.{suffix}"
        if suffix == "safetensors":
            save_file(weights, path)
        else:
            torch.save(weights, path)
        sizes.append(path.stat().st_size)
    return max(sizes)


def main() -> None:
    """Convert the folder named on the command line and print what that took as JSON."""
    import safetensors.torch  # noqa: F401 - the program is here before it is measured
    import tokenizers  # noqa: F401

    original, made = map(Path, sys.argv[1:])
    program, start = psutil.Process().memory_info().rss, time.perf_counter()
    qwen1.convert(original, made, lambda *_: None, pickle=True)
    spent = time.perf_counter() - start
    print(json.dumps({"program": program, "peak": memory.peak(), "seconds": spent}))


if __name__ == "__main__":
    main()
