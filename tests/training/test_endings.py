"""Why a run ended badly, and what would help."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from qwenlab import failures, files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import endings, runs, worker
from qwenlab.training import recipe as recipes
from qwenlab.training.estimate import Machine
from qwenlab.training.launch import World

QWEN = {
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "num_hidden_layers": 24,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize(
    ("changes", "longest", "helps"),
    [
        ({}, 356, "Set micro_batch to "),
        ({"micro_batch": 1}, 356, "Set checkpointing to yes"),
        ({"micro_batch": 1, "checkpointing": "yes", "max_length": 8192}, 8192, "Set max_length to "),
        ({"micro_batch": 1, "checkpointing": "yes", "method": "full"}, 64, "Set method to lora"),
        ({"micro_batch": 1, "checkpointing": "yes", "method": "qlora"}, 32, "choose a smaller model"),
    ],
)
def test_out_of_memory_names_the_most_harmless_change(changes: dict[str, Any], longest: int, helps: str) -> None:
    told = endings.out_of_memory(recipes.read(changes), QWEN, longest, 0, "cpu")
    assert told.what == "The machine ran out of memory."
    assert helps in told.remedy
    assert all(CHINESE.search(words) for words in told.say("zh"))


def test_out_of_memory_on_a_gpu_says_so() -> None:
    told = endings.out_of_memory(recipes.read({"micro_batch": 8}), QWEN, 300, 100, "cuda")
    assert told.what == "The GPU ran out of memory."
    assert "GPU" in told.say("zh")[0]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to ..."
        ),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
    ids=lambda error: type(error).__name__ + str(error)[:20],
)
def test_want_of_memory_is_recognised(error: BaseException) -> None:
    assert failures.is_out_of_memory(error)
    assert not failures.is_disk_full(error)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 192 vs 86"),
    ],
    ids=lambda error: str(error)[:20],
)
def test_full_disk_is_recognised_also_behind_an_error_of_ours(error: BaseException) -> None:
    assert failures.is_disk_full(error)
    assert not failures.is_out_of_memory(error)
    ours = QwenlabError("Cannot write it.", "")
    ours.__cause__ = error
    assert failures.is_disk_full(ours)


@pytest.mark.parametrize(
    ("error", "said"), [(MemoryError(), "ran out of memory"), (OSError(errno.ENOSPC, "full"), "The disk is full")]
)
def test_what_the_machine_lacks_is_blamed_on_no_file(error: BaseException, said: str) -> None:
    with pytest.raises(QwenlabError, match=said):
        failures.blame_no_file(error)
    failures.blame_no_file(ValueError("a broken file"))


def test_our_own_words_are_no_symptom() -> None:
    assert not failures.is_out_of_memory(QwenlabError("It ended.", "Out of memory is the usual cause."))
    assert not failures.is_disk_full(RuntimeError("shape mismatch"))


@pytest.fixture
def vanished(tmp_path: Path) -> Job:
    """A run whose process is gone without a word."""
    base = tmp_path / "base"
    files.write_json(base / "config.json", QWEN)
    job = Job(tmp_path / "run")
    files.write_json(job.folder / "recipe.json", recipes.read({"languages": ["en"]}).model_dump())
    files.write_json(job.folder / "base.json", {"folder": str(base)})
    files.write_json(job.folder / "job.json", {"kind": "train", "argv": [], "started": 1.0})
    return job


def step(job: Job, memory_bytes: float) -> None:
    values = {"step": 1, "total": 9, "loss": 1.0, "learning_rate": 1e-4, "tokens_per_s": 9.0, "eta_seconds": 1.0}
    job.report("step", **values, memory_bytes=memory_bytes)


def test_vanished_run_that_held_nearly_all_memory_is_told_why(vanished: Job) -> None:
    step(vanished, 0.93 * Machine.here().memory_bytes)
    seen = runs.progress(vanished)
    assert seen.state == "interrupted"
    assert "memory is the likely cause" in seen.reason
    assert "micro_batch" in seen.remedy
    assert "内存不足" in seen.reason_zh
    assert CHINESE.search(seen.remedy_zh)


def test_vanished_run_whose_last_words_were_of_memory_is_told_why(vanished: Job) -> None:
    step(vanished, 1e9)
    (vanished.folder / "log.txt").write_text("terminate called after throwing an instance of 'std::bad_alloc'\n")
    assert "memory is the likely cause" in runs.progress(vanished).reason


def test_vanished_run_that_held_little_is_not_guessed_at(vanished: Job) -> None:
    step(vanished, 1e9)
    assert runs.progress(vanished).reason == ""


def test_what_was_likely_is_forgotten_once_it_runs_again(vanished: Job) -> None:
    step(vanished, 0.93 * Machine.here().memory_bytes)
    reader = runs.Reader(vanished)
    assert reader.update().reason
    vanished._write_pid(os.getpid())
    assert reader.update().state == "running"
    assert reader.update().reason == ""


def test_reason_is_read_from_the_marker_where_the_disk_had_no_room_for_the_event(vanished: Job) -> None:
    files.write_json(
        vanished.folder / "done.json", {"state": "failed", "reason": "The disk is full.", "remedy": "Free."}
    )
    assert runs.progress(vanished).reason == "The disk is full."


@pytest.mark.model
def test_cuda_that_ran_out_of_memory_is_told_as_the_gpus(vanished: Job) -> None:
    import torch

    error = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB"
    )
    told = worker.reason(vanished, World(), error)
    assert told.what == "The GPU ran out of memory."
    assert "micro_batch" in told.remedy
    assert "微批大小" in told.say("zh")[1]


@pytest.mark.parametrize("words", ["Connection closed by peer [10.0.0.2]:1", "Broken pipe", "Connection reset by peer"])
def test_connection_that_broke_means_another_process_ended(vanished: Job, words: str) -> None:
    assert "Another process" in worker.reason(vanished, World(0, 2, 0, 2), RuntimeError(words)).what


def test_reason_of_a_run_whose_files_are_gone_is_still_told(tmp_path: Path) -> None:
    assert worker.reason(Job(tmp_path), World(), MemoryError()).what == "The machine ran out of memory."
