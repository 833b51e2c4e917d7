"""LoRA, Q-LoRA and full training, each for a few real steps, and what they refuse."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export.gptq import gptq_missing, quantize_gptq
from qwenlab.export.merge import merge
from qwenlab.jobs import Job
from qwenlab.models import adapters, loading
from qwenlab.models import folder as model_folder
from qwenlab.training import methods, runs
from qwenlab.training import recipe as recipes
from qwenlab.workspace import Workspace

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (requirements-gpu.txt)"
)


def base_of(folder: Path, **more: object) -> Path:
    """A model folder as far as anybody looks before it is loaded."""
    files.write_json(folder / "config.json", {"model_type": "llama", **more})
    return folder


def run(workspace: Workspace, data: Path, **changes: object) -> Job:
    """A finished run of four steps."""
    values = {"model": "smollm2-135m", "data": str(data), "epochs": 20, "max_steps": 4, "batch_size": 4, "warmup": 0}
    job = runs.create(workspace, recipes.read({**values, "learning_rate": 1e-3, "save_minutes": 60, **changes}))
    runs.start(job)
    for _ in job.follow():
        pass
    assert job.state() == "finished", job.log_tail()
    return job


@pytest.mark.parametrize(
    ("package", "changes"), [("bitsandbytes", {"method": "qlora"}), ("deepspeed", {"sharding": "zero2"})]
)
def test_missing_package_is_named_before_a_run_is_made(
    package: str, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch, workspace: Workspace, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # Python's own way to say that it is not there
    with pytest.raises(QwenlabError, match=package) as caught:
        runs.create(workspace, recipes.read({"model": str(base_of(tmp_path)), **changes}))
    assert "requirements-gpu.txt" in caught.value.remedy
    assert package in caught.value.say("zh")[0]
    assert list(workspace.runs.iterdir()) == []


def test_plain_lora_needs_no_extra_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package in ("bitsandbytes", "deepspeed", "gptqmodel"):
        monkeypatch.setitem(sys.modules, package, None)
    methods.check(recipes.read({}), base_of(tmp_path))


@pytest.mark.parametrize("package", ["gptqmodel", "optimum"])
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_gptq_base_needs_its_own_packages_and_not_bitsandbytes(
    package: str, method: str, monkeypatch: pytest.MonkeyPatch, workspace: Workspace, tmp_path: Path
) -> None:
    for name in (package, "bitsandbytes"):
        monkeypatch.setitem(sys.modules, name, None)
    other = {"gptqmodel": "optimum", "optimum": "gptqmodel"}[package]
    stand_in = types.ModuleType(other)
    stand_in.__spec__ = importlib.machinery.ModuleSpec(other, None)
    monkeypatch.setitem(sys.modules, other, stand_in)
    base = base_of(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(QwenlabError, match=f"needs the package {package}") as caught:
        runs.create(workspace, recipes.read({"model": str(base), "method": method}))
    assert "requirements-gptq.txt" in caught.value.remedy
    assert package in caught.value.say("zh")[0]
    assert list(workspace.runs.iterdir()) == []


def test_weights_of_a_quantized_model_cannot_be_trained(workspace: Workspace, tmp_path: Path) -> None:
    base = base_of(tmp_path, quantization_config={"quant_method": "gptq", "bits": 4})
    with pytest.raises(QwenlabError, match="only an adapter") as caught:
        runs.create(workspace, recipes.read({"model": str(base), "method": "full"}))
    assert "qlora" in caught.value.say("zh")[1]


@pytest.mark.parametrize(("sharding", "stage"), [("zero2", 2), ("zero3", 3)])
def test_deepspeed_follows_the_recipes_schedule(sharding: str, stage: int) -> None:
    config = methods.deepspeed(recipes.read({"sharding": sharding}))
    assert config
    assert config["zero_optimization"]["stage"] == stage
    assert not {"scheduler", "optimizer"} & set(config), "they would replace the recipe's"


def test_without_sharding_there_is_no_deepspeed() -> None:
    assert methods.deepspeed(recipes.read({})) is None


def test_extras_say_why_they_are_not_used() -> None:
    for device in ("cpu", "cuda"):
        for extra in methods.extras(device):
            assert extra.used or (extra.reason and extra.reason_zh)
    assert not any(extra.used for extra in methods.extras("cpu"))


@pytest.mark.model
def test_sharding_without_a_compiler_is_refused_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    methods.join(recipes.read({}))
    with pytest.raises(QwenlabError, match="no C\\+\\+ compiler") as caught:
        methods.join(recipes.read({"sharding": "zero2"}))
    assert "g++" in caught.value.say("zh")[1]


@pytest.mark.model
def test_attention_only_adapts_nothing_else(session_workspace: Workspace, tiny_data: Path) -> None:
    job = run(session_workspace, tiny_data, target="attention", max_steps=1)
    config = files.read_json(adapters.of_run(job.folder) / "adapter_config.json")
    assert sorted(config["target_modules"]) == sorted(methods.ATTENTION)


@pytest.mark.model
def test_checkpointing_gives_the_same_losses(session_workspace: Workspace, tiny_data: Path) -> None:
    plain, saving = (run(session_workspace, tiny_data, max_steps=3, checkpointing=how) for how in ("no", "yes"))
    expected = list(runs.progress(plain).losses.values())
    assert list(runs.progress(saving).losses.values()) == pytest.approx(expected, rel=1e-3)


@pytest.mark.model
def test_full_training_changes_all_weights_and_leaves_a_whole_model(
    session_workspace: Workspace, tiny_data: Path, smollm2: Path
) -> None:
    job = run(session_workspace, tiny_data, method="full", learning_rate=5e-5)
    losses = list(runs.progress(job).losses.values())
    assert losses[-1] < losses[0] * 0.9
    made = job.folder / adapters.FULL
    assert files.read_json(made / adapters.ORIGIN)["weights"] == model_folder.fingerprints(smollm2)["weights"]
    assert not (job.folder / adapters.FINISHED).exists()
    for name in ("tokenizer.json", "generation_config.json"):
        if (smollm2 / name).exists():
            assert (made / name).read_bytes() == (smollm2 / name).read_bytes()
    import torch

    trained = loading.load(made, torch.float32).model.state_dict()
    base = loading.load(smollm2, torch.float32).model.state_dict()
    assert trained.keys() == base.keys()
    unchanged = [name for name, weight in trained.items() if torch.equal(weight, base[name])]
    assert unchanged == []


@pytest.mark.model
@needs_bitsandbytes
def test_qlora_trains_beside_a_4_bit_base(session_workspace: Workspace, tiny_data: Path, smollm2: Path) -> None:
    job = run(session_workspace, tiny_data, method="qlora")
    losses = list(runs.progress(job).losses.values())
    assert losses[-1] < losses[0] * 0.9
    loading.load(smollm2).attach(adapters.of_run(job.folder))


@pytest.mark.model
@needs_bitsandbytes
def test_4_bit_base_is_small_and_computes_only_the_wanted_logits(smollm2: Path) -> None:
    import torch

    loaded = methods.load(smollm2, recipes.read({"method": "qlora"}), torch.bfloat16)
    model = methods.prepare(loaded, recipes.read({"method": "qlora"}))
    kinds = {type(module).__name__ for module in model.modules()}
    assert "Linear4bit" in kinds
    assert loaded.model.get_memory_footprint() < sum(p.stat().st_size for p in smollm2.glob("*.safetensors"))
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=torch.tensor([[1, 2, 3, 4]]), logits_to_keep=torch.tensor([1, 3])).logits
    assert logits.shape[:2] == (1, 2)


@pytest.mark.model
@pytest.mark.skipif(bool(gptq_missing()), reason=gptq_missing() or "GPTQModel is here")
def test_adapter_trains_beside_a_gptq_base_and_is_not_merged_into_it(
    session_workspace: Workspace, tiny_data: Path, smollm2: Path, tmp_path: Path
) -> None:
    base = tmp_path / "int4"
    texts = [f"I would like kettle number {number}; it costs 20 pounds. " * 8 for number in range(8)]
    quantize_gptq(smollm2, base, texts)
    job = run(session_workspace, tiny_data, model=str(base), languages=["en"], method="qlora", max_steps=3)
    losses = list(runs.progress(job).losses.values())
    assert losses[-1] < losses[0] * 0.9
    adapter = adapters.of_run(job.folder)
    assert loading.load(base).attach(adapter)
    with pytest.raises(QwenlabError, match="cannot be merged") as caught:
        merge(base, adapter, tmp_path / "merged")
    assert "量化" in caught.value.say("zh")[0]
