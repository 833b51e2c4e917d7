"""Folders in an older form - Qwen 1's own layout, pickle weights - become models of the workspace, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import qwen1_original as original
import torch
from filelock import FileLock
from small_folder import CONFIG, weights, write_model

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.models import arrival, catalogue, listing, older
from qwenlab.models.pickles import ConsentError
from qwenlab.workspace import Workspace


def silent(what: str, done: float) -> None:
    """Progress that nobody watches."""


def write_pickled(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    torch.save({name: torch.from_numpy(one) for name, one in weights().items()}, folder / "pytorch_model.bin")
    return folder


def write_qwen1(folder: Path, **settings: str) -> Path:
    original.write_checkpoint(folder, **settings)
    return folder


def test_form_is_told_without_reading_weights(tmp_path: Path) -> None:
    assert older.look(write_model(tmp_path / "ordinary")) is None
    assert older.look(tmp_path / "nowhere") is None
    form = older.look(write_qwen1(tmp_path / "one"))
    assert form is not None
    assert (form.qwen1, form.pickled, form.config["intermediate_size"]) == (True, False, 48)
    assert form.bytes == (tmp_path / "one" / "model.safetensors").stat().st_size
    form = older.look(write_qwen1(tmp_path / "bin", kind="bin"))
    assert form is not None
    assert (form.qwen1, form.pickled) == (True, True)
    form = older.look(write_pickled(tmp_path / "pickled"))
    assert form is not None
    assert (form.qwen1, form.pickled, form.config["hidden_size"]) == (False, True, 8)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_qwen1_folder_is_listed_converted_and_stands_for_its_conversion(
    workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    folder = write_qwen1(tmp_path / "Qwen-1_8B-Chat", kind=kind)
    before = {path.name for path in folder.iterdir()}
    assert listing.add(workspace, folder) == [folder]
    row = listing.everything(workspace)[-1]
    assert (row.ready, row.problem, row.older) == (False, None, older.look(folder))
    assert listing.ready(workspace) == []
    made = older.bring(workspace, folder, silent, pickle=True)
    assert made == workspace.models / "Qwen-1_8B-Chat"
    assert catalogue.locate(workspace, str(folder)) == made
    assert catalogue.qwen1_context(made) == 512
    assert files.read_json(made / catalogue.COMPLETE)["notes"]
    assert {path.name for path in folder.iterdir()} == before
    assert [path.name for path in workspace.models.iterdir()] == [made.name], "nothing half-made stays"


def test_pickle_weights_want_consent(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_pickled(tmp_path / "old")
    with pytest.raises(ConsentError, match="qwenlab models add .* --pickle"):
        older.bring(workspace, folder, silent)
    made = older.bring(workspace, folder, silent, pickle=True)
    assert catalogue.locate(workspace, str(folder)) == made
    assert listing.ready(workspace) == ["old"]
    assert catalogue.qwen1_context(made) is None


def test_name_of_another_model_is_left_to_it(workspace: Workspace, tmp_path: Path) -> None:
    first = older.bring(workspace, write_qwen1(tmp_path / "a" / "chat"), silent)
    second = older.bring(workspace, write_qwen1(tmp_path / "b" / "chat"), silent)
    assert (first.name, second.name) == ("chat", older.key(tmp_path / "b" / "chat"))
    assert older.bring(workspace, write_qwen1(tmp_path / "qwen3-4b"), silent).name.startswith("qwen3-4b-")


def test_conversion_that_was_stopped_goes_on_and_can_be_given_up(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_qwen1(tmp_path / "one")

    def stop(what: str, done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        older.bring(workspace, folder, stop)
    assert list(workspace.models.iterdir()), "what was done is kept"
    arrival.discard(workspace, older.key(folder))
    assert not list(workspace.models.iterdir())


def test_two_at_once_do_not_write_the_same_model(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_qwen1(tmp_path / "one")
    staging = workspace.models / f".{older.key(folder)}.older"
    staging.mkdir()
    with FileLock(staging / "lock"), pytest.raises(QwenlabError, match="converted already"):
        older.bring(workspace, folder, silent)


def test_qwen1_that_cannot_be_converted_is_refused_with_the_reason(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_qwen1(tmp_path / "one")
    files.write_json(folder / "config.json", files.read_json(folder / "config.json") | {"visual": {}})
    with pytest.raises(QwenlabError, match="visual input"):
        listing.add(workspace, folder)
    assert older.look(folder) is None


def test_older_models_below_a_folder_are_found(workspace: Workspace, tmp_path: Path) -> None:
    found = [write_qwen1(tmp_path / "all" / "a"), write_pickled(tmp_path / "all" / "b")]
    assert listing.add(workspace, tmp_path / "all") == found
