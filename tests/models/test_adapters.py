"""Adapters from elsewhere: found, checked against their base, converted, and refused with a reason."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import qwen1_original as original

from qwenlab import cli, files
from qwenlab.errors import QwenlabError
from qwenlab.models import adapter_base, adapter_convert, adapters, loading, qwen1
from qwenlab.models.loading import LoadedModel
from qwenlab.workspace import Workspace

PEFT = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "Qwen/Qwen-1_8B-Chat",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["c_attn", "c_proj", "w1", "w2"],
    "bias": "none",
}
IDS = [5, 300, 41, 77, 12, 256, 300, 401, 9, 33]


def silent(what: str, done: float) -> None:
    """Progress that nobody watches."""


def original_adapter(
    folder: Path, config: dict[str, Any], modules: tuple[str, ...], form: str = "safetensors", **settings: Any
) -> dict[str, Any]:
    """Write a random adapter on modules of the original code; return its weights by module and half."""
    import torch
    from safetensors.torch import save_file

    made = torch.Generator().manual_seed(1)
    width, inner = config["hidden_size"], config["intermediate_size"] // 2
    outputs = {"attn.c_attn": 3 * width, "attn.c_proj": width, "mlp.w1": inner, "mlp.w2": inner, "mlp.c_proj": width}
    weights: dict[str, Any] = {}
    for layer in range(config["num_hidden_layers"]):
        for module in modules:
            name = f"transformer.h.{layer}.{module}"
            rank = settings.get("rank_pattern", {}).get(module.partition(".")[2], 4)
            given = inner if module == "mlp.c_proj" else width
            weights[f"{name}.lora_A"] = torch.randn((rank, given), generator=made) * 0.2
            weights[f"{name}.lora_B"] = torch.randn((outputs[module], rank), generator=made) * 0.2
    folder.mkdir(parents=True)
    stored = {f"base_model.model.{name}.weight": tensor for name, tensor in weights.items()}
    if form == "safetensors":
        save_file(stored, folder / "adapter_model.safetensors")
    else:
        torch.save(stored, folder / "adapter_model.bin")
    files.write_json(folder / "adapter_config.json", {**PEFT, **settings})
    return weights


EVERY = ("attn.c_attn", "attn.c_proj", "mlp.w1", "mlp.w2", "mlp.c_proj")


@pytest.mark.parametrize(
    ("modules", "form", "settings"),
    [
        (EVERY, "safetensors", {}),
        (EVERY, "bin", {}),
        (("attn.c_attn",), "safetensors", {"target_modules": ["c_attn"]}),
        (("attn.c_proj",), "safetensors", {"target_modules": r".*\.attn\.c_proj"}),
        (EVERY, "safetensors", {"rank_pattern": {"c_attn": 2}, "alpha_pattern": {"c_attn": 6}, "use_rslora": True}),
    ],
)
def test_converted_adapter_gives_the_outputs_of_the_original(
    tmp_path: Path, modules: tuple[str, ...], form: str, settings: dict[str, Any]
) -> None:
    import torch

    weights = original.write_checkpoint(tmp_path / "old")
    config = files.read_json(tmp_path / "old" / "config.json")
    qwen1.convert(tmp_path / "old", tmp_path / "new", silent)
    lora = original_adapter(tmp_path / "lora", config, modules, form, **settings)
    adapter_convert.convert(tmp_path / "lora", tmp_path / "carried", pickle=form == "bin")

    def changed(module: str, given: Any) -> Any:
        if f"{module}.lora_A" not in lora:
            return 0
        leaf = module.rpartition(".")[2]
        rank = settings.get("rank_pattern", {}).get(leaf, 4)
        alpha = settings.get("alpha_pattern", {}).get(leaf, 8)
        scale = alpha / (rank**0.5 if settings.get("use_rslora") else rank)
        return given @ lora[f"{module}.lora_A"].T @ lora[f"{module}.lora_B"].T * scale

    wanted = original.logits(weights, IDS, config, changed)
    assert float((wanted - original.logits(weights, IDS, config)).abs().max()) > 0.01, "it changes something"
    loaded = loading.load(tmp_path / "new", torch.float32)
    loaded.attach(tmp_path / "carried")
    with torch.inference_mode():
        found = loaded.model(input_ids=torch.tensor([IDS])).logits[0]
    assert float((found - wanted).abs().max()) < 1e-5


def test_plain_adapter_keeps_short_names_of_its_modules(tmp_path: Path) -> None:
    original_adapter(tmp_path / "lora", {**original.CONFIG}, EVERY)
    adapter_convert.convert(tmp_path / "lora", tmp_path / "new")
    made = files.read_json(tmp_path / "new" / "adapter_config.json")
    assert made["target_modules"] == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert made["base_model_name_or_path"] == "Qwen/Qwen-1_8B-Chat"


def test_adapter_that_cannot_be_carried_over_leaves_nothing(tmp_path: Path) -> None:
    original_adapter(tmp_path / "lora", {**original.CONFIG}, EVERY, rank_pattern={"c_fc": 8})
    with pytest.raises(QwenlabError, match="the module c_fc"):
        adapter_convert.convert(tmp_path / "lora", tmp_path / "new")
    original_adapter(tmp_path / "pissa", {**original.CONFIG}, EVERY, init_lora_weights="pissa")
    with pytest.raises(QwenlabError, match="init_lora_weights pissa"):
        adapter_convert.convert(tmp_path / "pissa", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lora", "pissa"]


# --- on a base ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that came out of a conversion."""
    folder = tmp_path_factory.mktemp("models")
    original.write_checkpoint(folder / "old")
    qwen1.convert(folder / "old", folder / "tiny", silent)
    return folder / "tiny"


