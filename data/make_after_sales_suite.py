"""Writes the suite's generated.jsonl: cases from templates and products that the training data does not use.

python data/make_after_sales_suite.py            rewrite the file
python data/make_after_sales_suite.py --check    exit 1 if the committed file is not what this would write
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import sys
from pathlib import Path
from typing import Any

from after_sales_suite_templates import PRODUCTS, TEMPLATES, Template
from after_sales_ticket import (
    NUMBER_WORDS,
    SYSTEM,
    answer_text,
    draw_amount,
    draw_order_id,
    english_on,
    make_ticket,
    received_line,
    write_amount,
    write_date,
    write_order_id,
)

OUTPUT = Path(__file__).parents[1] / "eval_suites" / "after-sales-tickets" / "generated.jsonl"
SEED = 1001
PER_TEMPLATE = 2
PRICES = {"electric": (25, 290), "wear": (15, 120), "house": (12, 110), "fragile": (12, 70)}
CHINESE_COUNTS = "零一两三四五六七八九"


def make_case(rng: random.Random, template: Template, product: tuple[str, str], lang: str) -> dict[str, Any]:
    """One case of the template about this product: what is said and the ticket expected for it."""
    one, other = product  # the plural in English, the measure word in Chinese
    text = template.text + template.follow
    counted, dated = "{n}" in text, "{d}" in text or "{on}" in text
    received = dt.date(2026, 1, 1) + dt.timedelta(days=rng.randint(70, 360))
    day = received - dt.timedelta(days=rng.randint(*template.days))
    count = rng.randint(2, 4) if template.kind == "electric" else rng.randint(2, 9)
    low, high = (bound * (count if counted else 1) for bound in PRICES[template.kind])
    order_id, amount = draw_order_id(rng), draw_amount(rng, lang, template.dollars or (low, high))
    written_day = write_date(rng, day, received, lang)
    slots = {
        "one": one,
        "many": other,
        "m": other,
        "n": rng.choice([str(count), CHINESE_COUNTS[count] if lang == "zh" else NUMBER_WORDS[count]]),
        "o": write_order_id(rng, order_id),
        "amt": write_amount(rng, amount, lang),
        "d": written_day,
        "on": english_on(written_day),
    }
    said: dict[str, Any] = {
        "order_id": order_id if "{o}" in text else None,
        "amount": amount if "{amt}" in text else None,
        "date": day if dated else None,
        "quantity": count if counted else None,
        "name": other if "{many}" in text else one if "{one}" in text else None,
        "urgency": template.urgency,
    }
    case = _asked(template, slots, said, received_line(received, lang))
    if lang == "zh":
        case["system"] = SYSTEM["zh"]
    case["expected"] = make_ticket(template.intent, template.requested_action, **said)
    if counted and lang == "en":
        case["accept"] = {"/product/name": [one, other]}
    case["tags"] = ["generated", lang, *(["multi-turn"] if template.follow else [])]
    case["group"] = template.id
    return case


def _asked(template: Template, slots: dict[str, str], said: dict[str, Any], first_line: str) -> dict[str, Any]:
    """The case's prompt, or its history where the template has a second message."""
    message = template.text.format(**slots)
    message = f"{first_line}\n{message[0].upper() + message[1:]}"
    if not template.follow:
        return {"id": "", "prompt": message}
    before = said | dict.fromkeys(template.later)
    ticket = make_ticket(template.intent, template.requested_action, **before)
    turns = [("user", message), ("assistant", answer_text(ticket)), ("user", template.follow.format(**slots))]
    return {"id": "", "history": [{"role": role, "content": content} for role, content in turns]}


def make_cases(seed: int = SEED) -> list[dict[str, Any]]:
    """All generated cases: each template twice, with two products, in both languages."""
    cases = []
    for lang, templates in TEMPLATES.items():
        rng = random.Random(f"{seed}-{lang}")
        decks = {kind: rng.sample(items, len(items)) for kind, items in PRODUCTS[lang].items()}
        number = 0
        for _ in range(PER_TEMPLATE):
            for template in templates:
                deck = decks[template.kind]
                product = deck.pop(0)
                deck.append(product)
                number += 1
                cases.append(make_case(rng, template, product, lang) | {"id": f"{lang}-{number:03d}"})
    return cases


def render() -> str:
    """The file's text: one case a line."""
    return "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in make_cases())


def main(arguments: list[str] | None = None) -> int:
    """Write or check the file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare with the committed file")
    text = render()
    if not parser.parse_args(arguments).check:
        OUTPUT.write_text(text, encoding="utf-8", newline="\n")
        return 0
    if OUTPUT.is_file() and OUTPUT.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{OUTPUT.name} is not what the generator writes: run python data/make_after_sales_suite.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
