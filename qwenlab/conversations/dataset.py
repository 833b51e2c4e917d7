"""A data set: a train.json on disk that other tools read too, and that is never half written."""

from __future__ import annotations

import glob
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import layout
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.layout import Layout
from qwenlab.conversations.sample import Sample, to_json
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError
from qwenlab.workspace import SHIPPED, Workspace

KEPT_VERSIONS = 50
KEPT_BYTES = 2**30
LEFT_BEHIND = 3600
"""Seconds after which a temporary file is surely one that a crash left."""
Stamp = tuple[int, int, int]
_SAVING = threading.Lock()  # two windows of one lab: check the digest and write as one step


@dataclass
class DataSet:
    """The samples of one file.

    Attributes:
        path: the train.json.
        samples: in file order; edits replace, insert or delete whole samples.
        digest: hex SHA-256 of the file as it was last read or written by this object; "" for a new file.
    """

    path: Path
    samples: list[Sample]
    digest: str = ""
    _layout: Layout = field(default_factory=Layout, repr=False)
    _read: tuple[Sample, ...] = field(default=(), repr=False)
    _stamp: Stamp | None = field(default=None, repr=False)

    @classmethod
    def open(cls, path: Path, facts: list[Facts] | None = None) -> DataSet:
        """Read a train.json. Single samples that are odd inside are kept; `checks` names them.

        Args:
            path: the file.
            facts: an empty list to fill with what is known of each sample, as each is parsed here anyway.

        Raises:
            DataError: when the file as a whole cannot be read as a list, with sample and line.
        """
        stamp = _stamp(path)
        content = _read_bytes(path)
        samples, style = layout.split(layout.decode(content), facts)
        return cls(path, samples, _digest(content), style, tuple(samples), stamp)

    @classmethod
    def new(cls, path: Path, samples: Iterable[Sample] = ()) -> DataSet:
        """A data set that is not on disk yet; `save` creates the file and refuses to replace one."""
        return cls(path, list(samples))

    @property
    def name(self) -> str:
        """The file's name without .train.json or .json."""
        return self.path.name.removesuffix(".json").removesuffix(".train")

    @property
    def edited(self) -> bool:
        """Whether any sample differs from what is on disk."""
        return len(self.samples) != len(self._read) or any(
            now is not before and now != before for now, before in zip(self.samples, self._read, strict=True)
        )

    def to_bytes(self) -> bytes:
        """The file's content: the very bytes on disk when nothing was edited."""
        if self.digest and not self.edited:
            try:
                content = self.path.read_bytes()
            except OSError:
                content = b""
            if _digest(content) == self.digest:
                return content
        return self._layout.join(self.samples)

    def touched(self) -> bool:
        """Whether the file may have changed on disk: a look at its time and size, for every day."""
        return _stamp(self.path) != self._stamp

    def changed_on_disk(self) -> bool:
        """Whether another program or window changed, created or removed the file since; reads it whole."""
        stamp = _stamp(self.path)
        try:
            found = files.sha256(self.path)
        except FileNotFoundError:
            found = ""
        except OSError:
            return True
        if found == self.digest:
            self._stamp = stamp
        return found != self.digest

    def save(self, overwrite: bool = False, announce: Callable[[str], object] = str) -> None:
        """Write the file atomically; the version it replaces is kept in `.versions`.

        Args:
            overwrite: also when another program changed the file since it was read.
            announce: called with the new digest just before the file is written.

        Raises:
            DataError: when the file changed on disk since it was read, unless `overwrite`.
            QwenlabError: when it cannot be written; the old file is then unchanged.
        """
        content = self.to_bytes()
        with _SAVING:
            if not overwrite and self.changed_on_disk():
                if not self.path.exists():  # removed by someone: writing it again loses nothing
                    self.digest = ""
                else:
                    raise DataError("file_changed" if self.digest else "file_exists", name=self.path.name)
            digest = _digest(content)
            announce(digest)
            keep_version(self.path, unless=digest)
            if not self.path.exists() or files.sha256(self.path) != digest:
                files.write_bytes(self.path.resolve(), content)  # a link stays a link
        self._taken(digest)

    def save_as(self, path: Path, announce: Callable[[str], object] = str) -> None:
        """Write to a new file and go on with that one; its settings sidecar goes along.

        Args:
            path: the new file.
            announce: called with the digest just before the file is written, when the sidecar is there.

        Raises:
            DataError: when `path` exists.
            QwenlabError: when it cannot be written.
        """
        if path.exists():
            raise DataError("file_exists", name=path.name)
        content = self.to_bytes()
        copy_sidecar(self.path, path)
        announce(_digest(content))
        files.write_bytes(path, content)
        self.path = path
        self._taken(_digest(content))

    def adopt(self, older: DataSet) -> None:
        """Take the samples of an older version of this file; the file itself stays as it is."""
        self.samples, self.digest, self._layout, self._read = older.samples, older.digest, older._layout, older._read

    def moved(self, path: Path) -> None:
        """The same content stands at another path, and that is the data set now."""
        self.path, self._stamp = path, _stamp(path)

    def write_as_it_is(self, path: Path) -> str:
        """Write the samples to any other file; returns its digest."""
        content = self._layout.join(self.samples)
        files.write_bytes(path, content)
        return _digest(content)

    @property
    def size(self) -> int:
        """Bytes of the file as it was last read or written."""
        return self._stamp[1] if self._stamp else 0

    def _taken(self, digest: str) -> None:
        self.digest, self._read, self._stamp = digest, tuple(self.samples), _stamp(self.path)

    def settings(self) -> dict[str, Any]:
        """The lab's settings for this data set, from NAME.lab.json beside it; empty when there are none."""
        return settings_of(self.path)


