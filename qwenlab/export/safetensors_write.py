"""Write safetensors files of at most 2 GB, a piece of a tensor at a time."""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export.room import check_room
from qwenlab.export.safetensors_folder import STORED

SHARD = 2_000_000_000
"""Most bytes of tensors in one file; a tensor that is larger gets a file of its own."""

Float = Literal["float32", "bfloat16", "float16"]
CODES: dict[Float, str] = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Tensor:
    """One tensor to write: its pieces together are its numbers in order, float32."""

    name: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[np.ndarray]]


def write_shards(
    folder: Path, tensors: list[Tensor], dtype: Float, progress: Progress | None = None, limit: int = SHARD
) -> None:
    """Write model.safetensors, or numbered shards with their index, into a folder; what is written is durable.

    Args:
        progress: called with (tensor name, fraction of the bytes written, 0 to 1).
        limit: most bytes of tensors in one file.

    Raises:
        QwenlabError: when there is no room, or a number does not fit into `dtype`.
        OSError: when the disk fails.
    """
    width = STORED[CODES[dtype]].itemsize
    total = width * sum(math.prod(tensor.shape) for tensor in tensors)
    check_room(folder, total)
    shards = _split(tensors, width, limit)
    done, placed = 0, {}
    for number, shard in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        with (folder / name).open("wb") as file:
            file.write(_header(shard, CODES[dtype], width))
            for tensor in shard:
                if progress:
                    progress(tensor.name, done / total)
                for piece in tensor.pieces():
                    file.write(_encoded(piece, dtype, tensor.name))
                done += width * math.prod(tensor.shape)
                placed[tensor.name] = name
            file.flush()
            os.fsync(file.fileno())
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(placed.items()))}
        files.write_json(folder / "model.safetensors.index.json", index)
    if progress:
        progress("", 1.0)


def _split(tensors: list[Tensor], width: int, limit: int) -> list[list[Tensor]]:
    shards: list[list[Tensor]] = [[]]
    size = 0
    for tensor in tensors:
        needed = width * math.prod(tensor.shape)
        if shards[-1] and size + needed > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += needed
    return shards


def _header(tensors: list[Tensor], code: str, width: int) -> bytes:
    """Length and JSON header; padded so that the tensors begin at a multiple of 8 bytes."""
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    start = 0
    for tensor in tensors:
        end = start + width * math.prod(tensor.shape)
        entries[tensor.name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _encoded(numbers: np.ndarray, dtype: Float, name: str) -> memoryview:
    """The bytes of float32 numbers in another format, rounded to the nearest, ties to even."""
    found: np.ndarray = np.ascontiguousarray(numbers, np.float32)
    if dtype == "bfloat16":
        bits = found.view(np.uint32)
        found = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    elif dtype == "float16":
        with np.errstate(over="ignore"):
            found = found.astype("<f2")
        if not np.isfinite(found).all():
            raise QwenlabError(
                f"The weight {name} holds numbers too large for float16.",
                "Merge into bfloat16 or float32.",
                zh=(f"权重 {name} 中的数字超出了 float16 的范围。", "请合并为 bfloat16 或 float32。"),
            )
    return found.data.cast("B")
