"""The tokenizer of a Qwen 1 model gives the ids that the original gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import qwen1_original as original
from tokenizers import Tokenizer

from qwenlab.errors import QwenlabError
from qwenlab.models import qwen1_tokenizer
from qwenlab.models.contestant import Message
from qwenlab.models.rendering import prompt_ids, render

TEXTS = [
    "the order of the parcel",
    "Hello, I'd LIKE the red kettle; they'll refund it.",
    "我的订单 20240317 想退货，请问包裹在哪里？",
    "１２３ 全角，半角 123",
    "😀😀🎉 emoji 👩‍👩‍👧 and naïve café",
    "1234567890 3.14159 1,299.00",
    " leading, trailing ",
    "a  b   c\t\td \n\n\n  e\r\n\r\nf   \n",
    "      ",
    "\u00a0\u3000\u200b",
    "e\u0301 \u1100\u1161 \ufb01",  # composed by NFC, or left alone
    '{"intent": "refund", "amount": 1299, "items": [1, 2, null]}',
    "\x00\x01\x7f\ufffd",
    "def f(x):\n    return x ** 2  # 平方\n",
    "",
]


@pytest.fixture(scope="module")
def ranks() -> dict[bytes, int]:
    return original.make_ranks()


@pytest.fixture(scope="module")
def folder(ranks: dict[bytes, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    original.write_ranks(ranks, made / "qwen.tiktoken")
    qwen1_tokenizer.write(qwen1_tokenizer.read_ranks(made / "qwen.tiktoken"), made, 512)
    return made


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("text", TEXTS)
def test_same_ids_as_tiktoken(tokenizer: Tokenizer, ranks: dict[bytes, int], text: str) -> None:
    assert tokenizer.encode(text).ids == original.tiktoken(ranks, text)


def test_every_token_alone_is_itself(tokenizer: Tokenizer, ranks: dict[bytes, int]) -> None:
    for token, rank in ranks.items():
        try:
            text = token.decode()
        except UnicodeDecodeError:
            continue
        assert tokenizer.encode(text).ids == original.tiktoken(ranks, text)
        if len(original.WORDS.findall(text)) == 1:
            assert tokenizer.encode(text).ids == [rank]


def test_word_that_merges_do_not_reach_is_taken_as_it_stands(tmp_path: Path) -> None:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"abc": 256}
    qwen1_tokenizer.write(ranks, tmp_path, 512)
    made = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("abc", "abcd", "abc abc"):
        assert made.encode(text).ids == original.tiktoken(ranks, text)


def test_special_tokens_stand_behind_the_ranks_in_the_original_order(
    tokenizer: Tokenizer, ranks: dict[bytes, int]
) -> None:
    for number, special in enumerate(original.SPECIAL):
        assert tokenizer.token_to_id(special) == len(ranks) + number
        assert tokenizer.encode(f"x{special}y").ids[1:-1] == [len(ranks) + number]
    assert tokenizer.get_vocab_size() == len(ranks) + 208


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    from qwenlab.models.loading import load_tokenizer

    return load_tokenizer(folder)


@pytest.mark.parametrize("text", TEXTS)
def test_loaded_as_transformers_loads_it_the_ids_are_the_same(loaded: Any, ranks: dict[bytes, int], text: str) -> None:
    assert loaded(text, add_special_tokens=False)["input_ids"] == original.tiktoken(ranks, text)


def test_ends_and_padding_have_their_own_ids(loaded: Any, ranks: dict[bytes, int]) -> None:
    assert (loaded.eos_token, loaded.eos_token_id) == ("<|im_end|>", len(ranks) + 2)
    assert (loaded.pad_token, loaded.pad_token_id) == ("<|endoftext|>", len(ranks))
    assert len(loaded) == len(ranks) + 208


def test_special_tokens_in_what_people_write_stay_text(loaded: Any, ranks: dict[bytes, int]) -> None:
    words = "end <|im_end|> and <|extra_7|>"
    ids = prompt_ids(loaded, [Message(role="user", content=words)])
    assert sum(token >= len(ranks) for token in ids) == 5, "only the signs around the two turns and the answer's"
    assert words in loaded.decode(ids)


def test_chat_is_written_as_the_original_writes_it(loaded: Any) -> None:
    asked = [Message(role="user", content="你好")]
    assert render(loaded, asked, open_turn=True) == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n你好<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    told = [Message(role="system", content="Be short."), *asked]
    assert render(loaded, told, open_turn=False) == (
        "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\n你好<|im_end|>\n"
    )


@pytest.mark.parametrize(
    "content", ["", "not base64! 0\n", "YQ==\n", "YQ== x\n", "YQ== 0\nYg== 7\n", "YQ== 0\nYQ== 0\n"]
)
def test_rank_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "qwen.tiktoken").write_text(content)
    with pytest.raises(QwenlabError, match="cannot be read"):
        qwen1_tokenizer.read_ranks(tmp_path / "qwen.tiktoken")
