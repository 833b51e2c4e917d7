"""The summary of what the checks found: one line per kind, fixes where there are some, and nothing of a file is run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from qwenlab.conversations import words
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.document import Document
from qwenlab.conversations.sample import Sample
from qwenlab.ui import check_view
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")


def opened(tmp_path: Path, *talks: list[tuple[str, str]]) -> Document:
    path = tmp_path / "shop.train.json"
    DataSet.new(path, [Sample.make(f"s{at}", turns) for at, turns in enumerate(talks)]).save()
    return Document.open(path, Workspace(tmp_path / "home"))


class Buttons(HTMLParser):
    """(do, kind, turn) and the words of every button."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str | None, str | None, str | None, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "button":
            values = dict(attrs)
            assert values["title"]
            assert values["aria-label"]
            self.found.append((values["data-do"], values["data-kind"], values.get("data-turn"), ""))

    def handle_data(self, data: str) -> None:
        if self.found and not self.found[-1][3]:
            self.found[-1] = (*self.found[-1][:3], data)


def test_one_line_per_kind_with_errors_first_and_only_what_can_be_fixed(tmp_path: Path) -> None:
    good = [("user", "q"), ("assistant", "a")]
    document = opened(
        tmp_path,
        good,
        good,
        good,
        [("user", "13812345678"), ("assistant", '{"tel": 13812345678}')],
        [("user", "13912345678"), ("assistant", "b")],
        [("user", "unanswered")],
        [("user", "q"), ("assistant", "c")],
        [*good, ("user", "and?")],
    )
    html = check_view.summary(document, EN)
    assert Buttons(html).found == [
        ("show_kind", "no_answer", None, "Show"),
        ("fix_all", "no_answer", None, "Fix all (1)"),
        ("show_kind", "duplicate", None, "Show"),
        ("fix_all", "duplicate", None, "Fix all (2)"),
        ("show_kind", "personal", None, "Show"),
        ("fix_all", "personal", None, "Fix all (1)"),
        ("show_kind", "contradiction", None, "Show"),
    ]
    assert re.findall("<b>(.*?)</b>", html) == ["2", "2", "2", "1"]
    assert "查看" in check_view.summary(document, ZH)


def test_where_nothing_can_be_fixed_no_fix_is_offered(tmp_path: Path) -> None:
    document = opened(tmp_path, [("user", "unanswered")])
    assert [do for do, *_ in Buttons(check_view.summary(document, EN)).found] == ["show_kind"]


def test_many_are_not_counted_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_view, "LOOKED_AT", 2)
    document = opened(tmp_path, *([("user", f"13812345678 {at}"), ("assistant", "a")] for at in range(3)))
    assert Buttons(check_view.summary(document, EN)).found[1][3] == "Fix all that can be fixed"


def test_nothing_is_said_of_a_set_without_problems(tmp_path: Path) -> None:
    assert check_view.summary(opened(tmp_path, [("user", "q"), ("assistant", "a")]), EN) == ""


@pytest.mark.parametrize("code", sorted(words.PROBLEMS))
def test_a_fix_button_stands_exactly_where_there_is_a_fix(code: str) -> None:
    for t in (EN, ZH):
        found = Buttons(check_view.fix_button(code, 3, t)).found
        assert found == ([("fix", code, "3", t("fix"))] if code in words.FIXES else [])
    assert "data-turn" not in check_view.fix_button(code, None, EN)
