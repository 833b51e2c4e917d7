"""How a run's processes are started and find each other; real runs of two are in test_training_run."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job
from qwenlab.training import launch
from qwenlab.training import recipe as recipes

RUN = Path("/runs/my run")


def test_one_process_is_started_plainly() -> None:
    assert launch.command(recipes.read({}), RUN) == [sys.executable, "-m", "qwenlab.commands.training_worker", str(RUN)]


def test_several_processes_are_started_by_torch() -> None:
    recipe = recipes.read({"processes": 2, "machines": 2, "batch_size": 8})
    expected = "--nproc_per_node 2 --nnodes 2 --node_rank 1 --master_addr 10.0.0.7 --master_port 29500"
    line = launch.words(recipe, RUN, 1, "10.0.0.7")
    assert line == f"python -m torch.distributed.run {expected} -m qwenlab.commands.training_worker '{RUN}'"
    assert shlex.split(line)[1:] == launch.command(recipe, RUN, 1, "10.0.0.7")[1:], "the page shows what is really run"


def test_deepspeed_needs_the_launcher_even_for_one_process() -> None:
    assert "torch.distributed.run" in launch.command(recipes.read({"sharding": "zero2"}), RUN)


def test_two_runs_on_one_machine_do_not_meet() -> None:
    address, port = launch.here(recipes.read({"processes": 2}))
    assert address == "127.0.0.1"
    assert 1024 < port < 65536
    assert launch.here(recipes.read({"processes": 2}))[1] != port


def test_several_machines_meet_where_the_page_says() -> None:
    address, port = launch.here(recipes.read({"machines": 2}))
    assert port == launch.PORT
    assert address.count(".") == 3


def test_process_learns_its_place_from_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert launch.World.here() == launch.World(0, 1, 0, 1)
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert launch.World.here() == launch.World(3, 4, 1, 2)
    assert not launch.World.here().first


def test_alone_a_process_agrees_with_itself() -> None:
    world = launch.World()
    world.wait()
    assert world.agree("x") == "x"
    assert world.everyone("x") == ["x"]
    assert world.total(1, 2.5) == [1, 2.5]


def test_follower_writes_only_a_failure_nobody_else_told(tmp_path: Path) -> None:
    follower = launch.Follower(tmp_path)
    follower.report("step", loss=1.0)
    (tmp_path / "stop").touch()
    assert not follower.asked_to_stop(), "the first process decides"
    assert Job(tmp_path).asked_to_stop()
    assert not (tmp_path / "events.jsonl").exists()
    follower.finish("failed", QwenlabError("The disk is full.", "Free some."))
    outcome = Job(tmp_path).outcome()
    assert outcome
    assert outcome["reason"] == "The disk is full."
    follower.finish("failed", QwenlabError("Connection lost.", ""))
    assert Job(tmp_path).outcome() == outcome


def test_follower_of_a_second_attempt_says_nothing_in_the_folder_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUP_RANK", "0")
    follower = launch.Follower(tmp_path)
    Job(tmp_path).claim("train", [], os.getpid())  # somebody else's: this follower's launcher is another process
    follower.finish("failed", QwenlabError("Already running.", ""))
    assert Job(tmp_path).state() == "running"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process to inherit orphans")
def test_worker_ends_with_its_launcher() -> None:
    worker = "import time; from qwenlab.training import launch; launch.end_with_parent(); print(1); time.sleep(60)"
    parent = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {worker!r}], stdout=subprocess.PIPE);"
        "child.stdout.read(1); print(child.pid, flush=True); child.wait()"
    )
    launcher = subprocess.Popen([sys.executable, "-c", parent.replace("print(1)", "print(1, flush=True)")], stdout=-1)
    assert launcher.stdout
    child = psutil.Process(int(launcher.stdout.readline()))
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    end = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.1)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
