"""Our own pass through a model says what transformers and PEFT say, in every family and with every kind of adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from qwenlab.chat.forward import Forward, States
from qwenlab.models.loading import BASE, LoadedModel

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-3": (
        "Llama",
        {
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
    ),
    "qwen2": ("Qwen2", {"tie_word_embeddings": True}),
    "qwen2, which forgets": ("Qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {"head_dim": 16}),
}
IDS = [[0, 0, 0, 5, 6, 7, 8, 9, 10, 11, 12, 13], [21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32]]
GAPS = [[0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1], [1] * 12]


def small(family: str = "qwen3") -> Any:
    """A model of random numbers in float32, none of them zero."""
    import torch
    import transformers

    name, special = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SIZES | special)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model


def scores(model: Any) -> Any:
    """What transformers computes for the last token."""
    import torch

    ids, valid = torch.tensor(IDS), torch.tensor(GAPS)
    with torch.inference_mode():
        places = (valid.cumsum(-1) - 1).clamp(min=0)
        return model(input_ids=ids, attention_mask=valid, position_ids=places).logits[:, -1]


def read(loaded: LoadedModel, names: Sequence[str], cuts: Sequence[int]) -> Any:
    """What we compute, with the tokens read in pieces that begin at `cuts`."""
    import torch

    from qwenlab.chat.decoding import _speaking

    ids, valid, states = torch.tensor(IDS), torch.tensor(GAPS), States()
    with torch.inference_mode(), _speaking(loaded, names):
        forward = Forward(loaded, names)
        for start, end in zip(cuts, [*cuts[1:], len(IDS[0])], strict=True):
            found = forward(ids[:, start:end], valid[:, :end], states, lambda: None)
    return found


@pytest.mark.parametrize("packs", [False, True], ids=["as loaded", "packed"])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_transformers_whatever_is_read_at_once(family: str, packs: bool) -> None:
    import torch

    from qwenlab.models.packed import pack

    model = small(family)
    expected = scores(model)
    assert expected.std() > 0.2, "otherwise this test shows nothing"
    if packs:
        pack(model)
    loaded = LoadedModel(Path("small"), None, model)
    for cuts in ([0], [0, 4, 9], range(12)):
        torch.testing.assert_close(read(loaded, [BASE, BASE], cuts), expected, rtol=1e-4, atol=1e-4)


def test_row_alone_says_what_it_says_beside_others_after_a_shared_beginning() -> None:
    import torch

    loaded = LoadedModel(Path("small"), None, small())
    ids = torch.tensor(IDS[1:])
    ones = torch.ones_like(ids)
    with torch.inference_mode():
        alone = Forward(loaded, [BASE])(ids, ones, States(), lambda: None)
        forward, begun = Forward(loaded, [BASE] * 3), States()
        forward(ids[:, :5], ones[:, :5], begun, lambda: None)
        for _ in range(2):  # the beginning is left as it was
            states = begun.fork(3)
            later = forward(ids[:, 5:].expand(3, -1), ones.expand(3, -1), states, lambda: None)
            torch.testing.assert_close(later, alone.expand(3, -1))
        states.keep(torch.tensor([2]))
        forward.keep([2])
        more = torch.tensor([[33]])
        longer = forward(more, torch.ones(1, 13, dtype=torch.long), states, lambda: None)
        whole = torch.cat((ids, more), 1)
        torch.testing.assert_close(longer, forward(whole, torch.ones_like(whole), States(), lambda: None))


def adapter(folder: Path, **config: Any) -> Path:
    """A strong adapter of random numbers for the small model."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(len(str(config)))
    made = get_peft_model(small(), LoraConfig(**{"target_modules": "all-linear", "task_type": "CAUSAL_LM"} | config))
    for name, weight in made.named_parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, mean=1.0 if "magnitude" in name else 0.0, std=0.3)
    made.save_pretrained(folder, save_embedding_layers=False)
    return folder


