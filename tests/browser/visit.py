"""A running lab, and one browser window that remembers whatever the page complained about."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from qwenlab.workspace import SHIPPED, Workspace

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


@contextmanager
def serving(workspace: Workspace) -> Iterator[str]:
    """Start a lab on that workspace; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = workspace.root / "lab.log"
    with log.open("wb") as out:
        command = [sys.executable, str(SHIPPED / "app.py"), "--port", str(port), "--model", "smollm2-135m"]
        command += ["--workspace", str(workspace.root)]
        # Beside a browser, OpenMP's threads that wait actively slow the training down to a quarter.
        variables = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
        server = subprocess.Popen(command, stdout=out, stderr=out, env=variables)
    try:
        end = time.monotonic() + 120
        while True:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            try:
                urllib.request.urlopen(address, timeout=30).close()
                break
            except OSError:
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(20)
