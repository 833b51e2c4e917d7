"""What quantizing is calibrated on: training conversations as the model will see them, answers included."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwenlab.conversations.sample import Sample
from qwenlab.models import rendering


@dataclass(frozen=True)
class Calibration:
    """How much of the training data is looked at.

    Attributes:
        rows: conversations.
        length: tokens of each that count; the rest only costs memory.
        seed: 0 takes them at even distances from the whole set; any other number draws them at random.
    """

    rows: int = 64
    length: int = 2048
    seed: int = 0

    def chosen(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples that are looked at, in their order."""
        if self.seed:
            drawn = random.Random(self.seed).sample(range(len(samples)), min(self.rows, len(samples)))
            return [samples[index] for index in sorted(drawn)]
        return list(samples[:: max(1, len(samples) // self.rows)][: self.rows])

    def texts(self, tokenizer: Any, samples: Sequence[Sample]) -> list[str]:
        """The chosen samples rendered with the model's own template, special tokens and all."""
        return [rendering.render(tokenizer, sample.to_messages(), open_turn=False) for sample in self.chosen(samples)]


DEFAULT = Calibration()
