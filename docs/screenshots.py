"""Takes README's pictures of a running lab: python docs/screenshots.py http://127.0.0.1:7860 (or make screenshots)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent / "screenshots"
TABS = {
    "en": ("en-US", {"data": "Data", "train": "Train", "compare": "Compare", "test": "Test", "export": "Export"}),
    "zh": ("zh-CN", {"data": "数据", "train": "训练", "compare": "对比", "test": "测试", "export": "导出"}),
}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]


def main() -> None:
    """One picture per tab and language."""
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7860"
    HERE.mkdir(exist_ok=True)
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for language, (locale, tabs) in TABS.items():
            page = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900}).new_page()
            page.goto(address)
            page.get_by_role("tab").first.wait_for()
            for name, title in tabs.items():
                page.get_by_role("tab", name=title).click()
                page.wait_for_timeout(4000)
                page.screenshot(path=HERE / f"{language}-{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
