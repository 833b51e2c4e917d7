"""Weights converted while they are read: the same numbers, the same answers, and no second copy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_folder import weights, write_model
from transformers import AutoModelForCausalLM

from qwenlab.errors import QwenlabError
from qwenlab.models import loading, streaming
from qwenlab.models.folder import INDEX

LOAD = """
import sys, torch, transformers.models.llama.modeling_llama
from pathlib import Path
from qwenlab.models import loading
from qwenlab.training import memory
before = memory.peak()
loaded = loading.load(Path(sys.argv[1]), torch.float32)
print((memory.peak() - before) / loaded.bytes)
"""


def test_tiny_model_is_the_one_that_transformers_loads(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    model, lacking = streaming.load_converted(folder, torch.bfloat16)
    assert lacking == []
    assert {name: one.dtype for name, one in model.named_parameters()} == dict.fromkeys(weights(), torch.bfloat16)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    ids = torch.tensor([[1, 2, 3, 31]])
    assert torch.equal(model(ids).logits, theirs(ids).logits)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_only_what_must_be_converted_is(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    assert not streaming.converts(folder, torch.float32)
    assert streaming.converts(folder, torch.bfloat16)
    write_model(tmp_path / "q", quantization_config={"quant_method": "gptq"})
    assert not streaming.converts(tmp_path / "q", torch.bfloat16)


def test_piece_by_piece_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = streaming.load_converted(write_model(tmp_path / "m"), torch.bfloat16)
    monkeypatch.setattr(streaming, "PIECE", 12)
    pieces, _ = streaming.load_converted(tmp_path / "m", torch.bfloat16)
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), pieces.parameters(), strict=True))


def test_lacking_weight_and_wrong_shape_are_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = write_model(tmp_path / "m")
    known = weights()
    save_file({k: v for k, v in known.items() if "up_proj" not in k}, folder / "model.safetensors")
    _, lacking = streaming.load_converted(folder, torch.bfloat16)
    assert lacking == ["model.layers.0.mlp.up_proj.weight"]
    name = "model.layers.0.mlp.up_proj.weight"
    save_file({**known, name: known[name].T.copy()}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"up_proj.weight has the shape \[8, 16\]"):
        streaming.load_converted(folder, torch.bfloat16)


def test_shards_are_read_one_after_the_other(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    folder = write_model(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    names = sorted(weights())
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for file, inside in parts.items():
        save_file({name: weights()[name] for name in inside}, folder / file)
    index = {name: file for file, inside in parts.items() for name in inside}
    (folder / INDEX).write_text(json.dumps({"weight_map": index}))
    model, lacking = streaming.load_converted(folder, torch.bfloat16)
    assert lacking == []
    assert torch.equal(model.model.norm.weight, torch.from_numpy(weights()["model.norm.weight"]).bfloat16())


@pytest.mark.model
def test_real_model_answers_as_before_and_is_held_once(smollm2: Path) -> None:
    loaded = loading.load(smollm2, torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    mine = dict(loaded.model.named_parameters())
    assert all(torch.equal(one, mine[name]) for name, one in theirs.named_parameters())
    ids = loaded.tokenizer("Hello, who are you?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert torch.equal(loaded.model(ids).logits, theirs(ids).logits)
    assert loaded.ends == [loaded.tokenizer.eos_token_id]
    peak = subprocess.run([sys.executable, "-c", LOAD, str(smollm2)], capture_output=True, text=True, check=True)
    assert float(peak.stdout) < 1.3  # of 538 MB; the libraries that are loaded on the way are not all weights


@pytest.mark.model
def test_broken_weight_is_a_sentence(smollm2: Path, tmp_path: Path) -> None:
    for path in smollm2.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes() if path.suffix != ".safetensors" else b"")
    with pytest.raises(QwenlabError, match="no safetensors file"):
        loading.load(tmp_path, torch.float32)
