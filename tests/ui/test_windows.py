"""How many windows the page remembers."""

from __future__ import annotations

from pathlib import Path

from qwenlab.ui.lab import Lab
from qwenlab.ui.page import WINDOWS, build_page
from qwenlab.workspace import Workspace


def test_windows_that_were_opened_long_ago_are_forgotten(tmp_path: Path) -> None:
    page = build_page(Lab(Workspace(tmp_path)), "en")
    page.state_holder.set_blocks(page)
    for number in range(WINDOWS + 5):
        page.state_holder[f"window {number}"]
    assert len(page.state_holder.session_data) == WINDOWS
    assert "window 0" not in page.state_holder
