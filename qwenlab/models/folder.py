"""What a Hugging Face model folder is: its family, its completeness, its fingerprints."""

from __future__ import annotations

import hashlib
import re
import shlex
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models.header import read_header

INDEX = "model.safetensors.index.json"
SUPPORTED = {"qwen2", "qwen3", "llama"}
QWEN1 = "qwen1"
"""What a model folder that was converted from a Qwen 1 says that it was made from."""
EMBEDDING = "model.embed_tokens.weight"
LAYER = re.compile(r"model\.layers\.(\d{1,6})\.")
LARGEST = {
    "num_hidden_layers": 1_000,
    "hidden_size": 100_000,
    "intermediate_size": 1_000_000,
    "num_attention_heads": 1_000,
    "num_key_value_heads": 1_000,
    "head_dim": 10_000,
    "vocab_size": 10_000_000,
    "max_position_embeddings": 100_000_000,
}
"""Sizes beyond any model: a config.json that asks for more would build until the memory is full."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json, of a supported family and of sizes that a model can have.

    Raises:
        QwenlabError: missing or broken file, another family, or absurd sizes.
    """
    config = files.read_json(own_file(folder, "config.json"))
    kind = config.get("model_type") if isinstance(config, dict) else None
    if _is_qwen1(config):
        raise unconverted(folder)
    if not isinstance(kind, str) or kind not in SUPPORTED:
        raise QwenlabError(
            f"{folder} holds a model of the family {str(kind)[:40]!r}.",
            "Supported are Qwen 1, 2, 2.5 and 3, and Llama.",
            zh=(f"{folder} 中的模型属于 {str(kind)[:40]!r} 系列。", "支持 Qwen 1、2、2.5、3 和 Llama。"),
        )
    for name, most in LARGEST.items():
        size = config.get(name, 1)
        if size is not None and (type(size) is not int or not 0 < size <= most):
            raise QwenlabError(
                f"The config.json of {folder} says {name} is {str(size)[:40]}; no such model can be built.",
                f"It must be a whole number from 1 to {most}: download the model again, from somebody you trust.",
                zh=(
                    f"{folder} 的 config.json 中 {name} 为 {str(size)[:40]}，无法构建这样的模型。",
                    f"它应是 1 到 {most} 的整数：请从可信来源重新下载该模型。",
                ),
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
        config.get("model_type") == "qwen" or config.get("architectures") == ["QWenLMHeadModel"]
    )


def unconverted(folder: Path) -> QwenlabError:
    """What to say where a Qwen 1 folder is named as a model."""
    command = f"qwenlab models add {shlex.quote(str(folder))}"
    return QwenlabError(
        f"{folder} holds a Qwen 1 model in its original format.",
        f"Convert it once, in the Train tab or with: {command}",
        zh=(f"{folder} 中是原始格式的 Qwen 1 模型。", f"请先转换一次：在“训练”页，或运行 {command}"),
    )


def own_file(folder: Path, name: str) -> Path:
    """The path of a file in a model folder that somebody else may have made.

    Raises:
        QwenlabError: when name or link lead out of the folder. A hub's cache, whose links lead to the `blobs` folder
            beside it, is let through.
    """
    path, home = folder / name, folder.resolve()
    blobs = home.parent.parent / "blobs"
    plain = Path(name).name == name and name not in ("", "..") and "\\" not in name and "\0" not in name
    if not plain or (path.is_symlink() and path.resolve().parent not in (home, blobs)):
        raise QwenlabError(
            f"{folder} names the file {name[:80]!r}, which lies outside of it; it is not read.",
            "Do not use this model, or copy the file itself into the folder.",
            zh=(
                f"{folder} 引用了文件夹之外的文件 {name[:80]!r}，不会读取它。",
                "请不要使用该模型，或把文件本身复制到该文件夹中。",
            ),
        )
    return path


def quantized(folder: Path) -> str:
    """How the folder's weights are quantized, such as "gptq"; empty when they are not.

    Raises:
        QwenlabError: missing or broken config.json.
    """
    config = files.read_json(folder / "config.json")
    return str((config.get("quantization_config") or {}).get("quant_method", ""))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, in name order, each with a header that can be true.

    Raises:
        QwenlabError: when there are none, or one that the index names is missing, broken, or outside of the folder.
    """
    found = [own_file(folder, path.name) for path in sorted(folder.glob("*.safetensors"))]
    index = folder / INDEX
    for name in _indexed(index) if index.exists() else []:
        if not own_file(folder, name).is_file():
            raise QwenlabError(
                f"{folder} lacks the weight file {name}.",
                "Copy or download the model again.",
                zh=(f"{folder} 缺少权重文件 {name}。", "请重新复制或下载该模型。"),
            )
    if not found and any(folder.glob("*.bin")):
        raise QwenlabError(
            f"{folder} has its weights as pickle files, an old format that can carry programs; they are not loaded.",
            "Let Qwenlab read nothing but the numbers out of them, in the Train tab or with: "
            f"qwenlab models add {shlex.quote(str(folder))} --pickle",
            zh=(
                f"{folder} 的权重是 pickle 文件，这种旧格式可能夹带程序，不会加载。",
                "可让 Qwenlab 只从中读取数值：在“训练”页，或运行 "
                f"qwenlab models add {shlex.quote(str(folder))} --pickle",
            ),
        )
    if not found:
        raise QwenlabError(
            f"{folder} holds no .safetensors weights.",
            "Only safetensors weights are loaded.",
            zh=(f"{folder} 中没有 .safetensors 权重。", "只支持加载 safetensors 权重。"),
        )
    for path in found:
        read_header(path)
    return found


def check(folder: Path) -> dict[str, Any]:
    """Refuse a folder that cannot be loaded as it stands, before anything of it is; return its config.json.

    Raises:
        QwenlabError: as `read_config` and `weight_files`; also when sizes in config.json and weights differ, since what
            is lacking would be made up of random numbers, in any size.
    """
    config = read_config(folder)
    stored = {name: one for path in weight_files(folder) for name, one in read_header(path).items()}
    numbers = {int(found[1]) for name in stored if (found := LAYER.match(name))}
    words = stored.get(EMBEDDING)
    said = (config.get("num_hidden_layers"), config.get("vocab_size"), config.get("hidden_size"))
    held = (len(numbers), *(words.shape if words else (0, 0)))
    if said != held:
        raise QwenlabError(
            f"The config.json of {folder} does not belong to its weights: layers, words and width are {said} in the "
            f"one and {held} in the others.",
            "Copy or download the model again.",
            zh=(
                f"{folder} 的 config.json 与权重不匹配：层数、词表大小和宽度分别为 {said} 和 {held}。",
                "请重新复制或下载该模型。",
            ),
        )
    return config


def _indexed(index: Path) -> list[str]:
    """The weight files that an index names."""
    told = files.read_json(own_file(index.parent, index.name))
    names = told.get("weight_map") if isinstance(told, dict) else None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise QwenlabError(
            f"{index} does not say which file holds which weight.",
            "Copy or download the model again.",
            zh=(f"{index} 没有写明各权重在哪个文件中。", "请重新复制或下载该模型。"),
        )
    return sorted(set(names.values()))


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


def config_fingerprint(folder: Path) -> str:
    """Digest of how a model, or an adapter, computes with its weights: positions, norms, an adapter's scaling."""
    names = ("adapter_config.json", "config.json")
    return _digest([next(folder / name for name in names if (folder / name).exists())])


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
