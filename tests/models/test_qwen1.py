"""A Qwen 1 model in its original format becomes a Qwen2 folder that computes the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import qwen1_original as original

from qwenlab import cli, files
from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue, loading, qwen1
from qwenlab.models.contestant import Generation
from qwenlab.workspace import Workspace

IDS = [5, 300, 41, 77, 12, 256, 300, 401, 9, 33, 120, 64, 3, 281]


def silent(what: str, done: float) -> None:
    """Progress that nobody watches."""


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("tied", [False, True])
def test_converted_model_computes_what_the_original_computes(
    tmp_path: Path, tied: bool, shards: int, kind: str
) -> None:
    import torch

    weights = original.write_checkpoint(tmp_path / "old", tied=tied, shards=shards, kind=kind)
    qwen1.convert(tmp_path / "old", tmp_path / "new", silent, pickle=kind == "bin")
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    wanted = original.logits(weights, IDS, config)
    model = loading.load(tmp_path / "new", torch.float32).model
    with torch.inference_mode():
        found = model(input_ids=torch.tensor([IDS])).logits[0]
    assert float((found - wanted).abs().max()) < 1e-5
    assert float(wanted.abs().max()) > 0.5, "otherwise this test shows nothing"
    assert not list(tmp_path.glob(".*")), "nothing half-made stays"


def test_context_ends_where_dynamic_scaling_begins_and_the_person_is_told(tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old")
    made = qwen1.convert(tmp_path / "old", tmp_path / "new", silent)
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert config["max_position_embeddings"] == made.context == 512
    assert any("512 tokens" in english and "512" in chinese for english, chinese in made.notes())
    assert (tmp_path / "new" / "LICENSE").read_text() == "A licence."


def test_makers_sampling_is_kept_and_a_turn_ends_with_either_sign(tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old")
    qwen1.convert(tmp_path / "old", tmp_path / "new", silent)
    assert Generation.of_model(tmp_path / "new") == Generation(temperature=1.0, top_p=0.8, repetition_penalty=1.1)
    ranks = len(original.make_ranks())
    made = files.read_json(tmp_path / "new" / "generation_config.json")
    assert made["eos_token_id"] == [ranks + 2, ranks]
    assert made["pad_token_id"] == ranks


def test_constants_that_some_checkpoints_store_are_left_out(tmp_path: Path) -> None:
    import torch

    extra = {"transformer.rotary_emb.inv_freq": torch.ones(4), "transformer.h.0.attn.masked_bias": torch.ones(1)}
    original.write_checkpoint(tmp_path / "old", extra=extra)
    qwen1.convert(tmp_path / "old", tmp_path / "new", silent)


def test_pickles_are_read_only_with_consent(tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old", kind="bin")
    with pytest.raises(QwenlabError, match="--pickle") as caught:
        qwen1.convert(tmp_path / "old", tmp_path / "new", silent)
    assert "pickle" in "".join(caught.value.say("zh"))
    assert not (tmp_path / "new").exists()


def test_pickles_of_the_time_before_zips_are_read(tmp_path: Path) -> None:
    import torch

    weights = original.write_checkpoint(tmp_path / "old", kind="bin")
    torch.save(weights, tmp_path / "old" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    qwen1.convert(tmp_path / "old", tmp_path / "new", silent, pickle=True)


class Program:
    """What a hostile pickle asks to be run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_program_hidden_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    import torch

    original.write_checkpoint(tmp_path / "old", kind="bin")
    torch.save({"transformer.wte.weight": Program(tmp_path / "ran")}, tmp_path / "old" / "pytorch_model.bin")
    with pytest.raises(QwenlabError, match="nothing of it was run"):
        qwen1.convert(tmp_path / "old", tmp_path / "new", silent, pickle=True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shard_cut_short_is_named(tmp_path: Path, kind: str) -> None:
    original.write_checkpoint(tmp_path / "old", shards=3, kind=kind)
    path = next((tmp_path / "old").glob("*00002-of-00003*"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(QwenlabError, match="00002-of-00003"):
        qwen1.convert(tmp_path / "old", tmp_path / "new", silent, pickle=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]


def test_shard_that_lacks_is_named(tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old", shards=3)
    next((tmp_path / "old").glob("*00002-of-00003*")).unlink()
    with pytest.raises(QwenlabError, match="lacks the weight file model-00002-of-00003"):
        qwen1.convert(tmp_path / "old", tmp_path / "new", silent)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_size": 64, "kv_channels": 16}, r"has the shape \[\d+, 32\]; config.json asks for \[\d+, 64\]"),
        ({"num_hidden_layers": 4}, r"lacks the weight transformer.h.3.ln_1.weight"),
        ({"num_hidden_layers": 2}, r"holds the weight transformer.h.2.\S+, which has no place"),
        ({"num_hidden_layers": 10**6}, r"1000000 layers"),
        ({"hidden_size": "a lot"}, r"hidden_size 'a lot'"),
        ({"kv_channels": {}}, r"4 heads for a width of 32"),
        ({"rotary_emb_base": "10000"}, r"rotary_emb_base '10000'"),
        ({"visual": {}}, r"visual input"),
        ({"no_bias": False}, r"no_bias False"),
        ({"vocab_size": 300}, r"vocab_size 300"),
        ({"quantization_config": {"bits": 4}}, r"quantized"),
    ],
)
def test_configuration_that_does_not_suit_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    original.write_checkpoint(tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    files.write_json(path, files.read_json(path) | config)
    with pytest.raises(QwenlabError, match=message) as caught:
        qwen1.convert(tmp_path / "old", tmp_path / "new", silent)
    assert caught.value.zh
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]


KILLED = """
import os, signal, sys
from pathlib import Path
from qwenlab.models import qwen1
calls = 0
def progress(what, done):
    global calls
    calls += 1
    if done > 0.5:
        os.kill(os.getpid(), signal.SIGKILL)
qwen1.convert(Path(sys.argv[1]), Path(sys.argv[2]), progress)
"""


def test_killed_conversion_goes_on_with_what_it_has_done(tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old", shards=4)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "old"), str(tmp_path / "new")]
    assert subprocess.run(command, check=False).returncode == -9
    assert not (tmp_path / "new").exists()
    finished = {path.name: path.stat().st_ino for path in (tmp_path / ".new.part").glob("model-00001-*")}
    assert finished
    steps: list[float] = []
    qwen1.convert(tmp_path / "old", tmp_path / "new", lambda what, done: steps.append(done))
    assert {name: (tmp_path / "new" / name).stat().st_ino for name in finished} == finished
    qwen1.convert(tmp_path / "old", tmp_path / "again", silent)
    for path in (tmp_path / "again").iterdir():
        assert (tmp_path / "new" / path.name).read_bytes() == path.read_bytes()


def test_shard_damaged_on_disk_is_noticed_and_nothing_kept(tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old", shards=4)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "old"), str(tmp_path / "new")]
    assert subprocess.run(command, check=False).returncode == -9
    first = next((tmp_path / ".new.part").glob("model-00001-*"))
    first.write_bytes(first.read_bytes()[:-8] + b"damaged!")
    with pytest.raises(QwenlabError, match="does not read back"):
        qwen1.convert(tmp_path / "old", tmp_path / "new", silent)
    qwen1.convert(tmp_path / "old", tmp_path / "new", silent)


def test_shard_that_was_exchanged_meanwhile_is_converted_anew(tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old", shards=4)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "old"), str(tmp_path / "new")]
    assert subprocess.run(command, check=False).returncode == -9
    first = next((tmp_path / ".new.part").glob("model-00001-*"))
    before = first.read_bytes()
    shard = next((tmp_path / "old").glob("model-00001-*"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    qwen1.convert(tmp_path / "old", tmp_path / "new", silent)
    assert (tmp_path / "new" / first.name).read_bytes() != before


def test_original_folder_named_as_a_model_says_how_to_convert_it(tmp_path: Path, workspace: Workspace) -> None:
    original.write_checkpoint(tmp_path / "old")
    for use in (lambda: catalogue.locate(workspace, str(tmp_path / "old")), lambda: loading.load(tmp_path / "old")):
        with pytest.raises(QwenlabError, match="qwenlab models add"):
            use()


def test_original_folder_stands_for_its_conversion_in_the_workspace(tmp_path: Path, workspace: Workspace) -> None:
    original.write_checkpoint(tmp_path / "old")
    target = workspace.models / "my-qwen"
    assert cli.main(["models", "convert", str(tmp_path / "old"), str(target), "--json"]) == 0
    assert catalogue.locate(workspace, str(tmp_path / "old")) == target
    assert catalogue.qwen1_context(target) == 512
