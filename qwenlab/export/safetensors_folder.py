"""Safetensors weights, read row by row without torch and without loading a whole tensor."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator
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

    Args:
        folder: a Hugging Face folder.
        names: the files to read; by default those of a model.
    """

    def __init__(self, folder: Path, names: Iterable[str] | None = None) -> None:
        self._places: dict[str, _Place] = {}
        for file in _weight_files(folder, names):
            for name, place in _read_header(file):
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


def _weight_files(folder: Path, names: Iterable[str] | None) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if names is None:
        names = ["model.safetensors"]
        if index.exists():
            try:
                names = sorted({str(name) for name in files.read_json(index)["weight_map"].values()})
            except (KeyError, TypeError, AttributeError) as error:
                raise _broken(index) from error
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():  # an index must not point out of its folder
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
    size = file.stat().st_size
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > size:
                raise _broken(file)
            header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            if entry["dtype"] not in STORED:
                raise QwenlabError(
                    f"The weight {name} in {file} has the type {entry['dtype']}, which is not a plain float.",
                    "Export from the merged model, not from one that is quantized already.",
                    zh=(
                        f"{file} 中的权重 {name} 类型为 {entry['dtype']}，不是普通浮点数。",
                        "请从合并后的模型导出，而不是已量化的模型。",
                    ),
                )
            start, end = entry["data_offsets"]
            place = _Place(file, entry["dtype"], tuple(entry["shape"]), 8 + length + start)
            wanted = math.prod(place.shape) * STORED[place.dtype].itemsize
            if min(start, *place.shape) < 0 or end - start != wanted or 8 + length + end > size:
                raise _broken(file)
            yield name, place
    except (struct.error, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _broken(file) from error


def _broken(file: Path) -> QwenlabError:
    return QwenlabError(
        f"{file} is cut short or is no safetensors file.",
        "Fetch or merge the model again.",
        zh=(f"{file} 不完整，或不是 safetensors 文件。", "请重新获取或合并该模型。"),
    )
