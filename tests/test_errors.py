"""Every error that the page can show speaks English and Chinese."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from qwenlab import failures, files
from qwenlab.chat.endpoint_contestant import EndpointContestant
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.evals.suite import load_suite
from qwenlab.jobs import Job
from qwenlab.training import recipe
from qwenlab.ui import case_view, suites
from qwenlab.ui.components import ended_words
from qwenlab.ui.matrix import View
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

ROOT = Path(failures.__file__).parent
SCANNED = sorted(
    [ROOT / "jobs.py", ROOT / "files.py", ROOT / "failures.py", ROOT / "workspace.py"]
    + [
        file
        for room in ("training", "models", "chat", "export", "evals", "commands")
        for file in (ROOT / room).glob("*.py")
    ]
)
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PASSED_ON = {'raise QwenlabError(piece.error, zh=(piece.error_zh, ""))'}
"""Calls without words of their own: those of another error, handed on as text by a thread."""


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


@pytest.mark.parametrize("file", SCANNED, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_part_of_a_sentence_has_chinese_words(file: Path) -> None:
    for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "ReasonError":
            assert CHINESE.search(ast.unparse(call.args[1])), f"{file.name}:{call.lineno} has no Chinese"


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


SUITE = {
    "name": "tickets",
    "schema": {"type": "object", "properties": {"amount": {"type": "number"}}},
    "cases": [{"id": "c1", "prompt": "退 5 元！", "expected": {"amount": 5}}],
}


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        ({"feilds": {}}, "：未知的键“feilds”。", "是不是“fields”？"),
        ({"thresholds": {"usable": 90}}, "：“thresholds.usable”：应为不大于 1 的数。", "请改正后重试。"),
        (
            {"cases": [{"id": "c1", "prompt": "退 5 元！", "expected": {"amount": "5"}}]},
            "，用例“c1”：期望答案不符合 Schema，位置 /amount：“5” 应为数字。",
            "请改正期望答案或 Schema。",
        ),
        (
            {"cases": [{"id": "c1", "prompt": "退 5 元！"}]},
            " 第 1 个用例（“c1”）：缺少“expected”。",
            "请改正后重试。",
        ),
        ({"fields": {"/amount": "date"}}, "，用例“c1”：/amount 使用规则 date，但期望值不是 2024-03-17 这样的标准日期。",
         "请改正期望答案或规则。"),
    ],
)  # fmt: skip
def test_mistake_in_a_suite_is_explained_in_chinese(
    tmp_path: Path, change: dict[str, object], what: str, remedy: str
) -> None:
    file = tmp_path / "suite.json"
    files.write_json(file, SUITE | change)
    with pytest.raises(QwenlabError) as caught:
        load_suite(file)
    assert caught.value.say("zh") == (f"{file}{what}", remedy)


class Failing(BaseHTTPRequestHandler):
    """A server whose model is broken."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(500)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def failing_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_case_that_a_failing_endpoint_left_is_explained_in_the_language_of_the_page(
    tmp_path: Path, failing_url: str
) -> None:
    file = tmp_path / "suite.json"
    files.write_json(file, SUITE)
    contestant = EndpointContestant("cluster", f"{failing_url}#m")
    runner.run(load_suite(file), [contestant], tmp_path / "result")
    contestant.close()
    shown = suites.read_result(tmp_path / "result")
    english, chinese = (case_view.case_part(shown, View(case="c1"), Translator(language)) for language in ("en", "zh"))
    assert f"The endpoint {failing_url} gave no answer that can be read (500 Internal Server Error)" in english
    assert f"接口 {failing_url} 没有给出可读的回答（500 " in chinese
    assert "请检查服务，然后重新运行。" in chinese
    assert "The endpoint" not in chinese


def test_workspace_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(QwenlabError, match="--workspace") as caught:
        _ = Workspace(tmp_path / "file").models
    assert caught.value.say("zh")[0].startswith(f"无法建立文件夹 {tmp_path / 'file' / 'models'}：")
