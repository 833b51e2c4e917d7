"""Likely personal data in a text: mobile and other phone numbers, ID cards, bank cards, e-mail addresses.

Numbers with a check digit are checked, and what is called an order or tracking number is left alone, so that few
warnings are false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

_HINT = re.compile("[@＠+＋]|(?:[0-9０-９][ -]?){11}")
"""Cheap to look for, and without it there is nothing."""
_WIDE = {ord(wide): ord("+") + at for at, wide in enumerate("＋，－．／０１２３４５６７８９")} | {ord("＠"): ord("@")}
_BEFORE = r"(?<![0-9A-Za-z*_])(?<![0-9][-./])"
_AFTER = r"(?![0-9A-Za-z*_]|[-./][0-9])"
_CALLED_ELSE = re.compile(
    r"(?:订单|单号|运单|快递|物流|流水|交易|编号|发票|序列|商品|order|tracking|parcel|invoice|ticket|serial|item|"
    r"product|transaction|reference|\bref|\bsku|\bid\b)"
    r"(?![^\n]*(?:电话|手机|联系|phone|mobile|\btel\b|\bcall))[^0-9,;。，；\n]{0,14}$",
    re.IGNORECASE,
)
"""What stands before a number that belongs to a thing, not to a person."""
_CONTEXT = 32


@dataclass(frozen=True)
class Found:
    """Something that looks personal.

    Attributes:
        kind: its entry in `words.PERSONAL`.
        start: first character in the text.
        end: after its last character.
        text: as it stands there.
    """

    kind: str
    start: int
    end: int
    text: str

    @property
    def masked(self) -> str:
        """The same with stars for most of its letters and digits."""
        if self.kind == "email":
            name, at, host = self.text.replace("＠", "@").partition("@")
            return name[0] + "*" * (len(name) - 1) + at + host
        digits = [at for at, sign in enumerate(self.text) if sign.isalnum()]
        hidden = set(digits[3:-2])
        return "".join("*" if at in hidden else sign for at, sign in enumerate(self.text))


def _is_id_card(number: str) -> bool:
    """GB 11643: a birth date and a check digit, ISO 7064 mod 11-2."""
    digits = number.upper()
    try:
        born = date(int(digits[6:10]), int(digits[10:12]), int(digits[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - at, 11) for at, digit in enumerate(digits[:17]))
    return 1880 <= born.year <= date.today().year and "10X98765432"[total % 11] == digits[17]


_ISSUERS = re.compile(
    r"62[0-9]{14,17}|4[0-9]{12}(?:[0-9]{3}){0,2}|5[1-5][0-9]{14}|(?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)"
    r"[0-9]{12}|3[47][0-9]{13}|35[0-9]{14}|6(?:011|5[0-9]{2})[0-9]{12}|9558[0-9]{15}"
)
"""Numbers as UnionPay, Visa, Mastercard, American Express, JCB, Discover and ICBC give them (ISO/IEC 7812)."""


def _is_bank_card(number: str) -> bool:
    """A known issuer, and the check digit of Luhn."""
    if not _ISSUERS.fullmatch(number) or len(set(number)) < 4:
        return False
    doubled = [int(digit) * (2 if at % 2 else 1) for at, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _is_phone(number: str) -> bool:
    """E.164: 8 to 15 digits, not all the same."""
    return 8 <= len(number) <= 15 and len(set(number)) > 2


def _anything(number: str) -> bool:
    return True


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool], bool], ...] = (
    (
        "email",
        re.compile(
            r"(?<![A-Za-z0-9._%+*-])[A-Za-z0-9._%+-]{1,64}+@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])"
        ),
        lambda found: not re.search(r"@(?:.+\.)?example\.\w+$", found, re.IGNORECASE),
        False,
    ),
    ("id_card", re.compile(rf"{_BEFORE}[1-9][0-9]{{16}}[0-9Xx]{_AFTER}"), _is_id_card, False),
    (
        "mobile",
        re.compile(rf"{_BEFORE}(?:(?:\+|00)?86[ -]?)?1[3-9][0-9](?:[ -]?[0-9]{{4}}){{2}}{_AFTER}"),
        _anything,
        True,
    ),
    ("phone", re.compile(rf"(?<![0-9A-Za-z*+])\+[1-9](?:[ .-]?\(?[0-9]\)?){{7,14}}{_AFTER}"), _is_phone, True),
    ("bank_card", re.compile(rf"{_BEFORE}[2-9][0-9]{{3}}(?:[ -]?[0-9]){{9,15}}{_AFTER}"), _is_bank_card, True),
)
"""Kind, form, test of its digits, and whether a number that is called an order number is another thing."""


def find(text: str) -> list[Found]:
    """Everything in `text` that looks personal, in order; nothing is named twice."""
    if not _HINT.search(text):
        return []
    narrow = text.translate(_WIDE)
    taken = bytearray(len(text))
    found: list[Found] = []
    for one in _all(text, narrow):
        if not any(taken[one.start : one.end]):
            taken[one.start : one.end] = b"x" * (one.end - one.start)
            found.append(one)
    return sorted(found, key=lambda one: one.start)


def _all(text: str, narrow: str) -> Iterator[Found]:
    for kind, form, is_one, can_be_else in _KINDS:
        for match in form.finditer(narrow):
            start, end = match.span()
            number = match[0] if kind == "email" else "".join(sign for sign in match[0] if sign.isalnum())
            if is_one(number) and not (can_be_else and _CALLED_ELSE.search(narrow[max(0, start - _CONTEXT) : start])):
                yield Found(kind, start, end, text[start:end])


def mask(text: str, kind: str) -> str:
    """The text with everything of that kind masked."""
    parts, end = [], 0
    for one in find(text):
        if one.kind == kind:
            parts += [text[end : one.start], one.masked]
            end = one.end
    return "".join((*parts, text[end:]))
