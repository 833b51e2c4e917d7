"""The rank file of a Qwen 1 model, qwen.tiktoken, becomes the tokenizer.json of a Qwen2 tokenizer with the same ids."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError

RANKS = "qwen.tiktoken"
END_OF_TEXT, TURN_BEGINS, TURN_ENDS = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END_OF_TEXT, TURN_BEGINS, TURN_ENDS, *(f"<|extra_{number}|>" for number in range(205)))
"""Their ids follow the last rank, in this order."""
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How the original cuts text into words before it merges bytes."""
SYSTEM = "You are a helpful assistant."
"""What the original puts before a conversation that has no system turn."""
TEMPLATE = (
    "{% if not messages or messages[0]['role'] != 'system' %}"
    f"{{{{ '<|im_start|>system\\n{SYSTEM}<|im_end|>\\n' }}}}"
    "{% endif %}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

Ranks = Mapping[bytes, int]


def read_ranks(path: Path) -> dict[bytes, int]:
    """Token -> rank, which is also its id.

    Raises:
        QwenlabError: when the file is missing or no such list, or the ranks have gaps.
    """
    text = files.read_text(path)
    found: dict[bytes, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        word, _, rank = line.partition(" ")
        try:
            found[base64.b64decode(word, validate=True)] = int(rank)
        except (binascii.Error, ValueError) as error:
            raise _broken(
                path, f"line {number} is not a token and its rank", f"第 {number} 行不是词元及其序号"
            ) from error
    if sorted(found.values()) != list(range(len(found))) or any(bytes([one]) not in found for one in range(256)):
        raise _broken(path, "its ranks have gaps, or single bytes lack", "序号不连续，或缺少单字节词元")
    return found


def merges(ranks: Ranks) -> list[tuple[bytes, bytes]]:
    """The pair that each token of several bytes is merged from, in the order of ranks.

    A token is reached by the merges of lower rank alone, in any text, so one pair for each is enough.
    """
    found = []
    for token, rank in sorted(ranks.items(), key=lambda one: one[1]):
        if len(token) > 1 and len(pair := _merged(token, ranks, rank)) == 2:
            found.append((pair[0], pair[1]))
    return found


def _merged(token: bytes, ranks: Ranks, below: int) -> list[bytes]:
    """What the bytes of a token become by merges of a rank below its own."""
    pieces = [token[at : at + 1] for at in range(len(token))]
    while len(pieces) > 2:
        rank, at = min((ranks.get(left + right, below), at) for at, (left, right) in enumerate(pairwise(pieces)))
        if rank >= below:
            break
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


def write(ranks: Ranks, folder: Path, context: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat template.

    Args:
        context: tokens that the model can hold.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    spelled_bytes = letters()

    def spelled(token: bytes) -> str:
        return "".join(spelled_bytes[one] for one in token)

    vocabulary = {spelled(token): rank for token, rank in ranks.items()}
    pairs = [(spelled(left), spelled(right)) for left, right in merges(ranks)]
    # tiktoken takes a word that is a token as it stands, whether or not merges lead there.
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # All at once and in this order: their ids are given as they come.
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    files.write_text(folder / "tokenizer.json", tokenizer.to_str())
    files.write_text(folder / "chat_template.jinja", TEMPLATE)
    files.write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "add_prefix_space": False,
            "bos_token": None,
            "clean_up_tokenization_spaces": False,
            "eos_token": TURN_ENDS,
            "errors": "replace",
            "extra_special_tokens": {},
            "model_max_length": context,
            "pad_token": END_OF_TEXT,
            "split_special_tokens": False,
            "unk_token": None,
        },
    )


def letters() -> list[str]:
    """The character that stands for each byte, as GPT-2 introduced them: printable ones for themselves."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def _broken(path: Path, why: str, why_zh: str) -> QwenlabError:
    return QwenlabError(
        f"{path} cannot be read: {why}.",
        "Copy it again from the original model.",
        zh=(f"无法读取 {path}：{why_zh}。", "请从原模型重新复制。"),
    )
