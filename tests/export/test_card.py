"""The model card and what stands beside it: nothing from elsewhere acts in it, and Ollama asks as we do."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import chat_templates
import pytest
from markdown_it import MarkdownIt

from qwenlab import files
from qwenlab.export import card
from qwenlab.models import loading
from qwenlab.models.rendering import render

EVIL = "x](http://evil.example) <img src=x onerror=alert(1)> | `y` ![z](http://e)\n# Title \u202e**b**"


def shown(markdown: str) -> str:
    """As HTML, by a renderer that lets HTML through."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)


def test_text_from_elsewhere_says_what_it_says_and_does_nothing() -> None:
    html = shown(f"| {card.plain(EVIL)} |\n|---|")
    for acts in ("<a", "<img", "<h1", "<strong", "<code", "\u202e"):
        assert acts not in html
    assert html.count("<th>") == 1
    assert "&lt;img src=x onerror=alert(1)&gt; | `y` ![z]" in html


def test_code_block_cannot_be_ended_by_what_is_in_it() -> None:
    lines = card.block("a\n```\n# out").splitlines()
    assert lines[0] == lines[-1] == "````"


def a_scorecard(**more: Any) -> dict[str, Any]:
    return {
        "suite": EVIL,
        "passed": True,
        "sentence": {"en": f"fine {EVIL}", "zh": "好"},
        "details": {"en": ["one"], "zh": ["一"]},
        "rows": [{"name": EVIL, "usable": 1.0, "tokens_per_s": 31.4, "bytes": 2_000_000}],
        "failures": [{"case": EVIL, "en": "amount: wrong.", "zh": "amount：错误。"}],
        **more,
    }


def test_card_tells_origin_recipe_scores_failures_and_commands(tmp_path: Path) -> None:
    files.write_json(tmp_path / card.SCORECARD, a_scorecard())
    about = {
        "kind": "gguf",
        "base": EVIL,
        "licence": "Apache-2.0",
        "data_sha256": "abc",
        "recipe": {"rank": 8, "x": EVIL},
    }
    card.write_card(tmp_path, about)
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    for wanted in (
        "Apache-2.0",
        "abc",
        '"rank": 8',
        "100.0 %",
        "2 MB",
        "amount: wrong.",
        "llama-server",
        "ollama create",
    ):
        assert wanted in text
    html = shown(text)
    assert "<img" not in html
    assert "<a" not in html


def test_card_of_a_failed_check_says_do_not_deploy(tmp_path: Path) -> None:
    files.write_json(tmp_path / card.SCORECARD, a_scorecard(passed=False))
    card.write_card(tmp_path, {"kind": "merged"})
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert "CHECK FAILED: do not deploy" in text
    assert "请勿部署" in text


def as_ollama(modelfile: str, messages: list[dict[str, str]]) -> str:
    """What Ollama makes of a chat by such a Modelfile: SYSTEM where there is no system turn, then the loop."""
    assert card.CHATML.splitlines()[0] in modelfile
    if 'SYSTEM """' in modelfile and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": modelfile.partition('SYSTEM """')[2].partition('"""')[0]}, *messages]
    return (
        "".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in messages)
        + "<|im_start|>assistant\n"
    )


def test_modelfile_renders_as_the_models_own_template(smollm2: Path) -> None:
    tokenizer = loading.load_tokenizer(smollm2)
    made = card.modelfile(tokenizer.chat_template)
    user, system = {"role": "user", "content": "My kettle leaks."}, {"role": "system", "content": "Reply in JSON."}
    answer = {"role": "assistant", "content": "{}"}
    for chat in ([user], [system, user], [system, user, answer, user]):
        assert as_ollama(made, chat) == render(tokenizer, chat, open_turn=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "template", ["", "{{ raise_exception('no') }}", "{% for m in messages %}[{{ m.content }}]{% endfor %}"]
)
def test_other_templates_are_left_to_ollama(template: str) -> None:
    assert "TEMPLATE" not in card.modelfile(template)


def test_client_is_short_and_is_python(tmp_path: Path) -> None:
    card.write_client(tmp_path, {"request": {}, "json": True, "expected": {}})
    assert len(card.CLIENT_TEXT.splitlines()) <= 18
    subprocess.run([sys.executable, "-m", "py_compile", tmp_path / card.CLIENT], check=True)


class TwoModels(BaseHTTPRequestHandler):
    """A server that has several models and answers with the name of the one that is asked."""

    def do_GET(self) -> None:
        self._say({"data": [{"id": "somebody's"}, {"id": "mine"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._say({"choices": [{"message": {"content": asked["model"]}}]})

    def _say(self, value: object) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_client_asks_the_first_model_or_the_one_that_is_named(tmp_path: Path) -> None:
    card.write_client(tmp_path, {"request": {"messages": []}, "json": False, "expected": "mine"})
    with ThreadingHTTPServer(("127.0.0.1", 0), TwoModels) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ask = [sys.executable, str(tmp_path / card.CLIENT), f"http://127.0.0.1:{server.server_port}/v1"]
        first = subprocess.run(ask, capture_output=True, text=True, check=False)
        named = subprocess.run([*ask, "mine"], capture_output=True, text=True, check=False)
        server.shutdown()
    assert (first.returncode, named.returncode) == (1, 0), first.stderr + named.stderr
    assert "somebody's" in first.stdout


def test_client_says_what_was_expected_of_an_answer_that_is_no_json(tmp_path: Path) -> None:
    card.write_client(tmp_path, {"request": {"messages": []}, "json": True, "expected": {"n": 1}})
    with ThreadingHTTPServer(("127.0.0.1", 0), TwoModels) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ask = [sys.executable, str(tmp_path / card.CLIENT), f"http://127.0.0.1:{server.server_port}/v1"]
        ended = subprocess.run(ask, capture_output=True, text=True, check=False)
        server.shutdown()
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "expected: {'n': 1}" in ended.stdout


def test_commands_serve_where_the_client_asks(tmp_path: Path) -> None:
    card.write_client(tmp_path, {"request": {}, "json": True, "expected": {}})
    card.write_card(tmp_path, {"kind": "gguf"})
    text = (tmp_path / card.CARD).read_text(encoding="utf-8")
    assert f"python client.py {card.OLLAMA} my-model" in text
    assert all("--port 8080" in line for line in card.SERVING["gptq"] if not line.startswith("qwenlab"))


def test_card_of_a_model_that_can_think_says_how_to_ask_it_as_it_was_tested(tmp_path: Path) -> None:
    for template, said in ((chat_templates.QWEN25, False), (chat_templates.QWEN3, True)):
        (tmp_path / "chat_template.jinja").write_text(template, encoding="utf-8")
        card.write_card(tmp_path, {"kind": "merged"})
        assert ("enable_thinking" in (tmp_path / card.CARD).read_text(encoding="utf-8")) is said
