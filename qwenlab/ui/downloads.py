"""What the Compare tab gives to take away: the record of verdicts, and the table of a batch."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from qwenlab.errors import QwenlabError
from qwenlab.evals import batch, preferences
from qwenlab.evals.preferences import VoteLog
from qwenlab.ui import components
from qwenlab.ui.guard import preferred_language
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator


def router(lab: Lab) -> APIRouter:
    """The addresses below /download."""
    found = APIRouter()

    @found.get("/download/votes.csv")
    def votes() -> Response:
        content = preferences.to_csv(VoteLog(lab.workspace.talks / "votes.jsonl").read())
        return _file(content, "votes.csv")

    @found.get("/download/batch/{name}/{form}")
    def table(name: str, form: str, request: Request) -> Response:
        t = Translator(preferred_language(request))
        folder = next((path for path in lab.workspace.batches.iterdir() if path.name == name), None)
        if folder is None or form not in batch.FORMS:
            return PlainTextResponse(t("batch_gone"), status_code=404)
        try:
            with TemporaryDirectory() as scratch:
                path = Path(scratch) / f"table.{form}"
                batch.export(batch.read(folder), path)
                return _file(path.read_bytes(), f"{folder.name}.{form}")
        except QwenlabError as error:
            return PlainTextResponse(" ".join(components.error_words(error, t)), status_code=400)

    return found


def _file(content: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type="application/octet-stream", headers=headers)
