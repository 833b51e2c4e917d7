"""Making a run: what is kept of the data that it learns from."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.conversations.dataset import versions
from qwenlab.training import runs
from qwenlab.training.recipe import Recipe
from qwenlab.workspace import SHIPPED, Workspace


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder that is a model as far as making a run goes."""
    files.write_json(tmp_path / "model" / "config.json", {"model_type": "qwen2"})
    return str(tmp_path / "model")


@pytest.fixture
def own(tmp_path: Path, tiny_data: Path) -> Path:
    path = tmp_path / "own" / "tiny.train.json"
    files.write_bytes(path, tiny_data.read_bytes())
    return path


def test_run_keeps_the_version_of_a_person_s_own_data(workspace: Workspace, model: str, own: Path) -> None:
    first = runs.create(workspace, Recipe(model=model, data=str(own)))
    assert [path.read_bytes() for path in versions(own)] == [(first.folder / "data.json").read_bytes()]
    runs.create(workspace, Recipe(model=model, data=str(own)))
    assert len(versions(own)) == 1, "the same version is kept once"
    own.write_bytes(own.read_bytes() + b"\n")
    runs.create(workspace, Recipe(model=model, data=str(own)))
    assert len(versions(own)) == 2


def test_folder_that_forbids_versions_does_not_forbid_the_run(workspace: Workspace, model: str, own: Path) -> None:
    (own.parent / ".versions").write_text("a file where the folder should be")
    job = runs.create(workspace, Recipe(model=model, data=str(own)))
    assert (job.folder / "data.json").read_bytes() == own.read_bytes()


def test_nothing_is_written_beside_a_shipped_set(workspace: Workspace, model: str) -> None:
    path = SHIPPED / "data" / "identity.train.json"
    runs.create(workspace, Recipe(model=model, data=str(path)))
    assert versions(path) == []
