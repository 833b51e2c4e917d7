"""The Qwen family's common chat models as they stand on the hubs: sizes, licences and shapes, known offline too."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from qwenlab.models.entry import Entry

APACHE = "Apache-2.0"
RESEARCH = "Qwen Research (not for commercial use)"
SMALL_VOCABULARY, LARGE_VOCABULARY = 151_936, 152_064


def _shape(hidden: int, layers: int, heads: int, keys: int, inner: int, **others: Any) -> Mapping[str, Any]:
    """What of a config.json decides the memory."""
    return MappingProxyType(
        {
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": keys,
            "intermediate_size": inner,
            "vocab_size": SMALL_VOCABULARY,
            "tie_word_embeddings": True,
            **others,
        }
    )


# The config.json of each repository.
QWEN25 = {
    "0.5B": _shape(896, 24, 14, 2, 4864),
    "1.5B": _shape(1536, 28, 12, 2, 8960),
    "3B": _shape(2048, 36, 16, 2, 11008),
    "7B": _shape(3584, 28, 28, 4, 18944, vocab_size=LARGE_VOCABULARY, tie_word_embeddings=False),
}
QWEN3 = {
    "0.6B": _shape(1024, 28, 16, 8, 3072, head_dim=128),
    "1.7B": _shape(2048, 28, 16, 8, 6144, head_dim=128),
    "4B": _shape(2560, 36, 32, 8, 9728, head_dim=128),
    "8B": _shape(4096, 36, 32, 8, 12288, head_dim=128, tie_word_embeddings=False),
}
UNTIED = {"tie_word_embeddings": False}
QWEN1 = {  # as they are once converted
    "1_8B": _shape(2048, 24, 16, 16, 5504, **UNTIED),
    "7B": _shape(4096, 32, 32, 32, 11008, **UNTIED),
}
WEIGHTS = {
    "0.5B": 494_032_768,
    "1.5B": 1_543_714_304,
    "3B": 3_085_938_688,
    "7B": 7_615_616_512,
    "0.6B": 596_049_920,
    "1.7B": 1_720_574_976,
    "4B": 4_022_468_096,
    "8B": 8_190_735_360,
}
"""Weights of each size; every one is stored in two bytes."""


def _entry(name: str, title: str, size: str, shape: Mapping[str, Any], licence: str = APACHE) -> Entry:
    return Entry(name, title, (), 2 * WEIGHTS[size], "", f"Qwen/{title}", ("en", "zh"), licence, shape)


def _qwen1(name: str, size: str, weights: int, licence: str) -> Entry:
    title = f"Qwen-{size}-Chat"
    return Entry(name, title, (), 2 * weights, "", f"Qwen/{title}", ("en", "zh"), licence, QWEN1[size])


FAMILY: tuple[Entry, ...] = (
    *(
        _entry(f"qwen2.5-{size.lower()}", f"Qwen2.5-{size}-Instruct", size, shape, RESEARCH if size == "3B" else APACHE)
        for size, shape in QWEN25.items()
    ),
    *(
        _entry(
            f"qwen2.5-coder-{size.lower()}",
            f"Qwen2.5-Coder-{size}-Instruct",
            size,
            shape,
            RESEARCH if size == "3B" else APACHE,
        )
        for size, shape in QWEN25.items()
        if size != "0.5B"  # ships with the lab
    ),
    *(_entry(f"qwen3-{size.lower()}", f"Qwen3-{size}", size, shape) for size, shape in QWEN3.items()),
    _entry("qwen3-4b-2507", "Qwen3-4B-Instruct-2507", "4B", QWEN3["4B"]),
    _qwen1("qwen-1.8b", "1_8B", 1_836_828_672, "Tongyi Qianwen Research (not for commercial use)"),
    _qwen1("qwen-7b", "7B", 7_721_324_544, "Tongyi Qianwen"),
)
