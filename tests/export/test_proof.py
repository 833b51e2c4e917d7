"""The whole way of a real model: an export proven, damaged, copied elsewhere, killed and stopped half-way."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from qwenlab import files
from qwenlab.chat import contestants
from qwenlab.chat.pool import ModelPool
from qwenlab.cli import main
from qwenlab.export import package, place
from qwenlab.export.gguf_file import write_gguf
from qwenlab.jobs import Job
from qwenlab.models import folder as model_folder
from qwenlab.models.contestant import Generation
from qwenlab.workspace import Workspace

pytestmark = pytest.mark.model
KILLS = int(os.environ.get("QWENLAB_TEST_KILLS", "2"))

WORDS = (
    *("banana", "river", "seven", "Paris", "window", "orange", "doctor", "green", "table", "music", "winter", "horse"),
    *("coffee", "garden", "silver", "bridge", "Monday", "rabbit", "thunder", "pencil"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("proof"))


@pytest.fixture(scope="module")
def merged(home: Workspace, smollm2: Path) -> Path:
    """The small model as if it had been merged."""

    def make(folder: Path) -> None:
        for name in ("config.json", "generation_config.json", "model.safetensors"):
            shutil.copyfile(smollm2 / name, folder / name)
        package.carry_tokenizer(smollm2, folder)

    package.build(home.exports / "merged", "merged", {"base": "SmolLM2-135M-Instruct"}, make)
    return home.exports / "merged"


@pytest.fixture(scope="module")
def suite(home: Workspace, merged: Path) -> Path:
    """What the merged model does well enough for a loss to be seen: to say a word after us."""
    settings = {"max_new_tokens": 48}
    questions = [f"Repeat this word: {word}" for word in WORDS]
    contestant = contestants.make(home, ModelPool(), "merged", str(merged))
    prompts: Any = [[{"role": "user", "content": question}] for question in questions]
    answers = dict(contestant.answer(prompts, Generation(**settings)))
    contestant.close()
    cases = [
        {"id": word, "prompt": question, "expected": word, "rule": "contains"}
        for at, (word, question) in enumerate(zip(WORDS, questions, strict=True))
        if answers[at].finish == "stop" and word.casefold() in answers[at].text.casefold()
    ]
    assert len(cases) >= 8, [answers[at].text for at in range(len(WORDS))]
    path = home.suites / "words.json"
    files.write_json(path, {"name": "words", "generation": settings, "cases": cases})
    return path


def small(home: Workspace, merged: Path, name: str, damage: bool = False) -> Path:
    def make(folder: Path) -> None:
        write_gguf(merged, folder / "model.gguf", "Q8_0", lambda *_: None)
        if damage:  # zeros where layers had weights: it loads, and says something
            size = (folder / "model.gguf").stat().st_size
            with (folder / "model.gguf").open("r+b") as file:
                file.seek(size // 2)
                file.write(bytes(size // 3))

    weights = model_folder.fingerprints(merged)["weights"]
    about = {"base": "SmolLM2-135M-Instruct", "made_from": merged.name, "made_from_weights": weights, "bits": 8}
    package.build(home.exports / name, "gguf", about, make)
    return home.exports / name


def proven(home: Workspace, folder: Path, suite: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    arguments = ["--workspace", str(home.root), "prove", str(folder), "--suite", str(suite), "--json"]
    code = main(arguments)
    return code, json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def good(home: Workspace, merged: Path) -> Path:
    return small(home, merged, "good")


def test_good_quantization_passes_is_near_and_verifies_as_a_copy_elsewhere(
    home: Workspace, good: Path, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = proven(home, good, suite, capsys)
    assert code == 0, found
    assert 0 < found["closeness"]["kl"] < 0.05
    assert abs(found["closeness"]["nll"] - found["closeness"]["nll_reference"]) < 0.05
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(good, copy)
    arguments = ["--workspace", str(tmp_path / "empty"), "verify", str(copy), "--json"]
    assert main(arguments) == 0
    value = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert value["scorecard"]["matches"]
    assert value["scorecard"]["same"] >= value["scorecard"]["asked"] - 2
    with (copy / "model.gguf").open("r+b") as file:
        file.truncate(1_000_000)
    assert main(arguments) == 1
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["wrong"] == ["model.gguf"]


def test_damaged_quantization_fails_the_gate(
    home: Workspace, merged: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = proven(home, small(home, merged, "bad", damage=True), suite, capsys)
    assert code == 1
    assert found["path"].endswith("bad-failed-check")
    assert found["closeness"]["kl"] > 1
    assert [gate["kind"] for gate in found["gates"] if not gate["passed"]][-1] == "not_less_likely"
    assert not (home.exports / "bad").exists()
    assert package.check_sums(Path(found["path"])) == []
    assert main(["--workspace", str(home.root), "verify", found["path"], "--cases", "0"]) == 1
    assert "FAILED its check" in capsys.readouterr().out


def a_quantizing_job(home: Workspace, merged: Path, target: Path) -> Job:
    job = Job(files.new_folder(home.jobs, "export"))
    words = ["quantize", str(merged), "-o", str(target), "--bits", "8"]
    job.start("export", ["qwenlab", "--workspace", str(home.root), "--job", str(job.folder), *words])
    return job


def test_stopping_keeps_the_old_export_and_takes_seconds(home: Workspace, merged: Path, good: Path) -> None:
    before = (good / "SHA256SUMS").read_bytes()
    job = a_quantizing_job(home, merged, good)
    next(event for event in job.follow(poll_seconds=0.02) if event["event"] == "progress")
    job.stop()
    list(job.follow(poll_seconds=0.05))
    assert job.state() == "stopped", job.log_tail()
    assert (good / "SHA256SUMS").read_bytes() == before
    assert not list(home.exports.glob(".*"))


@pytest.mark.parametrize("attempt", range(KILLS))
def test_killing_leaves_a_whole_export(home: Workspace, merged: Path, good: Path, attempt: int) -> None:
    job = a_quantizing_job(home, merged, good)
    next(event for event in job.follow(poll_seconds=0.02) if event["event"] == "progress")
    time.sleep(random.Random(attempt).uniform(0, 1))
    job.kill()
    place.recover(home.exports)
    assert package.check_sums(good) == []
    assert not [path for path in home.exports.iterdir() if path.name.startswith(".")]


def test_merged_model_cut_short_is_refused_by_name(home: Workspace, merged: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(merged, cut)
    os.truncate(cut / "model.safetensors", 10_000_000)
    code = main(["--workspace", str(home.root), "quantize", str(cut), "-o", str(tmp_path / "small"), "--bits", "8"])
    assert code == 2
    assert not (tmp_path / "small").exists()
    assert not list(tmp_path.glob(".*"))
