"""Every text of the page exists in both languages and is used; no tab says anything else."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

import qwenlab.ui
from qwenlab.conversations import words
from qwenlab.ui.texts import TEXTS, Translator

SOURCES = sorted(Path(qwenlab.ui.__file__).parent.glob("*.py"))
PREFIXES = (
    "go_what_",
    "go_state_",
    "go_button_",
    "go_see_",
    "line_method_",
    "tab_",
    "kind_",
    "role_",
    "state_",
    "filter_",
    "sort_",
    "train_part_",
    "cases_rule_",
    "rule_",
    "rules_",
    "settings_",
)
"""Keys put together from a code: kind_duplicate, role_user, state_running."""

SHOWN = {"label", "placeholder", "info", "value", "title", "description"}
"""Arguments of components that a person reads."""


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", sorted(TEXTS))
def test_both_languages_stand_there_with_the_same_placeholders(key: str) -> None:
    english, chinese = TEXTS[key]
    assert english.strip()
    assert chinese.strip()
    assert placeholders(english) == placeholders(chinese)


def constants(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_no_text_is_unused() -> None:
    named = set().union(*(constants(path) for path in SOURCES))
    assert [key for key in TEXTS if key not in named and not key.startswith(PREFIXES)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_key_that_is_said_exists(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t" and node.args:
            key = node.args[0]
            if isinstance(key, ast.Constant):
                assert key.value in TEXTS, f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_components_show_only_texts_of_the_tables(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "gr"):
            continue
        shown = [*node.args[:1], *(word.value for word in node.keywords if word.arg in SHOWN)]
        for part in shown:
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                assert not re.search(r"[A-Za-z\u4e00-\u9fff]", part.value), f"{path.name}:{node.lineno} {part.value}"


@pytest.mark.parametrize("code", sorted(words.PROBLEMS))
def test_every_kind_of_problem_can_be_filtered_by_name(code: str) -> None:
    assert "kind_" + code in TEXTS


def test_translator_speaks_its_language() -> None:
    assert Translator("en")("sample_at", number=1, all=2) == "1 of 2"
    assert Translator("zh")("sample_at", number=1, all=2) == "第 1 / 2 个"
    with pytest.raises(KeyError):
        Translator("en")("no such text")
