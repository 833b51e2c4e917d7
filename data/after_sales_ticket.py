"""The after-sales ticket: its keys, its prompts, and the ways customers write numbers, sums and dates."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from typing import Any

SYSTEM = {
    "en": (
        "Turn the customer's after-sales message into one JSON ticket with the keys intent, order_id, "
        "product (name, quantity), amount (value, currency), date (YYYY-MM-DD), urgency and "
        "requested_action. Use null for whatever the customer did not say. Reply with the JSON only."
    ),
    "zh": (
        "把顾客的售后留言整理成一张 JSON 工单，键为 intent、order_id、product（name、quantity）、"
        "amount（value、currency）、date（YYYY-MM-DD）、urgency、requested_action。"
        "顾客没有说的填 null。只输出 JSON。"
    ),
}

# What customers ask for in each kind of matter, with how often; the guideline in README.md explains each pair.
ACTIONS: dict[str, dict[str, int]] = {
    "return": {"refund": 6, "answer": 2, "track": 2},
    "exchange": {"replace": 7, "refund": 2, "answer": 1},
    "repair": {"repair": 7, "replace": 3, "refund": 2, "answer": 1},
    "missing": {"resend": 6, "refund": 3, "answer": 1},
    "delivery": {"track": 5, "resend": 2, "refund": 2, "cancel": 2},
    "charge": {"refund": 6, "answer": 2, "invoice": 1},
    "invoice": {"invoice": 7, "answer": 2},
    "cancel": {"cancel": 7, "refund": 2},
    "question": {"answer": 9},
}

WEEKDAYS = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "zh": ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"],
}
MONTHS = ["January", "February", "March", "April", "May", "June", "July"]
MONTHS += ["August", "September", "October", "November", "December"]
NUMBER_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
CJK = re.compile("[\u3400-\u9fff]")


def make_ticket(
    intent: str,
    requested_action: str,
    *,
    order_id: str | None = None,
    name: str | None = None,
    quantity: int | None = None,
    amount: tuple[float, str] | None = None,
    date: dt.date | None = None,
    urgency: str = "normal",
) -> dict[str, Any]:
    """A ticket in the key order that every answer uses; `amount` is (value, currency)."""
    return {
        "intent": intent,
        "order_id": order_id,
        "product": {"name": name, "quantity": quantity},
        "amount": None if amount is None else {"value": plain_number(amount[0]), "currency": amount[1]},
        "date": None if date is None else date.isoformat(),
        "urgency": urgency,
        "requested_action": requested_action,
    }


def answer_text(ticket: dict[str, Any]) -> str:
    """The ticket on one line, as the model shall answer."""
    return json.dumps(ticket, ensure_ascii=False)


def plain_number(value: float) -> int | float:
    """49.0 -> 49, 49.90 -> 49.9: the shortest way JSON can say it."""
    rounded = round(value, 2)
    return int(rounded) if rounded == int(rounded) else rounded


def received_line(day: dt.date, lang: str) -> str:
    """The first line of a message: when the shop received it."""
    weekday = WEEKDAYS[lang][day.weekday()]
    return f"收到 {day}（{weekday}）" if lang == "zh" else f"Received {day} ({weekday})"


def draw_order_id(rng: random.Random) -> str:
    """Mostly a letter and eight digits, sometimes digits alone."""
    digits = "".join(rng.choice("0123456789") for _ in range(8))
    return rng.choice("ABCDEFGHKMNPRSTW") + digits if rng.random() < 0.75 else rng.choice("123456789") + digits


def write_order_id(rng: random.Random, order_id: str) -> str:
    """The number as a customer types it: dashes, blanks, lower case, a hash sign."""
    letter, digits = ("", order_id) if order_id[0].isdigit() else (order_id[0], order_id[1:])
    styles = [
        order_id,
        order_id,
        order_id.lower(),
        f"{letter}{digits[:4]}-{digits[4:]}",
        f"{letter}{digits[:4]} {digits[4:]}",
        f"{letter}-{digits}" if letter else order_id,
        f"{letter}-{digits[:4]} {digits[4:]}" if letter else f"{digits[:3]} {digits[3:6]} {digits[6:]}",
    ]
    return ("#" if rng.random() < 0.25 else "") + rng.choice(styles)


def draw_amount(rng: random.Random, lang: str, dollars: tuple[int, int]) -> tuple[float, str]:
    """A believable sum as (value, currency); `dollars` is the range in USD, and yuan are seven times as many."""
    if lang == "zh":
        currency = rng.choices(["CNY", "USD", "EUR", "GBP"], [88, 6, 4, 2])[0]
    else:
        currency = rng.choices(["USD", "EUR", "GBP", "CNY"], [58, 20, 18, 4])[0]
    low, high = (bound * (7 if currency == "CNY" else 1) for bound in dollars)
    whole = round(low * (high / low) ** rng.random())
    cents = rng.choice([0, 0, 0, 0.5, 0.9, 0.99, 0.95, 0.8])
    if whole >= 25 and rng.random() < 0.18:  # round sums are what people say in words
        step = 100 if whole >= 1000 else 50 if whole >= 150 else 10
        whole, cents = whole // step * step, 0
    return (whole if whole >= 1000 else whole + cents), currency


def write_amount(rng: random.Random, amount: tuple[float, str], lang: str) -> str:
    """The sum as a customer types it, e.g. $49.90, 49,90 €, 1.2k, 59块9, 三百块."""
    return _amount_zh(rng, *amount) if lang == "zh" else _amount_en(rng, *amount)


def _amount_en(rng: random.Random, value: float, currency: str) -> str:
    whole = value == int(value)
    dot = f"{value:,.0f}" if whole else f"{value:,.2f}"
    sign = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥"}[currency]
    styles = [f"{sign}{dot}"] * 4 + [f"{dot} {currency}", f"{dot.replace(',', '')} {currency}"]
    if currency == "USD":
        styles += [f"{dot} dollars", f"{dot} bucks"] if whole else [f"${value:.2f}"]
    if currency == "EUR":
        styles += [f"{dot} euros" if whole else f"{value:.2f}".replace(".", ",") + " €", f"{dot} €"]
    if currency == "GBP" and whole:
        styles += [f"{dot} pounds", f"{dot} quid"]
    if currency == "CNY":
        styles += [f"{dot} yuan", f"RMB {dot}"]
    if value >= 1000 and value % 100 == 0:
        styles += [f"{sign}{value / 1000:g}k"] * 4
    return rng.choice(styles)


def _amount_zh(rng: random.Random, value: float, currency: str) -> str:
    plain, comma = f"{plain_number(value)}", f"{plain_number(value):,}"
    if currency != "CNY":
        sign, word = {"USD": ("$", "美元"), "EUR": ("€", "欧元"), "GBP": ("£", "英镑")}[currency]
        return rng.choice([f"{sign}{plain}", f"{plain}{word}"])
    styles = [f"{plain}元", f"{plain}元", f"¥{plain}", f"￥{plain}", f"{comma}元"]
    if value == int(value):
        styles += [f"{plain}块", f"{plain}块钱"]
        if value % 10 == 0:
            styles += [f"{chinese_number(int(value))}块", f"{chinese_number(int(value))}元"] * 2
    elif round(value * 10) == value * 10:
        styles += [f"{int(value)}块{round(value * 10) % 10}"] * 2
    return rng.choice(styles)


def chinese_number(number: int) -> str:
    """1 to 9999 in Chinese words: 12 -> 十二, 300 -> 三百, 1250 -> 一千二百五十."""
    digits, text, gap = "零一二三四五六七八九", "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            text += ("零" if gap and text else "") + digits[digit] + name
        gap = digit == 0
    return text[1:] if text.startswith("一十") else text


def write_date(rng: random.Random, day: dt.date, received: dt.date, lang: str) -> str:
    """The day as a customer says it; yesterday and the like where it fits, else month and day."""
    ago = (received - day).days
    near = {"en": ["today", "yesterday"], "zh": ["今天", "昨天", "前天"]}[lang]
    if ago < len(near) and rng.random() < 0.85:
        return near[ago]
    if lang == "zh":
        month, number = chinese_number(day.month), chinese_number(day.day)
        styles = [f"{day.month}月{day.day}日", f"{day.month}月{day.day}号"] * 2
        styles += [f"{month}月{number}号", f"{day.month}.{day.day}", f"{day.month}/{day.day}", f"{day}"]
        if day.month == received.month:
            styles += [f"这个月{day.day}号"]
        return rng.choice(styles)
    month = MONTHS[day.month - 1]
    suffix = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    styles = [f"{month} {day.day}", f"{day.day} {month}", f"{month[:3]} {day.day}", f"{day.month}/{day.day}"]
    styles += [f"{month} {day.day}{suffix}", f"the {day.day}{suffix} of {month}", f"{month} {day.day}, {day.year}"]
    return rng.choice(styles)


def english_on(written: str) -> str:
    """'March 3' -> 'on March 3'; 'yesterday' stays."""
    return written if written in ("today", "yesterday") else f"on {written}"


def language_of(text: str) -> str:
    """'zh' as soon as one Chinese character stands in the text, else 'en'."""
    return "zh" if CJK.search(text) else "en"
