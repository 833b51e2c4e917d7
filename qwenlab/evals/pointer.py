"""JSON pointers (RFC 6901): the address of one value in an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qwenlab.evals.bilingual import ReasonError

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING", "__bool__": lambda self: False})()
"""What stands at an address that does not exist; not the same as null."""

EVERY = "*"
"""In the pointer of a rule, instead of a list index: every item. (No RFC 6901 pointer uses it on a list.)"""


def escape(key: str) -> str:
    """One key as it stands in a pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def join(pointer: str, key: str | int) -> str:
    """The pointer to `key` below `pointer`."""
    return f"{pointer}/{escape(str(key))}"


def split(pointer: str) -> list[str]:
    """The keys of a pointer.

    Raises:
        ReasonError: when it is not "" and does not start with "/", or "~" is not followed by 0 or 1.
    """
    if pointer == "":
        return []
    if not pointer.startswith("/"):
        raise ReasonError(
            f'"{pointer}" is not a JSON pointer: it must start with "/"', f"“{pointer}”不是 JSON 指针：必须以“/”开头"
        )
    keys = pointer[1:].split("/")
    for key in keys:
        if "~" in key.replace("~0", "").replace("~1", ""):
            raise ReasonError(
                f'"{pointer}" is not a JSON pointer: write "~" as "~0"', f"“{pointer}”不是 JSON 指针：“~”要写成“~0”"
            )
    return [key.replace("~1", "/").replace("~0", "~") for key in keys]


def from_keys(keys: Iterable[str | int]) -> str:
    """The pointer that walks along `keys`."""
    return "".join("/" + escape(str(key)) for key in keys)


def child(value: Any, key: str) -> Any:
    """The value under one key or index, or MISSING."""
    if isinstance(value, dict):
        return value.get(key, MISSING)
    if isinstance(value, list) and key.isascii() and key.isdigit() and (key == "0" or key[0] != "0"):
        return value[int(key)] if len(key) < 10 and int(key) < len(value) else MISSING
    return MISSING


def resolve(value: Any, pointer: str) -> Any:
    """The value at `pointer`, or MISSING."""
    for key in split(pointer):
        value = child(value, key)
        if value is MISSING:
            return MISSING
    return value


def exists_in(value: Any, keys: list[str]) -> bool:
    """Whether some value stands there; `EVERY` stands for any item of a list."""
    if not keys:
        return True
    if isinstance(value, list) and keys[0] == EVERY:
        return any(exists_in(item, keys[1:]) for item in value)
    below = child(value, keys[0])
    return below is not MISSING and exists_in(below, keys[1:])


def replaced(value: Any, keys: list[str], new: Any) -> Any:
    """A copy of `value` with `new` where `keys` lead, which must exist; `EVERY` stands for all items of a list."""
    if not keys:
        return new
    first, rest = keys[0], keys[1:]
    if isinstance(value, dict):
        return {key: replaced(inner, rest, new) if key == first else inner for key, inner in value.items()}
    return [
        replaced(inner, rest, new) if first == EVERY or str(at) == first else inner for at, inner in enumerate(value)
    ]
