"""Every error that the page can show speaks English and Chinese."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from qwenlab import failures
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import recipe
from qwenlab.ui.components import ended_words
from qwenlab.ui.texts import Translator

ROOT = Path(failures.__file__).parent
SCANNED = sorted(
    [ROOT / "jobs.py", ROOT / "files.py", ROOT / "failures.py"]
    + [file for room in ("training", "models", "chat", "export") for file in (ROOT / room).glob("*.py")]
)
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PASSED_ON = {"raise QwenlabError(piece.error)"}
"""Calls without Chinese: the words of another error, handed on as text by a thread."""


@pytest.mark.parametrize("file", SCANNED, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_error_of_the_core_has_chinese_words(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines()
    for call in ast.walk(ast.parse(source)):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "QwenlabError"):
            continue
        if lines[call.lineno - 1].strip() in PASSED_ON:
            continue
        zh = next((one.value for one in call.keywords if one.arg == "zh"), None)
        assert zh is not None, f"{file.name}:{call.lineno} has no zh"
        if isinstance(zh, ast.Tuple):
            assert CHINESE.search(ast.unparse(zh)), f"{file.name}:{call.lineno} has no Chinese in zh"


def test_error_without_chinese_says_english() -> None:
    assert QwenlabError("No disk.", "Get one.").say("zh") == ("No disk.", "Get one.")


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device"), RuntimeError("boom")])
def test_any_failure_is_explained_in_chinese(error: BaseException) -> None:
    assert all(CHINESE.search(words) for words in failures.explain(error).say("zh"))


def test_done_json_carries_both_languages(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.finish("failed", QwenlabError("No disk.", "Get one.", zh=("没有磁盘。", "请准备一个。")))
    outcome = job.outcome() or {}
    assert ended_words(outcome, Translator("en")) == ("No disk.", "Get one.")
    assert ended_words(outcome, Translator("zh")) == ("没有磁盘。", "请准备一个。")


def test_done_json_of_an_older_version_says_english() -> None:
    old = {"state": "failed", "reason": "No disk.", "remedy": "Get one."}
    assert ended_words(old, Translator("zh")) == ("No disk.", "Get one.")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"rank": 0}, "不小于 1，不大于 256"),
        ({"epochs": 0}, "大于 0"),
        ({"schedule": "x"}, "linear"),
        ({"method": "x"}, "lora"),
    ],
)
def test_wrong_setting_is_named_in_chinese_with_what_is_allowed(values: dict[str, object], says: str) -> None:
    with pytest.raises(QwenlabError) as caught:
        recipe.read(values)
    what, remedy = caught.value.say("zh")
    assert says in what
    assert CHINESE.search(remedy)
