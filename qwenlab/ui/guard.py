"""Who may speak to the page: this computer's browser on this page, and no other site's."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qwenlab.conversations.words import Language

COOKIE = "qwenlab_lang"
LOCAL = {"localhost", "127.0.0.1", "[::1]"}


class Guard:
    """Refuses strangers and remembers the language that was last opened.

    A page of another site can make this browser send requests to 127.0.0.1, and by DNS rebinding even read
    the answers. Its Host or Origin gives it away.
    """

    def __init__(self, app: ASGIApp, listen: bool = False) -> None:
        self.app = app
        self.listen = listen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403 with one sentence."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(Headers(scope=scope))
        if refusal is None:
            await self.app(scope, receive, _remember_language(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)

    def refusal(self, headers: Headers) -> str | None:
        """Why a request with these headers is refused; None when it may pass."""
        host = headers.get("host", "")
        if not self.listen and host_name(host) not in LOCAL:
            return "Qwenlab answers only on this computer: open it as http://127.0.0.1 with its port."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "Qwenlab does not answer to pages of other sites."
        return None


def host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0].lower()


def preferred_language(request: HTTPConnection) -> Language:
    """The language last opened, or what the browser asks for; English when it asks for neither."""
    known = request.cookies.get(COOKIE)
    if known in ("en", "zh"):
        return "zh" if known == "zh" else "en"
    best: tuple[float, Language] = (0.0, "en")
    for wish in request.headers.get("accept-language", "").split(","):
        tag, _, quality = wish.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        name = tag.lower().partition("-")[0]
        if name in ("en", "zh") and weight > best[0]:
            best = (weight, "zh" if name == "zh" else "en")
    return best[1]


def _remember_language(scope: Scope, send: Send) -> Send:
    opened = scope["path"].strip("/") if scope["type"] == "http" else ""
    if opened not in ("en", "zh"):
        return send

    async def remember(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append(
                "set-cookie", f"{COOKIE}={opened}; Path=/; Max-Age=31536000; SameSite=Lax"
            )
        await send(message)

    return remember
