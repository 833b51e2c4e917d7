"""The page opens in both languages, tells nobody, and has no public calls."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.ui.lab import Lab
from qwenlab.workspace import Workspace


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    from qwenlab.ui.page import create_app

    lab = Lab(Workspace(tmp_path_factory.mktemp("home")))
    path = new_data_set(lab.workspace, "客服", [Sample.make("a", [("user", "q"), ("assistant", "a")])])
    lab.choose(dataset=str(path))
    return TestClient(create_app(lab), base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(("accept", "path"), [("en", "/en/"), ("zh-CN", "/zh/")])
def test_front_door_leads_to_the_reader_s_language(client: TestClient, accept: str, path: str) -> None:
    client.cookies.clear()
    answer = client.get("/", headers={"accept-language": accept}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, path)


@pytest.mark.parametrize(("language", "tab"), [("en", "Compare"), ("zh", "对比")])
def test_page_speaks_its_language(client: TestClient, language: str, tab: str) -> None:
    config = client.get(f"/{language}/config").json()
    labels = [part["props"].get("label") for part in config["components"] if part["type"] == "tabitem"]
    assert len(labels) == 6
    assert tab in labels


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_event_is_public(client: TestClient, language: str) -> None:
    found = client.get(f"/{language}/gradio_api/info").json()
    assert found["named_endpoints"] == {}
    assert found["unnamed_endpoints"] == {}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_is_fetched_from_elsewhere_or_recorded(client: TestClient, language: str) -> None:
    config = client.get(f"/{language}/config").json()
    assert config["analytics_enabled"] is False
    assert config.get("run_history") in (False, None)
    assert "fonts.googleapis" not in json.dumps(config)
    assert "https://" not in client.get(f"/{language}/theme.css").text


def test_stranger_s_host_is_refused_on_the_real_application(client: TestClient) -> None:
    assert client.get("/en/", headers={"host": "evil.example"}).status_code == 403
    post = client.post("/en/gradio_api/queue/join", headers={"origin": "http://evil.example"}, json={})
    assert post.status_code == 403


def test_what_browsers_ask_for_is_there(client: TestClient) -> None:
    assert client.get("/favicon.ico").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(("language", "words"), [("en", "prove"), ("zh", "证明")])
def test_app_can_be_installed_under_its_name_with_its_icons(client: TestClient, language: str, words: str) -> None:
    client.cookies.clear()
    answer = client.get("/manifest.json", headers={"accept-language": language})
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert (manifest["name"], manifest["display"], manifest["start_url"]) == ("Qwenlab", "standalone", "/")
    assert words in manifest["description"]
    for icon in manifest["icons"]:
        found = client.get(icon["src"])
        assert (found.status_code, found.headers["content-type"]) == (200, icon["type"])
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", found.content[16:24])
            assert f"{width}x{height}" == icon["sizes"]
    assert '<link rel="manifest" href="/manifest.json"' in client.get(f"/{language}/").text
    assert client.get("/icons/../page.py").status_code == 404


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_data_set_is_downloaded_in_other_forms(client: TestClient, form: str, tmp_path: Path) -> None:
    from qwenlab.conversations import formats

    answer = client.get(f"/download/data/{form}")
    assert "%E5%AE%A2%E6%9C%8D" in answer.headers["content-disposition"]
    path = tmp_path / f"x.{form}"
    path.write_bytes(answer.content)
    assert formats.import_file(path)[0][0].turns[0].text == "q"


def test_unknown_form_is_one_sentence(client: TestClient) -> None:
    client.cookies.clear()
    answer = client.get("/download/data/pdf")
    assert answer.status_code == 400
    assert "Use .json" in answer.text


def test_path_that_was_not_uploaded_is_never_read(tmp_path: Path) -> None:
    """A visitor may send any path where the page expects an upload."""
    import asyncio

    from gradio.context import LocalContext
    from gradio.exceptions import InvalidPathError

    from qwenlab.ui.page import build_page

    secret = tmp_path / "secret.json"
    secret.write_text('[{"instruction": "secret", "output": "answer"}]', encoding="utf-8")
    page = build_page(Lab(Workspace(tmp_path / "home"), listen=True), "en")
    button = next(block for block in page.blocks.values() if block.get_block_name() == "uploadbutton")
    event = next(fn for fn in page.fns.values() if (button._id, "upload") in fn.targets)
    sent = {"path": str(secret), "orig_name": "x.json", "meta": {"_type": "gradio.FileData"}}
    page.allowed_paths, page.blocked_paths = [], []  # as a mounted page has them
    LocalContext.blocks.set(page)
    inputs = [sent if one._id == button._id else None for one in event.inputs]
    with pytest.raises(InvalidPathError, match="not uploaded"):
        asyncio.run(page.preprocess_data(event, inputs, None))


def test_no_two_scripts_keep_something_under_one_name() -> None:
    scripts = sorted((Path(__file__).parents[2] / "qwenlab" / "ui").glob("*.js"))
    kept = [name for one in scripts for name in set(re.findall(r"window\.(\w+) (?:\?\?)?= ", one.read_text("utf-8")))]
    assert len(kept) > 3
    assert len(set(kept)) == len(kept), sorted(kept)
