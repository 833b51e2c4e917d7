"""Machines that train together feel each other's pulse, so that one that vanished is noticed within a minute.

A process that dies closes its connections, and the others know at once. A machine without power or network says
nothing, and the others would wait for it for as long as torch lets them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from qwenlab.errors import QwenlabError

BEAT_SECONDS = 3.0
LOST_SECONDS = 45.0
"""Longer than a process may be too busy to beat, as when it reads a large model."""

MACHINE_LOST = QwenlabError(
    f"Another machine of this run has not been heard of for {LOST_SECONDS:.0f} seconds.",
    "See that it has power and network; then resume here, and start its command there again.",
    zh=(
        f"参与训练的另一台机器已有 {LOST_SECONDS:.0f} 秒没有任何消息。",
        "请检查它的电源和网络；然后在本机点“继续”，并在那台机器上重新运行它的命令。",
    ),
)


def watch(lost: Callable[[], None]) -> None:
    """Beat for this machine and listen to the others, in threads; nothing happens on a machine that trains alone.

    The first machine listens to all, every other one to the first.

    Args:
        lost: called once, from a thread, when a machine that was heard before falls silent.
    """
    machine, machines = (int(os.environ.get(name, "0")) for name in ("GROUP_RANK", "GROUP_WORLD_SIZE"))
    if machines < 2 or os.environ.get("LOCAL_RANK") != "0":
        return
    pulse = Pulse(machine, range(1, machines) if machine == 0 else range(1))
    threading.Thread(target=pulse.beat, daemon=True).start()
    threading.Thread(target=pulse.listen, args=(lost,), daemon=True).start()


class Pulse:
    """Counters in the store where the machines met: each adds to its own, and sees whether the others' grow."""

    def __init__(self, machine: int, others: range) -> None:
        self.machine, self.others = machine, others
        self._counts = dict.fromkeys(others, 0)
        self._heard: dict[int, float] = {}

    def beat(self) -> None:
        """Add to this machine's counter and read the others' until the store is gone."""
        import torch.distributed as dist

        patience = timedelta(seconds=LOST_SECONDS)
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        try:
            store: Any = dist.PrefixStore("pulse", dist.TCPStore(address, port, is_master=False, timeout=patience))
            while True:
                store.add(str(self.machine), 1)
                for other in self.others:
                    count = store.add(str(other), 0)
                    if count != self._counts[other]:
                        self._counts[other], self._heard[other] = count, time.monotonic()
                time.sleep(BEAT_SECONDS)
        except RuntimeError:
            return  # the first machine has ended, or is gone: the listener will tell

    def listen(self, lost: Callable[[], None]) -> None:
        """Wait until a machine that was heard has been silent for too long; apart from `beat`, which may hang then."""
        while all(time.monotonic() - heard < LOST_SECONDS for heard in list(self._heard.values())):
            time.sleep(1)
        lost()
