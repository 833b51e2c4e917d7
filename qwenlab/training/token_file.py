"""The tokens of a run's samples on disk: written once, read as they are needed, so that memory does not grow with them.

A folder: ids.bin (int32), trained.bin (one byte a token, 1 where it is a label), ends.npy (where each sample ends), and
about.json, written last. A resumed run finds it and encodes nothing again; what a power loss tore is written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.training.encoding import IGNORED, Encoded

FOLDER = "tokens"
"""Its name in a run's folder."""
ABOUT, IDS, TRAINED, ENDS = "about.json", "ids.bin", "trained.bin", "ends.npy"
OPENING = 32
"""Samples whose first so many tokens are equal begin with the same instructions."""


class TokenFile:
    """Encoded samples by number.

    Attributes:
        about: what was written with them.
        lengths: tokens of each sample. trained: how many of those are labels.
    """

    def __init__(self, folder: Path) -> None:
        self.about: dict[str, Any] = files.read_json(folder / ABOUT)
        self._ends = np.load(folder / ENDS, allow_pickle=False)
        self._ids = np.memmap(folder / IDS, np.int32, "r")
        self._is_label = np.memmap(folder / TRAINED, np.uint8, "r")
        if not len(self._ids) == len(self._is_label) == self._ends[-1]:
            raise ValueError(f"{folder} does not hold what its ends.npy says")
        self.lengths: list[int] = np.diff(self._ends).tolist()
        self.trained: list[int] = np.add.reduceat(self._is_label, self._ends[:-1], dtype=np.int64).tolist()

    @classmethod
    def write(cls, folder: Path, samples: Iterable[Encoded], about: Callable[[], dict[str, Any]]) -> TokenFile | None:
        """Write samples one by one; None when there are none.

        Args:
            about: asked when the last sample is written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)
        ends = [0]
        with (folder / IDS).open("wb") as ids, (folder / TRAINED).open("wb") as trained:
            for sample in samples:
                ids.write(np.array(sample.ids, np.int32).tobytes())
                trained.write(bytes(label != IGNORED for label in sample.labels))
                ends.append(ends[-1] + len(sample.ids))
        np.save(folder / ENDS, np.array(ends))
        if len(ends) == 1:
            return None
        files.sync_tree(folder)
        files.write_json(folder / ABOUT, about())
        return cls(folder)

    @classmethod
    def find(cls, folder: Path) -> TokenFile | None:
        """What was written there; None when there is nothing, or nothing whole."""
        try:
            return cls(folder)
        except (QwenlabError, OSError, EOFError, ValueError, IndexError, KeyError):
            return None

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> Encoded:
        part = slice(self._ends[number], self._ends[number + 1])
        ids = self._ids[part]
        return Encoded(ids.tolist(), np.where(self._is_label[part], ids, IGNORED).tolist())

    def openings(self) -> list[int]:
        """A number for each sample, the same for those that begin with the same instructions."""
        known: dict[bytes, int] = {}
        return [
            known.setdefault(self._ids[begin : min(begin + OPENING, end)].tobytes(), len(known))
            for begin, end in zip(self._ends[:-1], self._ends[1:], strict=True)
        ]
