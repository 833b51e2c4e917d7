"""One HTTP request to a hub: no token leaves its host, and every failure is a sentence."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qwenlab import __version__
from qwenlab.errors import QwenlabError


@dataclass(frozen=True)
class Patience:
    """How long to wait for a hub.

    Attributes:
        seconds: of silence after which a connection counts as broken.
        waits: seconds before each new attempt; after the last one it is given up. Bytes that arrive start them anew.
    """

    seconds: float = 30.0
    waits: tuple[float, ...] = (1, 2, 4, 8, 16)


PATIENCE = Patience()
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that another attempt may change."""
BROKEN = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError)


class PassingError(Exception):
    """Something that another attempt may mend; its text says what it was."""


class RangeError(Exception):
    """The server has nothing from that byte on."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to the store of large files, which must not learn the token."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            new.remove_header("Authorization")
        return new


def request(url: str, headers: Mapping[str, str], named: str, seconds: float) -> Any:
    """Begin one answer, of any length; the caller closes it.

    Args:
        named: the repository, for the sentence that says what went wrong.
        seconds: of silence that are borne.

    Raises:
        PassingError: network trouble, or a server that is busy.
        RangeError: the asked range lies outside of the file.
        QwenlabError: what another attempt would not change.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise QwenlabError(
            f"{url} is no web address.",
            "Set HF_ENDPOINT to an address that begins with https://.",
            zh=(f"{url} 不是网址。", "请把 HF_ENDPOINT 设为以 https:// 开头的地址。"),
        )
    usual = {"User-Agent": f"qwenlab/{__version__}", "Accept-Encoding": "identity"}
    try:
        wanted = urllib.request.Request(url, headers={**usual, **headers})
        return urllib.request.build_opener(_Redirects).open(wanted, timeout=seconds)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise RangeError from error
        if error.code in PASSING:
            raise PassingError(f"HTTP {error.code}") from error
        raise _refused(error.code, url, named) from error
    except BROKEN as error:
        raise PassingError(reason(error)) from error
    except ValueError as error:
        raise PassingError(f"{type(error).__name__}: the address cannot be used") from error


@contextlib.contextmanager
def open_url(url: str, headers: Mapping[str, str], named: str, patience: Patience) -> Iterator[Any]:
    """A short answer, asked for again while the trouble may pass.

    Raises:
        QwenlabError: when it cannot be had.
    """
    for wait in (*patience.waits, None):
        try:
            answer = request(url, headers, named, patience.seconds)
            break
        except PassingError as error:
            if wait is None:
                raise unreachable(url, str(error)) from error
            time.sleep(wait)
    try:
        with answer:
            yield answer
    except BROKEN as error:
        raise unreachable(url, reason(error)) from error


def reason(error: BaseException) -> str:
    """What a network error says, in a few words."""
    inner = getattr(error, "reason", None) or error
    return (getattr(inner, "strerror", None) or str(inner) or type(inner).__name__)[:200]


def unreachable(url: str, why: str) -> QwenlabError:
    """That a hub cannot be reached."""
    host = urlsplit(url).netloc
    return QwenlabError(
        f"{host} cannot be reached ({why}).",
        "Check the network, or name a mirror with HF_ENDPOINT (MODELSCOPE_DOMAIN); what has arrived is kept, and the "
        "same command goes on from there.",
        zh=(
            f"无法连接 {host}（{why}）。",
            "请检查网络，或用 HF_ENDPOINT（MODELSCOPE_DOMAIN）指定镜像；已下载的部分会保留，重试即可续传。",
        ),
    )


def _refused(code: int, url: str, named: str) -> QwenlabError:
    host = urlsplit(url).netloc
    if code in (401, 403):
        return QwenlabError(
            f"{host} does not give {named} to everybody (HTTP {code}), or there is no such repository.",
            "Check the id; accept the model's terms on its web page, and set HF_TOKEN (MODELSCOPE_API_TOKEN) to your "
            "token.",
            zh=(
                f"{host} 不公开提供 {named}（HTTP {code}），或没有这个仓库。",
                "请检查 ID；在其网页上同意模型条款，并把 HF_TOKEN（MODELSCOPE_API_TOKEN）设为您的令牌。",
            ),
        )
    if code == 404:
        return QwenlabError(
            f"{host} has no {named}, or not this file of it.",
            "Check the id, such as Qwen/Qwen3-0.6B, and whether the other hub has it.",
            zh=(f"{host} 上没有 {named}，或缺少其中的文件。", "请检查 ID（例如 Qwen/Qwen3-0.6B），或换另一个 Hub。"),
        )
    return QwenlabError(
        f"{host} refuses the request for {named} (HTTP {code}).",
        "Try again later, or use another mirror.",
        zh=(f"{host} 拒绝了对 {named} 的请求（HTTP {code}）。", "请稍后重试，或换一个镜像。"),
    )
