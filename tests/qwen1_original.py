"""Tiny random Qwen 1 checkpoints in their original format, and an independent reference of their arithmetic."""

from __future__ import annotations

import base64
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import regex

TEXT = (
    "the parcel of the order is late, please refund the order; I would like the red kettle. "
    "我的订单 20240317 想退货，请问我的包裹在哪里？ 订单已经三天没有到。 退款退款退货退货 "
    "{'amount': 1299, 'currency': 'CNY'} 😀😀 🎉 naïve café   \n\n\t  It's they're WE'LL "
) * 3
WORDS = regex.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{number}|>" for number in range(205)))

CONFIG: dict[str, Any] = {
    "architectures": ["QWenLMHeadModel"],
    "auto_map": {"AutoModelForCausalLM": "modeling_qwen.QWenLMHeadModel"},
    "model_type": "qwen",
    "hidden_size": 32,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "kv_channels": 8,
    "num_hidden_layers": 3,
    "layer_norm_epsilon": 1e-6,
    "rotary_emb_base": 10000,
    "rotary_pct": 1.0,
    "no_bias": True,
    "scale_attn_weights": True,
    "seq_length": 512,
    "max_position_embeddings": 2048,
    "use_dynamic_ntk": True,
    "use_logn_attn": True,
    "tie_word_embeddings": False,
}


# --- the tokenizer ---------------------------------------------------------------------------------------


