"""The Test tab in a browser: filters, keys, a case value by value, cases to the data set, a test that goes on."""

from __future__ import annotations

import re

import pytest
from fakes import ScriptedContestant
from playwright.sync_api import Page, expect
from visit import Visit

from qwenlab.conversations.dataset import DataSet, new_data_set
from qwenlab.conversations.sample import Sample
from qwenlab.evals import runner
from qwenlab.evals.suite import Suite, suite_from
from qwenlab.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.model]

MINUTES = 60_000
"""In milliseconds."""


def kettles() -> Suite:
    """Forty questions about kettles, each wanting a colour and a number."""
    cases = [
        {"id": f"k-{n:02}", "prompt": f"Kettle {n}, please.", "expected": {"colour": "red", "number": n}}
        for n in range(1, 41)
    ]
    schema = {"type": "object", "required": ["colour", "number"]}
    return suite_from({"name": "kettles", "schema": schema, "cases": cases}, "test")


def answers(*wrong: int) -> dict[str, str]:
    """Right answers but for these, which name another colour."""
    return {
        f"Kettle {n}, please.": f'{{"colour": "{"blue" if n in wrong else "red"}", "number": {n}}}'
        for n in range(1, 41)
    }


def choose(page: Page, name: str) -> None:
    """Open a data set of that name."""
    page.get_by_label("Data set").first.click()
    page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_timeout(1500)


def test_cases_are_found_compared_and_sent_to_the_data_set(visit: Visit, session_workspace: Workspace) -> None:
    page = visit.page
    contestants = [ScriptedContestant("base", answers(1, 2)), ScriptedContestant("tuned", answers(2, 30, 31))]
    runner.run(kettles(), contestants, session_workspace.results / "kettles-1")
    new_data_set(session_workspace, "kettles", [Sample.make("known", [("user", "Hi"), ("assistant", '{"a": 1}')])])
    page.reload()
    choose(page, "kettles")
    visit.open_tab("Test")
    matrix, case = page.locator("#test-matrix"), page.locator("#test-case")

    # Flips first, then a filter, then words
    expect(matrix.locator("tr.group").first).to_contain_text("Broken by tuned: 2")
    matrix.get_by_role("button", name="Broken 2").click()
    expect(matrix.locator("tbody tr:not(.group)")).to_have_count(2)
    matrix.get_by_role("searchbox").fill("kettle 31")
    expect(matrix.locator("tbody tr:not(.group)")).to_have_count(1)
    matrix.get_by_role("searchbox").fill("")
    expect(matrix.locator("tbody tr:not(.group)")).to_have_count(2)

    # The keyboard: down, open, and on to the next within the filter
    matrix.get_by_role("button", name="k-30").focus()
    page.keyboard.press("ArrowDown")
    expect(matrix.get_by_role("button", name="k-31")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(case).to_contain_text("1 of 2 · Broken")
    expect(case.locator(".beside").first).to_contain_text(re.compile('colour.*"red".*✓.*"red".*✗.*"blue"', re.DOTALL))
    page.keyboard.press("ArrowRight")
    expect(case).to_contain_text("k-31")
    visit.shoot("en-test-case")

    # The other way round: what was broken is fixed
    page.locator('#test-overview select[data-part="reference"]').select_option("tuned")
    expect(page.locator("#test-overview")).to_contain_text("whether base is better than tuned")
    matrix.get_by_role("button", name="Fixed 2").click()
    expect(matrix.locator("tbody tr:not(.group)")).to_have_count(2)
    page.locator('#test-overview select[data-part="reference"]').select_option("base")

    # Both wrong ones of a list at once, said before it is done
    matrix.get_by_role("button", name="Broken 2").click()
    page.locator("#test-sending").get_by_role("button", name="Make the 2 wrong ones").click()
    expect(page.locator("#test-sending")).to_contain_text("They are then burned")
    page.locator("#test-sending").get_by_role("button", name="Send 2 cases").click()
    expect(page.get_by_text("as training samples: 2")).to_be_visible()
    kept = DataSet.open(session_workspace.data / "kettles.train.json").samples
    assert [sample.turns[0].text for sample in kept] == ["Hi", "Kettle 30, please.", "Kettle 31, please."]
    page.locator("#test-sending").get_by_role("button", name="Make the 2 wrong ones").click()
    expect(page.locator("#test-sending")).to_contain_text("In the data set already: k-30, k-31.")
    visit.open_tab("Data")
    choose(page, "after-sales")
    assert visit.complaints == []


@pytest.mark.timeout(900)
def test_stopped_test_goes_on_where_it_was(visit: Visit) -> None:
    page = visit.page
    visit.open_tab("Test")
    page.get_by_label("First cases").fill("60")  # batches of 24: the last ones must not be answered before the click
    page.get_by_role("button", name="Run the test").click()
    progress = page.locator("#test-progress")
    expect(progress).to_contain_text("Newest answer", timeout=5 * MINUTES)
    visit.shoot("en-test-running")
    page.get_by_role("button", name="Stop", exact=True).filter(visible=True).click()
    expect(progress).to_contain_text("was stopped", timeout=2 * MINUTES)
    visit.shoot("en-test-stopped")
    progress.get_by_role("button", name="Go on").click()
    expect(progress.locator(".progress")).to_be_visible(timeout=MINUTES)
    expect(progress).not_to_contain_text("was stopped")
    expect(progress.locator(".progress")).to_have_count(0, timeout=5 * MINUTES)
    expect(progress.get_by_role("button", name="Go on")).to_have_count(0)
    expect(page.locator("#test-overview")).not_to_contain_text("so far")
    assert visit.complaints == []
