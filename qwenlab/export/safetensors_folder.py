"""Safetensors weights, read row by row without torch and without loading a whole tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab.errors import QwenlabError
from qwenlab.models.folder import own_file, weight_files
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
    """All tensors of a folder, over one or several .safetensors files.

    Args:
        folder: a Hugging Face folder.
        names: the files to read; by default those of a model.
    """

    def __init__(self, folder: Path, names: Iterable[str] | None = None) -> None:
        self._places: dict[str, _Place] = {}
        found = weight_files(folder) if names is None else [own_file(folder, name) for name in names]
        for file in found:
            for name, place in _read(file):
                self._places[name] = place

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape as torch has it: output features first."""
        return self._places[name].shape

    def dtype(self, name: str) -> str:
        """The type as safetensors calls it, such as "BF16"."""
        return self._places[name].dtype

    def stored(self, name: str) -> np.ndarray:
        """The tensor as it lies on disk, memory-mapped; bfloat16 appears as uint16. See `to_float32`."""
        place = self._places[name]
        if not math.prod(place.shape):
            return np.empty(place.shape, STORED[place.dtype])  # an empty map is refused
        return np.memmap(place.file, STORED[place.dtype], mode="r", offset=place.offset, shape=place.shape)


def to_float32(stored: np.ndarray) -> np.ndarray:
    """Exact float32 values of a piece of `Weights.stored`; bfloat16 is the upper half of a float32."""
    if stored.dtype == np.uint16:
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32)


def check_finite(name: str, numbers: np.ndarray) -> None:
    """Refuse numbers that no model computes with.

    Raises:
        QwenlabError: naming the weight.
    """
    if not np.isfinite(numbers).all():
        raise QwenlabError(
            f"The weight {name} holds infinite or undefined numbers.",
            "The training diverged: lower the learning rate and train again.",
            zh=(f"权重 {name} 中有无穷大或无效的数字。", "训练已发散：请降低学习率后重新训练。"),
        )


def _read(file: Path) -> Iterator[tuple[str, _Place]]:
    for name, one in read_header(file).items():
        if one.dtype not in STORED:
            raise QwenlabError(
                f"The weight {name} in {file} has the type {one.dtype}, which is not a plain float.",
                "Export from the merged model, not from one that is quantized already.",
                zh=(
                    f"{file} 中的权重 {name} 类型为 {one.dtype}，不是普通浮点数。",
                    "请从合并后的模型导出，而不是已量化的模型。",
                ),
            )
        yield name, _Place(file, one.dtype, one.shape, one.start)
