"""Which GGML type each tensor of a GGUF file gets: the mixes that llama.cpp calls Q4_K_M, Q5_K_M and so on.

Sensitive tensors get more bits: the output matrix, and in some layers the attention values and the MLP's
down projection. Source of the rules: `llama_tensor_get_type` in llama.cpp's src/llama-quant.cpp.
"""

from __future__ import annotations

from typing import Literal, get_args

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from qwenlab.errors import QwenlabError, nearest

Kind = Literal["F16", "Q8_0", "Q5_K_M", "Q4_K_M"]

_T = GGMLQuantizationType

FILE_TYPE: dict[Kind, LlamaFileType] = {
    "F16": LlamaFileType.MOSTLY_F16,
    "Q8_0": LlamaFileType.MOSTLY_Q8_0,
    "Q5_K_M": LlamaFileType.MOSTLY_Q5_K_M,
    "Q4_K_M": LlamaFileType.MOSTLY_Q4_K_M,
}
_MAIN: dict[Kind, GGMLQuantizationType] = {"F16": _T.F16, "Q8_0": _T.Q8_0, "Q5_K_M": _T.Q5_K, "Q4_K_M": _T.Q4_K}

_NARROW = {_T.Q4_K: _T.Q5_1, _T.Q5_K: _T.Q5_1, _T.Q6_K: _T.Q8_0}
"""Blocks of 32 instead of 256, for rows that are no multiple of 256 (such as Qwen 0.5B's 896).

llama.cpp takes Q5_0 for the first; Q5_1 is 5 % larger and kept 4 points more of smollm2's fields (docs/benchmarks.md).
"""


def check_kind(kind: str) -> Kind:
    """Return `kind` if it is one of ours.

    Raises:
        QwenlabError: naming the known kinds.
    """
    for known in get_args(Kind):
        if known == kind:
            return known
    names = ", ".join(get_args(Kind))
    raise QwenlabError(
        f"There is no GGUF kind {kind!r}.{nearest(kind, get_args(Kind))}",
        f"Choose one of {names}.",
        zh=(f"没有 GGUF 类型 {kind!r}。{nearest(kind, get_args(Kind), 'zh')}", f"请从中选择：{names}。"),
    )


def gets_more_bits(layer: int, layers: int) -> bool:
    """Whether a layer's attn_v and ffn_down are kept finer: the first and last eighth, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def tensor_type(name: str, shape: tuple[int, ...], kind: Kind, layers: int, tied: bool) -> GGMLQuantizationType:
    """The type of one tensor.

    Args:
        name: GGUF name, such as `blk.3.attn_v.weight`.
        shape: as torch has it; the last number is the row width that is cut into blocks.
        kind: the mix.
        layers: how many layers the model has.
        tied: whether token_embd.weight is also the output matrix.
    """
    if len(shape) < 2:  # norms and biases are small, and llama.cpp computes with them in float32
        return _T.F32
    chosen = _MAIN[kind]
    if kind in ("Q4_K_M", "Q5_K_M"):
        part = name.removesuffix(".weight").rsplit(".", 1)[-1]
        is_output = part == "output" or (tied and part == "token_embd")
        is_sensitive = part in ("attn_v", "ffn_down") and gets_more_bits(int(name.split(".")[1]), layers)
        if is_output or is_sensitive:
            chosen = _T.Q6_K
    return _fitting(chosen, shape[-1])


def _fitting(chosen: GGMLQuantizationType, width: int) -> GGMLQuantizationType:
    """The same type, or the next one whose block length divides the row width; F16 fits any."""
    if width % GGML_QUANT_SIZES[chosen][0] == 0:
        return chosen
    return _fitting(_NARROW.get(chosen, _T.F16), width)
