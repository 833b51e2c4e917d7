"""A folder as one ZIP file, sent while it is read: nothing is written, and no size is too big."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

PIECE = 1 << 20
"""Bytes read at once."""


class _Passing(io.RawIOBase):
    """A file that can only be written to, and gives away what was written."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, content: object) -> int:
        piece = bytes(memoryview(content))  # type: ignore[arg-type]
        self._waiting += piece
        return len(piece)

    def take(self) -> bytes:
        """What came since the last time."""
        found, self._waiting = bytes(self._waiting), bytearray()
        return found


def pieces(folder: Path) -> Iterator[bytes]:
    """The ZIP (stored, as weights hardly shrink; ZIP64 where it must be), below the folder's name."""
    passing = _Passing()
    with zipfile.ZipFile(passing, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(one for one in folder.rglob("*") if one.is_file() and not one.is_symlink()):
            entry = zipfile.ZipInfo.from_file(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=True) as into:
                while piece := file.read(PIECE):
                    into.write(piece)
                    yield passing.take()
    yield passing.take()
