"""The guard: no stranger's page may use the lab, and the reader's language is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from qwenlab.ui.guard import COOKIE, SESSION, Guard, preferred_language
from qwenlab.ui.sessions import Sessions


def client(listen: bool = False, names: Sequence[str] = ()) -> TestClient:
    async def home(request: Request) -> PlainTextResponse:
        return PlainTextResponse(preferred_language(request))

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    routes = [Route(path, home, methods=["GET", "POST"]) for path in ("/", "/en/", "/zh/")]
    app = Starlette(routes=[*routes, WebSocketRoute("/socket", socket)])
    sessions = Sessions(lambda: {"li": "hash"}) if listen else None
    app.add_middleware(Guard, sessions=sessions, names=names)
    browser = TestClient(app, base_url="http://127.0.0.1:7860")
    if sessions is not None:
        browser.headers["cookie"] = f"{SESSION}={sessions.begin('li', 'hash')}"
    return browser


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:7860", None, 200),
        ("localhost:1", None, 200),
        ("[::1]:7860", None, 200),
        ("LOCALHOST", None, 200),
        ("127.0.0.1:7860", "http://127.0.0.1:7860", 200),
        ("evil.example:7860", None, 403),
        ("127.0.0.1.evil.example", None, 403),
        ("192.168.1.5:7860", None, 403),
        ("", None, 403),
        ("127.0.0.1:7860", "http://evil.example", 403),
        ("127.0.0.1:7860", "http://127.0.0.1:9999", 403),
        ("127.0.0.1:7860", "null", 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_this_computer_and_this_page_are_answered(host: str, origin: str | None, status: int, method: str) -> None:
    headers = {"host": host, **({"origin": origin} if origin else {})}
    answer = client().request(method, "/", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.text.startswith("Qwenlab")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [("192.168.1.5:7860", None, 200), ("192.168.1.5:7860", "http://192.168.1.5:7860", 200)]
    + [("192.168.1.5:7860", "http://evil.example", 403), ("[fd00::5]:7860", None, 200)]
    + [("evil.example:7860", "http://evil.example:7860", 403), ("lab.example", "https://lab.example", 200)],
)
def test_listening_lets_other_computers_in_but_no_other_site(host: str, origin: str | None, status: int) -> None:
    headers = {"host": host, **({"origin": origin} if origin else {})}
    assert client(listen=True, names=["Lab.example"]).get("/", headers=headers).status_code == status


def test_web_sockets_are_guarded_too() -> None:
    with client().websocket_connect("/socket", headers={"host": "127.0.0.1:7860"}) as socket:
        assert socket.receive_text() == "hello"
    strange = {"host": "127.0.0.1:7860", "origin": "http://evil.example"}
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/socket", headers=strange):
        pass


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("fr, zh;q=0.5, en;q=0.4", "zh"),
        ("zh;q=oops, en", "en"),
    ],
)
def test_language_follows_the_browser(accept: str, language: str) -> None:
    assert client().get("/", headers={"accept-language": accept}).text == language


def test_language_last_opened_wins() -> None:
    browser = client()
    answer = browser.get("/zh/")
    assert answer.cookies[COOKIE] == "zh"
    assert browser.get("/", headers={"accept-language": "en"}).text == "zh"
    browser.get("/en/")
    assert browser.get("/", headers={"accept-language": "zh"}).text == "en"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, 403),
        ({"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, 403),
    ],
)
def test_other_sites_may_link_to_the_page_and_do_nothing_else(headers: dict[str, str], status: int) -> None:
    assert client().get("/en/", headers=headers).status_code == status


def test_every_answer_forbids_frames_sniffing_and_other_sites() -> None:
    for answer in (client().get("/en/"), client().get("/en/", headers={"host": "evil.example"})):
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "http:" not in policy