def sidecar(path: Path) -> Path:
    """NAME.lab.json beside NAME.train.json: what the lab keeps apart from the exported file."""
    return path.with_name(path.name.removesuffix(".json").removesuffix(".train") + ".lab.json")


def settings_of(path: Path) -> dict[str, Any]:
    """What the NAME.lab.json of a data set holds; empty when there is none."""
    beside = sidecar(path)
    found = files.read_json(beside) if beside.exists() else {}
    return found if isinstance(found, dict) else {}


def write_settings(path: Path, settings: Any) -> None:
    """Write the NAME.lab.json of a data set."""
    files.write_text(sidecar(path), to_json(settings, indent=2) + "\n")


def copy_sidecar(source: Path, target: Path) -> None:
    """Copy the settings of one data set for another, with the schema's path made right."""
    found = sidecar(source)
    if not found.exists() or sidecar(target) == found:
        return
    settings = files.read_json(found)
    if isinstance(settings, dict) and settings.get("schema"):
        settings["schema"] = relative(found.parent / str(settings["schema"]), target.parent)
    write_settings(target, settings)


def relative(file: Path, folder: Path) -> str:
    """The path of a file as seen from a folder, so that both can be moved together."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive, on Windows
        return file.resolve().as_posix()


def keep_version(path: Path, unless: str = "", of: Path | None = None) -> Path | None:
    """Keep the file as it is now under `.versions/NAME/`; the last 50 stay, fewer of a very large file.

    Args:
        path: the data set; nothing is kept when it does not exist.
        unless: a digest; nothing is kept when the file has it.
        of: the data set that it is a version of; by default itself.

    Raises:
        QwenlabError: when it cannot be written; no half version is left.
    """
    folder = _versions_folder(of or path)
    known = versions(of or path)
    try:
        digest = files.sha256(path)
        if digest == unless:
            return None
        if known and known[0].name.endswith(f"-{digest[:12]}.json"):
            return known[0]
        folder.mkdir(parents=True, exist_ok=True)
        part, digest = _copy(path, folder)
        kept = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{digest[:12]}.json"
        part.replace(kept)
        files.sync_folder(folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise QwenlabError(
            f"No version of {path.name} could be kept in {folder}: {error.strerror}. The file is unchanged.",
            "Free some disk space or check the folder's permissions, then try again.",
            zh=(
                f"无法在 {folder} 中保留 {path.name} 的版本：{error.strerror}。原文件没有改动。",
                "请释放磁盘空间或检查文件夹权限，然后重试。",
            ),
        ) from error
    total = kept.stat().st_size
    for number, old in enumerate(known, start=2):
        total += old.stat().st_size
        if number > KEPT_VERSIONS or (number > 3 and total > KEPT_BYTES):
            old.unlink(missing_ok=True)
    return kept


def keep_base(path: Path, base: Path, digest: str) -> None:
    """Make `base` a copy of the file at `path`, unless it is one or the file has another digest by now."""
    if base.exists() and files.sha256(base) == digest:
        return
    part, found = _copy(path, base.parent)
    if found == digest:
        part.replace(base)
    else:
        part.unlink()


def _copy(source: Path, folder: Path) -> tuple[Path, str]:
    """Copy a file durably under a temporary name; returns it and the digest of what was copied."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{source.name[:60]}.", suffix=".tmp")
    digest = hashlib.sha256()
    try:
        with source.open("rb") as original, os.fdopen(handle, "wb") as copy:
            while part := original.read(1 << 20):
                digest.update(part)
                copy.write(part)
            copy.flush()
            os.fsync(copy.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name), digest.hexdigest()


