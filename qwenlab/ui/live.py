"""What the parts of a tab need that are drawn anew while a job goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIVE: dict[str, Any] = {
    "js_on_load": (HERE / "live.js").read_text(encoding="utf-8"),
    "css_template": (HERE / "style_runs.css").read_text(encoding="utf-8"),
    "apply_default_css": False,
}
"""For gr.HTML(**LIVE): clicks on rows and buttons are sent, and what was unfolded stays so."""
