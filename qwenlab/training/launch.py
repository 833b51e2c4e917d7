"""How the processes of a run are started, on one machine or several, and how they act as one.

One process of a run is the first: it alone writes events and results and decides when to save or stop.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from qwenlab.errors import QwenlabError
from qwenlab.jobs import Job, Outcome
from qwenlab.training.recipe import Recipe

WORKER = "qwenlab.commands.training_worker"
"""Named and not imported: there training meets the tests, and imports point downwards."""
PORT = 29500
"""Where the machines of a run meet, on the first one; torch's own default."""
WAIT = timedelta(hours=12)
"""How long processes wait for each other. While the first answers a test's questions, the others have nothing to do;
torch's own limit of minutes would end the run. A process that died is noticed at once all the same."""

PEER_LOST = QwenlabError(
    "Another process of this run ended unexpectedly.",
    "Out of memory is the usual cause: choose fewer processes or a smaller micro-batch, then resume. The log has more.",
    zh=(
        "本次训练的另一个进程意外结束。",
        "最常见的原因是内存不足：请减少进程数或调小微批大小，然后继续训练。详情见日志。",
    ),
)


def arguments(
    recipe: Recipe, run_folder: Path, node_rank: int = 0, address: str = "127.0.0.1", port: int = PORT
) -> list[str]:
    """What follows `python -m` to start a run's processes on one machine.

    Args:
        node_rank: which of the recipe's machines this is; 0 is the first.
        address: of the first machine, as the others reach it.
        port: on the first machine, where all meet.
    """
    if recipe.processes * recipe.machines == 1 and recipe.sharding == "none":
        return [WORKER, str(run_folder)]
    return [
        *("torch.distributed.run", "--nproc_per_node", str(recipe.processes), "--nnodes", str(recipe.machines)),
        *("--node_rank", str(node_rank), "--master_addr", address, "--master_port", str(port)),
        *("-m", WORKER, str(run_folder)),
    ]


def command(
    recipe: Recipe, run_folder: Path, node_rank: int = 0, address: str = "127.0.0.1", port: int = PORT
) -> list[str]:
    """The whole command, with this lab's own Python; arguments as for `arguments`."""
    return [sys.executable, "-m", *arguments(recipe, run_folder, node_rank, address, port)]


def words(recipe: Recipe, run_folder: Path, node_rank: int = 0, address: str = "127.0.0.1", port: int = PORT) -> str:
    """The command as a line for a shell, to be run by hand on this or another machine."""
    return shlex.join(["python", "-m", *arguments(recipe, run_folder, node_rank, address, port)])


def here(recipe: Recipe) -> tuple[str, int]:
    """Address and port at which the processes of a run started on this machine meet."""
    if recipe.machines > 1:
        return own_address(), PORT
    with socket.socket() as free:  # so that two runs on this machine do not meet each other
        free.bind(("127.0.0.1", 0))
        return "127.0.0.1", int(free.getsockname()[1])


def own_address() -> str:
    """This machine's address in its network; 127.0.0.1 where it has none."""
    way_out = _address_towards("192.0.2.1")
    if way_out:
        return way_out
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    known = [address.address for name, address in _ipv4_addresses() if name in up]
    return next((address for address in known if not address.startswith("127.")), "127.0.0.1")


def interface_towards(address: str) -> str:
    """Name of the network interface by which this machine reaches an address; empty when it is not known."""
    own = _address_towards(address)
    return next((name for name, known in _ipv4_addresses() if known.address == own), "")


def _address_towards(address: str) -> str:
    """This machine's own address on the way to another; empty where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # only chooses the way: nothing is sent
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _ipv4_addresses() -> list[tuple[str, Any]]:
    return [
        (name, address)
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET
    ]


class Follower(Job):
    """The run as every process but the first sees it: to be read, not written."""

    def report(self, event: str, **values: Any) -> None:
        """Leave the events to the first process."""

    def asked_to_stop(self) -> bool:
        """Leave the decision to the first process."""
        return False

    def finish(self, state: Outcome, failure: QwenlabError | None = None) -> None:
        """Say why the run failed where the first process does not; success is for the first to tell."""
        time.sleep(3)  # what all fail for alike is told by the first
        if failure and self.outcome() is None and self._mine():
            Job(self.folder).finish(state, failure)

    def _mine(self) -> bool:
        """Whether no other attempt works on the folder, as when a person started the same run twice."""
        known = self._process() if os.environ.get("GROUP_RANK") == "0" else None  # other machines know no such process
        return known is None or known.pid == os.getppid()


@dataclass(frozen=True)
class World:
    """The processes that train together, seen from one of them.

    Attributes:
        rank: which one this is, of `size`; 0 is the first.
        local_rank: which one of the `local_size` on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def here(cls) -> World:
        """Read from what torch.distributed.run put into the environment; a single process without it."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        values = [os.environ.get(name) for name in names]
        return cls(*(int(value) for value in values if value is not None)) if None not in values else cls()

    @property
    def first(self) -> bool:
        """Whether this process writes and decides."""
        return self.rank == 0

    def join(self, device: str) -> None:
        """Meet the other processes; on a machine with GPUs each takes its own."""
        if "RANK" not in os.environ:
            return
        import torch

        if device == "cuda":
            torch.cuda.set_device(self.local_rank)
        interface = interface_towards(os.environ["MASTER_ADDR"])
        if interface:  # else gloo takes the address of this machine's name, which on Debian is 127.0.1.1
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=WAIT)

    def share_cores(self) -> None:
        """Give each process of this machine an equal part of the cores."""
        import torch

        torch.set_num_threads(max(1, torch.get_num_threads() // self.local_size))

    def agree(self, value: Any) -> Any:
        """The first process's value, on every process."""
        if self.size == 1:
            return value
        import torch

        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]

    def everyone(self, value: Any) -> list[Any]:
        """Every process's value, in the order of their ranks."""
        if self.size == 1:
            return [value]
        import torch

        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value)
        return values

    def total(self, *numbers: float) -> list[float]:
        """The sum of each number over all processes."""
        if self.size == 1:
            return list(numbers)
        import torch

        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        sums = torch.tensor(numbers, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(sums)
        return [float(number) for number in sums]

    def wait(self) -> None:
        """Go on when every process is here."""
        if self.size > 1:
            import torch

            torch.distributed.barrier()


def end_with_parent() -> None:
    """End this process when its launcher is gone, so that a killed run leaves nobody training on."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()
