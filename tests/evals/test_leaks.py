"""Cases that also stand in the training data."""

from __future__ import annotations

import pytest

from qwenlab.evals.leaks import leaked
from qwenlab.evals.suite import suite_from

ENGLISH = "Hello, I bought the red kettle on 3 March and it leaks, please refund 25 dollars."
CHINESE = "你好，我上周买的红色水壶漏水了，订单号是20240317，请尽快退款。"
TABLE = [
    ("the same text", ENGLISH, ENGLISH, True),
    ("other case, punctuation and width", ENGLISH, "hello i bought the RED kettle on ３ march - and it leaks; "
     "please refund 25 dollars", True),
    ("inside a longer training text", ENGLISH, f"Dear shop! {ENGLISH} Thank you, Tom", True),
    ("one word changed", ENGLISH, ENGLISH.replace("25", "30"), True),
    ("another story in similar words", ENGLISH, "Hello, I ordered the blue lamp on 4 May and it arrived broken, "
     "please repair it.", False),
    ("Chinese, the same", CHINESE, CHINESE.replace("，", " "), True),
    ("Chinese, one word changed", CHINESE, CHINESE.replace("红色", "蓝色"), True),
    ("Chinese, another story", CHINESE, "你好，我昨天收到的台灯不亮，订单号是20240401，请帮我换一个新的。", False),
    ("short text, the same", "退货", "退货！", True),
    ("short text inside a longer one", "我要退货", "你好，我要退货，因为颜色不对，谢谢你们的帮助。", False),
    ("training text is a small part", ENGLISH, "I bought the red kettle on 3 March", False),
]  # fmt: skip


@pytest.mark.parametrize(("question", "text", "found"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_question_that_was_trained_on_is_found(question, text, found):
    cases = [{"id": "x", "prompt": question, "expected": "a"}, {"id": "y", "prompt": "Tell a joke", "expected": "a"}]
    suite = suite_from({"name": "n", "cases": cases}, "suite.yaml")
    assert leaked(suite, ["Something else", text]) == ({"x"} if found else set())
