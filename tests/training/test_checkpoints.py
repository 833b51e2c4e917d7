"""Checkpoints: durable before they count, whole before training goes on from one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.jobs import Job
from qwenlab.models import adapters
from qwenlab.training import checkpoints, runs


def write(run: Path, step: int, megabytes: int = 0) -> Path:
    """What the trainer leaves of one save, before it is sealed."""
    checkpoint = run / adapters.CHECKPOINTS / f"checkpoint-{step}"
    (checkpoint / "global_step").mkdir(parents=True)
    (checkpoint / "adapter_model.safetensors").write_bytes(os.urandom(1000 + (megabytes << 20)))
    (checkpoint / "global_step" / "optimizer.pt").write_bytes(os.urandom(5000))
    (checkpoint / "trainer_state.json").write_text("{}")
    return checkpoint


def sealed(run: Path, step: int) -> Path:
    checkpoint = write(run, step)
    checkpoints.seal(checkpoint)
    return checkpoint


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_sealed_checkpoint_is_whole_and_lists_what_is_in_it(tmp_path: Path) -> None:
    checkpoint = sealed(tmp_path, 3)
    assert checkpoints.damage(checkpoint) == ""
    listed = json.loads((checkpoint / adapters.COMPLETE).read_text())
    assert set(listed) == {"adapter_model.safetensors", "global_step/optimizer.pt", "trainer_state.json"}
    assert adapters.last_checkpoint(tmp_path) == checkpoint


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "global_step/optimizer.pt"])
@pytest.mark.parametrize("harm", [cut, flip_one_bit, Path.unlink])
def test_damaged_file_is_noticed(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    checkpoint = sealed(tmp_path, 3)
    harm(checkpoint / name)
    assert checkpoints.damage(checkpoint) in (name, Path(name).name)


@pytest.mark.parametrize("marker", ['{"trainer_state', '["trainer_state.json"]', '{"trainer_state.json": 5}'])
def test_damaged_marker_is_noticed(tmp_path: Path, marker: str) -> None:
    checkpoint = sealed(tmp_path, 3)
    (checkpoint / adapters.COMPLETE).write_text(marker)
    assert checkpoints.damage(checkpoint) == adapters.COMPLETE


def test_checkpoint_of_an_older_version_is_trusted(tmp_path: Path) -> None:
    checkpoint = write(tmp_path, 3)
    (checkpoint / adapters.COMPLETE).write_text("")
    assert checkpoints.recover(Job(tmp_path)) == checkpoint


def test_torn_checkpoint_is_cleared_away_without_a_word(tmp_path: Path) -> None:
    whole, torn = sealed(tmp_path, 3), write(tmp_path, 4)
    assert checkpoints.recover(Job(tmp_path)) == whole
    assert not torn.exists()
    assert not (tmp_path / "events.jsonl").exists()


def test_the_checkpoint_before_a_damaged_one_is_used_and_it_is_told(tmp_path: Path) -> None:
    whole, damaged = sealed(tmp_path, 9), sealed(tmp_path, 10)
    flip_one_bit(damaged / "adapter_model.safetensors")
    job = Job(tmp_path)
    assert checkpoints.recover(job) == whole
    assert not damaged.exists()
    seen = runs.Progress()
    for event in job.events()[0]:
        seen.take(event)
    assert seen.damaged == (
        "What was saved at step 10 is damaged on the disk (adapter_model.safetensors). Training goes on from step 9."
    )
    assert "第 9 步" in seen.damaged_zh
    seen.take({"event": "phase", "name": "loading"})
    assert seen.damaged == "", "it belongs to one resume"


def test_with_none_left_training_begins_again_and_says_so(tmp_path: Path) -> None:
    cut(sealed(tmp_path, 3) / "trainer_state.json")
    job = Job(tmp_path)
    assert checkpoints.recover(job) is None
    event = job.events()[0][-1]
    assert "from the beginning" in event["words"]
    assert "从头开始" in event["words_zh"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An ext4 file system in the file tmp_path/image, mounted."""
    if os.name == "nt" or os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root and mkfs.ext4 to make a disk of its own")
    image, folder = tmp_path / "image", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    yield mounted(image, folder)
    subprocess.run(["umount", folder], check=False)


def mounted(image: Path, folder: Path) -> Path:
    folder.mkdir()
    ended = subprocess.run(["mount", "-o", "loop", image, folder], check=False)
    if ended.returncode:
        pytest.skip("needs a machine that can mount a disk image")
    return folder


def test_power_loss_right_after_the_marker_leaves_a_whole_checkpoint(disk: Path, tmp_path: Path) -> None:
    unsealed, whole = write(disk / "careless", 3, 8), write(disk / "run", 3, 8)
    checkpoints.seal(whole)
    files.write_json(unsealed / adapters.COMPLETE, {"adapter_model.safetensors": [1, 1]})  # the marker alone is durable
    shutil.copyfile(tmp_path / "image", tmp_path / "after")  # what the disk holds, without what was only in memory
    found = mounted(tmp_path / "after", tmp_path / "found")
    try:
        assert checkpoints.damage(found / "run" / adapters.CHECKPOINTS / whole.name) == ""
        lost = found / "careless" / adapters.CHECKPOINTS / unsealed.name / "adapter_model.safetensors"
        assert not lost.exists() or lost.stat().st_size == 0, "else this test would prove nothing"
    finally:
        subprocess.run(["umount", found], check=True)
