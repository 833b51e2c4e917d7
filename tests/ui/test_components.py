"""Shared pieces of the page: nothing unsafe passes, nothing fails silently."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest

from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError
from qwenlab.ui import components
from qwenlab.ui.components import Html, escape
from qwenlab.ui.texts import Translator

EN, ZH = Translator("en"), Translator("zh")


@pytest.mark.parametrize(
    ("text", "safe"),
    [("<b>", "&lt;b&gt;"), ('"', "&quot;"), ("'", "&#x27;"), ("\ud800", "?"), (3, "3"), (Html("<b>"), "<b>")],
)
def test_escape_leaves_only_marked_html(text: object, safe: str) -> None:
    assert escape(text) == safe


def test_every_piece_escapes_what_it_is_given() -> None:
    evil = "<script>"
    pieces = [
        components.badge("ok", evil, evil),
        components.notice("bad", evil, evil, evil, EN),
        components.progress_bar(EN, 0.5, evil, 3),
        components.table([evil], [[evil]], keys=[evil]),
    ]
    assert all("<script>" not in piece and "&lt;script&gt;" in piece for piece in pieces)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (7500, "2 h 5 min")]
)
def test_duration_is_said_as_a_person_would(seconds: float, words: str) -> None:
    assert components.duration(EN, seconds) == words


@pytest.mark.parametrize(
    ("error", "t", "words"),
    [
        (QwenlabError("No <disk>.", "Free some."), EN, "No &lt;disk&gt;.</b> Free some."),
        (DataError("file_empty"), ZH, "文件是空的。"),
        (ZeroDivisionError("secret"), EN, "ZeroDivisionError"),
    ],
)
def test_every_error_is_shown_in_the_page_s_language(error: Exception, t: Translator, words: str) -> None:
    def once() -> None:
        raise error

    def stream() -> Iterator[int]:
        yield 1
        raise error

    for call in (components.guarded(once, t), lambda: list(components.guarded(stream, t)())):
        with pytest.raises(gr.Error) as shown:
            call()
        assert words in shown.value.message
        assert "secret" not in shown.value.message


def test_unknown_progress_moves_without_a_number() -> None:
    found = components.progress_bar(EN, None, "x")
    assert "unknown" in found
    assert "%</b>" not in found
