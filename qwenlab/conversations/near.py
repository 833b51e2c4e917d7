"""Near-duplicates: conversations that are almost the same, found without comparing each with each.

A signature is a one-permutation MinHash (Li, Owen and Zhang 2012) over runs of five characters, which needs no
words and so suits Chinese. Two signatures agree in about the share of runs that two texts have in common. Pairs are
found by prefix filtering (Bayardo, Ma and Srikant 2007): texts that agree in most bins agree in one of their rarest,
so that what a template repeats in every sample costs no time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwenlab.conversations.facts import Facts

GRAM = 5
"""Characters in a run."""
BINS = 128
"""Length of a signature; the estimated share of common runs has a standard error of about 0.03."""
ALIKE = 0.88
"""Share of all runs that near-duplicates have in common (Jaccard), the system turn left out."""
SHORTEST = 40
"""Texts with fewer characters are never called near-duplicates: short ones are alike by nature."""
_PREFIX = BINS - int(np.ceil(ALIKE * BINS)) + 1
_CHARACTERS = 2**20
_ROWS = 8192
_ROUNDS = 16
_FEW = 8

Signature = NDArray[np.uint16]
"""Shape (BINS,); 0 where no run of the text fell into the bin."""
Numbers = NDArray[Any]


def signature(text: str) -> Signature:
    """What `text` is like, whatever its capitals."""
    return _signatures([text.casefold()])[0]


def sign(facts: Sequence[Facts]) -> None:
    """Fill in `near` where it is missing."""
    missing = [known for known in facts if known.near is None]
    for part in _parts(missing):
        for known, found in zip(part, _signatures([_spoken(known) for known in part]), strict=True):
            known.near = found


def groups(facts: Sequence[Facts]) -> list[int]:
    """The number of its group for each sample; samples that are alike, also through others, have the same one.

    A group is numbered by the position of its first sample.
    """
    parent = list(range(len(facts)))

    def top(index: int) -> int:
        while parent[index] != index:
            parent[index] = index = parent[parent[index]]
        return index

    def join(one: int, other: int) -> None:
        one, other = sorted((top(one), top(other)))
        parent[other] = one

    first_same: dict[int, int] = {}
    for index, known in enumerate(facts):
        if known.same is not None:
            join(first_same.setdefault(known.same, index), index)
    for one, other in pairs(facts):
        join(one, other)
    return [top(index) for index in range(len(facts))]


def pairs(facts: Sequence[Facts]) -> list[tuple[int, int]]:
    """Positions (earlier, later) of samples that are alike: enough of them to link every group together."""
    sign(facts)
    if len(facts) < 2:
        return []
    signatures = np.concatenate([known.near for known in facts]).reshape(-1, BINS)
    keys, rows = _rarest(signatures)
    found = [pair for part in _compare(signatures, keys, rows) for pair in part.tolist()]
    return sorted({(one, other) for one, other in found})


def _spoken(known: Facts) -> str:
    """The words without id and system turn: a long system turn would make all samples alike."""
    if known.same is None:  # broken samples are alike by nature
        return ""
    return known.text[known.spoken_at :]


def _parts(facts: Sequence[Facts]) -> Iterator[Sequence[Facts]]:
    """Slices with about `_CHARACTERS` each, so that memory stays small."""
    start = total = 0
    for index, known in enumerate(facts):
        total += len(known.text)
        if total > _CHARACTERS:
            yield facts[start : index + 1]
            start, total = index + 1, 0
    if start < len(facts):
        yield facts[start:]


def _signatures(texts: Sequence[str]) -> NDArray[np.uint16]:
    """Signatures of casefolded texts, shape (texts, BINS)."""
    texts = [text if len(text) >= SHORTEST else "" for text in texts]
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    smallest = np.full(len(texts) * BINS, 2**32 - 1, dtype=np.uint32)
    if len(codes) >= GRAM:
        owner = np.repeat(np.arange(len(texts), dtype=np.int64), [len(text) for text in texts])
        inside = owner[GRAM - 1 :] == owner[: len(owner) - GRAM + 1]
        hashes = _hashes(codes)[inside]
        bins = (hashes >> np.uint32(25)).astype(np.int64) + owner[GRAM - 1 :][inside] * BINS
        np.minimum.at(smallest, bins, hashes & np.uint32(2**25 - 1))
    # The smallest of a bin has small high bits; its low 16 are even, and enough to tell two runs apart.
    values = (smallest & np.uint32(0xFFFF)).astype(np.uint16)
    values[values == 0] = 1
    values[smallest == 2**32 - 1] = 0
    return values.reshape(len(texts), BINS)


def _hashes(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """One number per run of GRAM characters: a polynomial, then MurmurHash3's finalizer."""
    number = len(codes) - GRAM + 1
    found = codes[:number].copy()
    for step in range(1, GRAM):
        found *= np.uint32(0x9E3779B1)
        found += codes[step : step + number]
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        found ^= found >> np.uint32(shift)
        found *= np.uint32(factor)
    found ^= found >> np.uint32(16)
    return found


