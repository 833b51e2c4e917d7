"""Why a run ended that did not end well, and what would help: typed reasons instead of what the libraries say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from qwenlab import failures
from qwenlab.errors import QwenlabError
from qwenlab.training.estimate import USABLE, Machine, estimate
from qwenlab.training.recipe import Recipe, named

NEAR = 0.8
"""Share of the machine's memory from which on a run that vanished is thought to have been ended for want of it."""
LESS = (0.8, 0.95)
"""Shares of the memory a recipe needs now that a helpful change must come down to; the first that some change meets."""
NO_ROOM_BYTES = 1 << 20

Device = Literal["cpu", "cuda"]


def disk_full(run: Path) -> QwenlabError:
    """The disk that holds a run has no room left."""
    return QwenlabError(
        f"The disk is full: {run} cannot be written.",
        "Free some space, then resume: training goes on from what it saved last.",
        zh=(f"磁盘已满：无法写入 {run}。", "请释放一些空间，然后点“继续”：训练会从最近一次保存处接着进行。"),
    )


def out_of_memory(recipe: Recipe, config: dict[str, Any], longest: int, answer: int, device: Device) -> QwenlabError:
    """Memory ran out; the remedy is the smallest change of the recipe that needs clearly less.

    Args:
        config: config.json of the base model.
        longest: tokens of the longest sample; 0 when it is not known.
        answer: most trained tokens of a sample; 0 when it is not known.
    """
    where, where_zh = ("GPU", "GPU 显存") if device == "cuda" else ("machine", "内存")
    change = less_memory(recipe, config, longest, answer, device)
    return QwenlabError(f"The {where} ran out of memory.", change[0], zh=(f"{where_zh}不足。", change[1]))


def less_memory(
    recipe: Recipe, config: dict[str, Any], longest: int, answer: int, device: Device = "cpu"
) -> tuple[str, str]:
    """What to change so that a recipe needs clearly less memory, as a sentence in English and Chinese."""
    longest, known = longest or recipe.max_length, answer or None
    needs = estimate(config, recipe, 0, longest, Machine(1, device), answer=known).memory_bytes
    for less in LESS:
        goal = Machine(round(less * needs / USABLE), device)
        advice = estimate(config, recipe, 0, longest, goal, answer=known).advice
        if advice:
            change = named(advice.changes)
            return (
                f"Set {change[0]} and start a new run; or close other programs and resume this one.",
                f"请把{change[1]} 后新建训练；或关闭其他程序，然后继续本次训练。",
            )
    return "Close other programs and resume, or choose a smaller model.", "请关闭其他程序后继续，或选择更小的模型。"


def of_interrupted(
    run: Path, log: str, memory_bytes: int, recipe: Recipe, config: dict[str, Any], longest: int, answer: int
) -> QwenlabError | None:
    """The likely reason why a run vanished without a word; None when nothing points to one.

    Args:
        log: the end of what it printed.
        memory_bytes: what its processes held at the last report, on all machines together.
    """
    try:
        if shutil.disk_usage(run).free < NO_ROOM_BYTES:
            return disk_full(run)
    except OSError:
        return None
    total = Machine.here().memory_bytes
    held = memory_bytes / recipe.machines
    if held < NEAR * total and not failures.is_out_of_memory(RuntimeError(log)):
        return None
    change = less_memory(recipe, config, longest, answer)
    return QwenlabError(
        f"Want of memory is the likely cause: it held {held / 1e9:.1f} of this machine's {total / 1e9:.1f} GB.",
        change[0],
        zh=(f"很可能是内存不足：它当时占用 {held / 1e9:.1f} GB，本机共 {total / 1e9:.1f} GB。", change[1]),
    )
