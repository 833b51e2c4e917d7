"""Tags, notes and origins of samples in NAME.lab.json, beside the train.json and never in it.

A sample is found again by its id; where that is empty or stands in the set more than once, by its content too.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qwenlab.conversations.dataset import settings_of, write_settings
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import NO_LABELS, Labels, Sample, to_json

_CONTENT_KEY = re.compile(r"(.*)#[0-9a-f]{16}(?:#\d+)?", re.DOTALL)


def attach(path: Path, samples: list[Sample], facts: Sequence[Facts]) -> None:
    """Give the samples of the file at `path` the labels that its NAME.lab.json has for them."""
    found = settings_of(path).get("samples")
    if not isinstance(found, dict) or not found:
        return
    parted = {match[1] for key in found if (match := _CONTENT_KEY.fullmatch(key))}
    twins = _twins(facts) if parted else {}
    for at, known in enumerate(facts):
        labels = found.get(known.id)
        if known.id in parted:
            key = _key(samples[at], known.id, twins.get(at))
            # Another program, or a crash while saving, may have made or removed a namesake.
            other = known.id if at in twins else _content_key(samples[at], known.id)
            labels = found.get(key, found.get(other))
        if labels is not None and (read := Labels.of(labels)) != NO_LABELS:
            samples[at] = samples[at].with_labels(read)
            known.relabel(read)


def write(path: Path, samples: Sequence[Sample], facts: Sequence[Facts]) -> None:
    """Write the labels of all samples into the NAME.lab.json of the file at `path`.

    Raises:
        QwenlabError: when it cannot be written; the old one is then unchanged.
    """
    settings = settings_of(path)
    labelled = [at for at, known in enumerate(facts) if known.labels != NO_LABELS]
    twins = _twins(facts) if labelled else {}
    found = {_key(samples[at], facts[at].id, twins.get(at)): facts[at].labels.to_json() for at in labelled}
    if found != settings.get("samples", {}):
        write_settings(path, {**settings, "samples": found})


def _twins(facts: Sequence[Facts]) -> dict[int, int]:
    """Positions of the samples whose id is no name for them -> which one it is of those that say the same."""
    named = Counter(known.id for known in facts)
    met: Counter[tuple[str, int | None]] = Counter()
    found: dict[int, int] = {}
    for at, known in enumerate(facts):
        if not known.id or named[known.id] > 1:
            met[known.id, known.same] += 1
            found[at] = met[known.id, known.same]
    return found


def _key(sample: Sample, sample_id: str, twin: int | None) -> str:
    """ID; ID#CONTENT where the id is no name; ID#CONTENT#2 for the second that says the same."""
    if twin is None:
        return sample_id
    return _content_key(sample, sample_id) + (f"#{twin}" if twin > 1 else "")


def _content_key(sample: Sample, sample_id: str) -> str:
    text = to_json(sample.raw, tight=True)
    return f"{sample_id}#{hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]}"
