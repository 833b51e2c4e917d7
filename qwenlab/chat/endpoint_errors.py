"""What can go wrong with an endpoint, each in a sentence a person can act on."""

from __future__ import annotations

from typing import Any

from qwenlab.chat.endpoint_reply import error_words
from qwenlab.errors import QwenlabError
from qwenlab.models.contestant import Answer

MOST = 300
"""Characters of a server's own words that are passed on."""


def refused(url: str, response: Any, with_schema: bool) -> Answer:
    """The answer to a request that the server answered with an error status.

    Args:
        response: httpx.Response, read.
        with_schema: whether a JSON Schema was to be enforced.
    """
    status, words = response.status_code, _words(response)
    if status == 404 and "model" not in words.lower():
        return Answer.failed(
            QwenlabError(
                f"There is no /chat/completions at {url}.",
                "Check the path: the URL usually ends in /v1.",
                zh=(f"{url} 下没有 /chat/completions。", "请检查路径：网址通常以 /v1 结尾。"),
            )
        )
    if status in (401, 403):
        return Answer.failed(
            QwenlabError(
                f"The endpoint {url} wants a key, or refuses the one it was given ({status}).",
                "Set QWENLAB_API_KEY before starting Qwenlab.",
                zh=(
                    f"接口 {url} 需要密钥，或拒绝了现有密钥（{status}）。",
                    "请在启动 Qwenlab 前设置 QWENLAB_API_KEY。",
                ),
            )
        )
    said = f"{status} {words}".strip()
    if status == 429:
        return Answer.failed(
            QwenlabError(
                f"The endpoint {url} is asked too often ({said}).",
                "Ask it more slowly: fewer requests at once, or fewer per minute. What was answered is kept.",
                zh=(
                    f"对接口 {url} 的请求过于频繁（{said}）。",
                    "请放慢速度：减少同时请求数或每分钟请求数。已有的回答会保留。",
                ),
            )
        )
    if status in (400, 413, 422) and "context" in words.lower():
        error = QwenlabError(
            f"The conversation does not fit the model of the endpoint {url} ({said}).",
            "Shorten the conversation or begin a new one, or allow fewer tokens for the answer.",
            zh=(f"对话超出接口 {url} 的模型长度（{said}）。", "请缩短对话或开始新对话，或减少回答的词元数上限。"),
        )
        return Answer.failed(error, finish="context")
    if status in (400, 422, 501) and with_schema:
        return Answer.failed(
            QwenlabError(
                f"The endpoint {url} refuses to enforce the JSON Schema ({said}).",
                "Ask it without enforcing the schema.",
                zh=(f"接口 {url} 拒绝强制执行 JSON Schema（{said}）。", "请在不强制 Schema 的情况下提问。"),
            )
        )
    return Answer.failed(_unreadable(url, said))


def check_no_password(url: str) -> None:
    """A URL is written into results and logs.

    Raises:
        QwenlabError: when it holds a user name or password.
    """
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise QwenlabError(
            "The address of the endpoint holds a password, which would be written into the results.",
            "Leave it out of the address and set QWENLAB_API_KEY.",
            zh=("接口地址中含有密码，会被写入测试结果。", "请从地址中去掉密码，改为设置 QWENLAB_API_KEY。"),
        )


def broken(url: str, reason: str) -> QwenlabError:
    """The server ended in the middle of its answer."""
    why, weil = (f": {reason[:MOST]}", f"：{reason[:MOST]}") if reason else ("", "")
    return QwenlabError(
        f"The endpoint {url} broke off in the middle of its answer{why}.",
        "Check the server, then ask again.",
        zh=(f"接口 {url} 的回答中途中断{weil}。", "请检查服务，然后重新提问。"),
    )


def no_answer(url: str, error: Exception, silence_seconds: float, begun: bool) -> QwenlabError:
    """What an exception of the connection means.

    Args:
        begun: whether some words had come.
    """
    import httpx

    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol | httpx.InvalidURL):
        return QwenlabError(
            f"The endpoint {url} cannot be reached ({_first_line(error)}).",
            "Check the address, and that the server runs.",
            zh=(f"无法连接接口 {url}（{_first_line(error)}）。", "请检查地址，并确认服务正在运行。"),
        )
    if isinstance(error, httpx.TimeoutException):
        return QwenlabError(
            f"The endpoint {url} has said nothing for {silence_seconds:g} seconds.",
            "The server may be busy or hang: check it, then ask again.",
            zh=(f"接口 {url} 已有 {silence_seconds:g} 秒没有回应。", "服务可能繁忙或卡住：请检查后重新提问。"),
        )
    if isinstance(error, httpx.TransportError) and begun:
        return broken(url, "")
    return _unreadable(url, f"{type(error).__name__}: {_first_line(error)}".removesuffix(": "))


def _unreadable(url: str, why: str) -> QwenlabError:
    return QwenlabError(
        f"The endpoint {url} gave no answer that can be read ({why}).",
        "Check the server, then run it again.",
        zh=(f"接口 {url} 没有给出可读的回答（{why}）。", "请检查服务，然后重新运行。"),
    )


def _words(response: Any) -> str:
    """What the server says about its refusal, in one line."""
    try:
        said = error_words(response.json())
    except ValueError:
        is_page = "html" in response.headers.get("Content-Type", "")
        said = response.reason_phrase if is_page else response.text or response.reason_phrase
    key = response.request.headers.get("Authorization", "").removeprefix("Bearer ")
    words = " ".join(str(said).split())
    return (words.replace(key, "***") if key else words)[:MOST]  # some servers repeat the key they refuse


def _first_line(error: Exception) -> str:
    return " ".join(str(error).splitlines()[:1])
