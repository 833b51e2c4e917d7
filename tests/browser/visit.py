"""One browser window that remembers whatever the page complained about."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page

from qwenlab.workspace import SHIPPED

SHOTS = Path(os.environ.get("QWENLAB_SCREENSHOTS", SHIPPED / "build" / "screenshots"))


LEAVING = ("AbortError", "errored out")
"""What Gradio's client logs when a page is reloaded while an answer is under way."""


class Visit:
    """One window; remembers whatever the page complained about.

    Attributes:
        page: playwright's page.
        complaints: console errors, uncaught exceptions, error statuses, and requests to elsewhere.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda said: self._note(said.type == "error", f"console: {said.text}"))
        page.on("pageerror", lambda error: self._note(True, f"exception: {error}"))
        page.on("response", lambda reply: self._note(reply.status >= 400, f"{reply.status}: {reply.url}"))
        page.on("request", lambda sent: self._note(not _own(sent.url, address), f"elsewhere: {sent.url}"))

    def _note(self, wrong: bool, words: str) -> None:
        if wrong and not any(known in words for known in LEAVING):
            self.complaints.append(words)

    def open_tab(self, name: str) -> None:
        """Click a tab and let it settle."""
        self.page.get_by_role("tab", name=name).click()
        self.page.wait_for_timeout(1500)

    def shoot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def _own(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:", "about:"))
