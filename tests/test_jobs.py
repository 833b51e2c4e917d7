"""Jobs: real processes, found again through their folders."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job

SLEEP = ["timeit", "-n1", "-r1", "import time; print('awake', flush=True); time.sleep(60)"]
"""A worker that only sleeps, from the standard library."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "job")


def wait_for(job: Job, state: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while job.state() != state:
        assert time.monotonic() < end, f"still {job.state()}: {job.log_tail()}"
        time.sleep(0.05)


def test_killed_worker_is_interrupted_and_can_start_again(job: Job) -> None:
    assert job.state() == "new"
    job.start("test", SLEEP)
    assert job.state() == "running"
    with pytest.raises(QwenlabError, match="already running"):
        job.start("test", SLEEP)
    job.kill()
    assert job.state() == "interrupted"
    job.start("test", SLEEP)
    assert job.state() == "running"
    job.kill()


def test_another_lab_finds_the_running_job_by_its_folder_alone(job: Job) -> None:
    job.start("test", SLEEP)
    try:
        assert Job(job.folder).state() == "running"
        pid = files.read_json(job.folder / "pid")["pid"]
        assert psutil.Process(pid).ppid() != pid
    finally:
        Job(job.folder).kill()


def test_reused_process_id_is_a_stranger(job: Job) -> None:
    job.folder.mkdir()
    files.write_json(job.folder / "job.json", {})
    files.write_json(job.folder / "pid", {"pid": psutil.Process().pid, "born": 1.0})
    assert job.state() == "interrupted"
    job.kill()  # and must not be killed: this very test would die


def test_process_of_that_id_before_the_last_boot_is_a_stranger(job: Job) -> None:
    job.folder.mkdir()
    files.write_json(job.folder / "job.json", {})
    job._write_pid(os.getpid())
    assert job.state() == "running"
    known = files.read_json(job.folder / "pid")
    files.write_json(job.folder / "pid", {**known, "born": f"another-boot {known['born'].split()[-1]}"})
    assert job.state() == "interrupted"


def test_worker_started_by_hand_is_found_and_begins_anew(job: Job) -> None:
    job.folder.mkdir()
    job.finish("failed", QwenlabError("The disk is full.", ""))
    (job.folder / "stop").touch()
    job.claim("train", ["worker"], os.getpid())
    assert job.state() == "running"
    assert not job.asked_to_stop()
    job.claim("train", ["worker"], os.getpid())  # as when the lab wrote it first
    with pytest.raises(QwenlabError, match="already running"):
        job.claim("train", ["worker"], os.getppid())


def test_worker_that_never_claimed_its_folder_is_given_up(job: Job) -> None:
    job.folder.mkdir()
    files.write_json(job.folder / "job.json", {})
    files.write_json(job.folder / "pid", {"starting": time.time() - 31})
    assert job.state() == "interrupted"


def test_lab_that_died_before_it_noted_the_worker_changes_nothing(job: Job) -> None:
    job.start("test", SLEEP)
    started = files.read_json(job.folder / "job.json")
    pid = files.read_json(job.folder / "pid")["pid"]
    files.write_json(job.folder / "pid", {"starting": time.time()})
    assert job.state() == "running", "it may be about to claim its folder"
    job.claim("test", SLEEP, pid)  # by the worker
    assert job.state() == "running"
    assert files.read_json(job.folder / "job.json") == started
    job.kill()


def test_final_word_needs_no_room_on_the_disk(job: Job) -> None:
    if os.name == "nt" or os.geteuid():
        pytest.skip("needs root to make a disk of its own")
    job.folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", job.folder], check=False).returncode:
        pytest.skip("needs a machine that can mount a tmpfs")
    try:
        job.claim("test", [], os.getpid())
        with (job.folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        with pytest.raises(OSError, match="No space left"):
            job.report("step", words="x" * 4096)
        job.finish("failed", QwenlabError("The disk is full.", "Free some space.", zh=("磁盘已满。", "请释放。")))
        assert job.state() == "failed"
        outcome = job.outcome()
        assert outcome
        assert outcome["reason_zh"] == "磁盘已满。"
    finally:
        subprocess.run(["umount", "-l", job.folder], check=True)


def test_worker_that_ended_without_marker_is_interrupted_and_its_words_are_kept(job: Job) -> None:
    job.start("test", ["no_such_module_of_ours"])
    wait_for(job, "interrupted")
    assert "No module named" in job.log_tail()


def test_finish_is_the_last_word(job: Job) -> None:
    job.folder.mkdir()
    job.report("step", number=1)
    job.finish("failed", QwenlabError("The disk is full.", "Free some space.", zh=("磁盘已满。", "请释放一些空间。")))
    assert job.state() == "failed"
    assert job.outcome() == {
        "state": "failed",
        "reason": "The disk is full.",
        "remedy": "Free some space.",
        "reason_zh": "磁盘已满。",
        "remedy_zh": "请释放一些空间。",
        "error": "QwenlabError",
    }


def test_half_written_event_waits_and_a_torn_one_is_passed_over(job: Job) -> None:
    job.folder.mkdir()
    job.report("one")
    log = job.folder / "events.jsonl"
    with log.open("ab") as file:
        file.write(b'{"event": "tw')
    found, offset = job.events()
    assert [event["event"] for event in found] == ["one"]
    job.report("three")  # the writer was killed inside "two" and began again
    found, _ = job.events(offset)
    assert [event["event"] for event in found] == ["three"]


def test_stop_is_a_request_that_the_worker_sees(job: Job) -> None:
    with pytest.raises(QwenlabError, match="not running"):
        job.stop()
    job.start("test", SLEEP)
    try:
        assert not job.asked_to_stop()
        job.stop()
        assert job.asked_to_stop()
    finally:
        job.kill()
