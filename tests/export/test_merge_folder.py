"""What merging reads, writes and refuses, on tiny folders made here: no model, no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import complete
from qwenlab.export.merge import merge, write_merged
from qwenlab.export.prove_merge import precise
from qwenlab.export.safetensors_folder import Weights, to_float32
from qwenlab.export.safetensors_write import Tensor, write_shards
from tests.export.test_gguf_file import CONFIG, TOKENIZER, make_folder, tensors

QUERY = "model.layers.0.self_attn.q_proj"
LORA = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": ["q_proj"]}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "base", CONFIG | {"model_type": "llama"}, TOKENIZER, tensors(CONFIG))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(LORA))
    save_file(lora_of(QUERY), folder / "adapter_model.safetensors")
    return folder


def lora_of(module: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    down, up = random.normal(size=(2, 64)), random.normal(size=(64, 2))
    name = f"base_model.model.{module}"
    return {f"{name}.lora_A.weight": np.float32(down), f"{name}.lora_B.weight": np.float32(up)}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "merged"
    folder.mkdir()
    return folder


def test_the_product_is_added_to_its_weight_and_to_no_other(base: Path, adapter: Path, target: Path) -> None:
    write_merged(base, adapter, target)
    found, before = load_file(target / "model.safetensors"), tensors(CONFIG)
    assert found.keys() == before.keys()
    down, up = lora_of(QUERY).values()
    before[f"{QUERY}.weight"] += 3 * up @ down  # alpha 6, rank 2
    assert all(np.allclose(weight, found[name], atol=1e-5) for name, weight in before.items())


def test_what_a_server_needs_is_there_also_when_the_base_lacks_it(base: Path, adapter: Path, target: Path) -> None:
    (base / "chat_template.jinja").unlink()
    write_merged(base, adapter, target)
    complete.check(target)
    assert "<|im_start|>" in (target / "chat_template.jinja").read_text()
    assert json.loads((target / "generation_config.json").read_text()) == {"bos_token_id": 0, "eos_token_id": 1}
    assert json.loads((target / "config.json").read_text())["dtype"] == "float32"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"])
def test_a_missing_file_is_named(base: Path, adapter: Path, target: Path, name: str) -> None:
    write_merged(base, adapter, target)
    (target / name).unlink()
    with pytest.raises(QwenlabError, match=f"lacks {name}"):
        complete.check(target)


def test_shards_hold_no_more_than_their_limit_and_an_index(base: Path, adapter: Path, target: Path) -> None:
    write_merged(base, adapter, target, shard=100_000)
    shards = sorted(target.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert all(sum(weight.nbytes for weight in load_file(shard).values()) <= 100_000 for shard in shards)
    index = json.loads((target / "model.safetensors.index.json").read_text())
    assert {name for shard in shards for name in load_file(shard)} == set(index["weight_map"])
    assert index["metadata"]["total_size"] == sum(weight.nbytes for weight in tensors(CONFIG).values())


def test_bfloat16_is_rounded_to_the_nearest_ties_to_even(target: Path) -> None:
    given = {1.0: 1.0, 1.00390625: 1.0, 1.01171875: 1.015625, -1.004: -1.0078125, 0.0: 0.0}
    numbers = np.array(list(given), np.float32)
    write_shards(target, [Tensor("w", (5,), lambda: iter([numbers]))], "bfloat16")
    assert to_float32(Weights(target).stored("w")).tolist() == list(given.values())


def test_float16_that_would_overflow_is_refused(target: Path) -> None:
    with pytest.raises(QwenlabError, match="too large for float16"):
        write_shards(target, [Tensor("w", (1,), lambda: iter([np.array([70000.0], np.float32)]))], "float16")


def _cut(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-10])


def _replace(folder: Path, changed: dict[str, np.ndarray]) -> None:
    save_file(changed, folder / "adapter_model.safetensors")


def _shard_index(folder: Path, name: str) -> None:
    files.write_json(folder / "model.safetensors.index.json", {"weight_map": {"model.norm.weight": name}})


def _nan() -> dict[str, np.ndarray]:
    return {name: weight * np.float32("nan") for name, weight in lora_of(QUERY).items()}


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda base, _: _cut(base, "model.safetensors"), "cut short", id="truncated base"),
        pytest.param(lambda _, it: _cut(it, "adapter_model.safetensors"), "cut short", id="truncated adapter"),
        pytest.param(
            lambda base, _: _shard_index(base, "gone.safetensors"), "lacks the weight file gone", id="missing shard"
        ),
        pytest.param(lambda base, _: _shard_index(base, "../x.safetensors"), "outside of it", id="shard elsewhere"),
        pytest.param(lambda base, _: (base / "tokenizer.json").unlink(), "lacks tokenizer.json", id="no tokenizer"),
        pytest.param(lambda _, it: _replace(it, lora_of("model.layers.7.self_attn.q_proj")), "not fit", id="no layer"),
        pytest.param(lambda _, it: _replace(it, lora_of("model.layers.0.mlp.up_proj")), "not fit", id="wrong base"),
        pytest.param(lambda _, it: _replace(it, dict([*lora_of(QUERY).items()][:1])), "incomplete", id="half a pair"),
        pytest.param(lambda _, it: _replace(it, _nan()), "undefined", id="adapter of no numbers"),
        pytest.param(
            lambda _, it: files.write_json(it / "adapter_config.json", LORA | {"alpha_pattern": {"(": 1}}),
            "incomplete",
            id="broken pattern",
        ),
    ],
)
def test_damage_is_named(
    base: Path, adapter: Path, target: Path, damage: Callable[[Path, Path], None], says: str
) -> None:
    damage(base, adapter)
    with pytest.raises(QwenlabError, match=says) as refused:
        write_merged(base, adapter, target)
    assert refused.value.remedy


def test_adapter_trained_on_other_weights_is_refused(base: Path, adapter: Path, target: Path) -> None:
    files.write_json(adapter / "qwenlab-adapter.json", {"base": "another", "weights": "0" * 16})
    with pytest.raises(QwenlabError, match="was trained on another"):
        merge(base, adapter, target)
    assert list(target.iterdir()) == []


def test_a_model_too_large_for_float32_is_proven_in_bfloat16(base: Path) -> None:
    size = 4 * sum(weight.size for weight in tensors(CONFIG).values())
    assert precise(base, 2 * size)
    assert not precise(base, size)


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(
    base: Path, adapter: Path, small_disk: Path
) -> None:
    big = CONFIG | {"model_type": "llama", "vocab_size": 300_000}  # 77 MB of embedding
    make_folder(base, big, TOKENIZER, tensors(big))
    with pytest.raises(QwenlabError, match="the disk has 0.07 GB left") as refused:
        merge(base, adapter, small_disk / "merged")
    assert "Free some disk space" in refused.value.remedy
    assert list(small_disk.iterdir()) == []