@pytest.fixture(scope="module")
def loaded(base: Path) -> LoadedModel:
    return loading.load(base)


@pytest.fixture
def foreign(base: Path, tmp_path: Path) -> Path:
    """An adapter as PEFT saves it, of the hub's naming."""
    folder = tmp_path / "foreign"
    original_adapter(tmp_path / "raw", files.read_json(base.parent / "old" / "config.json"), EVERY)
    adapter_convert.convert(tmp_path / "raw", folder)
    return folder


def change(adapter: Path, **settings: Any) -> None:
    path = adapter / "adapter_config.json"
    files.write_json(path, files.read_json(path) | settings)


@pytest.mark.parametrize(
    ("tool", "settings", "beside"),
    [
        (
            "peft",
            {"auto_mapping": None, "loftq_config": {}, "peft_version": "99.0", "something_new": {"x": 1}},
            ["README.md"],
        ),
        (
            "llama-factory",
            {"base_model_name_or_path": "/data/models/tiny", "init_lora_weights": True, "inference_mode": True},
            ["training_args.bin", "trainer_state.json", "tokenizer.json", "chat_template.jinja"],
        ),
        (
            "ms-swift",
            {
                "base_model_name_or_path": "/mnt/hub/models/Qwen/Qwen-1___8B",
                "target_modules": r"^(model.*\.(q|k|v|o|gate|up|down)_proj)$",
            },
            ["args.json", "additional_config.json", "optimizer.pt"],
        ),
        (
            "unsloth",
            {
                "base_model_name_or_path": "unsloth/tiny-unsloth-bnb-4bit",
                "auto_mapping": {"base_model_class": "Qwen2ForCausalLM", "unsloth_fixed": True},
                "target_modules": r"(?:.*?(?:self_attn|mlp).*?(?:q|k|v|o|gate|up|down)_proj.*?)",
            },
            ["README.md", "tokenizer_config.json"],
        ),
        ("old peft", {"enable_lora": None, "merge_weights": False, "fan_in_fan_out": False}, []),
    ],
)
def test_adapter_of_another_tool_answers(
    foreign: Path, loaded: LoadedModel, tool: str, settings: dict[str, Any], beside: list[str]
) -> None:
    import torch

    change(foreign, **settings)
    for name in beside:
        (foreign / name).write_bytes(b"{}")
    name = loaded.attach(foreign)
    loaded.model.set_adapter(name)
    ids = torch.tensor([IDS])
    with torch.inference_mode():
        tuned = loaded.model(input_ids=ids).logits
        with loaded.model.disable_adapter():
            plain = loaded.model(input_ids=ids).logits
    assert float((tuned - plain).abs().max()) > 0.01


