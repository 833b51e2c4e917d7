"""Scripts in every text of a file, a model or an endpoint are shown as text: nothing runs in a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks.stranger import running
from fakes import ScriptedContestant
from playwright.sync_api import Browser, Page, expect

from qwenlab import files
from qwenlab.conversations.dataset import DataSet
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals import runner
from qwenlab.evals.preferences import Vote, VoteLog, Voter
from qwenlab.evals.suite import load_suite
from qwenlab.jobs import Job
from qwenlab.models.contestant import Answer
from qwenlab.training.recipe import read
from qwenlab.ui.judging import Wanted
from qwenlab.ui.kept_talks import TalkStore
from qwenlab.ui.roster import Entrant
from qwenlab.ui.talk import Exchange, Reply, Talk
from qwenlab.workspace import Workspace

pytestmark = pytest.mark.browser

NAME = "<img src=x onerror=hit()>"
"""As a file's name."""
TEXT = "\"'></textarea></pre><script>hit()</script><img src=x onerror=hit()><svg onload=hit()>${hit()} {{hit()}}"
TEXT += " [x](javascript:hit()) <a href='javascript:hit()'>x</a> $hit()$"
SHOWN = "onerror=hit()"
TABS = ("Data", "Train", "Compare", "Test", "Export")


def data_set(workspace: Workspace) -> Path:
    path = workspace.data / f"{NAME}.train.json"
    turns = [("system", TEXT), ("user", TEXT), ("assistant", TEXT)]
    DataSet.new(path, [Sample.make(f"{TEXT}{at}", turns) for at in range(3)]).save()
    schema = {"type": "object", "title": TEXT, "required": [TEXT], "properties": {TEXT: {"description": TEXT}}}
    files.write_json(workspace.data / "schema.json", schema)
    labels = {f"{TEXT}0": {"tags": [TEXT], "note": TEXT}}
    files.write_json(workspace.data / f"{NAME}.lab.json", {"schema": "schema.json", "samples": labels})
    return path


def suite(workspace: Workspace) -> Path:
    path = workspace.suites / f"{NAME}.json"
    properties = {TEXT: {"type": "string", "description": TEXT}}
    cases = [
        {"id": f"{TEXT}{at}", "prompt": f"{at}{TEXT}", "expected": {TEXT: TEXT}, "tags": [TEXT], "group": TEXT}
        for at in range(3)
    ]
    files.write_json(path, {"name": "evil", "schema": {"type": "object", "properties": properties}, "cases": cases})
    return path


def result(workspace: Workspace, path: Path) -> None:
    found = load_suite(path)
    answers = [TEXT, json.dumps({TEXT: TEXT + "!"}), f"```json\n{json.dumps({TEXT: 1})}\n```"]
    prompts = [case.prompt or "" for case in found.cases]
    scripts = [
        dict(zip(prompts, answers, strict=True)),
        dict.fromkeys(prompts, Answer("", "error", error=TEXT)),
    ]
    contestants = [ScriptedContestant(f"c{at}", script) for at, script in enumerate(scripts)]
    runner.run(found, contestants, workspace.results / f"{NAME}-1")


def run(workspace: Workspace, path: Path) -> None:
    job = Job(workspace.runs / f"{NAME}-2")
    files.write_json(job.folder / "recipe.json", read({"model": TEXT, "data": str(path)}).model_dump())
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [TEXT], "started": time.time()})
    (job.folder / "log.txt").write_text(TEXT, encoding="utf-8")
    job.report("phase", name=TEXT)
    job.report("encoded", samples=3, tokens=9, trained_tokens=9, steps=9, left_out=[[TEXT, TEXT]])
    job.finish("failed", QwenlabError(TEXT, TEXT, zh=(TEXT, TEXT)))


def export(workspace: Workspace) -> None:
    folder = workspace.exports / f"{NAME}-merged"
    files.write_json(folder / "qwenlab-export.json", {"kind": "merged", "base": TEXT, "files": {TEXT: TEXT}})
    (folder / "README.md").write_text(TEXT, encoding="utf-8")


def talk(workspace: Workspace) -> None:
    replies = [Reply(Entrant(f"http://{name}", TEXT, "endpoint", TEXT), {TEXT: TEXT}) for name in ("a", "b")]
    replies[0].end(Answer(TEXT, "stop"), Wanted())
    replies[1].end(Answer("", "error", error=TEXT), Wanted())
    TalkStore(workspace.talks).save(Talk(system=TEXT, exchanges=[Exchange(TEXT, replies)]))
    vote = Vote("k", "2026-01-01", (Voter(TEXT, TEXT), Voter(TEXT + "2", TEXT)), 0, message=TEXT, answers=(TEXT, TEXT))
    VoteLog(workspace.talks / "votes.jsonl").append(vote)


