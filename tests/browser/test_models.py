"""The list of models: a Qwen 1 folder is added by its path, converted by one button, and removed after a question."""

from __future__ import annotations

from pathlib import Path

import pytest
import qwen1_original as original
from visit import Visit

pytestmark = pytest.mark.browser


def test_qwen1_folder_becomes_a_model_and_is_removed(visit: Visit, tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "Qwen-14B-Chat")
    page = visit.page
    visit.open_tab("Train")
    page.get_by_text("All models:").click()
    page.locator("table.models").wait_for()
    folder = page.get_by_placeholder("a folder on this computer")
    folder.fill(str(tmp_path / "Qwen-14B-Chat"))
    folder.press("Enter")
    page.get_by_text("Qwen 1 model in its original format").wait_for()
    page.get_by_role("button", name="Convert it").click()
    page.get_by_text("up to 512 tokens, answer included").wait_for()
    page.get_by_role("button", name="Remove Qwen-14B-Chat").click()
    page.get_by_text("Delete Qwen-14B-Chat").wait_for()
    visit.shoot("train-models")
    page.get_by_role("button", name="Delete it").click()
    page.locator("table.models tr", has_text="Qwen-14B-Chat").wait_for(state="detached")
    page.locator("table.models tr", has_text="SmolLM2-135M").click()
    page.locator("table.models tr", has_text="SmolLM2-135M").get_by_text("chosen").wait_for()
    assert not visit.complaints
