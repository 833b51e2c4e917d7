"""Which samples meet in which step: planned ahead for all epochs, so that a resumed run repeats nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

BUCKET = 8
"""Batches that are formed together from a shuffled stretch of samples: similar lengths meet, order stays random."""
NOTHING = -1
"""Stands for a sample without labels, for a process that has nothing left to do in a step."""


def plan(
    lengths: Sequence[int], epochs: float, batch_size: int, max_steps: int, seed: int, openings: Sequence[int] = ()
) -> list[list[int]]:
    """Sample indices of every optimizer step.

    Each epoch sees every sample once. Within a stretch of BUCKET batches the samples are sorted by length, so that the
    processes and micro-batches of a step have equally much to do; the batches are then shuffled, so that length says
    nothing about time.

    Args:
        lengths: tokens of each sample.
        epochs: may be fractional; the last epoch is then cut.
        max_steps: 0 for no limit.
        openings: what each sample begins with, by number (see `token_file`); those that begin alike stand together.

    Returns:
        One list of indices per step, longest sample first within an opening.
    """
    random_order = random.Random(seed)
    wanted = math.ceil(epochs * len(lengths))
    if max_steps:
        wanted = min(wanted, max_steps * batch_size)
    order: list[int] = []
    while len(order) < wanted:
        order += _epoch(lengths, batch_size, random_order)
    steps = [order[at : min(at + batch_size, wanted)] for at in range(0, wanted, batch_size)]
    alike = openings or [0] * len(lengths)
    return [sorted(step, key=lambda index: (alike[index], -lengths[index])) for step in steps]


def _epoch(lengths: Sequence[int], batch_size: int, random_order: random.Random) -> list[int]:
    """All samples once: full batches of similar lengths in random order, what is left over at the end."""
    order = list(range(len(lengths)))
    random_order.shuffle(order)
    stretch = batch_size * BUCKET
    batches = []
    for start in range(0, len(order), stretch):
        alike = sorted(order[start : start + stretch], key=lambda index: -lengths[index])
        batches += [alike[at : at + batch_size] for at in range(0, len(alike), batch_size)]
    random_order.shuffle(batches)
    batches.sort(key=lambda batch: len(batch) < batch_size)  # stable: only the short one moves, to the end
    return [index for batch in batches for index in batch]


def share(steps: Sequence[Sequence[int]], micro: int, rank: int = 0, world: int = 1) -> list[list[int]]:
    """The micro-batches of one of `world` processes, step after step.

    Neighbours in length go to different processes, so that none waits long for another. All have equally many
    micro-batches in every step: where a short step leaves nothing for one, it gets [NOTHING].
    """
    mine: list[list[int]] = []
    for step in steps:
        rounds = math.ceil(math.ceil(len(step) / world) / micro)
        part = list(step[rank::world])
        mine += [part[at : at + micro] or [NOTHING] for at in range(0, rounds * micro, micro)]
    return mine
