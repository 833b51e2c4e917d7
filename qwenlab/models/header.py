"""The header of a safetensors file: which tensors lie where, with every number checked against the file itself.

The layout is the one of https://github.com/huggingface/safetensors#format: eight bytes with the length of a JSON
header, the header, then the tensors, without gaps.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError

MOST_BYTES = 100_000_000
"""Of a header; the safetensors library sets the same limit."""
MOST_DIMENSIONS = 100
BITS = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "I64": 64,
    "I32": 32,
    "I16": 16,
    "I8": 8,
    "U64": 64,
    "U32": 32,
    "U16": 16,
    "U8": 8,
    "BOOL": 8,
    "C64": 64,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}


@dataclass(frozen=True)
class Stored:
    """One tensor in a file: its type and shape, and the offsets of its first byte and the one behind its last."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(file: Path) -> dict[str, Stored]:
    """The tensors of a safetensors file by name.

    Raises:
        QwenlabError: when the file cannot be read, or its header says what cannot be.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            first = opened.read(8)
            if len(first) < 8:
                raise ValueError("it ends within its first bytes")
            (length,) = struct.unpack("<Q", first)
            if length > min(MOST_BYTES, size - 8):
                raise ValueError(f"its header would have {length} bytes")
            header = json.loads(opened.read(length))
        if not isinstance(header, dict):
            raise TypeError("its header is no list of tensors")
        begin = 8 + length
        found = {name: _stored(told, begin) for name, told in header.items() if name != "__metadata__"}
        _check_places(found, begin, size)
        return found
    except RecursionError as error:
        raise _broken(file, "its header is nested too deeply") from error
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise _broken(file, " ".join(str(error).split())[:200] or type(error).__name__) from error


def _stored(told: Any, begin: int) -> Stored:
    dtype, shape, (start, end) = told["dtype"], told["shape"], told["data_offsets"]
    if len(shape) > MOST_DIMENSIONS:  # a product of a million numbers takes minutes
        raise ValueError(f"a tensor in it would have {len(shape):,} dimensions")
    numbers = [*shape, start, end]
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
        raise ValueError("a size in it is no natural number")
    if dtype not in BITS:
        raise ValueError(f"it holds the unknown type {str(dtype)[:20]!r}")
    if (end - start) * 8 != math.prod(shape) * BITS[dtype]:
        raise ValueError("a tensor's size is not that of its shape")
    return Stored(dtype, tuple(shape), begin + start, begin + end)


def _check_places(found: dict[str, Stored], begin: int, size: int) -> None:
    """Refuse tensors that overlap, leave gaps, or reach beyond the file: it could hide or lend bytes."""
    at = begin
    for one in sorted(found.values(), key=lambda one: (one.start, one.end)):
        if one.start != at:
            raise ValueError("its tensors overlap or leave gaps")
        at = one.end
    if at != size:
        raise ValueError(f"its tensors end at byte {at}, the file at {size}")


def _broken(file: Path, why: str) -> QwenlabError:
    return QwenlabError(
        f"{file} is cut short or is no safetensors file: {why}.",
        "Copy or download the model again.",
        zh=(f"{file} 不完整，或不是 safetensors 文件：{why}。", "请重新复制或下载该模型。"),
    )
