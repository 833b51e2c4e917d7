"""The weights of a Hugging Face folder, read row by row without torch and without loading a whole tensor."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab import files
from qwenlab.errors import QwenlabError

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

    The layout is the one of https://github.com/huggingface/safetensors#format: eight bytes with the length
    of a JSON header, the header, then the tensors.
    """

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, _Place] = {}
        for file in _weight_files(folder):
            for name, place in _read_header(file):
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


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    names = sorted(set(files.read_json(index)["weight_map"].values())) if index.exists() else ["model.safetensors"]
    for name in names:
        if not (folder / name).is_file():
            raise QwenlabError(
                f"The model folder {folder} has no file {name}.",
                "Name a Hugging Face folder with safetensors weights, or fetch the model again.",
                zh=(
                    f"模型文件夹 {folder} 中没有文件 {name}。",
                    "请指定带有 safetensors 权重的 Hugging Face 文件夹，或重新获取该模型。",
                ),
            )
    return [folder / name for name in names]


def _read_header(file: Path) -> Iterator[tuple[str, _Place]]:
    broken = QwenlabError(
        f"{file} is cut short or is no safetensors file.",
        "Fetch or merge the model again.",
        zh=(f"{file} 不完整，或不是 safetensors 文件。", "请重新获取或合并该模型。"),
    )
    size = file.stat().st_size
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > size:
                raise broken
            header = json.loads(opened.read(length))
    except (struct.error, ValueError) as error:
        raise broken from error
    header.pop("__metadata__", None)
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        if 8 + length + end > size:
            raise broken
        if entry["dtype"] not in STORED:
            raise QwenlabError(
                f"The weight {name} in {file} has the type {entry['dtype']}, which is not a plain float.",
                "Export from the merged model in bfloat16, not from one that is quantized already.",
                zh=(
                    f"{file} 中的权重 {name} 类型为 {entry['dtype']}，不是普通浮点数。",
                    "请从 bfloat16 的合并模型导出，而不是已量化的模型。",
                ),
            )
        yield name, _Place(file, entry["dtype"], tuple(entry["shape"]), 8 + length + start)
