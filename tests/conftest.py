"""Fixtures for all tests: a workspace of their own, and the real small model."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stub_server import Reply, StubServer

from qwenlab.models import catalogue
from qwenlab.workspace import Workspace

SMALL = "smollm2-135m"
REAL = Workspace.default()
"""The developer's own workspace, looked up before the tests are sent elsewhere; only its models are read."""


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty workspace; everything that asks for the default one gets it."""
    monkeypatch.setenv("QWENLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("QWENLAB_MODEL", raising=False)
    return Workspace.default()


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of the real SmolLM2-135M-Instruct."""
    named = os.environ.get("QWENLAB_TEST_MODEL")
    if named:
        return Path(named)
    assert catalogue.is_ready(REAL, SMALL), f"run `qwenlab models get {SMALL}` first, or `make test`, which does"
    return REAL.models / SMALL


@pytest.fixture
def with_model(workspace: Workspace, smollm2: Path) -> Workspace:
    """The empty workspace with the real small model in it."""
    (workspace.models / SMALL).symlink_to(smollm2, target_is_directory=True)
    return workspace


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], StubServer]]:
    """Starts an endpoint that answers from a function."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[StubServer] = []

    def start(reply: Reply) -> StubServer:
        servers.append(StubServer(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 64 MB."""
    if os.name == "nt" or os.geteuid():
        pytest.skip("needs root to make a disk of its own")
    folder = tmp_path / "disk"
    folder.mkdir()
    ended = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=False)
    if ended.returncode:
        pytest.skip("needs a machine that can mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short English samples that a few steps can be trained on."""
    import json

    colours = ("red", "green", "blue", "black", "white", "pink", "grey", "gold", "teal", "navy", "lime", "plum")
    samples = [
        {
            "id": f"colour-{colour}",
            "conversations": [
                {"from": "user", "value": f"I would like the {colour} kettle."},
                {"from": "assistant", "value": json.dumps({"colour": colour})},
            ],
        }
        for colour in colours
    ]
    path = tmp_path_factory.mktemp("data") / "tiny.train.json"
    path.write_text(json.dumps(samples), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def session_workspace(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Workspace:
    """A workspace that the slow tests share, with the small model in it."""
    shared = Workspace(tmp_path_factory.mktemp("shared"))
    (shared.models / SMALL).symlink_to(smollm2, target_is_directory=True)
    return shared


@pytest.fixture(scope="session")
def random_adapter(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter on all linear layers that changes every answer: random, and far from zero."""
    import torch
    from peft import LoraConfig, get_peft_model

    from qwenlab.models import loading

    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(loading.load(smollm2).model, lora)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    return folder
