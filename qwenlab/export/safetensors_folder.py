"""The weights of a Hugging Face folder, read row by row without torch and without loading a whole tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab.errors import QwenlabError
from qwenlab.models.folder import weight_files
from qwenlab.models.header import read_header

STORED: dict[str, np.dtype[Any]] = {"BF16": np.dtype("<u2"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
"""How each safetensors float type lies in the file; numpy has no bfloat16, so its bits are read as integers."""


@dataclass(frozen=True)
class _Place:
    """Where one tensor lies: the file, its type and shape, and the offset of its first byte."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Weights:
    """All tensors of a folder, over one or several .safetensors files."""

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, _Place] = {}
        for file in weight_files(folder):
            for name, place in _read(file):
                self._places[name] = place

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape as torch has it: output features first."""
        return self._places[name].shape

    def stored(self, name: str) -> np.ndarray:
        """The tensor as it lies on disk, memory-mapped; bfloat16 appears as uint16. See `to_float32`."""
        place = self._places[name]
        return np.memmap(place.file, STORED[place.dtype], mode="r", offset=place.offset, shape=place.shape)


def to_float32(stored: np.ndarray) -> np.ndarray:
    """Exact float32 values of a piece of `Weights.stored`; bfloat16 is the upper half of a float32."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def _read(file: Path) -> Iterator[tuple[str, _Place]]:
    for name, one in read_header(file).items():
        if one.dtype not in STORED:
            raise QwenlabError(
                f"The weight {name} in {file} has the type {one.dtype}, which is not a plain float.",
                "Export from the merged model in bfloat16, not from one that is quantized already.",
                zh=(
                    f"{file} 中的权重 {name} 类型为 {one.dtype}，不是普通浮点数。",
                    "请从 bfloat16 的合并模型导出，而不是已量化的模型。",
                ),
            )
        yield name, _Place(file, one.dtype, one.shape, one.start)
