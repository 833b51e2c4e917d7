"""Tokens on disk: what was written is read, and what a crash tore is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwenlab.training.encoding import IGNORED, Encoded
from qwenlab.training.token_file import ABOUT, ENDS, IDS, TRAINED, TokenFile

SAMPLES = [
    Encoded([5, 6, 151_935], [IGNORED, 6, 151_935]),
    Encoded([7], [IGNORED]),
    Encoded([5, 6, 8, 9], [IGNORED, IGNORED, 8, IGNORED]),
]


def write(folder: Path, samples: list[Encoded] = SAMPLES) -> TokenFile | None:
    return TokenFile.write(folder, iter(samples), lambda: {"tokenizer": "t"})


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    written = write(tmp_path)
    found = TokenFile.find(tmp_path)
    assert written
    assert found
    for one in (written, found):
        assert [one[number] for number in range(len(one))] == SAMPLES
        assert one.lengths == [3, 1, 4]
        assert one.trained == [2, 0, 1]
        assert one.about == {"tokenizer": "t"}


def test_remarks_are_asked_for_after_the_last_sample(tmp_path: Path) -> None:
    seen: list[int] = []

    def counted() -> object:
        for one in SAMPLES:
            seen.append(len(one.ids))
            yield one

    found = TokenFile.write(tmp_path, counted(), lambda: {"seen": list(seen)})
    assert found
    assert found.about == {"seen": [3, 1, 4]}


def test_without_samples_nothing_is_there(tmp_path: Path) -> None:
    assert write(tmp_path, []) is None
    assert TokenFile.find(tmp_path) is None


def test_folder_without_tokens_holds_none(tmp_path: Path) -> None:
    assert TokenFile.find(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", [ABOUT, IDS, TRAINED, ENDS])
@pytest.mark.parametrize("left", [0, 4])
def test_torn_file_is_not_taken_for_whole(tmp_path: Path, name: str, left: int) -> None:
    write(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:left])
    assert TokenFile.find(tmp_path) is None


def test_writing_again_replaces_what_was_there(tmp_path: Path) -> None:
    write(tmp_path)
    found = write(tmp_path, SAMPLES[:1])
    assert found
    assert len(found) == 1


def test_samples_with_the_same_instructions_have_the_same_number(tmp_path: Path) -> None:
    long, other = list(range(40)), list(range(1, 41))
    samples = [Encoded([*start, end], [IGNORED] * 41) for start, end in ((long, 1), (other, 2), (long, 3))]
    found = write(tmp_path, samples)
    assert found
    assert found.openings() == [0, 1, 0]