def sweep(path: Path) -> None:
    """Delete temporary files that crashes left beside a data set and its versions, once nobody can be writing them."""
    before = time.time() - LEFT_BEHIND
    for folder in (path.parent, _versions_folder(path)):
        for left in folder.glob(f".{glob.escape(path.name[:60])}*.tmp"):
            with suppress(OSError):
                if left.stat().st_mtime < before:
                    left.unlink()


def versions(path: Path) -> list[Path]:
    """The kept versions of a data set, newest first."""
    return sorted(_versions_folder(path).glob("*.json"), reverse=True)


def _versions_folder(path: Path) -> Path:
    return path.parent / ".versions" / path.name.removesuffix(".json")


def data_sets(workspace: Workspace) -> list[Path]:
    """All data sets: the person's own, then the shipped ones that have no edited copy among them."""
    own = [path for path in sorted(workspace.data.glob("*.json")) if not path.name.endswith(".lab.json")]
    names = {path.name for path in own}
    shipped = sorted((SHIPPED / "data").glob("*.train.json"))
    return own + [path for path in shipped if path.name not in names]


def free_path(folder: Path, name: str) -> Path:
    """NAME.train.json in `folder`, with a number when it is taken."""
    path, number = folder / f"{name}.train.json", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.train.json"
    return path


def new_data_set(workspace: Workspace, name: str, samples: list[Sample]) -> Path:
    """Make a new data set in the workspace under a free name and return its path."""
    path = free_path(workspace.data, name)
    try:
        DataSet.new(path, samples).save()
    except DataError:  # another window took the name in between
        return new_data_set(workspace, name, samples)
    return path


def shipped(path: Path) -> bool:
    """Whether a data set came with the program: it is never written to."""
    return (SHIPPED / "data").resolve() in path.resolve().parents


def editable(workspace: Workspace, path: Path) -> Path:
    """Where `path` may be changed: itself, or for a shipped set its copy in the workspace, made if needed."""
    if not shipped(path):
        return path
    target = workspace.data / path.name
    if not target.exists():
        copy_sidecar(path, target)
        files.write_bytes(target, _read_bytes(path))
    return target


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("file_missing", path=path) from error
    except OSError as error:
        raise DataError("file_unreadable", path=path, why=error.strerror) from error
