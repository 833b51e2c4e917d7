"""The HTML report in a real Chromium: opened from a file, it loads and runs nothing, fits the screen, filters cases."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import ScriptedContestant
from playwright.sync_api import Browser, Page

from qwenlab.evals import reports, runner
from qwenlab.evals.findings import gather
from qwenlab.evals.suite import suite_from

pytestmark = pytest.mark.browser

RIGHT, HOSTILE = (
    '{"a": 1}',
    '<img src="http://127.0.0.1:9/x" onerror="document.title=1"><script>document.title=2</script>',
)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report with broken, fixed, wrong and right cases, and four contestants from base to int4."""
    cases = [
        {"id": f"case-{n}", "prompt": f"q{n} {'x' * 300}", "expected": {"a": 1}, "tags": ["odd"] * (n % 2)}
        for n in range(8)
    ]
    suite = suite_from({"name": "tickets", "schema": {}, "thresholds": {"usable": 0.9}, "cases": cases}, "test")

    def answers(right: set[int]) -> dict[str, str]:
        return {case.question: RIGHT if at in right else HOSTILE for at, case in enumerate(suite.cases)}

    told = {"base": {0, 1}, "adapter": {0, 1, 2, 3, 4}, "merged": {0, 1, 2, 3, 4}, "int4": {1, 2, 3}}
    contestants = [ScriptedContestant(name, answers(right)) for name, right in told.items()]
    result = runner.run(suite, contestants, tmp_path / "results" / "r")
    path = tmp_path / "report.html"
    reports.write(gather(result, "en", tmp_path / "results"), path)
    return path


@pytest.fixture
def opened(browser: Browser, report: Path, request: pytest.FixtureRequest):
    """The report in a window of the parametrized width, and everything it asked for or complained about."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda asked: heard.append(asked.url))
    page.goto(report.as_uri())
    yield page, heard
    context.close()


def shown(page: Page) -> list[str]:
    return page.locator("details.case:visible > summary > b").all_inner_texts()


@pytest.mark.parametrize("opened", [1280, 390], indirect=True)
def test_it_loads_and_runs_nothing_and_fits_the_screen(opened, report):
    page, heard = opened
    assert heard == [report.as_uri()], "its style is let in by its own policy, and nothing else is wanted"
    assert page.title() == "tickets - Test report"
    for one in page.locator("details").all():
        one.evaluate("one => one.open = true")
    page.wait_for_timeout(200)
    assert page.title() == "tickets - Test report", "what a model wrote is text"
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert heard == [report.as_uri()]
    assert page.locator("h1").evaluate("one => getComputedStyle(one).fontWeight") == "700"
    assert page.locator(".tile").first.evaluate("one => getComputedStyle(one).borderRadius") == "6px", (
        "it has its style"
    )


@pytest.mark.parametrize("opened", [1280], indirect=True)
def test_cases_are_filtered_without_a_script_and_a_broken_one_is_linked(opened):
    page, _ = opened
    assert len(shown(page)) == 8
    page.get_by_text("broken 1", exact=True).click()
    assert shown(page) == ["case-0"]
    page.get_by_text("fixed 2", exact=True).click()
    assert shown(page) == ["case-2", "case-3"]
    page.get_by_label("all 8").focus()
    page.keyboard.press("Space")
    assert len(shown(page)) == 8, "the keyboard does it too"
    page.get_by_role("link", name="case-4").click()
    linked = page.locator("details.case", has=page.locator(".body:target"))
    assert linked.locator("summary > b").first.inner_text() == "case-4"
    assert linked.evaluate("one => one.open"), "a link unfolds its case"
    page.get_by_text("fixed 2", exact=True).click()
    assert shown(page) == ["case-2", "case-3", "case-4"], "and no filter hides it"
