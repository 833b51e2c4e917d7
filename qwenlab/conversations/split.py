"""A part of a data set kept back from training, so that what was learned can be told from what was remembered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qwenlab.conversations import labels, near
from qwenlab.conversations.dataset import DataSet, copy_sidecar, sidecar
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError


def split(
    facts: Sequence[Facts], share: float, seed: int, groups: Sequence[int] | None = None
) -> tuple[list[int], list[int]]:
    """Divide a data set into training and validation samples; the same seed gives the same parts.

    Near-duplicates stay on one side, and each language has about the same share on both.

    Args:
        facts: of every sample, in the order of the set.
        share: how much goes to validation, above 0 and below 1.
        seed: of the random order.
        groups: for each sample a number that near-duplicates have in common; None: `near.groups`.

    Returns:
        Positions for training and for validation, each in the order of the set and with one at least.

    Raises:
        QwenlabError: when the share is none, or all samples belong together.
    """
    if not 0 < share < 1:
        raise QwenlabError(
            f"The validation share is {share:g}.",
            "Choose one above 0 and below 1, such as 0.1.",
            zh=(f"验证集比例为 {share:g}。", "请选择大于 0 且小于 1 的值，例如 0.1。"),
        )
    members: dict[int, list[int]] = {}
    for at, number in enumerate(near.groups(facts) if groups is None else groups):
        members.setdefault(number, []).append(at)
    if len(members) < 2:
        raise QwenlabError(
            "The data set cannot be divided: all its samples are nearly the same.",
            "Add samples that differ.",
            zh=("数据集无法拆分：所有样本几乎相同。", "请添加不同的样本。"),
        )
    trained, *parts = random.Random(seed).sample(list(members.values()), len(members))
    left = _quotas([known.language for known in facts], share)
    kept: list[int] = []
    for spared in (0.0, 0.5):  # first what fits; then also what brings the share nearer than leaving it out
        others = []
        for part in parts:
            spoken = Counter(facts[at].language for at in part)
            over = sum(max(0, number - left[language]) for language, number in spoken.items())
            if over <= spared * len(part):
                kept += part
                left.subtract(spoken)
            else:
                others.append(part)
        parts = others
    kept = kept or parts.pop(parts.index(min(parts, key=len)))
    return sorted([*trained, *(at for part in parts for at in part)]), sorted(kept)


def _quotas(languages: Sequence[str], share: float) -> Counter[str]:
    """How many samples of each language to keep back: together the share of all, one at least."""
    exact = {language: number * share for language, number in sorted(Counter(languages).items())}
    found = Counter({language: int(number) for language, number in exact.items()})
    missing = max(1, round(len(languages) * share)) - found.total()
    for language in sorted(exact, key=lambda one: int(exact[one]) - exact[one])[:missing]:
        found[language] += 1
    return found


def write_part(source: Path, target: Path, samples: Sequence[Sample], facts: Sequence[Facts]) -> None:
    """Write some samples of `source` into a new data set, with its settings and the samples' tags and notes.

    Raises:
        DataError: when `target` exists; nothing is replaced.
        QwenlabError: when it cannot be written.
    """
    if sidecar(target).exists():
        raise DataError("file_exists", name=sidecar(target).name)
    DataSet.new(target, samples).save()
    copy_sidecar(source, target)
    labels.write(target, samples, facts)
