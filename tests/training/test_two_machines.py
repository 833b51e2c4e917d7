"""Two network namespaces as two machines that share a folder: the printed commands, equal losses, and a power cut."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qwenlab.jobs import Job
from qwenlab.training import launch, runs
from qwenlab.training import recipe as recipes
from qwenlab.workspace import Workspace

FIRST, SECOND = (f"qwenlab-{os.getpid()}-{machine}" for machine in (1, 2))
ADDRESS = {FIRST: "10.77.0.1", SECOND: "10.77.0.2"}
IN_FLOAT32 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_WAIT_POLICY": "PASSIVE"}
"""As in test_training_run; and both machines compute on the same cores, so none may spin while it waits."""


def ip(words: str) -> str:
    return subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True).stdout


def plug_in(machine: str) -> None:
    """Connect a machine to the cable."""
    ip(f"-n {machine} link set end0 up")
    ip(f"-n {machine} link set lo up")


def until_connected(machine: str) -> None:
    end = time.monotonic() + 10
    while "state UP" not in ip(f"-n {machine} link show end0"):
        assert time.monotonic() < end, "the cable does not come up"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def machines() -> Iterator[None]:
    """Two namespaces, joined by a cable, each with nothing but its end of it: no way out, no names."""
    if os.name == "nt" or os.geteuid() or not shutil.which("ip"):
        pytest.skip("needs root and iproute2 to make machines of its own")
    try:
        for name in (FIRST, SECOND):
            ip(f"netns add {name}")
        ip(f"link add end0 netns {FIRST} type veth peer name end0 netns {SECOND}")
        for name in (FIRST, SECOND):
            ip(f"-n {name} addr add {ADDRESS[name]}/24 dev end0")
            plug_in(name)
        for name in (FIRST, SECOND):
            until_connected(name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this machine cannot make network namespaces: {error.stderr.strip()}")
    yield
    for name in (FIRST, SECOND):
        ip(f"netns del {name}")


def on(machine: str, command: list[str]) -> subprocess.Popen[str]:
    """Start a command on a machine, with this Python as its `python`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        ["ip", "netns", "exec", machine, *command],
        env={**os.environ, **IN_FLOAT32, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def recipe(data: Path, **changes: object) -> recipes.Recipe:
    values = {"model": "smollm2-135m", "data": str(data), "epochs": 1, "batch_size": 4, "micro_batch": 1}
    rest = {"validation": 0.25, "save_minutes": 60, "rank": 4}
    return recipes.read({**values, **rest, **changes})


def train(workspace: Workspace, recipe: recipes.Recipe) -> tuple[Job, subprocess.Popen[str]]:
    """Start a run by the command line on the first machine, and what that prints on the second."""
    flags = [word for name, value in recipe.model_dump().items() if value for word in (f"--{name}", value)]
    chosen = [str(word).replace("_", "-") if str(word).startswith("--") else str(word) for word in flags]
    line = on(FIRST, ["python", "-m", "qwenlab", "--workspace", str(workspace.root), "train", *chosen, "--detach"])
    said = line.communicate()[0]
    printed = [one for one in said.splitlines() if one.startswith("On machine 2")]
    assert printed, said
    command = shlex.split(printed[0].partition(": ")[2])
    assert ADDRESS[FIRST] in command, "found without a way out"
    return Job(Path(command[-1])), on(SECOND, command)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_two_machines_give_the_losses_of_one_process(
    machines: None, session_workspace: Workspace, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, second = train(session_workspace, recipe(tiny_data, machines=2))
    for _ in job.follow():
        pass
    said = second.communicate()[0]
    together = runs.progress(job)
    assert together.state == "finished", job.log_tail() + said
    assert second.returncode == 0, said
    for name, value in IN_FLOAT32.items():
        monkeypatch.setenv(name, value)
    alone = runs.create(session_workspace, recipe(tiny_data))
    runs.start(alone)
    for _ in alone.follow():
        pass
    expected = runs.progress(alone)
    assert expected.state == "finished", alone.log_tail()
    assert list(together.losses) == list(expected.losses) == [1, 2, 3]
    assert list(together.losses.values()) == pytest.approx(list(expected.losses.values()), rel=1e-3)
    assert list(together.validation.values()) == pytest.approx(list(expected.validation.values()), rel=1e-3)


@pytest.mark.model
@pytest.mark.timeout(600)
def test_machine_that_loses_power_is_told_on_the_first(
    machines: None, session_workspace: Workspace, tiny_data: Path
) -> None:
    job, second = train(session_workspace, recipe(tiny_data, machines=2, epochs=100))
    for event in job.follow(poll_seconds=0.1):
        if event["event"] == "step" and event["step"] == 2:
            ip(f"-n {SECOND} link set end0 down")  # no farewell reaches the first
            for process in [psutil.Process(second.pid), *psutil.Process(second.pid).children(recursive=True)]:
                process.send_signal(signal.SIGKILL)
    seen = runs.progress(job)
    assert seen.state == "failed", job.log_tail()
    assert "Another machine" in seen.reason
    assert "另一台机器" in seen.reason_zh
    plug_in(SECOND)


@pytest.mark.usefixtures("machines")
@pytest.mark.parametrize("machine", [FIRST, SECOND])
def test_way_between_machines_is_found_without_names_or_a_way_out(machine: str) -> None:
    code = "from qwenlab.training import launch as l; print(l.own_address(), l.interface_towards('10.77.0.1'))"
    said = on(machine, ["python", "-c", code]).communicate()[0]
    assert said.split() == [ADDRESS[machine], "end0"]


def test_interface_to_itself_is_the_loopback() -> None:
    assert launch.interface_towards("127.0.0.1") in ("lo", "lo0", "Loopback Pseudo-Interface 1")
    assert launch.interface_towards("no such name") == ""
