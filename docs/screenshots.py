"""Takes the pictures in the READMEs, of a running lab: python docs/screenshots.py ADDRESS (or make screenshots)."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
READMES = (HERE.parent / "README.md", HERE.parent / "README.zh.md")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]


def main() -> None:
    """Each picture that a README shows, named by language and tab."""
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7860"
    texts = "".join(readme.read_text(encoding="utf-8") for readme in READMES)
    shown = sorted(set(re.findall(r"\(docs/(screenshots/(en|zh)-(\w+)\.png)\)", texts)))
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for file, language, tab in shown:
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.goto(f"{address}/{language}/#{tab}")
            page.locator(f"[data-tab-id=tab_{tab}][aria-selected=true]").first.wait_for()
            page.wait_for_timeout(6000)
            page.screenshot(path=HERE / file)
            page.context.close()
        browser.close()


if __name__ == "__main__":
    main()
