"""The guard: no stranger's page may use the lab, and the reader's language is kept."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from qwenlab.ui.guard import COOKIE, Guard, preferred_language


def client(listen: bool = False) -> TestClient:
    async def home(request: Request) -> PlainTextResponse:
        return PlainTextResponse(preferred_language(request))

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    routes = [Route(path, home, methods=["GET", "POST"]) for path in ("/", "/en/", "/zh/")]
    app = Starlette(routes=[*routes, WebSocketRoute("/socket", socket)])
    app.add_middleware(Guard, listen=listen)
    return TestClient(app, base_url="http://127.0.0.1:7860")


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
    + [("192.168.1.5:7860", "http://evil.example", 403)],
)
def test_listening_lets_other_computers_in_but_no_other_site(host: str, origin: str | None, status: int) -> None:
    headers = {"host": host, **({"origin": origin} if origin else {})}
    assert client(listen=True).get("/", headers=headers).status_code == status


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
