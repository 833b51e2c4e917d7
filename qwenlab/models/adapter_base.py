"""The base that an adapter was trained on, as the adapter names it, and whether a model folder is that base."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue
from qwenlab.models import folder as model_folder
from qwenlab.workspace import Workspace

ORIGIN = "qwenlab-adapter.json"
"""Beside an adapter's weights: which base it was trained on, by path and weight fingerprint."""
CONFIG = "adapter_config.json"
KINDS: dict[str, Any] = {
    "base_model_name_or_path": str,
    "modules_to_save": list,
    "target_modules": list | str,
    "rank_pattern": dict,
    "alpha_pattern": dict,
}
"""Settings that are read here, and what they are where they are given."""
_STORED = re.compile(r"-(unsloth|bnb|[48]bit|gptq|awq|gguf|mlx|int[48]|bf16|fp16)(?=-|$)")
"""What a name says of how the same weights are stored."""
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*\d[BbMm]\b[\w.-]*")


def read_config(adapter: Path) -> dict[str, Any]:
    """The adapter's own description, as PEFT and the tools upon it write it.

    Raises:
        QwenlabError: missing or broken file.
    """
    config = files.read_json(adapter / CONFIG)
    if not isinstance(config, dict):
        raise QwenlabError(
            f"{adapter / CONFIG} holds no settings.",
            "Copy the adapter again.",
            zh=(f"{adapter / CONFIG} 中没有设置。", "请重新复制该适配器。"),
        )
    for name, kind in KINDS.items():
        if config.get(name) is not None and not isinstance(config[name], kind):
            raise QwenlabError(
                f"{adapter / CONFIG} has {name} {str(config[name])[:40]}, which makes no sense.",
                "Copy the adapter again.",
                zh=(f"{adapter / CONFIG} 中的 {name} 为 {str(config[name])[:40]}，没有意义。", "请重新复制该适配器。"),
            )
    return config


def named(adapter: Path) -> str:
    """The base as the adapter names it: a hub id, or a path on the computer where it was trained; "" for none."""
    return str(read_config(adapter).get("base_model_name_or_path") or "")


def title(adapter: Path) -> str:
    """What a person calls an adapter: its run, RUN/checkpoint-N, or the name of its folder."""
    if adapter.name == "adapter" and (adapter.parent / "recipe.json").is_file():
        return adapter.parent.name
    if adapter.name.startswith("checkpoint-"):
        inside = adapter.parent.parent if adapter.parent.name == "checkpoints" else adapter.parent
        return f"{inside.name}/{adapter.name}"
    return adapter.name


def plain(name: str) -> str:
    """A model's name without where it lies and how it is stored: the same for a hub id and its local copies.

    ModelScope's cache writes ___ for a dot; Unsloth's copies say bnb-4bit.
    """
    last = re.split(r"[\\/]", name.rstrip("\\/"))[-1].lower().replace("___", ".")
    return re.sub(r"[^a-z0-9]", "", _STORED.sub("", last))


def known_names(folder: Path) -> set[str]:
    """The plain names that a model folder surely has, by its record; empty for one of unknown origin."""
    found = []
    if entry := catalogue.entry(folder.name):
        found += [entry.title, entry.hub]
    if (folder / catalogue.COMPLETE).exists():
        found.append(str(files.read_json(folder / catalogue.COMPLETE).get("hub") or ""))
    return {plain(name) for name in found if name}


def check(adapter: Path, base: Path) -> None:
    """Refuse an adapter that was trained on another base, as far as fingerprints and names tell.

    Raises:
        QwenlabError: naming both.
    """
    if (adapter / ORIGIN).exists():
        origin = files.read_json(adapter / ORIGIN)
        if origin["weights"] == model_folder.fingerprints(base)["weights"]:
            return
        raise QwenlabError(
            f"The adapter {title(adapter)} was trained on {origin['base']}; {base.name} is another model, or another "
            "version of it.",
            f"Use it with the {origin['base']} that it was trained on, or train again on {base.name}.",
            zh=(
                f"适配器 {title(adapter)} 是在 {origin['base']} 上训练的，而 {base.name} 是另一个模型或另一个版本。",
                f"请与训练它时所用的 {origin['base']} 一起使用，或在 {base.name} 上重新训练。",
            ),
        )
    said, known = named(adapter), known_names(base)
    # A path tells nothing sure: people name folders as they like. An id on a hub, which says a size, does.
    if known and _HUB_ID.fullmatch(said) and plain(said) not in known:
        raise QwenlabError(
            f"The adapter {title(adapter)} was trained on {said}, which {base.name} is not.",
            f"Choose that base model; if {base.name} is a copy of it, correct base_model_name_or_path in {CONFIG}.",
            zh=(
                f"适配器 {title(adapter)} 是在 {said} 上训练的，而 {base.name} 不是该模型。",
                f"请选择那个基础模型；如果 {base.name} 就是它的副本，请更正 {CONFIG} 中的 base_model_name_or_path。",
            ),
        )


def find(workspace: Workspace, adapter: Path) -> Path:
    """The model folder of the workspace that the adapter names as its base.

    Raises:
        QwenlabError: when that base is not here.
    """
    if (adapter / ORIGIN).exists():
        origin = str(files.read_json(adapter / ORIGIN).get("folder", ""))
        # A name that begins so is on another computer, and looking there would tell that computer who asks.
        if origin and not origin.startswith(("//", "\\\\")) and (Path(origin) / "config.json").is_file():
            return Path(origin)
    said = named(adapter)
    ready = [mark.parent for mark in sorted(workspace.models.glob(f"*/{catalogue.COMPLETE}"))]
    for folder in ready:
        if plain(said) in known_names(folder) | {plain(folder.name)}:
            return folder
    about, about_zh = (said, said) if said else ("a model it does not name", "它没有写明的模型")
    raise QwenlabError(
        f"The adapter {title(adapter)} was trained on {about}, which is not here.",
        "Get that model, in the Train tab or with `qwenlab models get`; if it is here, name both: MODEL+ADAPTER.",
        zh=(
            f"适配器 {title(adapter)} 是在{about_zh}上训练的，本机没有该模型。",
            "请先获取该模型：在“训练”页，或用 `qwenlab models get`；若本机已有，请一起指定：模型+适配器。",
        ),
    )
