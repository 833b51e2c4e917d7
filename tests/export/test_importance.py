"""Openings that conversations share are computed once, and count as often as they stand there."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from qwenlab.export import importance


@pytest.mark.parametrize("seed", range(5))
def test_every_beginning_counts_as_often_as_rows_begin_with_it(seed: int) -> None:
    source = random.Random(seed)
    rows = [[source.randrange(2) for _ in range(source.randrange(7))] for _ in range(12)]
    wanted = Counter(tuple(row[: end + 1]) for row in rows for end in range(len(row)))
    found: Counter[tuple[int, ...]] = Counter()
    read = 0
    for ids, known, times in importance.shared_openings(rows):
        assert len(times) == len(ids) - known > 0
        read += len(times)
        for at, count in enumerate(times, known):
            found[tuple(ids[: at + 1])] += count
    assert found == wanted
    assert read < sum(map(len, rows))


@pytest.mark.model
def test_measured_together_is_the_mean_of_measured_alone(smollm2: Path) -> None:
    opening = "<|im_start|>system\nYou turn messages into tickets.<|im_end|>\n<|im_start|>user\n"
    texts = [opening + said for said in ("My kettle is broken.", "My kettle is late, order 20417733.")]
    alone = [importance.measure(smollm2, [text]) for text in texts]
    together = importance.measure(smollm2, texts)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    for name, found in together.items():
        mean = np.average([one[name] for one in alone], axis=0, weights=lengths)
        assert np.allclose(found, mean, rtol=0.05, atol=1e-3 * mean.max()), name
