"""An export's place: the old folder, the new one or nothing, whenever the process is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.export import card, package, place

KILLS = int(os.environ.get("QWENLAB_TEST_KILLS", "8"))
MAKER = """
import sys
from pathlib import Path
from qwenlab.export import package

def make(folder: Path) -> None:
    for name in package.REQUIRED["merged"]:
        (folder / name).write_text("{}")
    for at in range(40):
        (folder / f"model-{at:02}.safetensors").write_bytes(sys.argv[2].encode() * 200_000)

print("ready", flush=True)
for _ in range(1000):
    package.build(Path(sys.argv[1]), "merged", {"base": sys.argv[2]}, make, lambda folder: {})
    package.revise(Path(sys.argv[1]), lambda folder: None)
"""

PROVER = """
import itertools, sys
from pathlib import Path
from qwenlab import files
from qwenlab.export import card, package

def write(passed: bool):
    found = {"suite": "s", "passed": passed, "sentence": {"en": "e", "zh": "z"}, "rows": [], "failures": []}
    return lambda folder: files.write_json(folder / card.SCORECARD, {**found, "details": {"en": [], "zh": []}})

folder = Path(sys.argv[1])
print("ready", flush=True)
for passed in itertools.cycle((False, True)):
    folder = package.revise(folder, write(passed), "small" if passed else "small" + package.FAILED)
"""


def make(text: str) -> object:
    def fill(folder: Path) -> None:
        for name in package.REQUIRED["merged"]:
            (folder / name).write_text("{}")
        (folder / "model.safetensors").write_text(text)

    return fill


def built(target: Path, text: str) -> None:
    package.build(target, "merged", {"base": text}, make(text), lambda _: {})  # type: ignore[arg-type]


@pytest.mark.parametrize("attempt", range(KILLS))
def test_kill_at_any_moment_leaves_a_whole_export(tmp_path: Path, attempt: int) -> None:
    target = tmp_path / "exports" / "merged"
    built(target, "old")
    maker = subprocess.Popen([sys.executable, "-c", MAKER, str(target), "new"], stdout=subprocess.PIPE)
    assert maker.stdout is not None
    maker.stdout.readline()
    time.sleep(random.Random(attempt).uniform(0, 0.5))
    maker.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    maker.communicate()
    place.recover(target.parent)
    assert package.check_sums(target) == []
    assert package.read_manifest(target)["base"] in ("old", "new")
    assert [path.name for path in target.parent.iterdir()] == ["merged"]


@pytest.mark.parametrize("attempt", range(KILLS))
def test_kill_while_a_proof_is_written_leaves_whole_exports_whose_names_say_what_they_are(
    tmp_path: Path, attempt: int
) -> None:
    home = tmp_path / "exports"
    built(home / "small", "weights")
    prover = subprocess.Popen([sys.executable, "-c", PROVER, str(home / "small")], stdout=subprocess.PIPE)
    assert prover.stdout is not None
    prover.stdout.readline()
    time.sleep(random.Random(attempt).uniform(0, 0.3))
    prover.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    prover.communicate()
    place.recover(home)
    left = {path.name: path for path in home.iterdir()}
    assert left
    assert left.keys() <= {"small", "small" + package.FAILED}, "nothing hidden stays"
    for name, folder in left.items():
        assert package.check_sums(folder) == []
        assert (folder / "model.safetensors").read_text() == "weights"
        if (folder / card.SCORECARD).exists():
            assert files.read_json(folder / card.SCORECARD)["passed"] == (name == "small")


def test_kill_between_the_two_renames_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "merged"
    built(target, "old")
    target.rename(place.hidden(target, place.OLD))
    place.hidden(target, place.PART).mkdir()
    place.recover(tmp_path)
    assert (target / "model.safetensors").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_what_is_being_made_is_not_cleaned_up_and_not_made_twice(tmp_path: Path) -> None:
    target = tmp_path / "merged"
    with place.staged(target) as staging:
        code = f"from pathlib import Path; from qwenlab.export import place; place.recover(Path({str(tmp_path)!r}))"
        subprocess.run([sys.executable, "-c", code], check=True)
        assert staging.exists()
        code = (
            f"from pathlib import Path\nfrom qwenlab.export.place import staged\nwith staged(Path({str(target)!r})): 0"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "is being made by another process" in ended.stderr
        (staging / "model.gguf").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_want_of_room_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(QwenlabError, match="needs about 1000000000.00 GB") as caught,
        place.staged(tmp_path / "x", 10**18),
    ):
        pytest.fail("nothing may be made")
    assert "释放磁盘空间" in caught.value.say("zh")[1]
    assert list(tmp_path.iterdir()) == []


def test_failure_while_making_leaves_the_old_export(tmp_path: Path) -> None:
    target = tmp_path / "merged"
    built(target, "old")

    def fail(folder: Path) -> None:
        (folder / "model.safetensors").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        package.build(target, "merged", {}, fail)
    assert (target / "model.safetensors").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 8 MB."""
    if os.name == "nt" or os.geteuid():
        pytest.skip("needs root to make a disk of its own")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False).returncode:
        pytest.skip("needs a machine that can mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_disk_that_fills_up_keeps_the_old_export(small_disk: Path) -> None:
    target = small_disk / "merged"
    built(target, "old")

    def too_much(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(bytes(16_000_000))

    with pytest.raises(QwenlabError, match="could not be written: No space left") as caught:
        package.build(target, "merged", {}, too_much)
    assert "磁盘空间" in caught.value.say("zh")[1]
    assert package.check_sums(target) == []
    assert [path.name for path in small_disk.iterdir()] == ["merged"]


def test_addition_keeps_the_weights_where_they_lie_and_renews_the_sums(tmp_path: Path) -> None:
    target = tmp_path / "merged"
    built(target, "weights")
    before = (target / "model.safetensors").stat().st_ino
    found = package.revise(target, lambda folder: (folder / "more.txt").write_text("more") and None)
    assert found == target
    assert (target / "model.safetensors").stat().st_ino == before
    assert package.check_sums(target) == []
    assert "more.txt" in (target / "SHA256SUMS").read_text()
    renamed = package.revise(target, lambda _: None, "merged-failed-check")
    assert [path.name for path in tmp_path.iterdir()] == ["merged-failed-check"]
    assert package.check_sums(renamed) == []
