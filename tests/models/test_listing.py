"""One list of models: what ships, what hubs have, what was fetched, what lies in a person's folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_folder import write_model

from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue, family, listing
from qwenlab.training.estimate import Shape
from qwenlab.workspace import Workspace


def names(workspace: Workspace, words: str = "") -> list[str]:
    return [one.model for one in listing.search(workspace, words)]


def test_shipped_models_come_first_and_the_family_is_known_offline(workspace: Workspace) -> None:
    found = listing.everything(workspace)
    assert [one.model for one in found[:2]] == ["qwen2.5-coder-0.5b", "smollm2-135m"]
    assert all(one.licence and one.bytes and one.config and not one.ready for one in found)
    assert names(workspace, "qwen3 4B") == ["qwen3-4b", "qwen3-4b-2507"]
    assert "qwen2.5-coder-7b" in names(workspace, "CODER")


@pytest.mark.parametrize("entry", [*catalogue.CATALOGUE, *family.FAMILY], ids=lambda one: one.name)
def test_shapes_of_the_table_give_its_sizes(entry: catalogue.Entry) -> None:
    shape = Shape.of(dict(entry.shape))
    weights = shape.in_layers + shape.embeddings
    if not entry.wheels:
        assert weights == pytest.approx(entry.bytes / 2, rel=0.001)  # but for norms and biases
    assert catalogue.of_repository(entry.hub) == entry


def test_folder_is_added_by_path_and_forgotten_without_losing_a_file(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    assert listing.add(workspace, folder) == [folder]
    assert listing.add(workspace, folder) == []
    last = listing.everything(workspace)[-1]
    assert (last.model, last.title, last.origin, last.ready) == (str(folder), "mine", "folder", True)
    assert (last.licence, last.config["hidden_size"]) == ("mit", 8)
    assert listing.ready(workspace) == [str(folder)]
    assert listing.forget(workspace, folder)
    assert not listing.forget(workspace, folder)
    assert (folder / "config.json").exists()


def test_models_below_a_folder_are_found_and_others_are_not(workspace: Workspace, tmp_path: Path) -> None:
    good = [write_model(tmp_path / "all" / name) for name in ("a", "b/c", "models--x/snapshots/1")]
    write_model(tmp_path / "all" / "gpt", model_type="gpt2")
    write_model(tmp_path / "all" / ".hidden")
    write_model(tmp_path / "all" / "1" / "2" / "3" / "4" / "too deep")
    assert listing.add(workspace, tmp_path / "all") == good


def test_folder_in_a_hubs_cache_is_a_folder_of_links(workspace: Workspace, tmp_path: Path) -> None:
    real = write_model(tmp_path / "models--x" / "blobs")
    snapshot = tmp_path / "models--x" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for path in real.iterdir():
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    assert listing.add(workspace, snapshot) == [snapshot]


@pytest.mark.parametrize(
    ("changes", "message"), [({"model_type": "gpt2"}, "family 'gpt2'"), ({"vocab_size": 33}, "does not belong")]
)
def test_folder_that_cannot_be_used_is_refused_with_the_reason(
    workspace: Workspace, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(QwenlabError, match=message):
        listing.add(workspace, write_model(tmp_path / "bad", **changes))
    assert listing.added(workspace) == []


@pytest.mark.parametrize("named", ["nowhere", "."])
def test_nothing_found_is_said(workspace: Workspace, tmp_path: Path, named: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(QwenlabError, match="There is no"):
        listing.add(workspace, tmp_path / "empty" / named)


def test_added_folder_that_is_gone_stays_on_the_list_with_the_reason(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "mine")
    listing.add(workspace, folder)
    (folder / "config.json").unlink()
    last = listing.everything(workspace)[-1]
    assert not last.ready
    assert last.problem is not None


def test_model_fetched_by_its_repository_is_listed_with_its_licence(workspace: Workspace) -> None:
    folder = write_model(workspace.models / "Somebody--Tiny")
    (folder / catalogue.COMPLETE).write_text(json.dumps({"hub": "Somebody/Tiny", "licence": "mit"}))
    last = listing.everything(workspace)[-1]
    assert (last.title, last.origin, last.licence, last.ready) == ("Somebody/Tiny", "hub", "mit", True)
    assert catalogue.locate(workspace, "Somebody/Tiny") == folder
    assert listing.ready(workspace) == ["Somebody--Tiny"]


@pytest.mark.parametrize("broken", ["", "[]", '{"folders": 3}', '{"folders": [3]}', "[" * 100_000])
def test_broken_list_of_folders_does_not_stop_the_lab(workspace: Workspace, broken: str) -> None:
    (workspace.models.parent / "model-folders.json").write_text(broken)
    assert listing.added(workspace) == []


def test_damaged_list_of_folders_is_not_written_over(workspace: Workspace) -> None:
    kept = workspace.models.parent / "model-folders.json"
    kept.write_text("{")
    with pytest.raises(QwenlabError, match="model-folders.json"):
        listing.forget(workspace, workspace.models)
    assert kept.read_text() == "{"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: other\nlicense_name: qwen-research\n---\n", "qwen-research"),
        ("---\nlicense: 'apache-2.0'\n---\n", "apache-2.0"),
        ("license: mit in the text", "  "),
    ],
)
def test_licence_is_read_from_the_card(tmp_path: Path, card: str, licence: str) -> None:
    (tmp_path / "README.md").write_text(card)
    assert listing.licence_of(tmp_path) == licence.strip()
    (tmp_path / "LICENSE").write_text("\n   Apache License\n Version 2.0")
    assert listing.licence_of(tmp_path) == (licence.strip() or "Apache License")
