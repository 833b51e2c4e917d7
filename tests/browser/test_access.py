"""The page for everybody: screen readers, the keyboard, dark rooms, narrow windows, both languages, and as an app."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect
from small_workspace import a_lab, a_run, a_test, an_export
from visit import serving

pytestmark = [pytest.mark.browser, pytest.mark.model]

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
TABS = ("start", "data", "train", "compare", "test", "export")
WRONG = {"moderate", "serious", "critical"}
"""How axe-core calls what keeps people out; what is left is "minor"."""


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Iterator[str]:
    """A running lab in which everything has been done once."""
    lab = a_lab(tmp_path_factory.mktemp("furnished"), model=smollm2)
    run = a_run(lab)
    a_run(lab, "shop-0", state="failed", ago=900)
    a_test(lab, run.id, an_export(lab, run.id))
    an_export(lab, run.id, "merged")
    with serving(lab.workspace) as address:
        yield address


def window(browser: Browser, address: str, width: int = 1280, **options: Any) -> Page:
    page = browser.new_context(viewport={"width": width, "height": 900}, **options).new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.get_by_role("tab").first.wait_for()
    page.wait_for_timeout(2500)
    return page


def show(page: Page, tab: str) -> None:
    page.evaluate("tab => { location.hash = tab }", tab)
    page.locator(f"[data-tab-id=tab_{tab}][aria-selected=true]").first.wait_for()
    page.wait_for_timeout(1500)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_violation_and_nothing_sticks_out(browser: Browser, furnished: str, language: str, scheme: Any) -> None:
    wrong: dict[str, list[str]] = {}
    for width in (1280, 390):
        page = window(browser, f"{furnished}/{language}/", width, color_scheme=scheme)
        page.evaluate(AXE)
        for tab in TABS:
            show(page, tab)
            for found in page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]:
                if found["impact"] in WRONG:
                    where = [str(node["target"][-1]) for node in found["nodes"]]
                    wrong[f"{tab} {width}: {found['id']}"] = where[:5]
            sticks_out = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if sticks_out > 1:
                wrong[f"{tab} {width}"] = [f"{sticks_out} px too wide"]
        page.context.close()
    assert wrong == {}


def test_step_opens_its_tab_and_a_name_what_it_stands_for(browser: Browser, furnished: str) -> None:
    page = window(browser, f"{furnished}/en/")
    start = page.locator("#start")
    expect(start).to_contain_text("Where you are")
    start.get_by_role("button", name="shop-0").click()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".run:not(.question) > .head").filter(visible=True).first).to_contain_text("shop-0")
    show(page, "start")
    start.get_by_role("button", name="Show the export").click()
    expect(page.get_by_role("tab", name="Export")).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(re.compile("#export$"))
    page.context.close()


def test_language_is_switched_in_place_and_kept(browser: Browser, furnished: str) -> None:
    page = window(browser, f"{furnished}/", locale="en-US")
    show(page, "test")
    page.get_by_role("link", name="中文").click()
    expect(page.get_by_role("tab", name="测试")).to_have_attribute("aria-selected", "true")
    page.goto(furnished)
    expect(page).to_have_url(re.compile("/zh/"))
    expect(page.get_by_role("tab", name="开始")).to_have_attribute("aria-selected", "true")
    page.context.close()


def test_keyboard_alone_goes_from_start_to_a_finished_form(browser: Browser, furnished: str) -> None:
    page = window(browser, f"{furnished}/en/")
    tab_until(page, "document.activeElement?.textContent.trim() === 'Open the data'")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Data")).to_have_attribute("aria-selected", "true")
    tab_until(page, "document.activeElement?.closest('#conversation') && document.activeElement.tagName === 'TEXTAREA'")
    page.keyboard.type("typed by hand ")
    expect(page.locator("#conversation textarea").first).to_have_value(re.compile("typed by hand"))
    outline = page.evaluate("getComputedStyle(document.activeElement).boxShadow")
    assert outline != "none", "where the keyboard is must be seen"
    page.context.close()


def tab_until(page: Page, reached: str, most: int = 80) -> None:
    """Press Tab until the focus stands where it should."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(reached):
            return
    raise AssertionError(f"the keyboard does not reach: {reached}")


def test_browser_would_install_it(browser: Browser, furnished: str) -> None:
    page = window(browser, f"{furnished}/en/")
    devtools = page.context.new_cdp_session(page)
    manifest = devtools.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert manifest["url"].endswith("/manifest.json")
    errors = devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert [one["errorId"] for one in errors if one["errorId"] != "in-incognito"] == []
    page.context.close()
