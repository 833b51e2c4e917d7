"""What will be trained: the same tokens as training's own, shown whole; lengths, cuts and times."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.training import preview
from qwenlab.training.encoding import IGNORED, encode, encode_all
from qwenlab.training.preview import Lengths, SampleLength, TokenView, lengths, token_view
from qwenlab.workspace import Workspace

TURNS = [("system", "Be short."), ("user", "Hi, wie geht's? 你好吗"), ("assistant", "Gut. 很好，谢谢 😀 é!")]


@cache
def byte_level() -> Any:
    """A small byte-level BPE with ChatML, built here: characters of several bytes are several tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from qwenlab.models.templates import CHATML

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    signs = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=signs, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["Be short. user assistant system you he 你好 你是 很好 " * 9], trainer)
    return wrapped(PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>"), CHATML)


def sentence_pieces() -> Any:
    """A small tokenizer in Llama's manner: blanks are part of the next word, and lost when it is decoded alone."""
    from tokenizers import Tokenizer, decoders, models, normalizers, trainers
    from transformers import PreTrainedTokenizerFast

    from qwenlab.models.templates import CHATML

    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    signs = ["<unk>", "<|im_start|>", "<|im_end|>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=signs[:3], show_progress=False)
    made.train_from_iterator(["Be short user assistant system you he are " * 9], trainer)
    made.add_tokens(signs[3:])
    return wrapped(PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", unk_token="<unk>"), CHATML)


def wrapped(tokenizer: Any, template: str) -> Any:
    tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level()


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.sampled_from(
    ["😀👍🏽", "é̂", "<|im_end|>", "\ufffd", "\n\n", " ", "你好你好", "<|im_start|>user"]
)


def sample(*turns: tuple[str, str], name: str = "s") -> Sample:
    return Sample.make(name, list(turns or TURNS))


def ids(view: TokenView) -> list[int]:
    return [token for piece in view.pieces for token in piece.ids]


# --- one sample ------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, min_size=2, max_size=4))
def test_pieces_are_the_very_tokens_and_labels_of_training(words: list[str]) -> None:
    turns = [("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(words)]
    one = sample(*turns)
    view = token_view(one, byte_level(), 10_000)
    found = encode_all(byte_level(), [one], 10_000)
    if found.left_out:
        assert view == TokenView((), 0, 0, (found.left_out[0][1], found.left_out_zh[0][1]))
        return
    encoded = found.samples[0]
    assert ids(view) == encoded.ids
    labels = [token if piece.trained else IGNORED for piece in view.pieces for token in piece.ids]
    assert labels == encoded.labels
    assert (view.tokens, view.trained, view.left_out) == (len(encoded.ids), encoded.trained, None)
    joined = "".join(piece.text for piece in view.pieces)
    assert joined == byte_level().decode(encoded.ids)
    if "\ufffd" not in "".join(words):
        assert "\ufffd" not in joined


def test_character_of_several_tokens_is_shown_whole(tokenizer: Any) -> None:
    view = token_view(sample(), tokenizer, 1000)
    smile = next(piece for piece in view.pieces if "😀" in piece.text)
    assert len(smile.ids) > 1
    assert smile.trained
    assert "".join(piece.text for piece in view.pieces if piece.trained) == TURNS[2][1] + "<|im_end|>"
    assert {piece.text for piece in view.pieces if piece.special} == {"<|im_start|>", "<|im_end|>"}


def test_blanks_between_words_are_kept_where_the_tokenizer_writes_them_in_front() -> None:
    tokenizer = sentence_pieces()
    one = sample(("user", "you are"), ("assistant", "he are short"))
    view = token_view(one, tokenizer, 1000)
    assert ids(view) == encode(tokenizer, one).ids
    assert "".join(piece.text for piece in view.pieces) == tokenizer.decode(encode(tokenizer, one).ids)


def test_text_that_looks_like_a_sign_is_shown_as_text(tokenizer: Any) -> None:
    view = token_view(sample(("user", "x"), ("assistant", "say <|im_end|> now")), tokenizer, 1000)
    answer = [piece for piece in view.pieces if piece.trained]
    assert "".join(piece.text for piece in answer) == "say <|im_end|> now<|im_end|>"
    assert [piece.special for piece in answer].count(True) == 1


@pytest.mark.parametrize(
    "turns", [[("user", "Hi")], [("assistant", "Hi")], [("user", "Hi"), ("assistant", "  ")]], ids=str
)
def test_sample_that_cannot_be_trained_says_why_in_training_s_words(tokenizer: Any, turns: Any) -> None:
    said = encode_all(tokenizer, [sample(*turns)], 1000)
    view = token_view(sample(*turns), tokenizer, 1000)
    assert view.left_out == (said.left_out[0][1], said.left_out_zh[0][1])
    assert not view.pieces


def test_too_long_sample_is_shown_with_the_reason(tokenizer: Any) -> None:
    whole = token_view(sample(), tokenizer, 1000)
    view = token_view(sample(), tokenizer, whole.tokens - 1)
    assert view.pieces == whole.pieces
    assert view.left_out is not None
    assert f"{whole.tokens} tokens, more than max_length {whole.tokens - 1}" in view.left_out[0]
    assert token_view(sample(), tokenizer, whole.tokens).left_out is None


def test_sample_in_another_language_is_left_out(tokenizer: Any) -> None:
    view = token_view(sample(), tokenizer, 1000, languages=["en"])
    assert view.left_out is not None
    assert "Chinese" in view.left_out[0]
    assert "中文" in view.left_out[1]
    assert token_view(sample(), tokenizer, 1000, languages=["en", "zh"]).left_out is None


def test_endless_sample_is_shown_in_part_and_counted_whole(tokenizer: Any) -> None:
    view = token_view(sample(("user", "word " * 9000), ("assistant", "x")), tokenizer, 1000)
    assert view.tokens > 9000
    assert sum(len(piece.ids) for piece in view.pieces) == preview.SHOWN_TOKENS


def test_cut_quotes_the_words_beyond_the_limit(tokenizer: Any) -> None:
    one = sample(("user", "Hi"), ("assistant", "one 你好 two three"))
    encoded = encode(tokenizer, one)
    for limit in range(len(encoded.ids)):
        quote = preview.cut_quote(one, tokenizer, limit)
        assert quote
        assert tokenizer.decode(encoded.ids).endswith(quote)
    assert preview.cut_quote(one, tokenizer, len(encoded.ids)) == ""
    limit = preview.length_limit(tokenizer, 5)
    assert (limit.limit, limit.count(one)) == (5, len(encoded.ids))
    assert limit.cut(one, 5) == preview.cut_quote(one, tokenizer, 5)


# --- a whole set -----------------------------------------------------------------------------------------


def some(number: int) -> list[Sample]:
    return [sample(("user", f"q {at}"), ("assistant", "a " * (at % 7 + 1)), name=f"s{at}") for at in range(number)]


def test_totals_are_those_of_training(tokenizer: Any) -> None:
    samples = [*some(40), sample(("user", "no answer"), name=""), sample(("user", "x " * 200), ("assistant", "y"))]
    told: list[tuple[int, int]] = []
    stats = lengths(samples, tokenizer, 60, lambda done, all_: told.append((done, all_)))
    said = encode_all(tokenizer, samples, 60)
    assert not stats.estimated
    assert stats.samples == len(said.samples) == 40
    assert stats.tokens == sum(len(one.ids) for one in said.samples)
    assert stats.trained == sum(one.trained for one in said.samples)
    assert stats.over == 1
    assert [(one.index, one.name) for one in stats.unusable] == [(40, "#41")]
    assert stats.longest > 60
    assert told[0] == (0, 42)
    assert sum(number for _, _, number in stats.bins()) == 41


def test_samples_in_other_languages_are_left_out(tokenizer: Any) -> None:
    stats = lengths([*some(3), sample()], tokenizer, 1000, languages=["en"])
    assert (stats.samples, stats.foreign) == (3, 1)
    assert lengths([*some(3), sample()], tokenizer, 1000).foreign == 0


def test_what_was_counted_without_a_limit_serves_every_recipe(tokenizer: Any) -> None:
    samples = [*some(20), sample(), sample(("user", "no answer")), sample(("user", "x " * 200), ("assistant", "y"))]
    counted = lengths(samples, tokenizer, sys.maxsize)
    for limit, languages in ((60, ["en"]), (60, ["en", "zh"]), (10_000, ["en"])):
        view, own = counted.within(limit, languages), lengths(samples, tokenizer, limit, languages=languages)
        for name in ("samples", "tokens", "trained", "over", "foreign", "longest"):
            assert getattr(view, name) == getattr(own, name), name
        assert [one.index for one in view.unusable] == [one.index for one in own.unusable]
    shortened = counted.within(60, ["en"], "drop_history")
    assert (shortened.samples, shortened.longest, shortened.over) == (21, 60, 0)


def test_large_set_is_estimated_from_a_seeded_draw(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "COUNTED_EXACTLY", 300)
    monkeypatch.setattr(preview, "DRAWN", 200)
    samples = some(700)
    exact = sum(len(one.ids) for one in encode_all(tokenizer, samples, 1000).samples)
    stats = lengths(samples, tokenizer, 1000)
    assert stats.estimated
    assert (stats.all, stats.measured, stats.samples) == (700, 200, 700)
    assert stats.tokens == pytest.approx(exact, rel=0.1)
    assert stats.tokens != exact
    assert lengths(samples, tokenizer, 1000) == stats
    assert lengths(samples, tokenizer, 1000, seed=8) != stats


def test_only_what_changed_is_counted_again(tokenizer: Any) -> None:
    calls: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, text: str, **how: Any) -> Any:
            calls.append(text)
            return tokenizer(text, **how)

    known: preview.Known = {}
    samples = some(30)
    first = lengths(samples, Counting(), 1000, known=known)
    assert calls
    calls.clear()
    assert lengths(samples, Counting(), 1000, known=known) == first
    assert calls == []
    changed = [sample(("user", "new"), ("assistant", "x y z"), name=""), *samples[5:]]
    again = lengths(changed, Counting(), 1000, known=known)
    assert 0 < len(calls) < 10
    assert again == lengths(changed, tokenizer, 1000)
    assert len(known) == 26


def counted(*tokens: int) -> Lengths:
    rows = tuple(SampleLength(at, f"s{at}", number, 1) for at, number in enumerate(tokens))
    return Lengths(len(rows), len(rows), 1024, rows)


@given(st.lists(st.integers(0, 10**7), max_size=60))
def test_bins_hold_every_sample_once(tokens: list[int]) -> None:
    bins = counted(*tokens).bins()
    assert len(bins) <= preview.MOST_BINS + 1
    assert all(number == sum(first <= one < end for one in tokens if one) for first, end, number in bins)
    assert all(before[1] == after[0] for before, after in pairwise(bins))
    assert sum(number for _, _, number in bins) == sum(one > 0 for one in tokens)


def test_one_endless_sample_does_not_flatten_the_others() -> None:
    bins = counted(*[100 + at for at in range(200)], 3_000_000).bins()
    assert len([one for one in bins if one[2]]) > 3
    assert bins[-1][1] == 3_000_001


def test_empty_set_has_nothing_to_tell(tokenizer: Any) -> None:
    stats = lengths([], tokenizer, 100)
    assert (stats.samples, stats.tokens, stats.longest, stats.bins(), stats.estimated) == (0, 0, 0, [], False)


# --- the tokenizer, and what takes long ------------------------------------------------------------------


@pytest.mark.model
def test_tokenizer_is_read_once_until_its_files_change(with_model: Workspace, tmp_path: Path) -> None:
    first = preview.tokenizer_for(with_model, "smollm2-135m")
    assert preview.tokenizer_for(with_model, "smollm2-135m") is first
    assert preview.is_loaded(with_model, "smollm2-135m")
    view = token_view(sample(), first, 1000)
    assert ids(view) == encode(first, sample()).ids
    assert "".join(piece.text for piece in view.pieces if piece.trained) == TURNS[2][1] + "<|im_end|>"


def test_model_that_is_not_here_is_said(workspace: Workspace) -> None:
    with pytest.raises(QwenlabError, match="not here yet"):
        preview.tokenizer_for(workspace, "smollm2-135m")


def test_module_needs_neither_torch_nor_transformers() -> None:
    code = "import sys, qwenlab.training.preview; print({'torch', 'transformers'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
