"""Weights in pickle files become safetensors, shard by shard; only numbers are read out of them, no program is run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwenlab import failures, files
from qwenlab.errors import QwenlabError
from qwenlab.models import folder as model_folder

PATTERNS = ("pytorch_model*.bin", "model*.bin", "*.pt", "*.pth")
BESIDE = ("*.json", "*.jinja", "merges.txt", "*.tiktoken", "LICEN[SC]E*", "README.md")


class ConsentError(QwenlabError):
    """Pickle weights that nobody has agreed to read.

    Args:
        model: what has them.
        command: what to run in order to agree.
    """

    def __init__(self, model: str, command: str) -> None:
        super().__init__(
            f"The weights of {model} are pickle files, an old format that can carry programs.",
            "Take it with safetensors weights instead; or, if you trust where it comes from, let Qwenlab read nothing "
            f"but the numbers out of them: {command}",
            zh=(
                f"{model} 的权重是 pickle 文件，这种旧格式可能夹带程序。",
                f"请改用 safetensors 权重；如果信任其来源，可让 Qwenlab 只从中读取数值：{command}",
            ),
        )


def pickle_files(folder: Path) -> list[Path]:
    """The weight files of a folder that are pickles, in name order; those of one pattern only."""
    for pattern in PATTERNS:
        found = sorted(path for path in folder.glob(pattern) if path.name != "training_args.bin")
        if found:
            return [model_folder.own_file(folder, path.name) for path in found]
    return []


def convert(source: Path, target: Path, progress: Callable[[str, float], Any] = lambda *_: None) -> None:
    """Make a safetensors folder of a pickle folder; it appears whole or not at all.

    Args:
        progress: called with what is being done and how much of it is done, from 0 to 1.

    Raises:
        QwenlabError: when a file holds more than numbers, or is broken.
    """
    model_folder.read_config(source)
    staging = target.with_name(f".{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        for pattern in BESIDE:
            for path in source.glob(pattern):
                if "index" not in path.name:
                    shutil.copyfile(model_folder.own_file(source, path.name), staging / path.name)
        _convert_weights(source, staging, progress)
        model_folder.weight_files(staging)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _convert_weights(source: Path, target: Path, progress: Callable[[str, float], Any]) -> None:
    """Write the weights of `source` into `target` as safetensors: one shard in memory at a time."""
    from safetensors.torch import save_file

    shards = pickle_files(source)
    if not shards:
        raise QwenlabError(
            f"{source} holds no pickle weights.",
            "Name a folder with pytorch_model*.bin.",
            zh=(f"{source} 中没有 pickle 权重。", "请指定含 pytorch_model*.bin 的文件夹。"),
        )
    places: dict[str, str] = {}
    size = 0
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else "model.safetensors"
        progress("converting", (number - 1) / len(shards))
        tensors = _whole(read(shard))
        save_file(tensors, target / name, metadata={"format": "pt"})
        places.update(dict.fromkeys(tensors, name))
        size += sum(tensor.nbytes for tensor in tensors.values())
    if len(shards) > 1:
        files.write_json(target / model_folder.INDEX, {"metadata": {"total_size": size}, "weight_map": places})


def read(shard: Path) -> dict[str, Any]:
    """The tensors of a pickle file by name, mapped from the disk where torch can; nothing in it is run.

    Raises:
        QwenlabError: when it holds anything else, or is broken.
    """
    import torch

    try:
        found = torch.load(shard, map_location="cpu", weights_only=True, mmap=_is_zip(shard))
        if not isinstance(found, dict) or not all(
            isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in found.items()
        ):
            raise ValueError("it is no list of tensors")
    except Exception as error:  # pickle and torch raise many kinds for one cause
        failures.blame_no_file(error)
        why = " ".join(str(error).split())[:160]
        raise QwenlabError(
            f"{shard} holds more than numbers, or is broken ({type(error).__name__}: {why}); nothing of it was run.",
            "Copy or download it again, ask for it as safetensors, or take it from somewhere else.",
            zh=(
                f"{shard} 中不只有数值，或文件已损坏（{type(error).__name__}：{why}）；没有运行其中任何内容。",
                "请重新复制或下载，索取 safetensors 格式，或从别处获取。",
            ),
        ) from error
    return found


def _whole(found: dict[str, Any]) -> dict[str, Any]:
    """Each tensor of its own memory; of several under one memory the first."""
    import torch

    kept: dict[str, Any] = {}
    seen: set[tuple[int, int, tuple[int, ...]]] = set()
    for name, tensor in found.items():
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape))
        if place not in seen or not tensor.numel():  # tied weights come once, as in any safetensors file
            seen.add(place)
            kept[name] = tensor.clone(memory_format=torch.contiguous_format)
    return kept


def _is_zip(shard: Path) -> bool:
    """Whether torch can map the file: since its version 1.6 it writes zips."""
    with shard.open("rb") as file:
        return file.read(2) == b"PK"
