"""Packed rows: every label is foretold from its own sample's tokens, and losses are those of samples alone."""

from __future__ import annotations

import sys
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenlab.errors import QwenlabError
from qwenlab.training import packing
from qwenlab.training.encoding import IGNORED, Encoded
from qwenlab.training.packing import Layout, Segment, pack


def sample(ids: list[int], first_label: int) -> Encoded:
    """A sample that trains everything from a place on."""
    return Encoded(ids, [IGNORED] * first_label + ids[first_label:])


def test_shared_beginning_stands_once() -> None:
    packed = pack([sample([1, 2, 3, 7, 8], 3), sample([1, 2, 3, 9], 3)])
    assert packed["input_ids"].tolist() == [[1, 2, 3, 7, 8, 9]]
    assert packed["position_ids"].tolist() == [[0, 1, 2, 3, 4, 3]]
    assert packed["layout"] == Layout((Segment(3), Segment(2, 0), Segment(1, 0)))
    assert packed["wanted"].tolist() == [2, 3, 2], "the shared third token foretells both 7 and 9"
    assert packed["shift_labels"].tolist() == [7, 8, 9]


def test_two_instructions_make_two_families() -> None:
    chinese, english = [1, 2, 3, 4], [1, 6, 7, 8]
    packed = pack([sample([*start, end], 4) for end in (10, 11, 12) for start in (chinese, english)])
    assert packed["layout"].sizes == [4, 1, 1, 1, 4, 1, 1, 1]


def test_sample_alone_is_one_segment() -> None:
    packed = pack([sample([1, 2, 3], 1)])
    assert packed["layout"] == Layout((Segment(3),))
    assert packed["wanted"].tolist() == [0, 1]


def test_first_token_is_never_trained() -> None:
    assert pack([sample([5, 6], 0)])["shift_labels"].tolist() == [6]


def test_nothing_to_train_packs_too() -> None:
    packed = pack([Encoded([0], [IGNORED])])
    assert packed["input_ids"].tolist() == [[0]]
    assert packed["wanted"].tolist() == []


tokens = st.lists(st.integers(1, 3), min_size=1, max_size=9)
samples = st.lists(st.builds(sample, tokens, st.integers(0, 9)), min_size=1, max_size=6)


@given(samples)
def test_each_label_is_foretold_from_its_own_sample(given_samples: list[Encoded]) -> None:
    packed = pack(given_samples)
    ids, places = packed["input_ids"][0], packed["position_ids"][0]
    sees = packing._sees(packed["layout"], "cpu")
    found = Counter()
    for at, label in zip(packed["wanted"].tolist(), packed["shift_labels"].tolist(), strict=True):
        seen = sees[at].nonzero().squeeze(-1)
        assert places[seen].tolist() == list(range(len(seen))), "each place of the sample once, none of another"
        found[tuple(ids[seen].tolist()), label] += 1
    expected = Counter(
        (tuple(one.ids[:at]), label)
        for one in given_samples
        for at, label in enumerate(one.labels)
        if at and label != IGNORED
    )
    assert found == expected
    assert len(ids) <= sum(len(one.ids) for one in given_samples)


# --- the model's side ------------------------------------------------------------------------------------


def tiny(family: str) -> Any:
    """A random model of a family, four query heads on two key heads, in float32."""
    import torch
    import transformers

    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(
        family,
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        tie_word_embeddings=True,
        pad_token_id=0,
        eos_token_id=1,
    )
    return transformers.AutoModelForCausalLM.from_config(config).train()


def summed_loss(model: Any, batch: list[Encoded]) -> float:
    """As the trainer computes it; leaves the gradients."""
    import torch

    packed = pack(batch)
    wanted, targets = packed.pop("wanted"), packed.pop("shift_labels")
    del packed["labels"]
    logits = model(**packed, logits_to_keep=wanted, use_cache=False).logits[0]
    loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    loss.backward()
    return float(loss.detach())


def alone(model: Any, batch: list[Encoded]) -> float:
    """The same by transformers' own attention and loss, one sample after the other."""
    import torch

    total = 0.0
    for one in batch:
        labels = torch.tensor([one.labels])
        count = (labels[:, 1:] != IGNORED).sum()
        loss = model(input_ids=torch.tensor([one.ids]), labels=labels, use_cache=False).loss * count
        loss.backward()
        total += float(loss.detach())
    return total


