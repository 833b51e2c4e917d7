"""What a Hugging Face model folder is: its family, its completeness, its fingerprints."""

from __future__ import annotations

import hashlib
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError

SUPPORTED = {"qwen2", "qwen3", "llama"}
QWEN1 = "qwen1"
"""What a model folder that was converted from a Qwen 1 names as its source."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json, of a supported family.

    Raises:
        QwenlabError: missing or broken file, or another family.
    """
    config = files.read_json(folder / "config.json")
    kind = config.get("model_type") if isinstance(config, dict) else None
    if _is_qwen1(config):
        raise unconverted(folder)
    if kind not in SUPPORTED:
        raise QwenlabError(
            f"{folder} holds a model of the family {kind!r}.",
            "Supported are Qwen2, Qwen2.5, Qwen3 and Llama.",
            zh=(f"{folder} 中的模型属于 {kind!r} 系列。", "支持 Qwen2、Qwen2.5、Qwen3 和 Llama。"),
        )
    return config


def is_qwen1(folder: Path) -> bool:
    """Whether the folder holds a Qwen 1 model in its original format, which came with code of its own."""
    try:
        return _is_qwen1(files.read_json(folder / "config.json"))
    except (QwenlabError, OSError):
        return False


def _is_qwen1(config: Any) -> bool:
    return isinstance(config, dict) and (
        config.get("model_type") == "qwen" or "QWenLMHeadModel" in (config.get("architectures") or [])
    )


def unconverted(folder: Path) -> QwenlabError:
    """What to say where a Qwen 1 folder is named as a model."""
    command = f"qwenlab models convert {shlex.quote(str(folder))} NEW_FOLDER"
    return QwenlabError(
        f"{folder} holds a Qwen 1 model in its original format.",
        f"Convert it once, then name the new folder: {command}",
        zh=(f"{folder} 中是原始格式的 Qwen 1 模型。", f"请先转换一次，然后使用新文件夹：{command}"),
    )


def quantized(folder: Path) -> str:
    """How the folder's weights are quantized, such as "gptq"; empty when they are not.

    Raises:
        QwenlabError: missing or broken config.json.
    """
    config = files.read_json(folder / "config.json")
    return str((config.get("quantization_config") or {}).get("quant_method", ""))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, in name order.

    Raises:
        QwenlabError: when there are none, or a shard that the index names is missing.
    """
    found = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.exists():
        wanted = sorted(set(files.read_json(index)["weight_map"].values()))
        missing = [name for name in wanted if not (folder / name).exists()]
        if missing:
            raise QwenlabError(
                f"{folder} lacks the weight file {missing[0]}.",
                "Copy or download the model again.",
                zh=(f"{folder} 缺少权重文件 {missing[0]}。", "请重新复制或下载该模型。"),
            )
    if not found:
        raise QwenlabError(
            f"{folder} holds no .safetensors weights.",
            "Only safetensors weights are loaded.",
            zh=(f"{folder} 中没有 .safetensors 权重。", "只支持加载 safetensors 权重。"),
        )
    return found


def bytes_on_disk(path: Path) -> int:
    """Size of a file, or of all files below a folder, in bytes."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def fingerprints(folder: Path) -> dict[str, str]:
    """Digests of what decides the answers: weights, tokenizer and chat template; first 16 hex digits each."""
    adapter = folder / "adapter_model.safetensors"
    weights = [adapter] if adapter.exists() else weight_files(folder)
    tokenizer = [folder / name for name in TOKENIZER_FILES if (folder / name).exists()]
    return {"weights": _digest(weights), "tokenizer": _digest(tokenizer)}


Version = tuple[tuple[str, int, int], ...]


def version(path: Path) -> Version:
    """Path, size and change time (ns) of all files that decide the answers: cheap, and another after each change."""
    names = {"config.json", "adapter_config.json", *TOKENIZER_FILES}
    inside = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    parts = [part for part in inside if part == path or part.suffix == ".safetensors" or part.name in names]
    return tuple((str(part), part.stat().st_size, part.stat().st_mtime_ns) for part in parts)


def _digest(paths: list[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        total.update(_file_digest(str(path), stat.st_size, stat.st_mtime_ns).encode())
    return total.hexdigest()[:16]


@lru_cache(maxsize=64)
def _file_digest(path: str, size: int, modified: int) -> str:  # size and time are part of the key on purpose
    return files.sha256(Path(path))
