"""Merging: equal to the adapter, complete, and whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.export import package
from qwenlab.export.merge import merge

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def merged(smollm2: Path, random_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exports") / "merged"
    proof = merge(smollm2, random_adapter, target, title="A test", run="run-1")
    assert proof["max_logit_difference"] < 1e-3
    assert proof["same_next_token"] == proof["prompts"] == 16
    return target


def test_merged_folder_is_complete_and_its_sums_hold(merged: Path, smollm2: Path) -> None:
    names = {path.name for path in merged.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja", "README.md"} <= names
    assert package.check_sums(merged) == []
    assert (merged / "tokenizer.json").read_bytes() == (smollm2 / "tokenizer.json").read_bytes()
    assert "run-1" in (merged / "README.md").read_text()
    assert [path.name for path in merged.parent.iterdir()] == ["merged"], "no temporary folder may stay"


def test_damaged_copy_is_found(merged: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(merged, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "rope_theta": 1}))
    (copy / "tokenizer.json").unlink()
    assert sorted(package.check_sums(copy)) == ["config.json", "tokenizer.json"]


def test_sums_that_point_outside_are_refused(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text("00  ../../etc/passwd\n")
    with pytest.raises(QwenlabError, match="outside the folder"):
        package.check_sums(tmp_path)


def test_rounding_to_bfloat16_is_measured_not_hidden(smollm2: Path, random_adapter: Path, tmp_path: Path) -> None:
    proof = merge(smollm2, random_adapter, tmp_path / "merged", "bfloat16")
    assert proof["max_logit_difference"] > 1e-3
    about = package.read_manifest(tmp_path / "merged")
    assert about["dtype"] == "bfloat16"
    assert about["proof"] == proof


def test_folder_of_somebody_else_is_not_overwritten(smollm2: Path, random_adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(QwenlabError, match="holds other files"):
        merge(smollm2, random_adapter, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_export_that_does_not_load_is_not_kept(tmp_path: Path, smollm2: Path) -> None:
    def make(folder: Path) -> None:
        package.carry_tokenizer(smollm2, folder)
        for name in ("config.json", "generation_config.json"):
            (folder / name).write_bytes((smollm2 / name).read_bytes())
        (folder / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")

    with pytest.raises(QwenlabError, match="fresh process failed"):
        package.build(tmp_path / "broken", "merged", {}, make)
    assert list(tmp_path.iterdir()) == []
