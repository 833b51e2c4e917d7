"""How much and how slowly a browser may send: nobody fills the disk or holds the server with one request."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD_BYTES = 1 << 30
"""A file: twice a data set of a million conversations."""
WORDS_BYTES = 64 << 20
"""Anything else: what a person typed, and what the page remembers of it."""
LOGIN_BYTES = 1 << 14
"""A name and a password, of somebody who is not known yet."""
PATIENCE_SECONDS = 30.0
PACE_BYTES_PER_SECOND = 20_000
"""Slower than this, after a while of patience, is nobody who wants to get a file across."""
TOO_MUCH = "This is larger than the lab takes: a file may have {most:,} bytes."
TOO_SLOW = "This came too slowly. Try again, or copy the file to the lab's computer."


class Limits:
    """Ends requests that are too large (413) or too slow (408), before or while they are read."""

    def __init__(
        self,
        app: ASGIApp,
        upload: int = UPLOAD_BYTES,
        words: int = WORDS_BYTES,
        patience: float = PATIENCE_SECONDS,
        pace: float = PACE_BYTES_PER_SECOND,
    ) -> None:
        self.app = app
        self.upload, self.words = upload, words
        self.patience, self.pace = patience, pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with a `receive` that counts."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].rstrip("/")
        most = LOGIN_BYTES if path == "/login" else self.upload if path.endswith("/upload") else self.words
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdigit() or int(length) > most:
            await PlainTextResponse(TOO_MUCH.format(most=most), status_code=413)(scope, receive, send)
            return
        await self.app(scope, self._counted(receive, most), send)

    def _counted(self, receive: Receive, most: int) -> Receive:
        begun, read, whole = time.monotonic(), 0, False

        async def counted() -> Message:
            nonlocal read, whole
            if whole:  # from now on it only waits for the browser to go
                return await receive()
            left = begun + self.patience + read / self.pace - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.0))
            except TimeoutError as error:
                raise HTTPException(408, TOO_SLOW, {"Connection": "close"}) from error
            whole = message["type"] != "http.request" or not message.get("more_body")
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, TOO_MUCH.format(most=most), {"Connection": "close"})
            return message

        return counted
