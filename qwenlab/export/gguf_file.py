"""Write one GGUF file, the format of llama.cpp, Ollama and LM Studio, from a Hugging Face folder.

Tensors stream through one at a time, in pieces of rows: neither torch nor the memory for the model is needed.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import libgguf
import numpy as np
from gguf import (
    GGML_QUANT_SIZES,
    GGML_QUANT_VERSION,
    MODEL_ARCH,
    MODEL_ARCH_NAMES,
    GGMLQuantizationType,
    GGUFWriter,
    RopeScalingType,
    TensorNameMap,
    get_tensor_name_map,
)

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import complete
from qwenlab.export.gguf_tokens import add_tokenizer
from qwenlab.export.gguf_types import FILE_TYPE, Kind, check_kind, tensor_type
from qwenlab.export.room import check_room
from qwenlab.export.safetensors_folder import Weights, check_finite, to_float32
from qwenlab.export.shuffle import Shuffle

ARCHITECTURES = {
    "Qwen2ForCausalLM": MODEL_ARCH.QWEN2,
    "Qwen3ForCausalLM": MODEL_ARCH.QWEN3,
    "LlamaForCausalLM": MODEL_ARCH.LLAMA,
}
PIECE = 4_000_000
"""Numbers converted to float32 at a time: 16 MB."""

SHUFFLED = ("Q4_K_M", "Q5_K_M")
"""Kinds so coarse that a grid left by an earlier rounding matters; see shuffle.py."""

Progress = Callable[[str, float], None]
NOTHING_KNOWN: Mapping[str, np.ndarray] = MappingProxyType({})


@dataclass(frozen=True)
class _Tensor:
    """One tensor on its way: its GGUF name and type, how to read it, the order of its rows and columns, and
    how much each column matters (in the order of the source)."""

    name: str
    kind: GGMLQuantizationType
    shape: tuple[int, ...]
    stored: Callable[[], np.ndarray]
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    importance: np.ndarray | None = None

    @property
    def bytes_shape(self) -> tuple[int, ...]:
        block, size = GGML_QUANT_SIZES[self.kind]
        return (*self.shape[:-1], self.shape[-1] // block * size)


def write_gguf(
    source: Path,
    target: Path,
    kind: Kind = "Q4_K_M",
    progress: Progress | None = None,
    importance: Mapping[str, np.ndarray] = NOTHING_KNOWN,
    shuffled: bool | None = None,
) -> None:
    """Write the model in `source` as one GGUF file `target`; it appears whole or not at all.

    Args:
        source: a Hugging Face folder of the Qwen2, Qwen2.5, Qwen3 or Llama family in bf16, f16 or f32.
        target: the file to write; an older one is replaced.
        kind: F16, or one of llama.cpp's mixes.
        progress: called with (GGUF tensor name, fraction of the bytes written, 0 to 1).
        importance: from `importance.measure`, by transformers name; weights without an entry are rounded plainly.
        shuffled: whether channels are put in another order; by default those of the kinds in SHUFFLED.

    Raises:
        QwenlabError: for another architecture, an unknown tokenizer, missing weights or a full disk.
    """
    kind = check_kind(kind)
    config = read_config(source)
    weights = Weights(source)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    writer = GGUFWriter(temporary, MODEL_ARCH_NAMES[ARCHITECTURES[config["architectures"][0]]])
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shuffle = Shuffle(config, head_dim(config)) if shuffled or (shuffled is None and kind in SHUFFLED) else None
        tensors = _plan(config, weights, kind, importance, shuffle)
        check_room(target.parent, sum(math.prod(tensor.bytes_shape) for tensor in tensors))
        _add_settings(writer, config, source, kind)
        add_tokenizer(writer, source, weights.shape("model.embed_tokens.weight")[0])
        for tensor in tensors:
            size = math.prod(tensor.bytes_shape)
            writer.add_tensor_info(tensor.name, tensor.bytes_shape, np.dtype(np.uint8), size, tensor.kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        _write_tensors(writer, tensors, progress)
        writer.flush()
        writer.close()
        _sync(temporary)
        os.replace(temporary, target)
    except OSError as error:
        raise QwenlabError(
            f"Cannot write {target}: {error.strerror}.",
            "Free some disk space or choose another folder.",
            zh=(f"无法写入 {target}：{error.strerror}。", "请释放磁盘空间，或选择其他文件夹。"),
        ) from error
    finally:
        writer.close()
        temporary.unlink(missing_ok=True)


def read_config(source: Path) -> dict[str, Any]:
    """config.json of a model that can become a GGUF file.

    Raises:
        QwenlabError: when llama.cpp would compute something else than transformers does.
    """
    config: dict[str, Any] = files.read_json(source / "config.json")
    architecture = (config.get("architectures") or ["an unnamed architecture"])[0]
    if architecture not in ARCHITECTURES:
        raise QwenlabError(
            f"GGUF export does not know {architecture} of {source}.",
            "It covers the Qwen2, Qwen2.5, Qwen3 and Llama families; convert Qwen 1 models first.",
            zh=(
                f"GGUF 导出不支持 {source} 的 {architecture}。",
                "支持 Qwen2、Qwen2.5、Qwen3 和 Llama 系列；Qwen 1 模型请先转换。",
            ),
        )
    if "quantization_config" in config:
        raise QwenlabError(
            f"The model in {source} is quantized already.",
            "Export from the merged 16-bit model.",
            zh=(f"{source} 中的模型已经量化。", "请从合并后的 16 位模型导出。"),
        )
    unusual = {
        "sliding-window attention": config.get("use_sliding_window"),
        "an activation other than silu": config.get("hidden_act", "silu") != "silu",
        "MLP biases": config.get("mlp_bias"),
    }
    for what, present in unusual.items():
        if present:
            raise QwenlabError(
                f"The model in {source} has {what}, which GGUF export does not cover.",
                "Export it as GPTQ or merged instead.",
                zh=(f"{source} 中的模型使用了 {what}，GGUF 导出不支持。", "请改为导出 GPTQ 或合并后的模型。"),
            )
    return config


def head_dim(config: dict[str, Any]) -> int:
    """Numbers in one attention head; Qwen3 states it, the others divide the hidden size."""
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def _add_settings(writer: GGUFWriter, config: dict[str, Any], source: Path, kind: Kind) -> None:
    writer.add_type("model")
    writer.add_name(source.name)
    writer.add_file_type(FILE_TYPE[kind])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads") or config["num_attention_heads"])
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_rope_dimension_count(head_dim(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = _rope(config)
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(
            rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
        )


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings under the names of transformers 5 (`rope_parameters`); older files say `rope_scaling`."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope = {"rope_theta": config.get("rope_theta", 10000.0), **given}
    rope["rope_type"] = given.get("rope_type") or given.get("type") or "default"
    if rope["rope_type"] not in ("default", "linear", "yarn", "llama3"):
        raise QwenlabError(
            f"GGUF export does not cover the rotary scaling {rope['rope_type']!r}.",
            "Export it as GPTQ or merged instead.",
            zh=(f"GGUF 导出不支持旋转位置缩放 {rope['rope_type']!r}。", "请改为导出 GPTQ 或合并后的模型。"),
        )
    return rope


def llama3_factors(rope: dict[str, Any], width: int) -> np.ndarray:
    """By how much Llama 3.1's scaling slows each rotary frequency, float32 of shape [width / 2].

    High frequencies stay (1), low ones are divided by `factor`, those between are blended; the formula is
    that of transformers' `rope_type: llama3`.
    """
    wavelengths = 2 * np.pi * rope["rope_theta"] ** (np.arange(0, width, 2) / width)
    turns = rope["original_max_position_embeddings"] / wavelengths
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 / (kept + (1 - kept) / rope["factor"])).astype(np.float32)


def _plan(
    config: dict[str, Any],
    weights: Weights,
    kind: Kind,
    importance: Mapping[str, np.ndarray],
    shuffle: Shuffle | None,
) -> list[_Tensor]:
    """Every tensor of the file in its order, and whether all that the architecture needs are there."""
    layers = config["num_hidden_layers"]
    architecture = ARCHITECTURES[config["architectures"][0]]
    names = get_tensor_name_map(architecture, layers)
    tied = bool(config.get("tie_word_embeddings")) or "lm_head.weight" not in weights
    complete.check_weights(weights, config | {"tie_word_embeddings": tied})
    tensors = []
    for name in weights:
        if name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and tied):
            continue
        new = gguf_name(name, names)
        stored, shape = functools.partial(weights.stored, name), weights.shape(name)
        rows, columns = shuffle.orders(name) if shuffle else (None, None)
        if architecture is MODEL_ARCH.LLAMA and rows is None:  # the shuffle leaves queries and keys to rotary order
            rows = rope_rows(name, config)
        typed = tensor_type(new, shape, kind, layers, tied)
        tensors.append(_Tensor(new, typed, shape, stored, rows, columns, importance.get(name)))
    rope = _rope(config)
    if rope["rope_type"] == "llama3":
        factors = llama3_factors(rope, head_dim(config))
        tensors.append(_Tensor("rope_freqs.weight", GGMLQuantizationType.F32, factors.shape, lambda: factors))
    return tensors


def gguf_name(name: str, names: TensorNameMap) -> str:
    new = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if new is None:
        raise QwenlabError(
            f"GGUF export does not know the weight {name}.",
            "Export the merged model, without adapters or heads.",
            zh=(f"GGUF 导出不认识权重 {name}。", "请导出合并后的模型，不含适配器或额外的头。"),
        )
    return str(new)


def rope_rows(name: str, config: dict[str, Any]) -> np.ndarray | None:
    """The order of a Llama query or key projection's rows in GGUF; None where it stays.

    transformers rotates number i of a head with number i + half; llama.cpp's "llama" graph rotates neighbours,
    so the two halves of each head are interleaved.
    """
    if ".q_proj." in name:
        heads = config["num_attention_heads"]
    elif ".k_proj." in name:
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    else:
        return None
    width = head_dim(config)
    return np.arange(heads * width).reshape(heads, 2, width // 2).swapaxes(1, 2).reshape(-1)


def _write_tensors(writer: GGUFWriter, tensors: list[_Tensor], progress: Progress | None) -> None:
    total = sum(math.prod(tensor.bytes_shape) for tensor in tensors)
    done = 0
    for tensor in tensors:
        if progress:
            progress(tensor.name, done / total)
        writer.write_tensor_data(_quantized(tensor))
        done += math.prod(tensor.bytes_shape)
    if progress:
        progress("", 1.0)


def _quantized(tensor: _Tensor) -> np.ndarray:
    """The bytes of one tensor, shape `tensor.bytes_shape`, made piece by piece."""
    width = tensor.shape[-1]
    stored: np.ndarray = tensor.stored().reshape(-1, width)
    order = np.arange(len(stored)) if tensor.rows is None else tensor.rows
    if len(tensor.shape) == 1 and tensor.rows is not None:  # a bias: its numbers are the rows
        stored, order = stored[:, tensor.rows], np.arange(1)
    made: np.ndarray = np.empty((len(stored), tensor.bytes_shape[-1]), np.uint8)
    matters = tensor.importance
    if matters is not None and tensor.columns is not None:
        matters = matters[tensor.columns]
    step = max(1, PIECE // width)
    for start in range(0, len(stored), step):
        rows = to_float32(stored[order[start : start + step]])
        check_finite(tensor.name, rows)
        if tensor.columns is not None:
            rows = np.ascontiguousarray(rows[:, tensor.columns])
        made[start : start + step] = libgguf.quantize_rows(rows, tensor.kind, matters).view(np.uint8)
    return made.reshape(tensor.bytes_shape)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
