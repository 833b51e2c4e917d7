"""What a LoRA adapter changes in the weights of its base: read without torch, computed a few rows at a time."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export.safetensors_folder import Weights, check_finite, to_float32
from qwenlab.models import adapters

UNDERSTOOD = frozenset(
    (
        *("peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
        *("inference_mode", "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "lora_bias", "bias"),
        *("rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "modules_to_save"),
        *("layers_to_transform", "layers_pattern", "init_lora_weights", "fan_in_fan_out", "loftq_config"),
        *("eva_config", "megatron_core", "megatron_config", "qalora_group_size", "velora_config", "runtime_config"),
    )
)
"""Settings of adapter_config.json that this module obeys, or that matter in training only."""
HARMLESS_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of init_lora_weights that leave the base as it is; PiSSA and its like have changed it as well."""
PREFIX = "base_model.model."


@dataclass(frozen=True)
class Change:
    """scaling * up @ down, added to one weight of shape [rows, columns].

    Attributes:
        down: lora_A, float32 [rank, columns].
        up: lora_B, float32 [rows, rank].
        magnitude: DoRA's length of each row of the sum, float32 [rows].
    """

    down: np.ndarray
    up: np.ndarray
    scaling: float
    magnitude: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Of the weight that is changed."""
        return self.up.shape[0], self.down.shape[1]

    def applied(self, rows: np.ndarray, start: int) -> np.ndarray:
        """Rows of the weight from `start` on, float32, with the change."""
        stop = start + len(rows)
        rows = rows + np.float32(self.scaling) * (self.up[start:stop] @ self.down)
        if self.magnitude is None:
            return rows
        return rows * (self.magnitude[start:stop] / np.linalg.norm(rows, axis=1))[:, None]


@dataclass
class Adapter:
    """An adapter, by the names that the base's weights have in transformers.

    Attributes:
        changes: what is added to which weight.
        added_biases: scaling * lora_B.bias, float32 [rows], by the bias's name.
        replaced: weights that training kept a copy of beside the base's (modules_to_save); as stored.
        base: the base's own weights as they were at the end of training; as stored.
    """

    changes: dict[str, Change] = field(default_factory=dict)
    added_biases: dict[str, np.ndarray] = field(default_factory=dict)
    replaced: dict[str, np.ndarray] = field(default_factory=dict)
    base: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def touched(self) -> dict[str, tuple[int, ...]]:
        """Every weight of the base that it changes, and the shape that it must have."""
        changed = {name: change.shape for name, change in self.changes.items()}
        others = self.added_biases | self.replaced | self.base
        return {**changed, **{name: array.shape for name, array in others.items()}}


def read_adapter(folder: Path) -> Adapter | None:
    """The adapter's changes; None when it is of a kind that only PEFT can compute.

    Raises:
        QwenlabError: when its weights are cut short, incomplete or no numbers.
    """
    config = files.read_json(folder / "adapter_config.json")
    stored = Weights(folder, [adapters.WEIGHTS])
    known = all(key in UNDERSTOOD or not value for key, value in config.items())
    if not known or config.get("init_lora_weights") not in HARMLESS_STARTS:
        return None
    for key in stored:
        check_finite(key, to_float32(stored.stored(key)))
    try:
        return _read(stored, config)
    except (KeyError, TypeError, ValueError, IndexError, re.error) as error:
        raise QwenlabError(
            f"The adapter {folder} is incomplete: {error}.",
            "Copy it again, or use another checkpoint.",
            zh=(f"适配器 {folder} 不完整：{error}。", "请重新复制，或使用其他检查点。"),
        ) from error


def _read(stored: Weights, config: dict[str, Any]) -> Adapter | None:
    adapter = Adapter()
    for key in stored:
        name = key.removeprefix(PREFIX)
        module, _, part = name.partition(".lora_")
        if name == module and ".base_layer." in name:
            adapter.base[name.replace(".base_layer.", ".")] = stored.stored(key)
        elif name == module and name.endswith((".weight", ".bias")):
            adapter.replaced[name] = stored.stored(key)
        elif part == "A.weight":
            adapter.changes[f"{module}.weight"] = _linear(stored, config, module)
        elif part == "embedding_A" and not config.get("use_dora"):
            down, up = (to_float32(stored.stored(f"{PREFIX}{module}.lora_embedding_{side}")) for side in "AB")
            # Stored for looking up: [rank, tokens] and [width, rank].
            adapter.changes[f"{module}.weight"] = Change(up.T, down.T, _scaling(config, module, len(down)))
        elif part == "B.bias":
            scaling = _scaling(config, module, stored.shape(f"{PREFIX}{module}.lora_A.weight")[0])
            adapter.added_biases[f"{module}.bias"] = np.float32(scaling) * to_float32(stored.stored(key))
        elif part not in ("B.weight", "embedding_B", "magnitude_vector", "magnitude_vector.weight"):
            return None
    return adapter


def _linear(stored: Weights, config: dict[str, Any], module: str) -> Change:
    down, up = (to_float32(stored.stored(f"{PREFIX}{module}.lora_{side}.weight")) for side in "AB")
    lengths = None
    if config.get("use_dora"):
        short = f"{PREFIX}{module}.lora_magnitude_vector"
        lengths = to_float32(stored.stored(short if short in stored else f"{short}.weight")).reshape(-1)
    return Change(down, up, _scaling(config, module, len(down)), lengths)


def _scaling(config: dict[str, Any], module: str, rank: int) -> float:
    """PEFT's factor: alpha / rank, or alpha / sqrt(rank) with rslora; alpha may differ by module."""
    patterns = config.get("alpha_pattern") or {}
    matching = (key for key in patterns if re.match(rf"(.*\.)?({key})$", module))
    alpha = patterns.get(next(matching, ""), config["lora_alpha"])
    return float(alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))
