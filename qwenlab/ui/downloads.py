"""What the page gives to take away: the record of verdicts, the table of a batch, a test's report, an export."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from qwenlab.errors import QwenlabError
from qwenlab.evals import batch, preferences, reports
from qwenlab.evals.findings import gather
from qwenlab.evals.preferences import VoteLog
from qwenlab.evals.result import load_result
from qwenlab.ui import components, ladder, suites, zipped
from qwenlab.ui.guard import USER, preferred_language
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.ui.visitor import private

FILE = "application/octet-stream"
REPORTS = {"html": ".html", "markdown": ".md", "csv": ".csv", "junit": ".xml", "json": ".json"}
"""Form of a test's report -> the ending of its file."""


def router(lab: Lab) -> APIRouter:
    """The addresses below /download."""
    found = APIRouter()

    @found.get("/download/votes.csv")
    def votes(request: Request) -> Response:
        own = private(lab.workspace.talks, request.scope.get(USER) or "")
        content = preferences.to_csv(VoteLog(own / "votes.jsonl").read())
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

    @found.get("/download/export/{name}.zip")
    def export(name: str, request: Request) -> Response:
        folder = next((one.folder for one in ladder.exports(lab.workspace) if one.folder.name == name), None)
        if folder is None:
            return PlainTextResponse(Translator(preferred_language(request))("export_download_gone"), status_code=404)
        return StreamingResponse(zipped.pieces(folder), headers=_headers(f"{folder.name}.zip"), media_type=FILE)

    @found.get("/download/result/{name}/{form}")
    def report(name: str, form: str, request: Request) -> Response:
        t = Translator(preferred_language(request))
        folder = next((path for path in suites.results(lab.workspace) if path.name == name), None)
        if folder is None or form not in REPORTS:
            return PlainTextResponse(t("test_report_gone"), status_code=404)
        try:
            findings = gather(load_result(folder), t.language, lab.workspace.results)
            content = reports.render(findings, reports.ENDINGS[REPORTS[form]])
            return _file(content, folder.name + REPORTS[form])
        except QwenlabError as error:
            return PlainTextResponse(" ".join(components.error_words(error, t)), status_code=400)

    return found


def _file(content: bytes, name: str) -> Response:
    return Response(content, media_type=FILE, headers=_headers(name))


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
