"""A data set: a train.json on disk that other tools read too, and that is never half written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import layout
from qwenlab.conversations.layout import Layout
from qwenlab.conversations.sample import Sample
from qwenlab.conversations.words import DataError
from qwenlab.workspace import SHIPPED, Workspace

KEPT_VERSIONS = 50
KEPT_BYTES = 2**30
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

    @classmethod
    def open(cls, path: Path) -> DataSet:
        """Read a train.json. Single samples that are odd inside are kept; `checks` names them.

        Raises:
            DataError: when the file as a whole cannot be read as a list, with sample and line.
        """
        content = _read_bytes(path)
        samples, style = layout.split(layout.decode(content))
        return cls(path, samples, _digest(content), style, tuple(samples))

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

    def changed_on_disk(self) -> bool:
        """Whether another program or window changed, created or removed the file since."""
        try:
            return _digest(self.path.read_bytes()) != self.digest
        except FileNotFoundError:
            return bool(self.digest)
        except OSError:
            return True

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
            announce(_digest(content))
            keep_version(self.path, unless=_digest(content))
            if not self.path.exists() or self.path.read_bytes() != content:
                files.write_bytes(self.path, content)
        self._taken(content)

    def save_as(self, path: Path) -> None:
        """Write to a new file and go on with that one; its settings sidecar goes along.

        Raises:
            DataError: when `path` exists.
        """
        if path.exists():
            raise DataError("file_exists", name=path.name)
        content = self.to_bytes()
        copy_sidecar(self.path, path)
        files.write_bytes(path, content)
        self.path = path
        self._taken(content)

    def adopt(self, older: DataSet) -> None:
        """Take the samples of an older version of this file; the file itself stays as it is."""
        self.samples, self.digest, self._layout, self._read = older.samples, older.digest, older._layout, older._read

    def _taken(self, content: bytes) -> None:
        self.digest, self._read = _digest(content), tuple(self.samples)

    def settings(self) -> dict[str, Any]:
        """The lab's settings for this data set, from NAME.lab.json beside it; empty when there are none."""
        path = sidecar(self.path)
        found = files.read_json(path) if path.exists() else {}
        return found if isinstance(found, dict) else {}

    def attached_schema(self) -> dict[str, Any] | None:
        """The JSON Schema that assistant turns must satisfy, or None.

        Raises:
            DataError: when the settings name a file that is missing or is no JSON object.
        """
        settings = self.settings()
        named = settings.get("schema")
        if not named:
            return None
        beside = sidecar(self.path)
        path = (beside.parent / str(named)).resolve()
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError("schema_unusable", path=path, why="missing", sidecar=beside.name) from error
        except (OSError, ValueError) as error:
            raise DataError("schema_unusable", path=path, why=error, sidecar=beside.name) from error
        if not isinstance(schema, dict):
            raise DataError("schema_unusable", path=path, why="not an object", sidecar=beside.name)
        return schema


def sidecar(path: Path) -> Path:
    """NAME.lab.json beside NAME.train.json: what the lab keeps apart from the exported file."""
    return path.with_name(path.name.removesuffix(".json").removesuffix(".train") + ".lab.json")


def copy_sidecar(source: Path, target: Path) -> None:
    """Copy the settings of one data set for another, with the schema's path made right."""
    found = sidecar(source)
    if not found.exists() or sidecar(target) == found:
        return
    settings = files.read_json(found)
    if isinstance(settings, dict) and settings.get("schema"):
        schema = (found.parent / str(settings["schema"])).resolve()
        try:
            settings["schema"] = Path(os.path.relpath(schema, target.parent.resolve())).as_posix()
        except ValueError:  # another drive, on Windows
            settings["schema"] = schema.as_posix()
    files.write_json(sidecar(target), settings)


def keep_version(path: Path, unless: str = "", of: Path | None = None) -> Path | None:
    """Keep the file as it is now under `.versions/NAME/`; the last 50 stay, fewer of a very large file.

    Args:
        path: the data set; nothing is kept when it does not exist.
        unless: a digest; nothing is kept when the file has it.
        of: the data set that it is a version of; by default itself.
    """
    if not path.exists():
        return None
    digest = files.sha256(path)
    if digest == unless:
        return None
    folder = _versions_folder(of or path)
    folder.mkdir(parents=True, exist_ok=True)
    known = versions(of or path)
    if known and known[0].name.endswith(f"-{digest[:12]}.json"):
        return known[0]
    kept = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{digest[:12]}.json"
    shutil.copyfile(path, kept)
    total = kept.stat().st_size
    for number, old in enumerate(known, start=2):
        total += old.stat().st_size
        if number > KEPT_VERSIONS or (number > 3 and total > KEPT_BYTES):
            old.unlink(missing_ok=True)
    return kept


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


def editable(workspace: Workspace, path: Path) -> Path:
    """Where `path` may be changed: itself, or for a shipped set its copy in the workspace, made if needed."""
    if (SHIPPED / "data").resolve() not in path.resolve().parents:
        return path
    target = workspace.data / path.name
    if not target.exists():
        copy_sidecar(path, target)
        files.write_bytes(target, _read_bytes(path))
    return target


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("file_missing", path=path) from error
    except OSError as error:
        raise DataError("file_unreadable", path=path, why=error.strerror) from error
