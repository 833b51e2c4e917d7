"""A stranger's browser tab: other sites, other names of this computer, addresses the page does not use, floods."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from stranger import Attacked, raw

from qwenlab.ui.limits import UPLOAD_BYTES, Limits

EVERYWHERE = [
    ("GET", "/"),
    ("GET", "/en/"),
    ("GET", "/zh/"),
    ("GET", "/en/config"),
    ("GET", "/en/theme.css"),
    ("GET", "/en/gradio_api/info"),
    ("GET", "/en/gradio_api/startup-events"),
    ("GET", "/en/gradio_api/queue/data?session_hash=x"),
    ("GET", "/en/gradio_api/heartbeat/x"),
    ("GET", "/en/gradio_api/file=/etc/passwd"),
    ("POST", "/en/gradio_api/queue/join"),
    ("POST", "/zh/gradio_api/queue/join"),
    ("POST", "/en/gradio_api/upload"),
    ("POST", "/en/gradio_api/cancel"),
    ("POST", "/en/gradio_api/reset"),
    ("GET", "/download/data/json"),
    ("GET", "/download/votes.csv"),
    ("GET", "/download/result/x/html"),
    ("GET", "/download/batch/x/csv"),
    ("GET", "/manifest.json"),
]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
@pytest.mark.parametrize(
    "forged",
    [
        {"host": "rebound.example"},
        {"host": "127.0.0.1.rebound.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"},
    ],
    ids=lambda forged: " ".join(forged.values()),
)
def test_other_sites_and_names_are_refused_on_every_address(
    private_lab: Attacked, method: str, path: str, forged: dict[str, str]
) -> None:
    stranger = private_lab.stranger()
    assert stranger.web.request(method, path, headers=forged).status_code == 403


def test_web_socket_of_another_site_is_refused(private_lab: Attacked) -> None:
    words = "GET /en/ HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {origin}\r\n"
    words += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    host = private_lab.address.removeprefix("http://")
    for name, origin in ((host, "http://evil.example"), ("rebound.example", "http://rebound.example")):
        assert b" 403 " in raw(private_lab.address, words.format(host=name, origin=origin).encode()).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "path",
    [
        *("proxy=https://example.org/", "file=https://example.org/x", "file=http://169.254.169.254/", "dev/reload"),
        *("run/predict", "api/predict", "call/predict", "token", "login_check", "user", "runs", "openapi.json"),
        *("stream/x/0/1/playlist.m3u8", "custom_component/x/client/component/index.js", "vibe-code", "deep_link"),
        *("process_recording", "component_server", "../monitoring", "call/v2/predict/x"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_the_page_does_not_use_of_gradio_is_shut(private_lab: Attacked, path: str, method: str) -> None:
    line = f"{method} /en/gradio_api/{path} HTTP/1.1\r\nHost: {private_lab.address[7:]}\r\nContent-Length: 0\r\n\r\n"
    assert b" 404 " in raw(private_lab.address, line.encode()).split(b"\r\n")[0]


def test_every_answer_carries_the_headers(private_lab: Attacked) -> None:
    for path in ("/en/", "/en/config", "/en/theme.css", "/download/votes.csv", "/nowhere", "/en/gradio_api/proxy=x"):
        headers = private_lab.stranger().web.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert "server" not in headers, path


# --- floods ----------------------------------------------------------------------------------------------


def test_upload_that_says_it_is_too_large_is_refused_unread(private_lab: Attacked) -> None:
    line = f"POST /en/gradio_api/upload HTTP/1.1\r\nHost: {private_lab.address[7:]}\r\n"
    line += f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {UPLOAD_BYTES + 1}\r\n\r\n"
    assert b" 413 " in raw(private_lab.address, line.encode()).split(b"\r\n")[0]


def test_call_that_is_too_large_is_refused_unread(private_lab: Attacked) -> None:
    line = f"POST /en/gradio_api/queue/join HTTP/1.1\r\nHost: {private_lab.address[7:]}\r\n"
    line += "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    assert b" 413 " in raw(private_lab.address, line.encode()).split(b"\r\n")[0]


@pytest.fixture(scope="module")
def impatient() -> Iterator[str]:
    """A server with the lab's limits, but with little patience and room."""

    async def take(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    app = Starlette(routes=[Route("/upload", take, methods=["POST"])])
    app.add_middleware(Limits, upload=1000, patience=0.3, pace=1000)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


HEAD = b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_upload_within_the_limits_is_taken(impatient: str) -> None:
    assert raw(impatient, HEAD + b"5\r\nhello\r\n0\r\n\r\n").endswith(b"\r\n5")


def test_upload_that_does_not_say_its_size_ends_when_it_is_too_large(impatient: str) -> None:
    assert b" 413 " in raw(impatient, HEAD + (b"100\r\n" + b"x" * 256 + b"\r\n") * 8)


def test_upload_that_stands_still_ends(impatient: str) -> None:
    answer = raw(impatient, HEAD + b"5\r\nhello\r\n")
    assert b" 408 " in answer
    assert b"too slowly" in answer
