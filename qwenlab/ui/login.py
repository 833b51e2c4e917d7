"""Logging in and out: a form without scripts, a cookie that scripts cannot read."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from qwenlab import accounts
from qwenlab.conversations.words import Language
from qwenlab.ui.components import escape, notice
from qwenlab.ui.guard import SESSION, preferred_language
from qwenlab.ui.sessions import HOURS, Brake, Sessions
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

LONGEST = 1024
"""Characters of a name or password that are looked at."""
STYLE = """
body { font: 15px system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; color: #1e293b;
       background: #f8fafc; display: grid; place-items: center; min-height: 90vh; margin: 0; }
main { width: min(20rem, 90vw); } h1 { font-size: 1.25rem; }
label { display: block; margin: .8rem 0; }
input { display: block; width: 100%; box-sizing: border-box; margin-top: .2rem;
       padding: .5rem; font: inherit; border: 1px solid #94a3b8; border-radius: 4px; }
button { padding: .5rem 1.2rem; font: inherit; border: 0; border-radius: 4px; background: #1f5fa8; color: white; }
.notice { display: flex; gap: .5rem; padding: .6rem; border: 1px solid #b91c1c; border-radius: 4px; }
.notice b { font-weight: 400; }
@media (prefers-color-scheme: dark) { body { background: #0f172a; color: #e2e8f0; }
       input { background: #1e293b; color: inherit; } }
"""


def router(workspace: Workspace, sessions: Sessions, brake: Brake) -> APIRouter:
    """The addresses /login and /logout."""
    found = APIRouter()

    @found.get("/login")
    def form(request: Request) -> Response:
        return _form(preferred_language(request))

    @found.post("/login")
    async def log_in(request: Request) -> Response:
        language = preferred_language(request)
        t = Translator(language)
        address = request.client.host if request.client else ""
        wait = brake.enter(address)
        if wait:
            words = t("login_wait", seconds=math.ceil(wait))
            return _form(language, words, 429, {"Retry-After": str(math.ceil(wait))})
        async with request.form(max_files=0, max_fields=4) as sent:
            name, password = (str(sent.get(part, ""))[:LONGEST] for part in ("name", "password"))
        name = name.strip().casefold()
        kept = accounts.read(workspace).get(name)
        if not await run_in_threadpool(accounts.matches, password, kept) or kept is None:
            return _form(language, t("login_wrong"), 401)
        brake.passed(address)
        answer = RedirectResponse("/", status_code=303)
        secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        token = sessions.begin(name, kept)
        answer.set_cookie(
            SESSION, token, max_age=int(HOURS * 3600), path="/", httponly=True, samesite="lax", secure=secure
        )
        return answer

    @found.post("/logout")
    def log_out(request: Request) -> Response:
        sessions.end(request.cookies.get(SESSION))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(SESSION, path="/", httponly=True, samesite="lax")
        return answer

    return found


def _form(language: Language, wrong: str = "", status: int = 200, headers: dict[str, str] | None = None) -> Response:
    t = Translator(language)
    title = escape(t("login_title"))
    name, password, go = (escape(t(key)) for key in ("login_name", "login_password", "login_do"))
    fields = (
        f'<label>{name}<input name="name" autocomplete="username" required autofocus></label>'
        f'<label>{password}<input name="password" type="password" autocomplete="current-password" required></label>'
    )
    page = (
        f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style>'
        f"<main><h1>{title}</h1>{notice('bad', wrong) if wrong else ''}"
        f'<form method="post" action="/login">{fields}<button>{go}</button></form></main></html>'
    )
    return HTMLResponse(page, status, {"Cache-Control": "no-store", **(headers or {})})