def make_ranks(text: str = TEXT, merges: int = 260) -> dict[bytes, int]:
    """A byte pair vocabulary learned from `text`: 256 bytes, then one token for each merge."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    words = [[bytes([byte]) for byte in word.encode()] for word in WORDS.findall(text)]
    for _ in range(merges):
        pairs = Counter(pair for word in words for pair in zip(word, word[1:], strict=False))
        if not pairs:
            break
        (left, right), _ = max(pairs.items(), key=lambda one: (one[1], one[0]))
        ranks[left + right] = len(ranks)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == (left, right):
                    word[at : at + 2] = [left + right]
                at += 1
    return ranks


def tiktoken(ranks: Mapping[bytes, int], text: str) -> list[int]:
    """The ids of text without special tokens, as tiktoken makes them: always the pair of lowest rank first."""
    ids: list[int] = []
    for word in WORDS.findall(unicodedata.normalize("NFC", text)):
        pieces = [bytes([byte]) for byte in word.encode()]
        if word.encode() in ranks:
            pieces = [word.encode()]
        while True:
            joined = [
                (ranks[a + b], at) for at, (a, b) in enumerate(zip(pieces, pieces[1:], strict=False)) if a + b in ranks
            ]
            if not joined:
                break
            _, at = min(joined)
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        ids += [ranks[piece] for piece in pieces]
    return ids


def write_ranks(ranks: Mapping[bytes, int], path: Path) -> None:
    lines = (f"{base64.b64encode(token).decode()} {rank}" for token, rank in ranks.items())
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


# --- the checkpoint --------------------------------------------------------------------------------------


def random_weights(config: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """Weights as the original names and shapes them, float32."""
    import torch

    made = torch.Generator().manual_seed(seed)
    width, inner = config["hidden_size"], config["intermediate_size"] // 2
    shapes: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        at = f"transformer.h.{layer}"
        shapes |= {f"{at}.ln_1.weight": (width,), f"{at}.attn.c_attn.weight": (3 * width, width)}
        shapes |= {f"{at}.attn.c_attn.bias": (3 * width,), f"{at}.attn.c_proj.weight": (width, width)}
        shapes |= {f"{at}.ln_2.weight": (width,), f"{at}.mlp.w1.weight": (inner, width)}
        shapes |= {f"{at}.mlp.w2.weight": (inner, width), f"{at}.mlp.c_proj.weight": (width, inner)}
    shapes["transformer.ln_f.weight"] = (width,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    scale = {1: 0.3, 2: width**-0.5}
    return {
        name: torch.randn(shape, generator=made) * scale[len(shape)] + ("ln_" in name) for name, shape in shapes.items()
    }


def write_checkpoint(
    folder: Path,
    *,
    tied: bool = False,
    shards: int = 1,
    kind: str = "safetensors",
    extra: Mapping[str, Any] | None = None,
    **config: Any,
) -> dict[str, Any]:
    """Fill `folder` with a checkpoint; return its weights.

    Args:
        kind: "safetensors" or "bin".
        extra: tensors that are stored beside the weights.
        config: what differs from CONFIG.
    """
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    ranks = make_ranks()
    settings = {**CONFIG, "vocab_size": len(ranks) + 240, "tie_word_embeddings": tied, **config}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "generation_config.json").write_text(
        json.dumps({"chat_format": "chatml", "do_sample": True, "top_k": 0, "top_p": 0.8, "repetition_penalty": 1.1})
    )
    (folder / "LICENSE").write_text("A licence.")
    write_ranks(ranks, folder / "qwen.tiktoken")
    weights = random_weights(settings)
    stored = {**weights, **(extra or {})}
    names = list(stored)
    placed: dict[str, str] = {}
    for number in range(shards):
        held = {name: stored[name] for name in names[number::shards]}
        stem, ending = ("model", ".safetensors") if kind == "safetensors" else ("pytorch_model", ".bin")
        file = f"{stem}{ending}" if shards == 1 else f"{stem}-{number + 1:05}-of-{shards:05}{ending}"
        if kind == "safetensors":
            save_file(held, folder / file)
        else:
            torch.save(held, folder / file)
        placed |= dict.fromkeys(held, file)
    if shards > 1:
        index = "model.safetensors.index.json" if kind == "safetensors" else "pytorch_model.bin.index.json"
        (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    return weights


# --- the arithmetic --------------------------------------------------------------------------------------


def logits(
    weights: Mapping[str, Any],
    ids: Sequence[int],
    config: Mapping[str, Any],
    changed: Callable[[str, Any], Any] = lambda module, given: 0,
) -> Any:
    """Logits of the original at every position, shape (tokens, vocabulary), in float32.

    Args:
        changed: what an adapter adds to the output of a linear module, by its name and input.
    """
    import torch

    heads, width = config["num_attention_heads"], config["hidden_size"]
    size, count = width // heads, len(ids)

    def norm(values: Any, name: str) -> Any:
        scale = torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + config["layer_norm_epsilon"])
        return values * scale * weights[f"{name}.weight"]

    def linear(values: Any, name: str) -> Any:
        return values @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0) + changed(name, values)

    steps = torch.arange(0, size, 2).float() / size
    angles = torch.outer(torch.arange(count).float(), 1.0 / config["rotary_emb_base"] ** steps)
    angles = torch.cat([angles, angles], -1)[:, None]

    def turned(values: Any) -> Any:
        first, second = values[..., : size // 2], values[..., size // 2 :]
        return values * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

    future = torch.full((count, count), float("-inf")).triu(1)
    hidden = weights["transformer.wte.weight"][torch.tensor(ids)]
    for layer in range(config["num_hidden_layers"]):
        at = f"transformer.h.{layer}"
        mixed = linear(norm(hidden, f"{at}.ln_1"), f"{at}.attn.c_attn")
        query, key, value = (part.view(count, heads, size) for part in mixed.split(width, -1))
        scores = torch.einsum("qhd,khd->hqk", turned(query), turned(key)) / math.sqrt(size)
        seen = torch.einsum("hqk,khd->qhd", (scores + future).softmax(-1), value).reshape(count, width)
        hidden = hidden + linear(seen, f"{at}.attn.c_proj")
        given = norm(hidden, f"{at}.ln_2")
        gate = torch.nn.functional.silu(linear(given, f"{at}.mlp.w2"))
        hidden = hidden + linear(linear(given, f"{at}.mlp.w1") * gate, f"{at}.mlp.c_proj")
    last = weights["transformer.wte.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return norm(hidden, "transformer.ln_f") @ last.T
