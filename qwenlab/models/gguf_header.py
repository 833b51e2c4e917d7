"""The header of a GGUF file, checked against the file itself before a library that believes it reads it.

The layout is the one of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: counts, then keys with values, then
the names, shapes and places of the tensors.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path

from qwenlab.errors import QwenlabError

MAGIC, VERSIONS = b"GGUF", (2, 3)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of each kind of value that has a fixed size."""
TEXT, LIST = 8, 9
MOST_KEYS, MOST_TENSORS, MOST_DIMENSIONS, MOST_ITEMS, DEEPEST = 10_000, 100_000, 4, 5_000_000, 4
LONGEST_NAME = 1_000
ALIGNMENT = 32


def check(file: Path) -> None:
    """Refuse a file whose header cannot be true: lengths beyond it, absurd counts, tensors outside of it.

    Raises:
        QwenlabError: saying what is wrong.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            _check(_Reader(content))
    except (ValueError, struct.error, OSError) as error:
        raise QwenlabError(
            f"{file} is cut short or is no GGUF file: {error}.",
            "Download or export it again.",
            zh=(f"{file} 不完整，或不是 GGUF 文件：{error}。", "请重新下载或导出。"),
        ) from error


class _Reader:
    """Walks through a file without leaving it."""

    def __init__(self, content: mmap.mmap) -> None:
        self.content, self.at, self.size = content, 0, len(content)

    def skip(self, number: int) -> None:
        if number > self.size - self.at:
            raise ValueError(f"a length in it reaches {number:,} bytes from byte {self.at:,}, beyond its end")
        self.at += number

    def number(self, form: str) -> int:
        start = self.at
        self.skip(struct.calcsize(form))
        return int(struct.unpack_from(form, self.content, start)[0])

    def name(self) -> bytes:
        length = self.number("<Q")
        if length > LONGEST_NAME:
            raise ValueError(f"a name in it would have {length:,} bytes")
        start = self.at
        self.skip(length)
        return self.content[start : self.at]


def _check(reader: _Reader) -> None:
    if reader.content[:4] != MAGIC:
        raise ValueError("it does not begin with GGUF")
    reader.skip(4)
    version, tensors, keys = reader.number("<I"), reader.number("<Q"), reader.number("<Q")
    if version not in VERSIONS:
        raise ValueError(f"its version is {version}")
    if tensors > MOST_TENSORS or keys > MOST_KEYS:
        raise ValueError(f"it would have {tensors:,} tensors and {keys:,} keys")
    alignment = ALIGNMENT
    for _ in range(keys):
        name, kind, start = reader.name(), reader.number("<I"), reader.at
        _skip_value(reader, kind, 0)
        if name == b"general.alignment" or name.endswith(b".block_count"):
            value = int.from_bytes(reader.content[start : reader.at][:8], "little")
            if name.endswith(b".block_count") and value > tensors:
                raise ValueError(f"it would have {value:,} layers with {tensors:,} tensors")
            alignment = value if name == b"general.alignment" else alignment
    if not 0 < alignment <= 1 << 20:
        raise ValueError(f"its alignment would be {alignment:,}")
    ends = [_skip_tensor(reader) for _ in range(tensors)]
    begin = -(-reader.at // alignment) * alignment
    if ends and begin + max(ends) > reader.size:
        raise ValueError(f"its tensors end at byte {begin + max(ends):,}, the file at {reader.size:,}")


def _skip_value(reader: _Reader, kind: int, depth: int) -> None:
    if kind in SIZES:
        reader.skip(SIZES[kind])
    elif kind == TEXT:
        reader.skip(reader.number("<Q"))
    elif kind == LIST and depth < DEEPEST:
        inner, number = reader.number("<I"), reader.number("<Q")
        if inner in SIZES:
            reader.skip(SIZES[inner] * number)
            return
        if number > MOST_ITEMS:
            raise ValueError(f"a list in it would have {number:,} items")
        for _ in range(number):  # each has at least a length, so the file's end stops it
            _skip_value(reader, inner, depth + 1)
    else:
        raise ValueError(f"it holds a value of the unknown kind {kind}")


def _skip_tensor(reader: _Reader) -> int:
    """Where the tensor ends, in bytes behind the header."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    reader.name()
    dimensions = reader.number("<I")
    if not 0 < dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"a tensor in it would have {dimensions:,} dimensions")
    shape = [reader.number("<Q") for _ in range(dimensions)]
    kind, offset = GGMLQuantizationType(reader.number("<I")), reader.number("<Q")
    block, size = GGML_QUANT_SIZES[kind]
    return offset + -(-math.prod(shape) // block) * size
