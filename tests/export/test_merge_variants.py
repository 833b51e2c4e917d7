"""Every kind of LoRA that PEFT can save: the merged folder computes what base and adapter compute, told by PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.export.lora_weights import read_adapter
from qwenlab.export.merge import write_merged
from tests.export.test_gguf_model import byte_tokenizer

pytestmark = pytest.mark.model

ALL = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
LAYERED = {"rank_pattern": {"layers.0.self_attn.q_proj": 2}, "alpha_pattern": {"v_proj": 20, "layers.1.mlp.up_proj": 3}}
STREAMED: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": "all-linear"},
    "rslora": {"target_modules": ALL, "use_rslora": True},
    "ranks and alphas by module": {"target_modules": ALL, **LAYERED},
    "some layers": {"target_modules": ALL, "layers_to_transform": [1]},
    "dora": {"target_modules": ALL, "use_dora": True},
    "biases of the layers": {"target_modules": ALL, "bias": "lora_only"},
    "all biases": {"target_modules": ALL, "bias": "all"},
    "a bias of its own": {"target_modules": ["q_proj"], "lora_bias": True},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "output matrix": {"target_modules": ["q_proj", "lm_head"]},
    "embedding and output saved whole": {"target_modules": ALL, "modules_to_save": ["embed_tokens", "lm_head"]},
    "output saved whole": {"target_modules": ALL, "modules_to_save": ["lm_head"]},
    "norms saved whole": {"target_modules": ALL, "modules_to_save": ["input_layernorm"]},
}
BY_PEFT: dict[str, dict[str, Any]] = {
    "pissa": {"target_modules": ALL, "init_lora_weights": "pissa"},
    "single tokens": {"target_modules": ALL, "trainable_token_indices": [30, 41]},
}


def make_base(folder: Path, tied: bool) -> Path:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 300}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.3}
    ends = {"bos_token_id": 257, "eos_token_id": 258, "pad_token_id": 258}
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, **heads, **ends, tie_word_embeddings=tied))
    model.to(torch.bfloat16).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"), request.param)


def train(base: Path, folder: Path, settings: dict[str, Any]) -> Any:
    """An adapter whose every weight has moved, saved; returns the logits of base and adapter as PEFT loads them."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = get_peft_model(plain, LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **settings))
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    fresh = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return logits(PeftModel.from_pretrained(fresh, str(folder)))


def logits(model: Any) -> Any:
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.arange(20, 60)[None]).logits


def load(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    found, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    return found


@pytest.mark.parametrize("kind", [*STREAMED, *BY_PEFT])
def test_merged_computes_what_base_and_adapter_compute(base: Path, tmp_path: Path, kind: str) -> None:
    wanted = train(base, tmp_path / "adapter", (STREAMED | BY_PEFT)[kind])
    assert (read_adapter(tmp_path / "adapter") is None) == (kind in BY_PEFT)
    (tmp_path / "merged").mkdir()
    write_merged(base, tmp_path / "adapter", tmp_path / "merged")
    plain, merged = load(base), load(tmp_path / "merged")
    assert (wanted - logits(plain)).abs().max() > 0.1, "an adapter that changes nothing proves nothing"
    assert (wanted - logits(merged)).abs().max() < 1e-3


def test_bfloat16_is_rounded_as_torch_rounds_and_loads_from_shards(base: Path, tmp_path: Path) -> None:
    import torch

    train(base, tmp_path / "adapter", STREAMED["plain"])
    for name in ("whole", "small"):
        (tmp_path / name).mkdir()
    write_merged(base, tmp_path / "adapter", tmp_path / "whole", "float32")
    write_merged(base, tmp_path / "adapter", tmp_path / "small", "bfloat16", shard=30_000)
    shards = sorted(path.name for path in (tmp_path / "small").glob("*.safetensors"))
    assert shards[0] == f"model-00001-of-{len(shards):05}.safetensors"
    assert len(shards) > 3
    exact, rounded = load(tmp_path / "whole").state_dict(), load(tmp_path / "small").state_dict()
    assert all(torch.equal(weight.bfloat16().float(), rounded[name]) for name, weight in exact.items())
    assert json.loads((tmp_path / "small" / "config.json").read_text())["dtype"] == "bfloat16"


def test_adapter_that_wakes_in_the_middle_of_a_text_is_refused(base: Path, tmp_path: Path) -> None:
    train(base, tmp_path / "adapter", {"target_modules": ALL, "alora_invocation_tokens": [30, 31]})
    (tmp_path / "merged").mkdir()
    with pytest.raises(QwenlabError, match="alora_invocation_tokens, which is not supported"):
        write_merged(base, tmp_path / "adapter", tmp_path / "merged")


def test_adapter_of_another_shape_is_refused(base: Path, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import load_file, save_file

    train(base, tmp_path / "adapter", STREAMED["plain"])
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if "q_proj.lora_A" in name)
    save_file(weights | {name: np.zeros((4, 63), np.float32)}, path)
    (tmp_path / "merged").mkdir()
    with pytest.raises(QwenlabError, match="does not fit the model"):
        write_merged(base, tmp_path / "adapter", tmp_path / "merged")
