"""Who sits before the page whose event is handled, and which folder is only theirs."""

from __future__ import annotations

from pathlib import Path

from gradio.context import LocalContext


def visitor() -> str:
    """The name of who is logged in; "" where nobody has to, and outside of events."""
    request = LocalContext.request.get(None)
    return (request.username or "") if request is not None else ""


def private(folder: Path, owner: str) -> Path:
    """Where in a folder the things of one user are; the folder itself where there are no users."""
    return folder / "users" / owner if owner else folder