def test_pattern_that_could_be_matched_for_ever_is_not(foreign: Path, loaded: LoadedModel) -> None:
    change(foreign, target_modules=r"((\w+\.?)+)+!", exclude_modules=r"((\w+\.?)+)+!")
    loaded.attach(foreign)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peft_type": "IA3"}, "kind 'IA3'"),
        ({"task_type": "SEQ_CLS"}, "kind 'LORA for SEQ_CLS'"),
        ({"megatron_config": {"x": 1}, "megatron_core": "antigravity"}, "megatron_config"),
        ({"use_qalora": True}, "use_qalora"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes weights of the base model"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "changes weights of the base model"),
        ({"bias": "all"}, "changes weights of the base model"),
        ({"modules_to_save": 3}, "modules_to_save 3, which makes no sense"),
        ({"r": 3}, "does not fit the model tiny: it was made for a model of another size"),
        ({"rank_pattern": {"(a*)*(b*)*": 4}}, "too complicated"),
        ({"target_modules": ["q_proj"]}, "does not fit the model tiny: one has parts that the other lacks"),
        ({"target_modules": ["nothing"]}, "does not fit the model tiny: one has parts that the other lacks"),
    ],
)
def test_adapter_that_cannot_be_used_is_refused_and_the_base_stays(
    foreign: Path, loaded: LoadedModel, settings: dict[str, Any], message: str
) -> None:
    change(foreign, **settings)
    before = loaded.model
    with pytest.raises(QwenlabError, match=message) as caught:
        loaded.attach(foreign)
    assert caught.value.zh
    assert loaded.model is before


@pytest.mark.parametrize("content", [b"", b"1234567890", "cut short"])
def test_damaged_adapter_is_named_by_its_run_in_plain_words(
    foreign: Path, loaded: LoadedModel, tmp_path: Path, content: bytes | str
) -> None:
    run = tmp_path / "balanced-0412"
    run.mkdir()
    (run / "recipe.json").write_text("{}")
    adapter = foreign.rename(run / "adapter")
    weights = (adapter / adapters.WEIGHTS).read_bytes()
    (adapter / adapters.WEIGHTS).write_bytes(content if isinstance(content, bytes) else weights[: len(weights) // 2])
    with pytest.raises(QwenlabError, match="The adapter balanced-0412 is damaged") as caught:
        loaded.attach(adapter)
    assert "适配器 balanced-0412 已损坏" in caught.value.say("zh")[0]
    assert not re.search("safetensors|header|/", caught.value.what)


def test_adapter_is_called_as_it_is_named(tmp_path: Path) -> None:
    assert adapter_base.title(tmp_path / "runs" / "one" / "checkpoints" / "checkpoint-8") == "one/checkpoint-8"
    assert adapter_base.title(tmp_path / "v0-2024" / "checkpoint-100") == "v0-2024/checkpoint-100"
    assert adapter_base.title(tmp_path / "my-lora") == "my-lora"


def test_adapter_that_does_not_fit_says_which_base_it_was_trained_on(foreign: Path, loaded: LoadedModel) -> None:
    change(foreign, base_model_name_or_path="Qwen/Qwen2-7B-Instruct", r=3)
    with pytest.raises(QwenlabError, match=r"trained on: Qwen/Qwen2-7B-Instruct") as caught:
        loaded.attach(foreign)
    assert caught.value.what.endswith("it was made for a model of another size.")
    assert "Qwen/Qwen2-7B-Instruct" in caught.value.say("zh")[1]


def test_adapter_on_the_original_code_says_how_to_convert_it(base: Path, loaded: LoadedModel, tmp_path: Path) -> None:
    original_adapter(tmp_path / "raw", files.read_json(base.parent / "old" / "config.json"), EVERY)
    with pytest.raises(QwenlabError, match="qwenlab models convert"):
        loaded.attach(tmp_path / "raw")
    assert cli.main(["models", "convert", str(tmp_path / "raw"), str(tmp_path / "new"), "--json"]) == 0
    loaded.attach(tmp_path / "new")


class Program:
    """What a hostile pickle asks to be run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickled_adapter_is_refused_until_it_is_converted_with_consent(
    base: Path, loaded: LoadedModel, tmp_path: Path
) -> None:
    import torch

    original_adapter(tmp_path / "raw", files.read_json(base.parent / "old" / "config.json"), EVERY, "bin")
    with pytest.raises(QwenlabError, match="--pickle"):
        loaded.attach(tmp_path / "raw")
    with pytest.raises(QwenlabError, match="--pickle"):
        adapter_convert.convert(tmp_path / "raw", tmp_path / "new")
    torch.save({"x": Program(tmp_path / "ran")}, tmp_path / "raw" / "adapter_model.bin")
    with pytest.raises(QwenlabError, match="nothing of it was run"):
        adapter_convert.convert(tmp_path / "raw", tmp_path / "new", pickle=True)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "new").exists()


# --- which base ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "unsloth/qwen2.5-coder-0.5b-instruct-unsloth-bnb-4bit",
        "unsloth/Qwen2.5-Coder-0.5B-Instruct-bnb-4bit",
        "/root/.cache/modelscope/hub/models/Qwen/Qwen2___5-Coder-0___5B-Instruct",
        "Qwen/Qwen2.5-Coder-0.5B-Instruct-GPTQ-Int4",
        "C:\\models\\Qwen2.5-Coder-0.5B-Instruct\\",
    ],
)
def test_names_of_one_model_are_known_as_one(name: str) -> None:
    assert adapter_base.plain(name) == adapter_base.plain("Qwen2.5-Coder-0.5B-Instruct")


def small(folder: Path, said: str) -> Path:
    """An adapter folder without sense, that names its base."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    save_file({"base_model.model.model.x.lora_A.weight": np.zeros((1, 1), np.float32)}, folder / adapters.WEIGHTS)
    files.write_json(folder / "adapter_config.json", {**PEFT, "base_model_name_or_path": said})
    return folder


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct", True),
        ("unsloth/qwen2.5-coder-0.5b-instruct-bnb-4bit", True),
        ("Qwen/Qwen2.5-0.5B-Instruct", False),
        ("Qwen/Qwen2.5-Coder-0.5B", False),
        ("/home/me/qwen2.5-0.5b", True),
        ("output/checkpoint-100", True),
        ("./base", True),
        ("", True),
    ],
)
def test_adapter_whose_hub_id_is_another_model_is_refused(tmp_path: Path, said: str, fits: bool) -> None:
    base = tmp_path / "qwen2.5-coder-0.5b"
    base.mkdir()
    adapter = small(tmp_path / "adapter", said)
    if fits:
        adapters.check(adapter, base)
        return
    with pytest.raises(QwenlabError, match=f"was trained on {said}"):
        adapters.check(adapter, base)


