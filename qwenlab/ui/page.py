"""The page: the same tabs built once in English and once in Chinese, behind a guard against strangers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

# Both must stand before Gradio is imported: nothing is reported, nothing is fetched from outside.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from qwenlab import accounts
from qwenlab.conversations import formats
from qwenlab.conversations.words import Language
from qwenlab.errors import QwenlabError
from qwenlab.ui import (
    compare_tab,
    components,
    data_tab,
    downloads,
    export_tab,
    header,
    help,
    install,
    login,
    start_tab,
    test_tab,
    training_tab,
)
from qwenlab.ui.guard import COOKIE, USER, Guard, preferred_language
from qwenlab.ui.lab import Lab
from qwenlab.ui.limits import UPLOAD_BYTES, Limits
from qwenlab.ui.sessions import Brake, Sessions
from qwenlab.ui.texts import Translator

HERE = Path(__file__).parent
SHADES = ["#f0f6fc", "#dbe9f7", "#b9d3ef", "#8bb5e2", "#5590cd", "#1f5fa8"]
SHADES += ["#1f5fa8", "#194d88", "#163f6f", "#12325a", "#0c2139"]
"""The one accent, from light to dark."""
FONTS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
]
MONO = ["ui-monospace", "SFMono-Regular", "Consolas", "DejaVu Sans Mono", "Noto Sans Mono CJK SC", "monospace"]
QUEUE_SECONDS = 0.03
WINDOWS = 100
"""Of how many windows in each language what they look at is remembered, most lately used: each opening of the page is
one and takes a megabyte. One that is forgotten begins anew at its next click, as after a restart."""
DAY = (86400, 86400)
"""Uploaded copies are looked for once a day and deleted when a day old."""


def build_page(lab: Lab, language: Language) -> gr.Blocks:
    """The whole page in one language."""
    t = Translator(language)
    with gr.Blocks(title=t("title"), analytics_enabled=False, fill_width=True, delete_cache=DAY) as page:
        line = gr.HTML(
            header.context_line(lab, t), elem_id="context", js_on_load=header.SCRIPT, apply_default_css=False
        )
        components.follow(line, lambda: header.context_line(lab, t), t)
        with gr.Tabs(elem_id="journey"):
            with gr.Tab(t("tab_start"), id="tab_start") as start:
                started = start_tab.build(lab, t)
            with gr.Tab(t("tab_data"), id="tab_data") as data:
                data_tab.build(lab, t)
            with gr.Tab(t("tab_train"), id="tab_train") as train:
                run = training_tab.build(lab, t)
            with gr.Tab(t("tab_compare"), id="tab_compare") as compare:
                compare_tab.build(lab, t)
            with gr.Tab(t("tab_test"), id="tab_test") as test:
                result, case = test_tab.build(lab, t)
            with gr.Tab(t("tab_export"), id="tab_export") as tab_export:
                export = export_tab.build(lab, t)
        components.rest([start, data, train, compare, test, tab_export], t)
        start_tab.wire(lab, t, started, start_tab.Places(run, result, case, export))
    help.explain(page, t)
    # A mounted page is never launched, and until it is, Gradio takes any path that a visitor sends for an upload.
    page.has_launched = True
    # Gradio looks for calls a thousand times a second, which alone takes 3 % of a core.
    page._queue.sleep_when_free = QUEUE_SECONDS
    page.state_session_capacity = WINDOWS
    return page


def theme() -> gr.themes.Base:
    """One accent colour, small and dense, fonts of the system only."""
    return gr.themes.Base(
        primary_hue=gr.themes.Color(*SHADES),
        neutral_hue=gr.themes.colors.slate,
        text_size=gr.themes.sizes.text_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_sm,
        font=FONTS,
        font_mono=MONO,
    ).set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="white",
        body_text_color_subdued="*neutral_500",  # the default is too pale to read at this size
        block_info_text_color="*neutral_500",
        block_title_text_color="*neutral_600",
        input_placeholder_color="*neutral_600",
        input_placeholder_color_dark="*neutral_400",
        button_secondary_background_fill="*background_fill_primary",
        button_secondary_background_fill_hover="*background_fill_primary",
        button_secondary_border_color="*border_color_primary",
        button_secondary_border_color_hover="*primary_600",
        button_secondary_text_color_hover="*primary_600",
        button_border_width="1px",
        button_small_text_size="*text_md",
        button_small_text_weight="400",
        button_small_padding="3px 10px",
    )


def _head(language: Language) -> str:
    """The document's language, and the title of error messages, which Gradio 6.31 says in English only."""
    title = Translator(language)("error_title")
    code = "zh-CN" if language == "zh" else "en"
    style = f'<style>:root {{ --error-title: "{title}"; }}</style>'
    return f'<script>document.documentElement.lang = "{code}"</script>{style}'


def create_app(lab: Lab, names: Iterable[str] = ()) -> FastAPI:
    """The web application: /en and /zh, a redirect to the reader's language, and downloads.

    Args:
        lab: the lab; where other machines may reach it, everybody has to log in.
        names: by which it is reached beside its addresses and the computer's name.
    """
    app = FastAPI(title="Qwenlab", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    def home(request: Request) -> Response:
        return RedirectResponse(f"/{preferred_language(request)}/", status_code=307)

    @app.get("/download/data/{form}")
    def download(form: str, request: Request) -> Response:
        if not form.isalnum():  # it becomes the ending of a file's name
            return PlainTextResponse("", status_code=404)
        return _download_data(lab, form, Translator(preferred_language(request)))

    app.include_router(install.router())
    app.include_router(downloads.router(lab))
    sessions = Sessions(lambda: accounts.read(lab.workspace)) if lab.listen else None
    if sessions is not None:
        app.include_router(login.router(lab.workspace, sessions, Brake()))

    for language in ("en", "zh"):
        gr.mount_gradio_app(
            app,
            build_page(lab, language),
            path=f"/{language}",
            theme=theme(),
            css_paths=[HERE / "style.css", HERE / "style_data.css"],
            head=_head(language),
            footer_links=[],
            run_history=False,
            show_error=True,
            ssr_mode=False,
            pwa=True,
            enable_monitoring=False,
            mcp_server=False,
            max_file_size=UPLOAD_BYTES,
            auth_dependency=lambda request: request.scope.get(USER),
        )
    app.add_middleware(Limits)
    app.add_middleware(Guard, sessions=sessions, names=names)  # the last one added is the first to see a request
    return app


def _download_data(lab: Lab, form: str, t: Translator) -> Response:
    """The chosen data set, with edits that are not saved yet, in another form."""
    try:
        document = lab.document()
        if document is None:
            return PlainTextResponse(t("no_data_set"), status_code=404)
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"export.{form}"
            formats.export_file(document.samples, path)
            content = path.read_bytes()
    except QwenlabError as error:
        return PlainTextResponse(" ".join(components.error_words(error, t)), status_code=400)
    name = document.dataset.name + (".train.json" if form == "json" else f".{form}")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(content, media_type="application/octet-stream", headers=headers)


__all__ = ["COOKIE", "Lab", "build_page", "create_app"]
