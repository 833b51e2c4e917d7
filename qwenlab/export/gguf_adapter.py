"""A LoRA adapter alone as a GGUF file: llama.cpp and Ollama put it on the GGUF file of its base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGUFType, GGUFWriter, Keys, get_tensor_name_map

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export.complete import LINEAR
from qwenlab.export.gguf_file import ARCHITECTURES, gguf_name, read_config, rope_rows
from qwenlab.export.lora_weights import Adapter, read_adapter


def covers(changes: Adapter | None) -> bool:
    """Whether llama.cpp can compute the adapter: plain low-rank changes of the linear layers in the decoder."""
    if changes is None or not changes.changes:
        return False
    plain = all(change.magnitude is None for change in changes.changes.values())
    inside = all(name.removesuffix(".weight").endswith(LINEAR) for name in changes.changes)
    return plain and inside and not (changes.replaced or changes.added_biases or changes.base)


def write_gguf_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Write the adapter as `target`, in float32.

    It fits GGUF files of the base whose channels are in their original order: those from the base's makers, and
    F16 and Q8_0 made here. Q4_K_M and Q5_K_M made here have another order (shuffle.py).

    Raises:
        QwenlabError: when llama.cpp cannot compute such an adapter.
    """
    config, settings = read_config(base), files.read_json(adapter / "adapter_config.json")
    changes = read_adapter(adapter)
    if changes is None or not covers(changes):
        raise QwenlabError(
            f"The adapter {adapter} changes more than llama.cpp can add to a model.",
            "Merge it into its base and export that as GGUF.",
            zh=(f"适配器 {adapter} 的改动超出了 llama.cpp 能叠加的范围。", "请先合并到基础模型，再导出为 GGUF。"),
        )
    architecture = ARCHITECTURES[config["architectures"][0]]
    names = get_tensor_name_map(architecture, config["num_hidden_layers"])
    writer = GGUFWriter(target, MODEL_ARCH_NAMES[architecture])
    try:
        writer.add_type(GGUFType.ADAPTER)
        writer.add_string(Keys.Adapter.TYPE, "lora")
        alpha = float(settings["lora_alpha"])
        writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
        for name, change in changes.changes.items():
            rank = len(change.down)
            # llama.cpp multiplies with alpha / rank; what differs by module or with rslora goes into the numbers.
            up = change.up * np.float32(change.scaling * rank / alpha)
            rows = rope_rows(name, config) if architecture is MODEL_ARCH.LLAMA else None
            new = gguf_name(name, names)
            writer.add_tensor(f"{new}.lora_a", np.ascontiguousarray(change.down))
            writer.add_tensor(f"{new}.lora_b", np.ascontiguousarray(up if rows is None else up[rows]))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
