"""The tokenizer of a Hugging Face folder, written into a GGUF file so that llama.cpp cuts text the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gguf import GGUFWriter, SpecialVocab, TokenType

from qwenlab import files
from qwenlab.errors import QwenlabError

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|"

PRE_TOKENIZERS: dict[tuple[str, ...], str] = {
    ("split " + _WORDS + r"\p{N}" + _TAIL, "bytes"): "qwen2",
    ("split " + _WORDS + r"\p{N}{1,3}" + _TAIL, "bytes"): "llama-bpe",
    ("digits", "words as bytes"): "smollm",
    ("words as bytes",): "gpt-2",
}
"""Steps of tokenizer.json's pre_tokenizer (as `_steps` names them) -> llama.cpp's name for the same cutting."""


def add_tokenizer(writer: GGUFWriter, folder: Path, vocab_size: int) -> None:
    """Write tokens, merges, special tokens and the chat template of `folder` into `writer`.

    `vocab_size` is the number of rows of the embedding, which may exceed the tokens; the rest is padding.

    Raises:
        QwenlabError: when llama.cpp would cut text differently, or tokens do not fit the embedding.
    """
    tokenizer = files.read_json(folder / "tokenizer.json")
    writer.add_tokenizer_model("gpt2")  # GGUF's name for byte-level BPE
    writer.add_tokenizer_pre(pre_tokenizer(tokenizer, folder))
    texts, kinds = _tokens(tokenizer, folder, vocab_size)
    writer.add_token_list(texts)
    writer.add_token_types(kinds)
    special = SpecialVocab(folder, load_merges=True, n_vocab=vocab_size)
    special.special_token_ids.update(_end_of_turn(folder))
    special.add_special_token.setdefault("bos", False)
    special.add_to_gguf(writer, quiet=True)


def pre_tokenizer(tokenizer: dict[str, Any], folder: Path) -> str:
    """llama.cpp's name of the rule that cuts text into words before the merges.

    Raises:
        QwenlabError: when the tokenizer is no byte-level BPE or its rule is unknown.
    """
    model = tokenizer.get("model", {})
    normalizer = tokenizer.get("normalizer")
    known = None
    # llama.cpp does not normalize; NFC, which Qwen declares, leaves nearly all text as it was typed.
    if (
        model.get("type") == "BPE"
        and not model.get("byte_fallback")
        and (normalizer or {}).get("type") in (None, "NFC")
    ):
        known = PRE_TOKENIZERS.get(_steps(tokenizer.get("pre_tokenizer")))
    if known is None:
        raise QwenlabError(
            f"The tokenizer in {folder} cuts text in a way that GGUF export does not know.",
            "Export this model as GPTQ or merged instead; GGUF covers Qwen 2/2.5/3, Llama 3 and SmolLM2.",
            zh=(
                f"GGUF 导出不认识 {folder} 中分词器的切分方式。",
                "请改为导出 GPTQ 或合并后的模型；GGUF 支持 Qwen 2/2.5/3、Llama 3 和 SmolLM2。",
            ),
        )
    return known


def _steps(rule: dict[str, Any] | None) -> tuple[str, ...]:
    """Name each step of a pre_tokenizer; an unknown one by its type, so that it matches nothing."""
    match rule:
        case {"type": "Sequence", "pretokenizers": list(parts)}:
            return tuple(step for part in parts for step in _steps(part))
        case {"type": "Split", "pattern": {"Regex": str(regex)}, "behavior": "Isolated", "invert": False}:
            return (f"split {regex}",)
        case {"type": "Digits", "individual_digits": True}:
            return ("digits",)
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": bool(words)}:
            return ("words as bytes" if words else "bytes",)
        case {"type": str(name)}:
            return (name,)
    return ()


def _tokens(tokenizer: dict[str, Any], folder: Path, vocab_size: int) -> tuple[list[str], list[TokenType]]:
    texts = [f"[PAD{i}]" for i in range(vocab_size)]
    kinds = [TokenType.UNUSED] * vocab_size
    placed = [(text, number, TokenType.NORMAL) for text, number in tokenizer["model"]["vocab"].items()]
    for added in tokenizer.get("added_tokens", []):
        kind = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
        placed.append((added["content"], added["id"], kind))
    for text, number, kind in placed:
        if number >= vocab_size:
            raise QwenlabError(
                f"The token {text!r} of {folder} has number {number}, but the model knows only {vocab_size} tokens.",
                "The tokenizer belongs to another model: put the right tokenizer.json beside the weights.",
                zh=(
                    f"{folder} 的 token {text!r} 编号为 {number}，但模型只有 {vocab_size} 个 token。",
                    "分词器属于另一个模型：请把正确的 tokenizer.json 放在权重旁边。",
                ),
            )
        if text != f"[PAD{number}]":  # a folder made from a GGUF file carries the padding as words
            texts[number], kinds[number] = text, kind
    return texts, kinds


def _end_of_turn(folder: Path) -> dict[str, int]:
    """The id that ends a reply as generation_config.json has it: the setting transformers obeys."""
    path = folder / "generation_config.json"
    ends = files.read_json(path).get("eos_token_id") if path.exists() else None
    if isinstance(ends, list):
        ends = ends[0] if ends else None
    return {} if ends is None else {"eos": ends}
