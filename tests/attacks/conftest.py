"""Real labs on loopback for strangers to attack: one of this computer alone, one that listens and has users."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from stranger import PASSWORD, Attacked, running

from qwenlab import accounts
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.workspace import Workspace


def _filled(home: Path) -> Path:
    workspace = Workspace(home)
    path = new_data_set(workspace, "tickets", [Sample.make("a", [("user", "q"), ("assistant", "a")])])
    (home / "choices.json").write_text(json.dumps({"dataset": str(path)}), encoding="utf-8")
    return home


@pytest.fixture(scope="session")
def private_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """As `python app.py` starts it."""
    home = _filled(tmp_path_factory.mktemp("private") / "home")
    with running(home) as address:
        yield Attacked(address, home)


@pytest.fixture(scope="session")
def open_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """As `python app.py --listen` starts it, with the users li and wang."""
    home = _filled(tmp_path_factory.mktemp("open") / "home")
    for name in ("li", "wang"):
        accounts.put(Workspace(home), name, PASSWORD)
    with running(home, "--listen", "--name", "lab.example") as address:
        yield Attacked(address, home)
