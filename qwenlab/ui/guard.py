"""Who may speak to the page: this computer's browser on this page, or a user who logged in, and no other site's."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qwenlab.conversations.words import Language
from qwenlab.ui.sessions import Sessions

COOKIE = "qwenlab_lang"
SESSION = "qwenlab_session"
USER = "qwenlab.user"
"""Key of the request's scope: the name of who is logged in, "" where nobody has to."""
LOCAL = {"localhost", "127.0.0.1", "[::1]"}
DOORS = {"/login", "/favicon.ico"}
"""What may be seen before the login."""
PAGES = {"", "/en", "/zh", "/login"}
"""Where a link on another site may lead."""
USED = re.compile(
    r"/(?:en|zh)(?:/?|/(?:config|theme\.css|(?:assets|static|svelte)/.*"
    r"|gradio_api/(?:startup-events|info|queue/(?:join|data)|upload|upload_progress|cancel|reset|app_id"
    r"|heartbeat/\w+|file=(?!\w+:/).*)))/?"
)
"""What the page uses of Gradio. The rest (fetching addresses, recordings, other people's logins ...) is shut."""
HEADERS = {
    # Gradio builds handlers from strings and puts styles in place; nothing, though, may come from or go to elsewhere.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' data: blob:; worker-src 'self' blob:; connect-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # As silent to other sites as no-referrer, under which forms would be sent without an Origin to check.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses strangers, asks for a login where there are users, and remembers the language that was last opened.

    A page of another site can make this browser send requests to 127.0.0.1, and by DNS rebinding even read
    the answers. Its Host, Origin or Sec-Fetch-Site gives it away.

    Args:
        sessions: who is logged in; None where only this computer may come and nobody needs to log in.
        names: other names by which the lab is reached, such as that of a proxy before it.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions | None = None, names: Iterable[str] = ()) -> None:
        self.app = app
        self.sessions = sessions
        self.names = LOCAL | {name.casefold() for name in names}
        if sessions is not None:
            own = socket.gethostname().casefold()
            self.names |= {own, f"{own}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, lead to the login, or refuse with one sentence."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        answer = self._answer(scope)
        if answer is None:
            await self.app(scope, receive, _with_headers(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await answer(scope, receive, _with_headers(scope, send))

    def _answer(self, scope: Scope) -> Response | None:
        """What to say instead of passing on; None when the request may pass."""
        headers, path = Headers(scope=scope), scope["path"]
        refusal = self.refusal(headers, path)
        if refusal is not None:
            return PlainTextResponse(refusal, status_code=403)
        if path.startswith(("/en", "/zh")) and not USED.fullmatch(path):
            return PlainTextResponse("Qwenlab has nothing there.", status_code=404)
        scope[USER] = ""
        if self.sessions is None:
            return None
        user = self.sessions.user(HTTPConnection(scope).cookies.get(SESSION))
        scope[USER] = user
        if user is not None or path.rstrip("/") in DOORS:
            return None
        if scope["type"] == "http" and scope["method"] == "GET" and path.rstrip("/") in PAGES:
            return RedirectResponse("/login", status_code=303)
        return PlainTextResponse("Log in to Qwenlab first.", status_code=401)

    def refusal(self, headers: Headers, path: str = "") -> str | None:
        """Why a request with these headers is refused; None when it may pass."""
        host = headers.get("host", "")
        if not self._own(host_name(host)):
            if self.sessions is None:
                return "Qwenlab answers only on this computer: open it as http://127.0.0.1 with its port."
            return "Qwenlab does not know itself by this name: open it by its IP address, or start it with --name."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "Qwenlab does not answer to pages of other sites."
        # Pictures, scripts and frames come without an Origin. A link may be followed.
        elsewhere = headers.get("sec-fetch-site", "none") in ("cross-site", "same-site")
        link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        if elsewhere and not (link and path.rstrip("/") in PAGES):
            return "Qwenlab does not answer to pages of other sites."
        return None

    def _own(self, name: str) -> bool:
        """Whether this is the lab's own name: whoever owns a name can point it at any computer, but no number."""
        if name in self.names:
            return True
        if self.sessions is None:
            return False
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


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


def _with_headers(scope: Scope, send: Send) -> Send:
    """Every answer tells the browser what it may not do; the pages also which language was opened."""
    opened = scope["path"].strip("/") if scope["type"] == "http" else ""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            if opened in ("en", "zh"):
                headers.append("set-cookie", f"{COOKIE}={opened}; Path=/; Max-Age=31536000; SameSite=Lax")
        await send(message)

    return told
