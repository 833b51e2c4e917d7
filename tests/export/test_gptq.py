"""GPTQ: which group size fits, what is refused without GPTQModel, and a real small model where it is installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.export.gptq import fitting_group_size, gptq_missing, quantize_gptq
from qwenlab.export.quantize import to_gptq
from tests.export.test_merge_variants import make_base

QWEN = {"hidden_size": 896, "intermediate_size": 4864, "num_attention_heads": 14, "num_hidden_layers": 24}
SMOLLM2 = {"hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_hidden_layers": 30}

needs_gptqmodel = pytest.mark.skipif(bool(gptq_missing()), reason=gptq_missing() or "GPTQModel is here")
without_gptqmodel = pytest.mark.skipif(not gptq_missing(), reason="GPTQModel is installed here")


@pytest.mark.parametrize(
    ("config", "want"),
    [
        (QWEN, 128),
        (SMOLLM2, 64),
        (SMOLLM2 | {"hidden_size": 288}, 32),
        (QWEN | {"head_dim": 48}, 32),  # attention output is 672 wide, though the hidden size is not
    ],
)
def test_biggest_fitting_group_size_is_taken(config: dict, want: int) -> None:
    assert fitting_group_size(config) == want


@pytest.mark.parametrize(("config", "wanted"), [(SMOLLM2, 128), (SMOLLM2 | {"hidden_size": 585}, None)])
def test_a_group_size_that_does_not_divide_is_refused(config: dict, wanted: int | None) -> None:
    with pytest.raises(QwenlabError, match="does not divide"):
        fitting_group_size(config, wanted)


@without_gptqmodel
def test_without_gptqmodel_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    with pytest.raises(QwenlabError, match="make gptq"):
        quantize_gptq(tmp_path, tmp_path / "out", ["text"] * 32)


@needs_gptqmodel
def test_too_few_calibration_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    with pytest.raises(QwenlabError, match="7 calibration texts"):
        quantize_gptq(tmp_path, tmp_path / "out", ["text"] * 7)


def calibration(question: str) -> list[list[dict[str, str]]]:
    people = {"Ann": 20, "Bob": 31, "Cleo": 42, "Dan": 53, "Eve": 64, "Finn": 75, "Gus": 8, "Hal": 99}
    return [
        [
            {"role": "user", "content": question.format(name, age)},
            {"role": "assistant", "content": json.dumps({"name": name, "age": age})},
        ]
        for name, age in people.items()
    ]


@pytest.mark.model
@needs_gptqmodel
def test_a_quantized_model_is_smaller_and_still_answers(smollm2: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    question = "Extract JSON with keys name, age from: {} is {} years old."
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in calibration(question)]
    seen: list[tuple[str, float]] = []
    proof = to_gptq(smollm2, tmp_path / "int4", 4, texts, lambda *step: seen.append(step))
    assert proof["answer"]
    assert [words for words, _ in seen][1:4] == ["layer 1 of 30", "layer 2 of 30", "layer 3 of 30"]
    assert [done for _, done in seen] == sorted(done for _, done in seen)
    assert seen[-1][1] == 1.0
    size = sum(file.stat().st_size for file in (tmp_path / "int4").glob("*.safetensors"))
    assert size < 0.5 * (smollm2 / "model.safetensors").stat().st_size
    assert (tmp_path / "int4" / "tokenizer.json").read_bytes() == (smollm2 / "tokenizer.json").read_bytes()
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "int4", device_map="cpu")
    chat = [{"role": "user", "content": question.format("Alice", 30)}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        out = model.generate(**ids, max_new_tokens=24, do_sample=False)
    assert "Alice" in tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.model
@needs_gptqmodel
@pytest.mark.parametrize("tied", [True, False])
def test_int8_of_a_small_random_model_computes_nearly_the_same(tmp_path: Path, tied: bool) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base = make_base(tmp_path / "base", tied)
    quantize_gptq(base, tmp_path / "int8", ["abcdefgh" * 6] * 8, bits=8)
    config = json.loads((tmp_path / "int8" / "config.json").read_text())["quantization_config"]
    assert (config["bits"], config["group_size"], config["desc_act"], config["lm_head"]) == (8, 32, False, False)

    def logits(folder: Path) -> torch.Tensor:
        model = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu")
        with torch.no_grad():
            return torch.log_softmax(model(input_ids=torch.arange(20, 60)[None]).logits[0].float(), -1)

    wanted, got = logits(base), logits(tmp_path / "int8")
    divergence = (wanted.exp() * (wanted - got)).sum(-1).mean()
    assert divergence < 0.02
