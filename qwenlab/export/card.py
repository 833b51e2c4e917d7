"""The model card of an export, and what stands beside it for whoever serves the model: commands, Modelfile, client."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.models import templates

CARD, MODELFILE, CLIENT, CASE = "README.md", "Modelfile", "client.py", "case.json"
SCORECARD = "scorecard.json"
"""What the proof found; see `commands.prove`."""
FACTS = {
    "base": ("base model", "基础模型"),
    "licence": ("licence", "许可证"),
    "run": ("training run", "训练"),
    "data_name": ("data set", "数据集"),
    "data_samples": ("samples", "样本数"),
    "data_sha256": ("data set SHA-256", "数据集 SHA-256"),
    "adapter_sha256": ("adapter SHA-256", "适配器 SHA-256"),
    "made_from": ("made from", "来自"),
    "format": ("format", "格式"),
    "dtype": ("number format", "数值格式"),
    "calibration_rows": ("conversations calibrated on", "校准对话数"),
}
"""What of the manifest stands on the card."""
COLUMNS = {
    "name": "",
    "strict": "strict JSON",
    "usable": "usable as is",
    "field_accuracy": "fields right",
    "document_exact": "all fields right",
    "passed": "passed",
    "tokens_per_s": "tokens/s",
    "bytes": "size",
}
FOLDER = (
    "vllm serve . --port 8080",
    "python -m sglang.launch_server --model-path . --port 8080",
    "qwenlab serve .",
)
SERVING = {
    "adapter": (
        "vllm serve BASE --enable-lora --lora-modules mine=.",
        "llama-server -m BASE.gguf --lora adapter.gguf --jinja",
    ),
    "merged": FOLDER,
    "gptq": FOLDER,
    "gguf": (
        "llama-server -m model.gguf --jinja",
        "ollama create my-model -f Modelfile && ollama run my-model",
        "qwenlab serve .",
    ),
}
"""Commands that serve an export, run inside its folder; all but Ollama's on the port that the client asks."""
OLLAMA = "http://127.0.0.1:11434/v1"
ADAPTER = (
    "It needs its base model; by llama.cpp an F16 or Q8_0 file of it, or one of its makers (not a Q4_K_M or Q5_K_M "
    "made by Qwenlab, whose channels are in another order).",
    "它需要基础模型；用 llama.cpp 时需要 F16 或 Q8_0 文件，或原厂文件（不能用 Qwenlab 制作的 Q4_K_M 或 Q5_K_M，"
    "其通道顺序不同）。",
)
THINKING = (
    "Its chat template lets it think before it answers unless told otherwise. Qwenlab tells it not to: for the answers "
    'tested here, send `"chat_template_kwargs": {"enable_thinking": false}` with each request.',
    "它的聊天模板默认先思考再回答。Qwenlab 会关闭思考：要得到这里测试的回答，"
    '请在每个请求中加上 `"chat_template_kwargs": {"enable_thinking": false}`。',
)
_MARKUP = re.compile(r"([\\`*_\[\]|~$#!])")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def plain(text: object) -> str:
    """Text from elsewhere as one line that says in Markdown and HTML what it says, and does nothing."""
    line = _MARKUP.sub(r"\\\1", " ".join(_UNSEEN.sub(" ", str(text)).split()))
    return html.escape(line, quote=False).replace("://", ":&#47;&#47;")


def block(text: str, language: str = "") -> str:
    """Text from elsewhere as a code block that it cannot end."""
    shown = "\n".join(_UNSEEN.sub(" ", line) for line in text.splitlines())
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}{language}\n{shown}\n{fence}"


