"""A person's way through all five tabs, on the real small model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from visit import Visit

from qwenlab import files
from qwenlab.conversations.dataset import DataSet
from qwenlab.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.model]

MINUTES = 60_000
"""In milliseconds."""


@pytest.mark.timeout(1800)
def test_from_data_to_export(visit: Visit, session_workspace: Workspace) -> None:
    page = visit.page

    # Data: change a word, save, and find it on disk
    box = page.locator("#conversation .turn.user textarea").first
    expect(box).to_be_visible()
    box.fill("Received 2026-03-05 (Thursday)\nHello from the browser test")
    box.blur()
    page.locator("#conversation").get_by_role("button", name="Save").click()
    expect(page.locator("#conversation .saved")).to_contain_text("Saved")
    own = session_workspace.data / "after-sales.train.json"
    assert "Hello from the browser test" in DataSet.open(own).samples[0].turns[1].text
    visit.shoot("en-data")

    # Train: the page says what it takes; start, close the page, open it again, stop, resume
    # (enough steps that a fast machine has not finished them before the stop)
    visit.open_tab("Train")
    expect(page.get_by_text(re.compile("needs about .* GB"))).to_be_visible(timeout=2 * MINUTES)
    page.get_by_role("button", name="Advanced").click()
    page.wait_for_timeout(1500)  # until the boxes that it folds out stand there with their values
    for label, value in {"Most steps": "40", "Batch size": "2", "Micro-batch": "2"}.items():
        page.get_by_label(label).fill(value)
    expect(page.get_by_text("40 steps of 2 samples each")).to_be_visible(timeout=MINUTES)
    expect(page.get_by_text(re.compile("needs about .* GB"))).to_be_visible(timeout=2 * MINUTES)
    visit.shoot("en-train-form")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_text("Training: step").first).to_be_visible(timeout=2 * MINUTES)
    address = page.url
    page.goto("about:blank")
    page.wait_for_timeout(3000)
    page.goto(address)
    page.get_by_role("tab").first.wait_for()
    page.wait_for_timeout(2000)
    visit.open_tab("Train")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#context")).to_contain_text("stopped", timeout=MINUTES)
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator("#context")).to_contain_text("finished", timeout=5 * MINUTES)
    visit.shoot("en-train")

    # Compare: base and adapter answer together
    visit.open_tab("Compare")
    expect(
        page.get_by_text("adapter trained on smollm2-135m").filter(visible=True).first
    ).to_be_visible()  # chosen without a reload
    message = page.get_by_label("Your message")
    message.fill("Received 2026-03-05 (Thursday)\nOrder A1234: please refund my kettle, $20.")
    page.get_by_role("button", name="Send").click()
    columns = page.locator("#compare-columns")
    visit.shoot("en-compare-streaming")
    expect(columns.get_by_role("button", name="Correct and keep")).to_have_count(2, timeout=2 * MINUTES)
    columns.get_by_role("button", name="Right is better").click()
    expect(page.locator("#compare-said")).to_contain_text("1 of 1 times")
    page.get_by_role("button", name="Earlier conversations").click()
    expect(page.locator("#compare-talks")).to_contain_text("Order A1234")
    visit.shoot("en-compare")

    # Test: two cases on both
    visit.open_tab("Test")
    page.get_by_label("First cases").fill("2")
    page.get_by_role("button", name="Run the test").click()
    expect(page.locator("#test-matrix")).to_contain_text("en-0", timeout=6 * MINUTES)
    expect(page.get_by_role("button", name="Run the test")).to_be_enabled(timeout=6 * MINUTES)
    page.wait_for_timeout(4000)
    visit.shoot("en-test")

    # Export: merge and quantize, proven in fresh processes
    visit.open_tab("Export")
    page.get_by_role("button", name="Merge", exact=True).click()
    expect(page.get_by_role("button", name="Merge again")).to_be_visible(timeout=6 * MINUTES)
    page.get_by_role("button", name="Quantize", exact=True).click()
    expect(page.get_by_role("button", name="Quantize again")).to_be_visible(timeout=6 * MINUTES)
    visit.shoot("en-export")
    made = {path.parent.name for path in session_workspace.exports.glob("*/SHA256SUMS")}
    assert len(made) == 2

    assert visit.complaints == []


TABS = {"data": "数据", "train": "训练", "compare": "对比", "test": "测试", "export": "导出"}


@pytest.mark.parametrize("visit", [("zh-CN", 1280), ("zh-CN", 390)], indirect=True, ids=["wide", "narrow"])
def test_chinese_reader_gets_a_chinese_page(visit: Visit, request: pytest.FixtureRequest) -> None:
    width = request.node.callspec.id
    assert visit.page.url.partition("#")[0].endswith("/zh/")
    for name, title in TABS.items():
        visit.open_tab(title)
        visit.shoot(f"zh-{name}-{width}")
        panel = visit.page.locator(".tabitem:visible, [role=tabpanel]:visible").first.inner_text()
        assert len(re.findall("[\u4e00-\u9fff]", panel)) > 40, f"{title} is hardly Chinese"
    overflow = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 1, "nothing may stick out of a narrow window"
    assert visit.complaints == []


def test_words_of_a_stranger_stay_words(visit: Visit, session_workspace: Workspace, tmp_path: Path) -> None:
    attack = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
    turns = [{"from": "user", "value": attack}, {"from": "assistant", "value": attack}]
    files.write_json(session_workspace.data / "stranger.train.json", [{"id": attack, "conversations": turns}])
    page = visit.page
    page.reload()
    page.get_by_label("Data set").click()
    page.get_by_role("option", name="stranger").click()
    expect(page.locator("#conversation textarea").first).to_have_value(attack)
    page.wait_for_timeout(1000)
    assert page.title() != "owned"
    assert visit.complaints == []