@pytest.fixture
def flash_attn(monkeypatch: pytest.MonkeyPatch) -> None:
    """flash-attn's documented varlen function, computed by torch: without a GPU it cannot be installed."""
    import torch

    def flash_attn_varlen_func(
        q: Any, k: Any, v: Any, cu_seqlens_q: Any, cu_seqlens_k: Any, max_seqlen_q: int, max_seqlen_k: int, **how: Any
    ) -> Any:
        assert how["causal"]
        assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
        found = []
        for at in range(len(cu_seqlens_q) - 1):
            mine, seen = slice(*cu_seqlens_q[at : at + 2].tolist()), slice(*cu_seqlens_k[at : at + 2].tolist())
            query, key, value = (states.transpose(0, 1) for states in (q[mine], k[seen], v[seen]))
            queries, keys = query.shape[1], key.shape[1]
            assert queries <= max_seqlen_q
            assert keys <= max_seqlen_k
            lined_up = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)  # at the lower right
            found.append(
                torch.nn.functional.scaled_dot_product_attention(
                    *(query, key, value, lined_up), scale=how["softmax_scale"], enable_gqa=True
                ).transpose(0, 1)
            )
        return torch.cat(found)

    tiny("llama")  # transformers looks for packages when it first makes a model: it must not find this one
    package = ModuleType("flash_attn")
    package.flash_attn_varlen_func = flash_attn_varlen_func  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", package)


def prepare(model: Any, kernel: packing.Kernel) -> None:
    from functools import partial

    from transformers import AttentionInterface

    packing.prepare(model)
    AttentionInterface.register(packing.ATTENTION, partial(packing.attend, kernel))


INSTRUCTIONS = list(range(2, 22))
BATCH = [
    sample([*INSTRUCTIONS, 30, 31, 32, 33, 1], 22),
    sample([*INSTRUCTIONS, 34, 35, 1], 20),
    sample([*INSTRUCTIONS[:3], 36, 37, 38, 1], 5),
    sample([39, 38, 37, 1], 1),
]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("kernel", [packing.in_products, packing.under_a_mask, packing.with_flash_attn])
@pytest.mark.usefixtures("flash_attn")
def test_losses_and_gradients_are_those_of_samples_alone(family: str, kernel: packing.Kernel) -> None:
    import torch

    model = tiny(family)
    expected = alone(model, BATCH)
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    prepare(model, kernel)
    assert summed_loss(model, BATCH) == pytest.approx(expected, rel=1e-5)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], rtol=1e-4, atol=1e-5)


def test_sample_longer_than_a_block_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK", 3)
    import torch

    model = tiny("qwen2")
    expected = alone(model, BATCH)
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    prepare(model, packing.in_products)
    assert summed_loss(model, BATCH) == pytest.approx(expected, rel=1e-5)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], rtol=1e-4, atol=1e-5)


def test_activation_checkpointing_gives_the_same() -> None:
    model = tiny("llama")
    expected = alone(model, BATCH)
    model.zero_grad()
    packing.prepare(model)
    model.activation_checkpointing_enable({"use_reentrant": False})
    assert summed_loss(model, BATCH) == pytest.approx(expected, rel=1e-5)


def test_model_that_trains_still_answers_as_before() -> None:
    import torch

    model = tiny("qwen2").eval()
    ids = torch.tensor([[0, 0, 5, 6, 7], [2, 3, 4, 5, 6]])
    asked = {"input_ids": ids, "attention_mask": (ids != 0).long(), "max_new_tokens": 8, "do_sample": False}
    before = model.generate(**asked)
    packing.prepare(model)
    assert model.generate(**asked).tolist() == before.tolist()


def test_sample_beyond_the_models_window_is_refused() -> None:
    import torch

    states = torch.zeros(1, 2, 5, 4)
    layout = Layout((Segment(3), Segment(2, 0)))
    with pytest.raises(QwenlabError, match="4 tokens at most, and a sample has 5"):
        packing.attend(packing.in_products, None, states, states, states, None, 1.0, layout=layout, sliding_window=4)
