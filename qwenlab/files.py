"""Files that are always the old or the new version, never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwenlab.errors import QwenlabError


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` durably: temporary file beside it, fsync, rename, fsync of the folder.

    Raises:
        QwenlabError: when the disk is full or the folder cannot be written; `path` is then unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise QwenlabError(
            f"Cannot write {path}: {error.strerror}.",
            "Check the folder's permissions.",
            zh=(f"无法写入 {path}：{error.strerror}。", "请检查文件夹权限。"),
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(name, path)
        sync_folder(path.parent)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise QwenlabError(
            f"Cannot write {path}: {error.strerror}. The old file is unchanged.",
            "Free some disk space or choose another folder.",
            zh=(f"无法写入 {path}：{error.strerror}。原文件没有改动。", "请释放磁盘空间，或选择其他文件夹。"),
        ) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def append_line(path: Path, line: str, durable: bool = False) -> None:
    """Append one line; a last line that a crash left unfinished is ended first.

    Args:
        line: without its newline; half of a surrogate pair becomes a question mark.
        durable: whether it is on the disk, and not only with the system, when this returns.
    """
    new = not path.exists()
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode("utf-8", "replace") + b"\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())
    if durable and new:
        sync_folder(path.parent)


def new_folder(parent: Path, stem: str) -> Path:
    """Make a folder named after `stem` and this second; it is nobody else's.

    Raises:
        QwenlabError: when it cannot be made.
    """
    name = f"{stem}-{time.strftime('%m%d-%H%M%S')}"
    for suffix in ("", *(f"-{number}" for number in range(2, 1000))):
        folder = parent / (name + suffix)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise QwenlabError(
                f"The folder {folder} cannot be made: {error.strerror}.",
                "Check the folder's permissions.",
                zh=(f"无法建立文件夹 {folder}：{error.strerror}。", "请检查文件夹权限。"),
            ) from error
        return folder
    raise QwenlabError(
        f"{parent} holds too many folders of this second.",
        "Try again.",
        zh=(f"{parent} 中这一秒内的文件夹太多。", "请重试。"),
    )


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable."""
    if os.name == "nt":  # Windows cannot open a folder for fsync
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Make every file below a folder durable, and the folder's own name."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb+") as file:  # Windows wants a handle that may write
                os.fsync(file.fileno())
    sync_folder(folder)
    sync_folder(folder.parent)


def write_text(path: Path, text: str) -> None:
    """Like `write_bytes`, for UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def read_text(path: Path) -> str:
    """A UTF-8 file as text, without a byte order mark.

    Raises:
        QwenlabError: when it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise QwenlabError(
            f"There is no file {path}.", "Check the name.", zh=(f"没有文件 {path}。", "请检查文件名。")
        ) from error
    except OSError as error:
        raise QwenlabError(
            f"Cannot read {path}: {error.strerror}.",
            "Check the path.",
            zh=(f"无法读取 {path}：{error.strerror}。", "请检查路径。"),
        ) from error
    except UnicodeDecodeError as error:
        raise QwenlabError(
            f"{path} is not UTF-8 text.",
            "Save it as UTF-8.",
            zh=(f"{path} 不是 UTF-8 文本。", "请另存为 UTF-8 编码。"),
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON with a final newline; NaN and Infinity are refused."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_rows(path: Path, value: Mapping[str, Any], key: str) -> None:
    """Like `write_json`, with the list under `key` last and one item a line, which takes a fifth of the time."""
    others = {name: item for name, item in value.items() if name != key}
    before = json.dumps({**others, key: []}, ensure_ascii=False, indent=2, allow_nan=False).removesuffix("[]\n}")
    rows = ",\n".join(json.dumps(item, ensure_ascii=False, allow_nan=False) for item in value[key])
    write_text(path, f"{before}[\n{rows}\n]\n}}\n")


def read_json(path: Path) -> Any:
    """Read one JSON file of ours.

    Raises:
        QwenlabError: when it is missing or is not JSON, with the line where reading stopped.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise QwenlabError(
            f"There is no file {path}.", "Check the path.", zh=(f"没有文件 {path}。", "请检查路径。")
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise QwenlabError(
            f"{path} is not valid JSON: {error}.",
            "Restore it from a copy or delete it.",
            zh=(f"{path} 不是合法的 JSON：{error}。", "请用备份恢复它，或删除它。"),
        ) from error


def read_object(path: Path, **kinds: type) -> dict[str, Any]:
    """Read one JSON object of ours whose values under these keys are of these kinds.

    Raises:
        QwenlabError: when it is missing, is not JSON, or is something else: written by another program, or damaged.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not all(isinstance(found.get(key), kind) for key, kind in kinds.items()):
        raise QwenlabError(
            f"{path} does not hold what the lab wrote there.",
            "Restore it from a copy or delete it.",
            zh=(f"{path} 的内容不是程序写入的内容。", "请用备份恢复它，或删除它。"),
        )
    return found


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
