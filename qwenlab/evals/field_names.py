"""What the name of a field says about it: whether it is an amount of money, or identifies something."""

from __future__ import annotations

import re
from collections.abc import Iterable

from qwenlab.evals import pointer as pointers
from qwenlab.evals.pointer import EVERY

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_IDENTITIES = {
    *("id", "ids", "uuid", "guid", "no", "nr", "number", "num", "code", "sku", "ref", "reference", "serial", "iban"),
    *("account", "phone", "mobile", "tel", "plate", "vin", "isbn", "barcode", "tracking", "zip", "postcode"),
}
_IDENTITIES_ZH = ("编号", "单号", "号码", "账号", "帐号", "卡号", "电话", "手机", "代码", "编码", "证号")
_AMOUNTS = {
    *("amount", "amounts", "price", "total", "subtotal", "sum", "cost", "fee", "balance", "salary", "tax", "vat"),
    *("payment", "refund", "deposit", "premium", "money"),
}
_AMOUNTS_ZH = ("金额", "价格", "总价", "单价", "合计", "费用", "余额", "税额", "付款", "退款", "价钱", "保费")


def is_amount(pointer: str) -> bool:
    """Whether a number here would be money, by any key of the pointer."""
    return any(_called(key, _AMOUNTS, _AMOUNTS_ZH) for key in _keys(pointer))


def identifies(pointer: str) -> bool:
    """Whether a value here would be an order number or the like, by the last key of the pointer."""
    return any(_called(key, _IDENTITIES, _IDENTITIES_ZH) for key in _keys(pointer)[-1:])


def _keys(pointer: str) -> list[str]:
    return [key for key in pointers.split(pointer) if key != EVERY]


def _called(key: str, words: set[str], zh: Iterable[str]) -> bool:
    return not words.isdisjoint(part.casefold() for part in _WORD.findall(key)) or any(name in key for name in zh)
