"""A person makes a suite from the data set, edits it, tries an answer, and finds it on disk."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from visit import Visit

from qwenlab.conversations.dataset import DataSet
from qwenlab.evals.suite import load_suite
from qwenlab.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.model]


@pytest.mark.timeout(300)
def test_a_suite_is_made_edited_and_saved(visit: Visit, session_workspace: Workspace) -> None:
    page = visit.page
    page.get_by_label("Data set").click()
    page.get_by_role("option", name="after-sales").click()
    expect(page.locator("#conversation")).to_contain_text("after-sales")
    visit.open_tab("Test")

    page.get_by_role("button", name="New suite from the data set").click()
    page.get_by_label("Name of the suite").fill("tried")
    page.get_by_label("Samples to hold out").fill("12")
    page.get_by_role("button", name="Look first").click()
    expect(page.locator("#suite-new")).to_contain_text("order_id")
    expect(page.locator("#suite-new")).to_contain_text("12 samples would become cases")
    page.get_by_role("button", name="Make the suite").click()
    expect(page.locator("#suite-new")).to_contain_text("The suite tried is there")
    suite = load_suite(session_workspace.suites / "tried")
    own = session_workspace.data / "after-sales.train.json"
    assert {case.id for case in suite.cases}.isdisjoint(sample.id for sample in DataSet.open(own).samples)

    page.get_by_role("button", name="Cases and rules").click()
    case = page.locator("#suite-case")
    expect(page.locator("#suite-cases")).to_contain_text("12 of 12")
    page.locator("#suite-cases .row").nth(2).click()
    expect(case.get_by_text("Case 3 of 12")).to_be_visible()
    case.locator('textarea[data-set="turn"]').fill("Received 2026-03-05\nWhere is my kettle?")
    case.get_by_label("Try an answer").fill("Sorry, no idea")
    expect(case).to_contain_text("no JSON")
    case.locator('select[data-pointer="/intent"]').select_option(label="delivery")
    page.get_by_role("button", name="Rules of the fields").click()
    weight = page.locator('#suite-rules input[data-set="weight"][data-pointer="/date"]')
    weight.fill("3")
    weight.blur()
    expect(page.locator("#suite-top")).to_contain_text("not saved yet")
    page.locator("#suite-top").get_by_role("button", name="Save").click()
    expect(case).to_contain_text("saved; the version before is kept")
    visit.shoot("en-suite")
    saved = load_suite(session_workspace.suites / "tried")
    assert saved.cases[2].question == "Received 2026-03-05\nWhere is my kettle?"
    assert saved.cases[2].expected["intent"] == "delivery"
    assert saved.fields["/date"].weight == 3
    assert "# seen in" in (session_workspace.suites / "tried" / "suite.yaml").read_text(encoding="utf-8")

    # A case that is wrong cannot be saved; undo takes it back.
    page.locator("#suite-cases").get_by_role("button", name="+ case").click()
    expect(case).to_contain_text("the question is empty")
    page.locator("#suite-top").get_by_role("button", name="Save").click()
    expect(case).to_contain_text("must be corrected first")
    page.locator("#suite-top").get_by_role("button", name="Undo").click()
    expect(page.locator("#suite-cases")).to_contain_text("12 of 12")

    # One undo in the Data tab brings the samples back.
    left = len(DataSet.open(own).samples)
    visit.open_tab("Data")
    page.locator("#conversation").get_by_role("button", name="Undo").click()
    page.locator("#conversation").get_by_role("button", name="Save").click()
    expect(page.locator("#conversation .saved")).to_contain_text("Saved")
    assert len(DataSet.open(own).samples) == left + 12
    assert visit.complaints == []
