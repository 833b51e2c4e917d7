"""A real lab on loopback and a real Chromium looking at it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright
from visit import Visit

from qwenlab.workspace import SHIPPED, Workspace

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="session")
def lab(session_workspace: Workspace) -> Iterator[str]:
    """The address of a running lab whose workspace holds the small model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    log = session_workspace.root / "lab.log"
    with log.open("wb") as out:
        command = [sys.executable, str(SHIPPED / "app.py"), "--port", str(port), "--model", "smollm2-135m"]
        command += ["--workspace", str(session_workspace.root)]
        server = subprocess.Popen(command, stdout=out, stderr=out)
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or whichever is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    assert path, "run `make test`, which installs Chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Browser, lab: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """A fresh window with the Data tab open; parametrize indirectly with (locale, width)."""
    locale, width = getattr(request, "param", ("en-US", 1280))
    context = browser.new_context(locale=locale, viewport={"width": width, "height": 900})
    seen = Visit(context.new_page(), lab)
    seen.page.set_default_timeout(60_000)
    seen.page.goto(f"{lab}/#data")
    seen.page.locator("[data-tab-id=tab_data][aria-selected=true]").first.wait_for()
    seen.page.wait_for_timeout(2000)
    yield seen
    context.close()