@pytest.fixture(scope="module")
def evil_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A lab in whose files every text is a script."""
    workspace = Workspace(tmp_path_factory.mktemp("evil") / "home")
    data, own = data_set(workspace), suite(workspace)
    for make in (export, talk):
        make(workspace)
    result(workspace, own)
    run(workspace, data)
    files.write_json(workspace.root / "choices.json", {"dataset": str(data), "suite": str(own), "model": TEXT})
    with running(workspace.root) as address:
        yield address


@pytest.fixture(params=["en-US", "zh-CN"])
def page(browser: Browser, evil_lab: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window that counts what runs."""
    context = browser.new_context(locale=request.param, viewport={"width": 1280, "height": 900})
    context.add_init_script("window.hits = 0; window.hit = () => { window.hits++; return ''; };")
    found = context.new_page()
    found.goto(evil_lab)
    found.get_by_role("tab").first.wait_for()
    found.wait_for_timeout(2500)
    yield found
    context.close()


def look_around(page: Page) -> str:
    """Open every tab and every fold, click what only shows; returns all that can be read."""
    said = ""
    for at in range(len(TABS)):
        page.get_by_role("tab").nth(at).click()
        page.wait_for_timeout(1500)
        for fold in page.locator("button.label-wrap:visible").all():
            fold.click()
            page.wait_for_timeout(200)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        page.wait_for_timeout(1500)
        said += page.locator("body").inner_text()
    return said


def test_nothing_runs_of_what_stands_in_files(page: Page) -> None:
    said = look_around(page)
    assert said.count(SHOWN) > 20, "the texts were shown"
    assert page.evaluate("window.hits") == 0
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("a[href^=javascript]").count() == 0


def test_nothing_runs_of_a_conversation_that_is_opened_again(page: Page) -> None:
    page.get_by_role("tab").nth(2).click()
    for fold in page.locator("button.label-wrap:visible").all():
        fold.click()
        page.wait_for_timeout(200)
    page.locator("#compare-talks button").first.click()
    page.wait_for_timeout(2000)
    assert page.locator("#columns, body").first.inner_text().count(SHOWN) > 3
    assert page.evaluate("window.hits") == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{NAME}.csv", f'"{TEXT.replace(chr(34), chr(34) * 2)}",answer\n{NAME},{NAME}\n'),
        (f"{NAME}.json", json.dumps([{"id": TEXT, "instruction": TEXT, "output": TEXT}])),
        (f"{NAME}.json", TEXT),
        (f"{NAME}.xlsx", TEXT),
    ],
    ids=["columns", "samples", "broken json", "broken Excel"],
)
def test_nothing_runs_of_a_file_that_is_imported(page: Page, tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    page.locator("button.label-wrap:visible").first.click()
    page.locator("input[type=file]").first.set_input_files(path)
    page.wait_for_timeout(2500)
    expect(page.locator("#import-report")).not_to_be_empty()
    assert page.evaluate("window.hits") == 0


def test_nothing_runs_of_an_error_message(page: Page) -> None:
    page.evaluate("""fetch(location.pathname + "gradio_api/queue/join", {method: "POST"})""")
    page.get_by_role("tab").nth(1).click()
    box = page.get_by_placeholder("/").first
    fold = page.locator("button.label-wrap:visible")
    for one in fold.all():
        one.click()
    if box.count():
        box.fill(f"/nowhere/{TEXT}")
        box.press("Enter")
    page.wait_for_timeout(2500)
    assert page.evaluate("window.hits") == 0


def test_what_did_get_in_could_tell_nobody(page: Page) -> None:
    script = """async () => {
      const stopped = [];
      document.addEventListener("securitypolicyviolation", (event) => stopped.push(event.effectiveDirective));
      await fetch("http://127.0.0.1:9/").catch(() => 0);
      new Image().src = "http://127.0.0.1:9/x.png";
      const form = document.createElement("form");
      form.action = "http://127.0.0.1:9/"; document.body.append(form); form.submit();
      await new Promise((done) => setTimeout(done, 500));
      return stopped.sort();
    }"""
    assert page.evaluate(script) == ["connect-src", "form-action", "img-src"]