def write_card(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the model card from the manifest, and from the scorecard where there is one."""
    scorecard = files.read_json(folder / SCORECARD) if (folder / SCORECARD).exists() else None
    lines = [f"# {plain(about.get('title') or folder.name)}", "", f"Made with Qwenlab ({plain(about['kind'])})."]
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {en} / {zh} | {plain(about[key])} |" for key, (en, zh) in FACTS.items() if about.get(key)]
    if about["kind"] == "adapter":
        lines += ["", *ADAPTER]
    else:
        lines += _scores(scorecard) if scorecard else _unproven()
    if about.get("recipe"):
        recipe = json.dumps(about["recipe"], ensure_ascii=False, indent=1)
        lines += ["", "## Recipe / 训练设置", "", block(recipe, "json")]
    lines += ["", "## Serving it / 部署", "", "In this folder / 在此文件夹中运行:", ""]
    lines += [f"    {command}" for command in SERVING[about["kind"]]]
    if any(templates.thinks(path) for path in (folder, *folder.glob("*.gguf"))):
        lines += ["", *THINKING]
    if (folder / CLIENT).exists():
        lines += [
            "",
            f"Then / 然后: `python {CLIENT}` asks one test case and checks the answer / 提问一个测试用例并检查回答。",
        ]
        if about["kind"] == "gguf":
            lines += ["", f"With Ollama / 使用 Ollama: `python {CLIENT} {OLLAMA} my-model`"]
    lines += ["", "Check a copy / 检查副本: `sha256sum -c SHA256SUMS`, or `qwenlab verify .`", ""]
    files.write_text(folder / CARD, "\n".join(lines))


def _unproven() -> list[str]:
    return ["", "**Not proven on a test suite yet. / 尚未用测试集验证。**"]


def _scores(scorecard: Mapping[str, Any]) -> list[str]:
    title = f"## Scorecard / 成绩单: {plain(scorecard['suite'])}"
    mark = "" if scorecard["passed"] else "**CHECK FAILED: do not deploy. / 检查未通过，请勿部署。** "
    said = scorecard["sentence"]
    lines = ["", title, "", mark + plain(said["en"]), "", plain(said["zh"]), "", _table(scorecard["rows"])]
    for en, zh in zip(scorecard["details"]["en"], scorecard["details"]["zh"], strict=True):
        lines += ["", f"- {plain(en)}", f"  {plain(zh)}"]
    if scorecard["failures"]:
        lines += ["", "## Known failures / 已知错误", ""]
        lines += [f"- {plain(one['case'])}: {plain(one['en'])} / {plain(one['zh'])}" for one in scorecard["failures"]]
    return lines


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Contestants by measures, in Markdown."""
    known = list(rows)
    columns = [key for key in COLUMNS if any(row.get(key) is not None for row in known)]
    heads = ["| " + " | ".join(COLUMNS[key] for key in columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return "\n".join(
        [*heads, *("| " + " | ".join(_cell(key, row.get(key)) for key in columns) + " |" for row in known)]
    )


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "name":
        return plain(value)
    if key == "bytes":
        return f"{value / 1e6:.0f} MB"
    return f"{value:.0f}" if key == "tokens_per_s" else f"{100 * value:.1f} %"


# --- for whoever serves it -------------------------------------------------------------------------------


CLIENT_TEXT = '''\
"""Sends one test case to the server and checks the answer: python client.py [http://127.0.0.1:8080/v1 [MODEL]]"""
import contextlib, json, pathlib, sys, urllib.request

here = pathlib.Path(__file__).resolve().parent
case = json.loads((here / "case.json").read_text(encoding="utf-8"))
base = sys.argv[1].rstrip("/") if len(sys.argv) > 1 else "http://127.0.0.1:8080/v1"
with urllib.request.urlopen(base + "/models") as reply:
    names = [*sys.argv[2:], *(one["id"] for one in json.load(reply)["data"]), here.name]
body = json.dumps({"model": names[0], **case["request"]}).encode()
asked = urllib.request.Request(base + "/chat/completions", body, {"Content-Type": "application/json"})
with urllib.request.urlopen(asked) as reply:
    answer = json.load(reply)["choices"][0]["message"]["content"]
value = answer.strip()
with contextlib.suppress(ValueError):  # what is no JSON is not what was expected
    value = json.loads(answer) if case["json"] else value
print(answer, "as expected" if value == case["expected"] else f"expected: {case['expected']}", sep="\\n")
sys.exit(value != case["expected"])
'''


def write_client(folder: Path, case: Mapping[str, Any]) -> None:
    """Write the client and the case that it sends.

    Args:
        case: {"request": of a chat completion, "json": whether the answer is JSON, "expected"}.
    """
    files.write_text(folder / CLIENT, CLIENT_TEXT)
    files.write_json(folder / CASE, case)


CHATML = """\
TEMPLATE \"\"\"{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
\"\"\"
PARAMETER stop "<|im_end|>"
"""


def modelfile(chat_template: str) -> str:
    """The Modelfile by which Ollama renders a chat exactly as the model's own (Jinja) template does.

    Ollama knows templates by their look only, and gives a model with any other the bare words. So ChatML is spelled
    out, with the system turn that the template puts where there is none; other templates are left to Ollama.
    """
    lines = "FROM ./model.gguf\nPARAMETER temperature 0\nPARAMETER num_ctx 4096\n"
    user = {"role": "user", "content": "u"}
    turn = "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    system = "<|im_start|>system\ns<|im_end|>\n"
    try:
        if _rendered(chat_template, [{"role": "system", "content": "s"}, user]) != system + turn:
            return lines
        alone = _rendered(chat_template, [user])
    except Exception:  # a template may raise anything, and on purpose
        return lines
    own = re.fullmatch(r"(?:<\|im_start\|>system\n(.*)<\|im_end\|>\n)?" + re.escape(turn), alone, re.DOTALL)
    if own is None or '"""' in (own[1] or ""):
        return lines
    return lines + CHATML + (f'SYSTEM """{own[1]}"""\n' if own[1] else "")


def _rendered(template: str, messages: list[dict[str, str]]) -> str:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)
    return made.render(messages=messages, add_generation_prompt=True, bos_token="", eos_token="<|im_end|>")
