"""Getting a model from a hub: whole or not at all, and nothing is fetched twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qwen1_original as original
from filelock import FileLock
from small_folder import content_of, write_model
from small_hub import COMMIT, REPOSITORY, SmallHub, serving

from qwenlab.errors import QwenlabError
from qwenlab.models import arrival, catalogue, from_hub, hub
from qwenlab.models.download import PausedError
from qwenlab.models.hub import Hub
from qwenlab.models.web import Patience
from qwenlab.workspace import Workspace

NAME = "Qwen--Tiny"
QUICK = Patience(seconds=0.5, waits=(0.01,))


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    content = content_of(write_model(tmp_path / "original"))
    others = {"modeling_tiny.py": b"print(1)", "pytorch_model.bin": b"pickle", "consolidated.safetensors": b"again"}
    with serving({**content, **others}) as running:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", running.address)
        yield running


def get(workspace: Workspace, source: Hub = "huggingface", **others: Any) -> Path:
    entry = catalogue.of_repository(REPOSITORY)
    return from_hub.get(workspace, entry, lambda *_, **__: None, source, patience=QUICK, **others)


def fetched(running: SmallHub) -> list[str]:
    return [path.rpartition("/")[2] for path, *_ in running.asked if "/resolve/" in path]


@pytest.mark.parametrize("source", hub.HUBS)
def test_model_arrives_with_its_licence_and_without_what_it_does_not_need(
    workspace: Workspace, running: SmallHub, source: Hub
) -> None:
    folder = get(workspace, source)
    assert folder == catalogue.locate(workspace, REPOSITORY) == catalogue.locate(workspace, NAME)
    names = {"README.md", "config.json", "model.safetensors", catalogue.COMPLETE}
    assert {path.name for path in folder.iterdir()} == names
    assert all((folder / name).read_bytes() == running.content[name] for name in names - {catalogue.COMPLETE})
    about = json.loads((folder / catalogue.COMPLETE).read_text())
    assert about["licence"] in ("apache-2.0", "Apache License 2.0")
    assert about["revision"] == (COMMIT if source == "huggingface" else "master")
    assert list(workspace.models.iterdir()) == [folder]


def test_interrupted_download_goes_on_and_whole_files_are_not_asked_for_again(
    workspace: Workspace, running: SmallHub
) -> None:
    size = len(running.content["model.safetensors"])
    running.broken_after = [10**9, 10**9, size // 2, 0, 0]
    with pytest.raises(QwenlabError, match="cannot be reached"):
        get(workspace)
    assert not catalogue.is_ready(workspace, NAME)
    assert from_hub.arrived(workspace, NAME) > size // 2
    running.broken_after, running.asked = [], []
    folder = get(workspace)
    assert fetched(running) == ["model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == running.content["model.safetensors"]


def test_pause_keeps_and_discard_deletes(workspace: Workspace, running: SmallHub) -> None:
    stops = iter([False, False, True])
    with pytest.raises(PausedError):
        get(workspace, stopping=lambda: next(stops))
    assert from_hub.arrived(workspace, NAME) > 0
    arrival.discard(workspace, NAME)
    assert list(workspace.models.iterdir()) == []


def test_what_changed_on_the_hub_meanwhile_is_fetched_anew(
    workspace: Workspace, running: SmallHub, tmp_path: Path
) -> None:
    running.broken_after = [10**9, 10**9, 100, 0, 0]
    with pytest.raises(QwenlabError):
        get(workspace)
    running.broken_after = []
    running.content["config.json"] += b" "
    folder = get(workspace)
    assert (folder / "config.json").read_bytes() == running.content["config.json"]


def test_another_family_is_refused_before_its_weights_are_fetched(workspace: Workspace, running: SmallHub) -> None:
    running.content["config.json"] = b'{"model_type": "gpt2"}'
    with pytest.raises(QwenlabError, match="family 'gpt2'"):
        get(workspace)
    assert "model.safetensors" not in fetched(running)


def test_too_little_disk_is_said_before_anything_is_fetched(
    workspace: Workspace, running: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_hub, "SPARE_BYTES", 10**18)
    with pytest.raises(QwenlabError, match="GB free; getting this model needs"):
        get(workspace)
    assert fetched(running) == []


def test_weights_that_are_none_do_not_become_a_model(workspace: Workspace, running: SmallHub) -> None:
    running.content["model.safetensors"] = b"\xff" * 1000
    with pytest.raises(QwenlabError, match="no safetensors file"):
        get(workspace)
    assert not catalogue.is_ready(workspace, NAME)


def test_repository_of_pickles_wants_consent(workspace: Workspace, running: SmallHub) -> None:
    del running.content["model.safetensors"]
    with pytest.raises(QwenlabError, match="--pickle"):
        get(workspace)
    assert fetched(running) == []


def test_repository_without_weights_is_explained(workspace: Workspace, running: SmallHub) -> None:
    del running.content["model.safetensors"], running.content["pytorch_model.bin"]
    with pytest.raises(QwenlabError, match="not its GGUF"):
        get(workspace)


def test_two_at_once_do_not_write_the_same_file(workspace: Workspace, running: SmallHub) -> None:
    staging = workspace.models / f".{NAME}.hub"
    staging.mkdir()
    with FileLock(staging / "lock"), pytest.raises(QwenlabError, match="fetched already"):
        get(workspace)


def test_qwen1_is_converted_as_it_arrives(workspace: Workspace, running: SmallHub, tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "qwen1", shards=2)
    running.content = content_of(tmp_path / "qwen1") | {"modeling_qwen.py": b"print(1)", "README.md": b"A card."}
    folder = get(workspace)
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["max_position_embeddings"]) == ("qwen2", 512)
    assert (folder / "tokenizer.json").exists()
    assert not list(folder.glob("*.py"))
    assert json.loads((folder / catalogue.COMPLETE).read_text())["hub"] == REPOSITORY
    assert catalogue.qwen1_context(folder) == 512
    assert catalogue.locate(workspace, REPOSITORY) == folder
    assert list(workspace.models.iterdir()) == [folder]


def test_room_for_the_copy_of_a_qwen1_is_asked_for_before_its_weights_are_fetched(
    workspace: Workspace, running: SmallHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original.write_checkpoint(tmp_path / "qwen1")
    running.content = content_of(tmp_path / "qwen1")
    size = sum(map(len, running.content.values()))
    free = from_hub.SPARE_BYTES + size * 3 // 2
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Disk", (), {"free": free}))
    with pytest.raises(QwenlabError, match="disk"):
        get(workspace)
    assert "model.safetensors" not in fetched(running)
    free += size
    assert get(workspace).exists()