def ready(workspace: Workspace, name: str, **record: str) -> Path:
    folder = workspace.models / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    files.write_json(folder / "qwenlab-model.json", {"name": name, **record})
    return folder


def test_base_is_found_by_what_the_adapter_says(workspace: Workspace, tmp_path: Path) -> None:
    coder = ready(workspace, "qwen2.5-coder-0.5b")
    mine = ready(workspace, "mine", hub="Qwen/Qwen3-0.6B")
    for number, (said, folder) in enumerate(
        [("Qwen/Qwen2.5-Coder-0.5B-Instruct", coder), ("unsloth/Qwen3-0.6B-bnb-4bit", mine), ("/elsewhere/mine", mine)]
    ):
        assert adapter_base.find(workspace, small(tmp_path / str(number), said)) == folder


@pytest.mark.parametrize("said", ["Qwen/Qwen2-7B-Instruct", "/home/somebody/model", ""])
def test_base_that_is_not_here_is_named(workspace: Workspace, tmp_path: Path, said: str) -> None:
    with pytest.raises(QwenlabError, match="which is not here") as caught:
        adapter_base.find(workspace, small(tmp_path / "adapter", said))
    assert said in str(caught.value)
    assert said in caught.value.say("zh")[0]


def test_folder_of_checkpoints_stands_for_the_newest(workspace: Workspace, tmp_path: Path) -> None:
    for step in (9, 100, 20):
        small(tmp_path / "out" / "v0-20260101" / f"checkpoint-{step}", "x")
    assert adapters.find(workspace, str(tmp_path / "out")).name == "checkpoint-100"
    assert adapters.stands_alone(tmp_path / "out")


def test_folder_of_several_adapters_asks_for_one(workspace: Workspace, tmp_path: Path) -> None:
    small(tmp_path / "out" / "red", "x")
    small(tmp_path / "out" / "blue", "x")
    with pytest.raises(QwenlabError, match="several adapters: blue, red"):
        adapters.find(workspace, str(tmp_path / "out"))


def test_adapters_put_into_the_workspace_are_found(workspace: Workspace) -> None:
    brought = small(workspace.adapters / "from-a-colleague", "Qwen/Qwen3-0.6B")
    (workspace.adapters / "notes.txt").write_text("x")
    (workspace.adapters / "empty").mkdir()
    several = [small(workspace.adapters / "many" / name, "x").parent for name in ("red", "blue")]
    assert adapters.elsewhere(workspace) == [brought, several[0]]
