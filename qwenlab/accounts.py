"""Who may use a lab that other computers reach: names and scrypt hashes of passwords, one line each."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import threading
from pathlib import Path

from qwenlab import files
from qwenlab.errors import QwenlabError
from qwenlab.workspace import Workspace

FILE, LINES = "QWENLAB_USERS", "QWENLAB_LOGIN"
"""Environment: another file of users; or their lines themselves, apart by commas or line ends."""
NAME = re.compile(r"\w(?:[\w.-]{0,30}\w)?")
"""A name is also that of a folder with the user's conversations."""
SHORTEST = 8
COST, BLOCK, LANES = 2**15, 8, 1
"""scrypt's n, r and p: 32 MiB and about 0.1 s a password."""
MOST_COST = 2**17
MEMORY = 256 * 2**20
AT_ONCE = threading.Semaphore(2)
"""Passwords hashed at a time: each takes memory, and strangers may send many."""


def file_of(workspace: Workspace) -> Path:
    """Where the users of a workspace stand."""
    named = os.environ.get(FILE)
    return Path(named).expanduser() if named else workspace.root / "users.txt"


def read(workspace: Workspace) -> dict[str, str]:
    """Name -> hash of the password; empty when there are none. Lines that are none of ours are left out.

    Raises:
        QwenlabError: when the file is there and cannot be read.
    """
    path = file_of(workspace)
    text = files.read_text(path) if path.exists() else ""
    found = {}
    for line in re.split(r"[\n,]", f"{text}\n{os.environ.get(LINES, '')}"):
        name, _, kept = line.strip().partition(":")
        if NAME.fullmatch(name) and kept.startswith("scrypt:"):
            found[name.casefold()] = kept
    return found


def put(workspace: Workspace, name: str, password: str) -> str:
    """Add a user or change the password; returns the line, which holds no password.

    Raises:
        QwenlabError: when name or password will not do, or the file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise QwenlabError(
            f'"{name}" cannot be the name of a user.',
            "Use up to 32 letters, digits, - and _.",
            zh=(f"“{name}”不能用作用户名。", "请使用不超过 32 个字母、数字、- 和 _。"),
        )
    if len(password) < SHORTEST:
        raise QwenlabError(
            f"The password has fewer than {SHORTEST} characters.",
            "Choose a longer one.",
            zh=(f"密码少于 {SHORTEST} 个字符。", "请选择更长的密码。"),
        )
    kept = hashed(password)
    _write(workspace, {**_in_file(workspace), name.casefold(): kept})
    return f"{name.casefold()}:{kept}"


def remove(workspace: Workspace, name: str) -> None:
    """Remove a user; open windows of that user are logged out.

    Raises:
        QwenlabError: when there is no such user in the file.
    """
    known = _in_file(workspace)
    if known.pop(name.casefold(), None) is None:
        raise QwenlabError(
            f'There is no user "{name}" in {file_of(workspace)}.',
            "`qwenlab user list` shows who there is.",
            zh=(f"{file_of(workspace)} 中没有用户“{name}”。", "用 `qwenlab user list` 查看已有用户。"),
        )
    _write(workspace, known)


def hashed(password: str) -> str:
    """`scrypt:n:r:p:salt:hash` with a fresh salt."""
    salt = secrets.token_bytes(16)
    return ":".join(("scrypt", str(COST), str(BLOCK), str(LANES), _text(salt), _text(_scrypt(password, salt))))


def matches(password: str, kept: str | None) -> bool:
    """Whether this is the password; takes as long when there is no such user (`kept` is None)."""
    if kept is None:
        _scrypt(password, b"a salt of nobody")
        return False
    try:
        _, cost, block, lanes, salt, wanted = kept.split(":")
        if int(cost) > MOST_COST:
            return False
        given = _scrypt(password, base64.b64decode(salt), int(cost), int(block), int(lanes))
        return hmac.compare_digest(given, base64.b64decode(wanted))
    except (ValueError, binascii.Error):  # a line that somebody typed
        return False


def _scrypt(password: str, salt: bytes, cost: int = COST, block: int = BLOCK, lanes: int = LANES) -> bytes:
    with AT_ONCE:
        clear = password.encode("utf-8", "replace")
        return hashlib.scrypt(clear, salt=salt, n=cost, r=block, p=lanes, maxmem=MEMORY, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _in_file(workspace: Workspace) -> dict[str, str]:
    """The users that can be changed here: not those of the environment."""
    path = file_of(workspace)
    lines = files.read_text(path).splitlines() if path.exists() else []
    return {name: kept for name, _, kept in (line.strip().partition(":") for line in lines) if kept}


def _write(workspace: Workspace, users: dict[str, str]) -> None:
    path = file_of(workspace)
    if not path.exists():
        files.write_text(path, "")
        path.chmod(0o600)  # before it holds anything; it stays so when the file is replaced
    files.write_text(path, "".join(f"{name}:{kept}\n" for name, kept in users.items()))
