"""An export as one ZIP file: whole, streamed, and only of exports."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from qwenlab import files
from qwenlab.ui import zipped
from qwenlab.ui.lab import Lab
from qwenlab.ui.page import create_app
from qwenlab.workspace import Workspace


@pytest.fixture
def client(workspace: Workspace) -> TestClient:
    folder = workspace.exports / "票据 int4"
    files.write_json(folder / "qwenlab-export.json", {"kind": "gguf"})
    files.write_bytes(folder / "model.gguf", b"weights" * 500_000)
    files.write_json(folder / "proof" / "suite.json", {})
    files.write_json(workspace.exports / ".being-made.part" / "qwenlab-export.json", {"kind": "gguf"})
    files.write_json(workspace.exports / "letters" / "private.json", {})
    return TestClient(create_app(Lab(workspace)), base_url="http://127.0.0.1")


def test_download_holds_every_file_below_the_name(client: TestClient) -> None:
    reply = client.get("/download/export/票据 int4.zip")
    assert reply.status_code == 200
    assert "attachment" in reply.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.testzip() is None
        inside = {"票据 int4/model.gguf", "票据 int4/proof/suite.json", "票据 int4/qwenlab-export.json"}
        assert set(archive.namelist()) == inside
        assert archive.read("票据 int4/model.gguf") == b"weights" * 500_000
        assert json.loads(archive.read("票据 int4/qwenlab-export.json")) == {"kind": "gguf"}


@pytest.mark.parametrize("name", ["letters", ".being-made.part", "..", "%2e%2e", "nothing"])
def test_only_finished_exports_can_be_had(client: TestClient, name: str) -> None:
    assert client.get(f"/download/export/{name}.zip").status_code == 404


def test_pieces_stay_small_and_links_are_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(bytes(5 * zipped.PIECE))
    (folder / "link").symlink_to(secret)
    pieces = list(zipped.pieces(folder))
    assert max(map(len, pieces)) < 2 * zipped.PIECE
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.namelist() == ["export/model.gguf"]