def alone_by_peft(folder: Path) -> Any:
    """What PEFT computes with one adapter on a model of its own."""
    from peft import PeftModel

    return scores(PeftModel.from_pretrained(small(), folder))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The small model as a folder."""
    small().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("packs", [False, True], ids=["as loaded", "packed"])
def test_rows_with_all_sorts_of_adapters_say_what_peft_says_of_each_alone(
    base: Path, tmp_path: Path, packs: bool
) -> None:
    import torch

    from qwenlab.models.packed import pack

    folders = [
        adapter(tmp_path / "wide", r=8, lora_alpha=4),
        adapter(tmp_path / "rslora", r=4, lora_alpha=16, use_rslora=True, lora_dropout=0.5),
        adapter(tmp_path / "few", r=2, target_modules=["k_proj", "up_proj", "lm_head"], alpha_pattern={"k_proj": 3}),
    ]
    loaded = LoadedModel(base, None, small())
    if packs:
        pack(loaded.model)
    untouched = scores(small())
    names = [loaded.attach(folder) for folder in folders]
    assert all(loaded.mixes(name) for name in names)
    expected = dict(zip([BASE, *names], [untouched, *map(alone_by_peft, folders)], strict=True))
    pairs = [(BASE, BASE), *((name, name) for name in names), (BASE, names[0]), (names[1], names[2])]
    for pair in pairs:
        found = read(loaded, pair, [0, 5, 11])
        for row, name in enumerate(pair):
            torch.testing.assert_close(found[row], expected[name][row], rtol=1e-3, atol=1e-3)


def test_rows_that_stay_keep_their_own_adapter_when_others_leave(base: Path, tmp_path: Path) -> None:
    import torch

    from qwenlab.chat.decoding import _speaking

    loaded = LoadedModel(base, None, small())
    one, two = loaded.attach(adapter(tmp_path / "one", r=2)), loaded.attach(adapter(tmp_path / "two", r=4))
    ids = torch.tensor(IDS[1:]).expand(4, -1)
    names = [one, BASE, two, BASE]
    with torch.inference_mode(), _speaking(loaded, names):
        forward = Forward(loaded, names)
        scores = forward(ids, torch.ones_like(ids), States(), lambda: None)
        for rows, left in (([0, 2, 3], [0, 2, 3]), ([1, 2], [2, 3]), ([1], [3])):
            forward.keep(rows)
            found = forward(ids[left], torch.ones_like(ids[left]), States(), lambda: None)
            torch.testing.assert_close(found, scores[left])
        forward = Forward(loaded, names)
        forward.keep([2])
        torch.testing.assert_close(forward(ids[:1], torch.ones_like(ids[:1]), States(), lambda: None), scores[2:3])
    assert (scores[0] - scores[2]).abs().max() > 0.5, "otherwise this test shows nothing"


Make = Callable[[Path], Path]
SPECIAL: dict[str, Make] = {
    "dora": lambda folder: adapter(folder, r=4, use_dora=True),
    "its own output matrix": lambda folder: adapter(folder, r=4, modules_to_save=["lm_head"]),
    "its own embeddings": lambda folder: adapter(folder, r=4, target_modules=["embed_tokens", "q_proj"]),
}


@pytest.mark.parametrize("packs", [False, True], ids=["as loaded", "packed"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_adapter_that_is_more_than_lora_is_computed_by_peft(base: Path, tmp_path: Path, kind: str, packs: bool) -> None:
    import torch

    from qwenlab.models.packed import pack

    folder, plain = SPECIAL[kind](tmp_path / "special"), adapter(tmp_path / "plain", r=4)
    loaded = LoadedModel(base, None, small())
    if packs:
        pack(loaded.model)
    special, other = loaded.attach(folder), loaded.attach(plain)
    assert not loaded.mixes(special)
    close = {"rtol": 1e-3, "atol": 1e-3}
    for _ in range(2):  # in turn
        torch.testing.assert_close(read(loaded, [special] * 2, [0, 11]), alone_by_peft(folder), **close)
        torch.testing.assert_close(read(loaded, [BASE] * 2, [0, 11]), scores(small()), **close)
        torch.testing.assert_close(read(loaded, [other] * 2, [0, 11]), alone_by_peft(plain), **close)


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
def test_model_in_training_answers_with_its_live_adapter(autocast: bool) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(small(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found, expected = read(LoadedModel(Path("small"), None, model), [BASE] * 2, [0, 5, 11]), scores(model)
    far = (found - scores(small())).abs().max()
    assert (found - expected.float()).abs().max() < (0.1 if autocast else 0.001) * far


def test_packed_model_counts_the_same_memory_and_gives_its_weights_back() -> None:
    import torch

    from qwenlab.models.packed import pack

    model = small("llama")
    kept = {name: weight.clone() for name, weight in model.named_parameters() if "proj" in name}
    before = LoadedModel(Path("small"), None, model).bytes
    pack(model)
    assert LoadedModel(Path("small"), None, model).bytes == before
    for name, weight in kept.items():
        path, _, kind = name.rpartition(".")
        torch.testing.assert_close(getattr(model.get_submodule(path), kind), weight, rtol=0, atol=0)
