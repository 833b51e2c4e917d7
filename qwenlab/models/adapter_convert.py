"""An adapter in an older form becomes one that the lab takes: pickled weights, or the modules of Qwen 1's own code."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import adapter_base, qwen1_weights
from qwenlab.models.qwen1_weights import INNER, THIRDS, Part

WEIGHTS, PICKLED = "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
"""What PEFT puts before the base's own names."""
LEAVES: dict[str, list[str]] = {
    "c_attn": [third.rpartition(".")[2] for third in THIRDS],
    "c_proj": ["o_proj", "down_proj"],
    "w1": ["up_proj"],
    "w2": ["gate_proj"],
    "wte": ["embed_tokens"],
    "ln_f": ["norm"],
    "lm_head": ["lm_head"],
    **{name: [new.rpartition(".")[2]] for name, new in INNER.items() if "." in name},
}
"""Modules as the settings of an adapter name them -> those of Qwen2."""


def is_pickled(folder: Path) -> bool:
    """Whether the adapter's weights are a PyTorch pickle only."""
    return (folder / adapter_base.CONFIG).exists() and (folder / PICKLED).exists() and not (folder / WEIGHTS).exists()


def is_original(names: list[str]) -> bool:
    """Whether tensors of these names adapt modules of Qwen 1's own code."""
    return any(name.startswith(f"{PREFIX}transformer.") for name in names)


def convert(source: Path, target: Path, pickle: bool = False) -> None:
    """Make `target`, an adapter folder with safetensors weights for the Qwen2 layout; it appears whole or not at all.

    The fused attention of Qwen 1 becomes three modules: A serves all three, B is cut into thirds, so that the outputs
    are the same.

    Args:
        pickle: the person consents to reading a PyTorch pickle, with `weights_only`.

    Raises:
        QwenlabError: no adapter, a pickle without consent, settings that cannot be carried over, or `target` exists.
    """
    from safetensors.torch import save_file

    if target.exists():
        raise QwenlabError(
            f"{target} exists already.", "Name a new folder.", zh=(f"{target} 已存在。", "请指定一个新文件夹。")
        )
    if is_pickled(source) and not pickle:
        raise pickled(source)
    config = adapter_base.read_config(source)
    read = qwen1_weights.opened(source / (PICKLED if is_pickled(source) else WEIGHTS))
    weights = {name: read.tensor(name) for name in read.names}
    if is_original(read.names):
        weights = _renamed(source, weights)
        config = _settings(source, config, weights)
    staging = target.with_name(f".{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
        save_file({name: tensor.clone().contiguous() for name, tensor in weights.items()}, staging / WEIGHTS)
        files.write_json(staging / adapter_base.CONFIG, config)
        files.sync_tree(staging)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def pickled(folder: Path) -> QwenlabError:
    """What to say of an adapter whose weights are a pickle."""
    return QwenlabError(
        f"The adapter {adapter_base.title(folder)} is stored as a pickle file, an old format that can carry programs.",
        f"If you trust its origin, convert it, which runs nothing: qwenlab models convert {folder} NEW_FOLDER --pickle",
        zh=(
            f"适配器 {adapter_base.title(folder)} 以 pickle 文件存储，这种旧格式可能夹带程序。",
            f"如果信任其来源，请转换（不会运行任何内容）：qwenlab models convert {folder} NEW_FOLDER --pickle",
        ),
    )


def _renamed(source: Path, weights: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, tensor in weights.items():
        new, tail = _placed(source, name)
        for part in new:
            # A reads the same input for all three; what is as long as the output belongs to one of them.
            third = None if tail.startswith("lora_A") else part.third
            found[f"{PREFIX}{part.name}.{tail}"] = qwen1_weights.cut(tensor, third)
    return found


def _placed(source: Path, name: str) -> tuple[list[Part], str]:
    """The modules that a tensor of the adapter belongs to, and the rest of its name."""
    words = name.removeprefix(PREFIX).split(".")
    for end in range(len(words) - 1, 0, -1):
        if new := qwen1_weights.modules(".".join(words[:end])):
            return new, ".".join(words[end:])
    raise _not_carried(source, f"the weight {name}", f"权重 {name}")


def _settings(source: Path, config: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's settings under the new names of its modules."""
    if isinstance(config.get("init_lora_weights"), str) and config["init_lora_weights"] != "gaussian":
        what = f"init_lora_weights {config['init_lora_weights']}"
        raise _not_carried(source, what, what)
    adapted = sorted({name.removeprefix(PREFIX).partition(".lora_")[0] for name in weights if ".lora_" in name})
    asked = config.get("target_modules")
    everywhere = isinstance(asked, list) and set(asked) <= LEAVES.keys() and not config.get("layers_to_transform")
    return {
        **config,
        "target_modules": sorted({name.rpartition(".")[2] for name in adapted}) if everywhere else adapted,
        "layers_to_transform": None,
        "layers_pattern": None,
        "modules_to_save": _names(source, config.get("modules_to_save")),
        "rank_pattern": _pattern(source, config.get("rank_pattern")),
        "alpha_pattern": _pattern(source, config.get("alpha_pattern")),
    }


def _names(source: Path, names: list[str] | None) -> list[str] | None:
    return [new for name in names for new in _new_names(source, name)] if names else None


def _pattern(source: Path, pattern: Mapping[str, Any] | None) -> dict[str, Any]:
    return {new: value for name, value in (pattern or {}).items() for new in _new_names(source, name)}


def _new_names(source: Path, name: str) -> list[str]:
    found = LEAVES.get(name) or [part.name for part in qwen1_weights.modules(name)]
    if not found:
        raise _not_carried(source, f"the module {name}", f"模块 {name}")
    return found


def _not_carried(source: Path, what: str, what_zh: str) -> QwenlabError:
    return QwenlabError(
        f"The adapter {source} cannot be converted: it has {what}, which has no counterpart in the Qwen2 layout.",
        "Only LoRA adapters of Qwen 1 text models can be converted.",
        zh=(
            f"无法转换适配器 {source}：其中的{what_zh}在 Qwen2 结构中没有对应。",
            "只能转换 Qwen 1 文本模型的 LoRA 适配器。",
        ),
    )
