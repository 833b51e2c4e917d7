"""Pickle weights become safetensors, and what else they carry is never run."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from small_folder import CONFIG, weights

from qwenlab.cli import main
from qwenlab.errors import QwenlabError
from qwenlab.models import folder as model_folder
from qwenlab.models import pickles
from qwenlab.models.header import read_header


def write_pickles(folder: Path, shards: int = 1, **options: Any) -> dict[str, torch.Tensor]:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "modeling_x.py").write_text("raise SystemExit")
    tensors = {name: torch.from_numpy(value) for name, value in weights().items()}
    items = list(tensors.items())
    for number in range(shards):
        name = "pytorch_model.bin" if shards == 1 else f"pytorch_model-{number + 1:05}-of-{shards:05}.bin"
        torch.save(dict(items[number::shards]), folder / name, **options)
    return tensors


def read_back(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: value for path in model_folder.weight_files(folder) for name, value in load_file(path).items()}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("zipped", [True, False])
def test_every_weight_is_the_same_bit_for_bit(tmp_path: Path, shards: int, zipped: bool) -> None:
    tensors = write_pickles(tmp_path / "old", shards, _use_new_zipfile_serialization=zipped)
    pickles.convert(tmp_path / "old", tmp_path / "new")
    found = read_back(tmp_path / "new")
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert model_folder.check(tmp_path / "new")["model_type"] == "qwen2"
    assert not (tmp_path / "new" / "modeling_x.py").exists()


def test_tied_weights_come_once_and_views_as_they_are(tmp_path: Path) -> None:
    tensors = write_pickles(tmp_path / "old")
    embedding = tensors["model.embed_tokens.weight"]
    torch.save(
        {**tensors, "model.embed_tokens.weight": embedding, "lm_head.weight": embedding, "turned": embedding.T},
        tmp_path / "old" / "pytorch_model.bin",
    )
    pickles.convert(tmp_path / "old", tmp_path / "new")
    found = read_back(tmp_path / "new")
    assert "lm_head.weight" not in found
    assert torch.equal(found["turned"], embedding.T)


class Attack:
    """Runs a program when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_program_in_a_pickle_is_not_run(tmp_path: Path, how: str) -> None:
    write_pickles(tmp_path / "old")
    mark, file = tmp_path / "was run", tmp_path / "old" / "pytorch_model.bin"
    if how == "torch":
        torch.save({"a": torch.zeros(1), "b": Attack(mark)}, file)
    else:
        file.write_bytes(pickle.dumps(Attack(mark)))
    with pytest.raises(QwenlabError, match="holds more than numbers"):
        pickles.convert(tmp_path / "old", tmp_path / "new")
    assert not mark.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["old"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q", b"no pickle at all"])
def test_broken_pickle_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    write_pickles(tmp_path / "old")
    (tmp_path / "old" / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(QwenlabError, match="or is broken"):
        pickles.convert(tmp_path / "old", tmp_path / "new")


def test_pickles_are_not_loaded_and_not_converted_without_consent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pickles(tmp_path / "old")
    with pytest.raises(QwenlabError, match="--pickle"):
        model_folder.weight_files(tmp_path / "old")
    command = ["models", "convert", str(tmp_path / "old"), str(tmp_path / "new")]
    assert main(command) == 2
    assert "--pickle" in capsys.readouterr().err
    assert main([*command, "--pickle"]) == 0
    assert read_header(tmp_path / "new" / "model.safetensors")
