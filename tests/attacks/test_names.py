"""Names and paths from the page lead nowhere but to the workspace: every call of it, with values that try to leave."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from stranger import Attacked, Stranger, raw

from qwenlab.workspace import SHIPPED

SECRET = "CANARY-7f3a"
TYPED = {"textbox", "dropdown", "radio", "checkboxgroup", "uploadbutton"}
THOROUGH = bool(os.environ.get("QWENLAB_TEST_THOROUGH"))
"""All ways to write a name: takes eight minutes."""
SAID = re.compile(r'(?:do|action|what) == "([a-z_-]+)"')
"""How handlers compare the name of what a button does."""


def _outside(folder: Path) -> dict[str, str]:
    """Files that nobody of the page may read, each of a kind that some tab would like; path -> digest."""
    folder.mkdir()
    turns = [{"from": "user", "value": SECRET}, {"from": "assistant", "value": SECRET}]
    case = {"id": "c", "prompt": SECRET, "expected": SECRET}
    talk = {"id": SECRET, "began": "", "changed": "", "system": SECRET, "given": [], "exchanges": []}
    written = {
        "secret.train.json": json.dumps([{"id": "s", "conversations": turns}]),
        "secret.json": json.dumps(talk),
        "secret.csv": f"prompt,answer\n{SECRET},{SECRET}\n",
        "secret/suite.yaml": json.dumps({"name": "secret", "cases": [case]}),
        "secret/config.json": json.dumps({"model_type": "qwen2", "note": SECRET}),
        "secret/job.json": json.dumps({"kind": SECRET, "argv": [], "started": 1}),
        "secret/qwenlab-export.json": json.dumps({"kind": "merged", "base": SECRET}),
        "secret/log.txt": SECRET,
    }
    for name, text in written.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return _digests(folder)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _names(outside: Path) -> list[str]:
    """Ways to say the same files; all of them only where there is time."""
    kinds = ("secret.train.json", "secret", "secret.csv", "secret/suite.yaml")
    found = [str(outside / kinds[0]), f"../../outside/{kinds[1]}"]
    if THOROUGH:
        found += [str(outside / kind) for kind in kinds[1:]]
        found += [f"{up}outside/{kind}" for kind in kinds for up in ("../", "../../", "../../../")]
        found += ["..\\..\\outside\\secret", f"file://{outside}/secret.csv"]
    return found


@pytest.fixture
def outside(open_lab: Attacked) -> tuple[Path, dict[str, str]]:
    """The folder beside the workspace, and what is in it."""
    folder = open_lab.home.parent / "outside"
    return folder, _digests(folder) if folder.exists() else _outside(folder)


def _nothing_was_touched(home: Path, outside: tuple[Path, dict[str, str]]) -> None:
    assert _digests(outside[0]) == outside[1]
    assert {path.name for path in home.parent.iterdir()} == {"home", "outside"}
    held = [path for path in home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []


def _hostile(user: Stranger, call: dict[str, Any], name: str) -> list[Any]:
    """Values for a call: the name wherever somebody may type or choose."""
    found: list[Any] = []
    for number in call["inputs"]:
        part = user.component(number)
        many = part["type"] == "checkboxgroup" or part["props"].get("multiselect")
        sent = {"path": name, "orig_name": "x.csv", "meta": {"_type": "gradio.FileData"}}
        value = sent if part["type"] == "uploadbutton" else [name] if many else name
        found.append(value if part["type"] in TYPED else None)
    return found


def test_no_value_of_any_call_reads_or_writes_outside(open_lab: Attacked, outside: tuple[Path, dict[str, str]]) -> None:
    user = open_lab.stranger("li")
    user.open_page()
    calls = [call for call in user.calls() if any(user.component(one)["type"] in TYPED for one in call["inputs"])]
    assert len(calls) > 50
    answers = ""
    for name in _names(outside[0]):
        sent = set()
        for call in calls:
            values = _hostile(user, call, name)
            given = [at for at, value in enumerate(values) if value is not None]
            sent.add(user.join(call, values))
            # Each alone, too: a part that is refused must not hide what the next one would do.
            for only in given if len(given) > 1 else ():
                sent.add(user.join(call, [value if at == only else None for at, value in enumerate(values)]))
        answers += "".join(user.answers(sent).values())
    assert SECRET not in answers
    _nothing_was_touched(open_lab.home, outside)


def test_no_button_of_the_page_s_own_drawings_reads_or_writes_outside(
    open_lab: Attacked, outside: tuple[Path, dict[str, str]]
) -> None:
    user = open_lab.stranger("li")
    user.open_page()
    actions = {word for path in (SHIPPED / "qwenlab" / "ui").glob("*.py") for word in SAID.findall(path.read_text())}
    assert len(actions) > 20
    calls = [call for call in user.calls() if call["collects_event_data"]]
    assert len(calls) > 8
    answers = ""
    for name in (str(outside[0] / "secret"), "../../outside/secret", "../outside/secret")[: 3 if THOROUGH else 1]:
        for call in calls:
            sent = set()
            for at, do in enumerate(sorted(actions)):
                fields = ("talk", "version", "name", "run", "value", "file", "id", "case", "part", "column", "result")
                data = {"do": do, "seq": 1, **dict.fromkeys(fields, name)}
                for mark in " :" if THOROUGH else " :"[at % 2]:
                    event = {**data, "key": f"{do}{mark}{name}"}
                    sent.add(user.join(call, [None] * len(call["inputs"]), event))
            answers += "".join(user.answers(sent).values())
    assert SECRET not in answers
    _nothing_was_touched(open_lab.home, outside)


@pytest.mark.parametrize(
    "base",
    [
        "/en/gradio_api/file=",
        "/en/static/",
        "/en/assets/",
        "/en/svelte/",
        "/download/result/",
        "/download/batch/",
        "/download/data/",
    ],
)
def test_no_address_reads_outside(open_lab: Attacked, outside: tuple[Path, dict[str, str]], base: str) -> None:
    user = open_lab.stranger("li")
    cookie = "; ".join(f"{name}={value}" for name, value in user.web.cookies.items())
    users, data = open_lab.home / "users.txt", open_lab.home / "data" / "tickets.train.json"
    targets = [str(outside[0] / "secret.csv"), str(users), str(data), "/etc/passwd"]
    for target in targets:
        ups = "../" * 12
        for name in (
            target,
            ups + target,
            quote(target, safe=""),
            quote(ups + target, safe=""),
            quote(quote(ups + target, safe=""), safe=""),
            ups.replace("/", "\\") + target,
        ):
            line = f"GET {base}{name} HTTP/1.1\r\nHost: {open_lab.address[7:]}\r\nCookie: {cookie}\r\n\r\n"
            answer = raw(open_lab.address, line.encode())
            assert b" 200 " not in answer.split(b"\r\n")[0], line
            for secret in (SECRET.encode(), b"scrypt:", b"root:"):
                assert secret not in answer


@pytest.mark.parametrize(
    "name", ["../../../evil.json", "/tmp/evil.json", "..\\evil.json", "a/../../evil.json", ".", "x" * 300 + ".json"]
)
def test_uploaded_file_stays_among_the_uploads_whatever_its_name(open_lab: Attacked, name: str) -> None:
    answer = open_lab.stranger("li").upload(name, b"[]")
    if answer.status_code == 200:
        (path,) = answer.json()
        assert Path(path).resolve().is_relative_to(open_lab.home / "uploads")
        assert Path(path).exists()
    assert not list(open_lab.home.parent.glob("evil*"))
    assert not Path("/tmp/evil.json").exists()


@pytest.mark.parametrize("name", ["evil.exe", "evil.html", "evil.pkl", "evil"])
def test_upload_of_another_kind_is_not_taken_in(open_lab: Attacked, name: str) -> None:
    user = open_lab.stranger("li")
    user.open_page()
    (path,) = user.upload(name, b"prompt,answer\nhello there,good day\n").json()
    calls = [one for one in user.calls(event="upload") if len(one["inputs"]) == 1]
    assert len(calls) == 2
    sent = {"path": path, "orig_name": "x.csv", "meta": {"_type": "gradio.FileData"}}
    for call in calls:
        assert '"success":false' in user.call(call, [sent])


def test_upload_that_a_browser_opens_is_a_download_and_runs_nothing(open_lab: Attacked) -> None:
    user = open_lab.stranger("li")
    (path,) = user.upload("evil.html", b"<script>1</script>").json()
    answer = user.web.get(f"/en/gradio_api/file={path}")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "text/html" not in answer.headers["content-type"]
