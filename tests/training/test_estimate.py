"""Memory and time before the start, against runs that were measured, and the advice for what does not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from model_shapes import QWEN, SMOLLM2

from qwenlab.errors import QwenlabError
from qwenlab.training import estimate as estimates
from qwenlab.training.estimate import Machine, Shape, estimate, refuse_if_too_big
from qwenlab.training.recipe import Recipe, read

GB = 1_000_000_000
QWEN1_2B: dict[str, Any] = {
    "hidden_size": 2048,
    "intermediate_size": 5504,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "vocab_size": 151936,
}
"""Qwen-1.8B of the first generation; its README publishes the memory of one A100."""
LARGE = Machine(1000 * GB)


def bytes_of(config: dict[str, Any], longest: int = 356, machine: Machine = LARGE, **settings: Any) -> int:
    return estimate(config, read({"batch_size": 4, **settings}), 0, longest, machine).memory_bytes


@pytest.mark.parametrize(
    ("config", "parameters", "adapter"), [(QWEN, 493_961_216, 8_798_208), (SMOLLM2, 134_479_872, 4_884_480)]
)
def test_weights_are_counted_as_the_model_has_them(config: dict[str, Any], parameters: int, adapter: int) -> None:
    shape = Shape.of(config)
    assert shape.in_layers + shape.embeddings == parameters
    assert shape.adapter(Recipe(rank=16)) == adapter
    assert shape.adapter(Recipe(rank=16, target="attention")) < adapter / 2


@pytest.mark.parametrize(
    ("config", "batch", "longest", "answer", "measured"),
    [(QWEN, 4, 356, 176, 7.13e9), (SMOLLM2, 8, 378, 184, 4.29e9)],
    ids=["qwen", "smollm2"],
)
def test_measured_runs_are_met_within_a_twentieth(
    config: dict[str, Any], batch: int, longest: int, answer: int, measured: float
) -> None:
    found = estimate(config, Recipe(batch_size=batch), 0, longest, LARGE, answer=answer)
    assert found.memory_bytes == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize(
    ("method", "longest", "published"),
    [("lora", 256, 6.7e9), ("lora", 512, 7.4e9), ("qlora", 256, 5.8e9), ("full", 256, 43.5e9)],
)
def test_published_memory_of_a_gpu_is_met_within_a_fifth(method: Any, longest: int, published: float) -> None:
    recipe = Recipe(method=method, rank=64, micro_batch=1, checkpointing="yes")
    found = estimate(QWEN1_2B, recipe, 0, longest, Machine(80 * GB, "cuda"), answer=longest)
    assert found.memory_bytes == pytest.approx(published, rel=0.2)


def test_parts_are_the_whole() -> None:
    found = estimate(QWEN, Recipe(), 0, 300, LARGE)
    assert list(found.parts) == ["program", "weights", "gradients", "optimizer", "activations", "logits"]
    assert sum(found.parts.values()) == found.memory_bytes


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"micro_batch": 2}, {"micro_batch": 4}),
        ({"checkpointing": "yes"}, {}),
        ({"max_length": 128}, {}),
        ({"method": "qlora"}, {}),
        ({}, {"method": "full"}),
        ({"rank": 8}, {"rank": 64}),
        ({"target": "attention"}, {}),
        ({}, {"processes": 2}),
        ({"processes": 2, "sharding": "zero2"}, {"processes": 2}),
        ({"processes": 2, "sharding": "zero3"}, {"processes": 2, "sharding": "zero2"}),
    ],
    ids=str,
)
def test_what_saves_memory_saves_it(less: dict[str, Any], more: dict[str, Any]) -> None:
    assert bytes_of(QWEN, **less) < bytes_of(QWEN, **more)


def test_float32_needs_more_than_bf16() -> None:
    assert bytes_of(QWEN, machine=Machine(1000 * GB, number_bytes=4)) > 1.3 * bytes_of(QWEN)


def test_gpus_have_memory_of_their_own() -> None:
    gpu = Machine(80 * GB, "cuda")
    assert bytes_of(QWEN, machine=gpu, processes=2, micro_batch=1) == bytes_of(QWEN, machine=gpu, micro_batch=1)


def test_time_follows_tokens_speed_and_work() -> None:
    def seconds(machine: Machine = LARGE, **settings: Any) -> float | None:
        return estimate(QWEN, read({"batch_size": 4, **settings}), 9000, 300, machine, tokens_per_s=90).seconds

    assert seconds() == 100
    assert seconds(checkpointing="yes") == 150
    assert seconds(method="full") == 150
    assert seconds(machines=2) == 50
    assert seconds(processes=2) == 100
    assert seconds(Machine(GB, "cuda"), processes=2) == 50
    assert estimate(QWEN, Recipe(), 9000, 300, LARGE).seconds is None


# --- what does not fit -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gigabytes", "settings", "changes"),
    [
        (16, {}, None),
        (7, {}, {"micro_batch": 2}),
        (5, {}, {"micro_batch": 1}),
        (5, {"micro_batch": 1, "max_length": 1024}, {"checkpointing": "yes"}),
        (4, {}, {"micro_batch": 1, "checkpointing": "yes"}),
        (10, {"processes": 2, "micro_batch": 2, "batch_size": 4}, {"micro_batch": 1}),
        (4.5, {"processes": 2, "micro_batch": 1, "checkpointing": "yes"}, {"processes": 1}),
        (7, {"method": "full"}, {"method": "lora", "micro_batch": 1, "checkpointing": "yes"}),
    ],
    ids=str,
)
def test_smallest_change_that_fits_is_named(
    gigabytes: float, settings: dict[str, Any], changes: dict[str, Any] | None
) -> None:
    longest = settings.get("max_length", 356)
    found = estimate(QWEN, read({"batch_size": 4, **settings}), 0, longest, Machine(int(gigabytes * GB)))
    assert found.fits == (changes is None)
    assert (found.advice.changes if found.advice else None) == changes


@given(
    st.sampled_from([QWEN, SMOLLM2, QWEN1_2B]),
    st.integers(GB, 40 * GB),
    st.integers(1, 8000),
    st.sampled_from(["lora", "qlora", "full"]),
    st.sampled_from([1, 2, 3, 4, 8]),
    st.sampled_from([1, 2]),
    st.sampled_from(["none", "zero2", "zero3"]),
)
def test_advice_makes_a_recipe_that_is_allowed_and_fits(
    config: dict[str, Any], memory: int, longest: int, method: Any, micro: int, processes: int, sharding: Any
) -> None:
    assume((method, sharding) != ("qlora", "zero3"))
    recipe = Recipe(
        method=method, micro_batch=micro, batch_size=24, max_length=8192, processes=processes, sharding=sharding
    )
    machine = Machine(memory)
    found = estimate(config, recipe, 0, longest, machine)
    if found.fits or found.advice is None:
        return
    changed = read(recipe.model_dump() | found.advice.changes)
    assert estimate(config, changed, 0, longest, machine).fits
    assert changed != recipe
    assert all(name in found.advice.text[0] for name in found.advice.changes)


def test_refusal_says_what_is_needed_and_what_to_change() -> None:
    small = Machine(4 * GB)
    with pytest.raises(QwenlabError) as caught:
        refuse_if_too_big(estimate(QWEN, Recipe(), 0, 356, small), small)
    assert "this machine has 4.0 GB" in caught.value.what
    assert caught.value.remedy == "Set micro_batch to 1 and checkpointing to yes: then it fits."
    assert caught.value.say("zh")[1] == "把“微批大小”设为 1，“节省内存”设为 yes，即可放下。"
    with pytest.raises(QwenlabError, match="smaller model"):
        refuse_if_too_big(estimate(QWEN, Recipe(), 0, 356, Machine(GB)), Machine(GB))
    refuse_if_too_big(estimate(QWEN, Recipe(), 0, 356, LARGE), LARGE)


@pytest.mark.parametrize("config", [{}, {**QWEN, "hidden_size": "wide"}, {**QWEN, "num_attention_heads": 0}], ids=str)
def test_config_without_sizes_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(QwenlabError, match=r"config\.json"):
        estimate(config, Recipe(), 0, 300, LARGE)


def test_container_has_what_it_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(estimates, "CONTAINER_LIMIT", limit)
    whole = Machine.here().memory_bytes
    limit.write_text("max\n")
    assert Machine.here().memory_bytes == whole
    limit.write_text("500000000\n")
    assert Machine.here().memory_bytes == 500_000_000


def test_modules_need_neither_torch_nor_transformers() -> None:
    code = "import sys, qwenlab.training.presets; print({'torch', 'transformers'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
