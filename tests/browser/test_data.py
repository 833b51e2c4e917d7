"""The Data tab in a browser: import an Excel file, edit by form, undo, reload, filter, check."""

from __future__ import annotations

import json
import re
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Page, expect
from visit import Visit

from qwenlab.conversations.dataset import DataSet
from qwenlab.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.model]


def choose(page: Page, name: str) -> None:
    """Open a data set of that name."""
    page.get_by_label("Data set").first.click()
    page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_timeout(1500)


def test_excel_file_is_imported_edited_undone_reloaded_and_filtered(
    visit: Visit, session_workspace: Workspace, tmp_path: Path
) -> None:
    page, talk = visit.page, visit.page.locator("#conversation")
    rows = [("Where is my parcel?", "delivery"), ("Refund my kettle, please.", "return"), ("No answer here", "")]
    book = openpyxl.Workbook()
    book.active.append(["Customer", "Ticket"])  # columns that nobody can guess
    for asked, intent in rows:
        book.active.append([asked, json.dumps({"intent": intent}) if intent else ""])
    book.save(tmp_path / "clerk.xlsx")

    # Import: nothing is taken in before the report was read and the columns were named
    page.get_by_role("button", name="Import, export, other files").click()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "clerk.xlsx")
    take_in = page.get_by_role("button", name="Take in as a new data set")
    expect(take_in).to_be_disabled()
    for part, column in (("prompt", "Customer"), ("answer", "Ticket")):
        page.locator(f"#column-{part} input").click()
        page.get_by_role("option", name=column, exact=True).click()
        page.wait_for_timeout(1000)
    expect(page.locator("#import-report")).to_contain_text(re.compile("row 4", re.IGNORECASE))
    expect(take_in).to_be_enabled()
    visit.shoot("en-import")
    take_in.click()
    expect(talk.locator("textarea").first).to_have_value("Where is my parcel?")
    made = session_workspace.data / "clerk.train.json"
    assert len(DataSet.open(made).samples) == 2

    # An edit is safe at once, survives a reload, and can be undone after it
    box = talk.locator(".turn.user textarea")
    box.fill("Where is my blue parcel?")
    box.blur()
    expect(talk.locator(".saved")).to_contain_text("not in the file yet")
    page.reload()
    page.get_by_role("tab").first.wait_for()
    expect(talk.locator(".turn.user textarea")).to_have_value("Where is my blue parcel?")
    talk.get_by_role("button", name="Undo").click()
    expect(talk.locator(".turn.user textarea")).to_have_value("Where is my parcel?")
    talk.get_by_role("button", name="Redo").click()
    talk.get_by_label("Tags, parted by commas").fill("parcel")
    talk.get_by_label("Tags, parted by commas").blur()
    page.wait_for_timeout(1000)
    talk.get_by_role("button", name="Save").click()
    expect(talk.locator(".saved")).to_contain_text("Saved")
    assert [turn.text for turn in DataSet.open(made).samples[0].turns][0] == "Where is my blue parcel?"
    assert "parcel" not in json.loads(made.read_text())[0].get("tags", "")

    # Search, filter by tag, delete, bring back
    listed = page.locator("#samples")
    listed.get_by_role("searchbox").fill("KETTLE")
    expect(listed.locator(".row")).to_have_count(1)
    listed.get_by_role("searchbox").fill("")
    expect(listed.locator(".row")).to_have_count(2)
    listed.locator('[data-part="tag"]').select_option("parcel")
    expect(listed.locator(".row")).to_have_count(1)
    listed.locator('[data-part="tag"]').select_option("")
    expect(listed.locator(".row")).to_have_count(2)
    talk.get_by_role("button", name="Delete sample").click()
    expect(listed.locator(".row")).to_have_count(1)
    listed.locator('[data-part="wanted"]').select_option("deleted")
    listed.get_by_role("button", name="Bring back").click()
    listed.locator('[data-part="wanted"]').select_option("")
    expect(listed.locator(".row")).to_have_count(2)

    choose(page, "after-sales")
    assert not visit.complaints


def test_field_of_a_json_answer_is_edited_in_its_form(visit: Visit, session_workspace: Workspace) -> None:
    page, talk = visit.page, visit.page.locator("#conversation")
    page.locator("#samples .row").nth(2).click()
    expect(talk.locator(".top")).to_contain_text("3 of 400")
    field = talk.locator('[data-part="form"][data-pointer="/urgency"]')
    before = field.input_value()
    wanted = next(word for word in ("high", "low", "normal") if word != before)
    field.select_option(wanted)
    expect(talk.locator(".saved")).to_contain_text("not in the file yet")
    talk.get_by_role("button", name="Text", exact=True).click()
    expect(talk.locator('.turn.assistant [data-part="text"]')).to_have_value(re.compile(f'"urgency": "{wanted}"'))
    talk.get_by_role("button", name="Form", exact=True).click()
    talk.get_by_role("button", name="Undo").click()
    expect(talk.locator('[data-part="form"][data-pointer="/urgency"]')).to_have_value(before)
    assert not visit.complaints