def _rarest(signatures: NDArray[np.uint16]) -> tuple[Numbers, Numbers]:
    """(key, row) of each signature's rarest bins, those that no other row shares left out; sorted by both.

    Two rows that agree in ALIKE of their bins share a key here: at most the other 1 - ALIKE come before it.
    """
    bits = min(int(np.ceil(np.log2(signatures.size))), 24)
    counts = np.zeros(2**bits, dtype=np.uint32)
    columns = np.arange(BINS, dtype=np.uint32) << np.uint32(16)
    spread = np.uint32(0x9E3779B1)

    def blocks() -> Iterator[tuple[int, NDArray[np.uint32], Numbers]]:
        for start in range(0, len(signatures), _ROWS):
            keys = signatures[start : start + _ROWS] | columns
            yield start, keys, (keys * spread) >> np.uint32(32 - bits)

    for _, _, places in blocks():
        np.add.at(counts, places.ravel(), np.uint32(1))
    found_keys, found_rows = [], []
    for start, keys, places in blocks():
        empty = (keys & np.uint32(0xFFFF)) == 0
        order = (counts[places].astype(np.uint64) << np.uint64(32)) | keys
        order[empty] = 2**64 - 1
        rarest = np.sort(np.partition(order, _PREFIX - 1, axis=1)[:, :_PREFIX], axis=1)
        filled = BINS - empty.sum(axis=1)
        wanted = filled - np.ceil(ALIKE * filled - 1e-9).astype(np.int64) + 1
        here = (np.arange(_PREFIX) < np.minimum(wanted, filled)[:, None]) & ((rarest >> np.uint64(32)) > 1)
        row, _ = np.nonzero(here)
        found_rows.append(row + start)
        found_keys.append((rarest[here] & np.uint64(2**32 - 1)).astype(np.int64))
    all_keys, all_rows = np.concatenate(found_keys), np.concatenate(found_rows)
    sequence = np.lexsort((all_rows, all_keys))
    return all_keys[sequence], all_rows[sequence]


def _compare(signatures: NDArray[np.uint16], keys: Numbers, rows: Numbers) -> Iterator[Numbers]:
    """Pairs that are alike, shape (pairs, 2): each round compares all rows of a key with its first one, which leaves.

    Where many rows share a key, those like the first leave with it, so that many copies of one text cost one round.
    """
    for _ in range(_ROUNDS):
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else keys
        sizes = np.diff(np.r_[starts, len(keys)])
        firsts = np.repeat(rows[starts], sizes)
        others = np.ones(len(keys), dtype=bool)
        others[starts] = False
        keys, rows, firsts, many = keys[others], rows[others], firsts[others], np.repeat(sizes > _FEW, sizes)[others]
        if not len(keys):
            return
        codes, place = np.unique(firsts * len(signatures) + rows, return_inverse=True)
        both = np.stack((codes // len(signatures), codes % len(signatures)), axis=1)
        alike = _alike(signatures, both)
        yield both[alike]
        left = ~(alike[place] & many)
        keys, rows = keys[left], rows[left]


def _alike(signatures: NDArray[np.uint16], both: Numbers) -> NDArray[np.bool_]:
    """Whether the two rows of each pair agree in ALIKE of the bins that either fills."""
    found = np.empty(len(both), dtype=bool)
    for start in range(0, len(both), _ROWS):
        part = both[start : start + _ROWS]
        one, other = signatures[part[:, 0]], signatures[part[:, 1]]
        filled = ((one | other) != 0).sum(axis=1)
        same = ((one == other) & (one != 0)).sum(axis=1)
        found[start : start + _ROWS] = (same >= ALIKE * filled - 1e-9) & (filled > 0)
    return found
