"""What a browser needs to install the lab as a desktop app: its manifest and its icons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from qwenlab.ui.guard import preferred_language
from qwenlab.ui.texts import Translator

ICONS = Path(__file__).parent / "icons"
PICTURES: dict[str, dict[str, str]] = {
    "icon.svg": {"sizes": "any", "type": "image/svg+xml", "purpose": "any"},
    "icon-192.png": {"sizes": "192x192", "type": "image/png", "purpose": "any"},
    "icon-512.png": {"sizes": "512x512", "type": "image/png", "purpose": "any"},
    "icon-mask-512.png": {"sizes": "512x512", "type": "image/png", "purpose": "maskable"},
}


def manifest(t: Translator) -> dict[str, Any]:
    """The web app manifest; the start address leads on to the reader's language."""
    return {
        "id": "/",
        "name": t("title"),
        "short_name": t("title"),
        "description": t("app_description"),
        "lang": t.language,
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "theme_color": "#1f5fa8",
        "background_color": "#ffffff",
        "icons": [{"src": f"/icons/{name}", **about} for name, about in PICTURES.items()],
    }


def router() -> APIRouter:
    """/manifest.json, /icons/NAME and /favicon.ico."""
    found = APIRouter()

    @found.get("/manifest.json")
    def app_manifest(request: Request) -> Response:
        return JSONResponse(manifest(Translator(preferred_language(request))), media_type="application/manifest+json")

    @found.get("/icons/{name}")
    def icon(name: str) -> Response:
        if name not in PICTURES:
            return Response(status_code=404)
        return FileResponse(ICONS / name, media_type=PICTURES[name]["type"])

    @found.get("/favicon.ico")
    def favicon() -> Response:
        return icon("icon.svg")

    return found
