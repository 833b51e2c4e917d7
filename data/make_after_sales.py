"""Writes after-sales.train.json: after-sales messages and their JSON tickets, seeded, the same bytes every time.

python data/make_after_sales.py            rewrite the file
python data/make_after_sales.py --check    exit 1 if the committed file is not what this would write
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import after_sales_chinese
import after_sales_english
from after_sales_ticket import (
    ACTIONS,
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

OUTPUT = Path(__file__).with_name("after-sales.train.json")
SEED = 20260314
PER_LANGUAGE = 200
DIALOGUE_SHARE, NO_SYSTEM_SHARE, SLIP_SHARE, LOWER_CASE_SHARE = 0.12, 0.1, 0.16, 0.12
WORDS: dict[str, ModuleType] = {"en": after_sales_english, "zh": after_sales_chinese}
CHINESE_COUNTS = "零一两三四五六七八九十"

# How often a fact is said, by matter, where it differs from the rest.
SAID = {"order_id": 0.66, "product": 0.76, "quantity": 0.48, "amount": 0.42, "date": 0.46}
SAID_BY_INTENT: dict[str, dict[str, float]] = {
    "question": {"order_id": 0.05, "date": 0.0, "quantity": 0.4, "amount": 0.35},
    "charge": {"amount": 0.8, "product": 0.6},
    "invoice": {"product": 0.65},
}
# What one piece costs, in dollars; "" is an order of which no product is named.
PRICES = {
    "": (15, 400),
    "tech": (15, 180),
    "appliance": (30, 320),
    "wear": (18, 140),
    "home": (9, 120),
    "pantry": (7, 40),
}
# Kinds of product that a matter fits; the days between the order and the message.
GOODS_MATTERS = ("return", "exchange", "repair", "missing", "delivery")
DURABLE = ("tech", "appliance", "wear", "home")
KINDS = {"exchange": DURABLE, "repair": DURABLE, "question": DURABLE}
FEW, MANY = (1, 1, 1, 2, 2, 2, 2, 3, 3, 4), (2, 2, 3, 3, 4, 5, 6, 8, 10)
QUANTITIES = {"tech": FEW, "appliance": FEW, "wear": FEW, "home": FEW + MANY, "pantry": FEW + MANY, "question": MANY}
DAYS_AGO = {
    "return": (1, 24),
    "return.track": (8, 24),
    "repair": (12, 40),
    "delivery": (7, 25),
    "cancel": (0, 3),
    "cancel.refund": (5, 16),
}


class Facts:
    """What one customer says: the drawn values and how they are written."""

    def __init__(self, rng: random.Random, intent: str, action: str, lang: str) -> None:
        said = SAID | SAID_BY_INTENT.get(intent, {})
        self.rng, self.intent, self.action, self.lang = rng, intent, action, lang
        self.received = dt.date(2026, 1, 1) + dt.timedelta(days=rng.randint(45, 355))
        self.order_id = draw_order_id(rng) if rng.random() < said["order_id"] else None
        self.date = self._day() if rng.random() < said["date"] else None
        self.kind, self.phrase, self.many = "", "", False
        self.name: str | None = None
        self.quantity: int | None = None
        if rng.random() < said["product"]:
            self._product(said["quantity"])
        self.amount = self.draw_sum() if rng.random() < said["amount"] else None
        self.urgency = rng.choices(["normal", "high", "low"], [52, 30, 18])[0]
        if intent == "question":
            self.urgency = rng.choices(["normal", "high", "low"], [64, 18, 18])[0]

    def _day(self) -> dt.date:
        low, high = DAYS_AGO.get(f"{self.intent}.{self.action}") or DAYS_AGO.get(self.intent, (0, 16))
        ago = self.rng.randint(low, 2 if low < 2 and self.rng.random() < 0.5 else high)
        return self.received - dt.timedelta(days=ago)

    def draw_sum(self) -> tuple[float, str]:
        """What such a product in such a number costs."""
        low, high = PRICES[self.kind]
        count = self.quantity or 1
        return draw_amount(self.rng, self.lang, (low * count, high * count))

    def _product(self, quantity_share: float) -> None:
        products = WORDS[self.lang].PRODUCTS
        kinds = KINDS.get(self.intent, tuple(products))
        self.kind, one, several = self.rng.choice([(kind, *item) for kind in kinds for item in products[kind]])
        if self.action == "repair" and self.kind == "home":
            self.kind, one, several = self.rng.choice([("tech", *item) for item in products["tech"]])
        if self.rng.random() < quantity_share:
            self.quantity = self.rng.choice(QUANTITIES["question" if self.intent == "question" else self.kind])
        self.name = one
        phrase = self._phrase_zh if self.lang == "zh" else self._phrase_en
        self.phrase = phrase(one, several)

    def _phrase_zh(self, name: str, measure: str) -> str:
        if self.quantity is None:
            return self.rng.choice([name, name, f"那款{name}", f"你们家的{name}"])
        count = self.rng.choice([str(self.quantity), CHINESE_COUNTS[self.quantity]])
        return self.rng.choice([f"{count}{measure}{name}"] * 6 + [f"{name}x{self.quantity}"])

    def _phrase_en(self, one: str, several: str) -> str:
        paired = several.endswith(" of")
        alone = self.quantity in (None, 1)
        self.many = one.endswith("s") if paired and alone else not alone
        self.name = one if paired or alone else several
        if self.quantity is None:
            return self.rng.choice(["the", "the", "my"]) + f" {one}"
        count = self.rng.choice([str(self.quantity), NUMBER_WORDS[self.quantity]])
        determiner = "" if alone else self.rng.choice(["the ", "my ", ""])
        if not paired:
            return f"{determiner}{count} {self.name}"
        measure = several if not alone else several.replace("boxes", "box").replace("s of", " of")
        return f"{determiner}{count} {measure} {one}"

    def just_delivered(self) -> bool:
        """Whether the day that is said can only be the day of delivery."""
        arrived = self.intent in ("return", "exchange", "missing")
        return arrived and self.date is not None and (self.received - self.date).days <= 3

    def ticket(self) -> dict[str, Any]:
        return make_ticket(
            self.intent,
            self.action,
            order_id=self.order_id,
            name=self.name,
            quantity=self.quantity,
            amount=self.amount,
            date=self.date,
            urgency=self.urgency,
        )

    def fill(self, template: str) -> str:
        """The template with this customer's words; the caller has seen to it that each slot has a value."""
        day = write_date(self.rng, self.date, self.received, self.lang) if self.date else ""
        bare = re.sub(r"^(the|my) (?=\d|" + "|".join(NUMBER_WORDS[1:]) + r")", "", self.phrase)
        some = self.phrase if self.quantity else re.sub(r"^(the|my) ", "some " if self.many else "a ", self.phrase)
        slots = {
            "np": self.phrase,
            "anp": bare if self.quantity else re.sub(r"^a (?=[aeio])", "an ", some),
            "it": "them" if self.many else "it",
            "is": "are" if self.many else "is",
            "was": "were" if self.many else "was",
            "amt": write_amount(self.rng, self.amount, self.lang) if self.amount else "",
            "o": write_order_id(self.rng, self.order_id) if self.order_id else "",
            "d": day,
            "on": english_on(day),
        }
        return template.format(**slots)


def pick_story(facts: Facts) -> str:
    """A story of this matter (and request, and kind of product) that uses only what the customer says."""
    stories = WORDS[facts.lang].STORIES
    keys = [f"{facts.intent}.{facts.action}"] if f"{facts.intent}.{facts.action}" in stories else []
    if not keys:
        keys = [key for key in stories if key == facts.intent or _kind_key_fits(key, facts)]
    fitting = []
    for story in (story for key in keys for story in stories[key]):
        names_product = "{np}" in story or "{anp}" in story
        if facts.intent == "question" and facts.quantity and "{anp}" not in story:
            continue
        if names_product == (facts.name is not None) and not ("{amt}" in story and facts.amount is None):
            fitting.append(story)
    with_amount = [story for story in fitting if "{amt}" in story]
    if facts.amount and with_amount and (facts.intent == "question" or facts.rng.random() < 0.8):
        fitting = with_amount
    return facts.rng.choice(fitting)


def _kind_key_fits(key: str, facts: Facts) -> bool:
    intent, _, kinds = key.partition(":")
    return intent == facts.intent and bool(facts.kind) and facts.kind in kinds.split(",")


def pick_request(facts: Facts) -> str:
    """The sentence that asks for the action; a phrase for just this matter goes before the common ones."""
    requests = WORDS[facts.lang].REQUESTS
    key = f"{facts.intent}.{facts.action}"
    request = facts.rng.choice(requests.get(key) or requests[facts.action])
    if facts.name is None and facts.lang == "en" and facts.intent in ("missing", "repair"):
        request = request.replace("{it}", "it")
    return request


def write_message(facts: Facts) -> str:
    """One message: a story with a request, the facts in it or beside it, and manners around."""
    rng, words = facts.rng, WORDS[facts.lang]
    story = pick_story(facts)
    left = [letter for letter, value in (("o", facts.order_id), ("d", facts.date)) if value]
    left += ["a"] if facts.amount and "{amt}" not in story else []
    story, left = _with_clause(facts, story, left)
    beside = [("o" if "{o}" in text else "", facts.fill(text)) for text in _fact_sentences(facts, left)]
    parts = [facts.fill(story), facts.fill(pick_request(facts))]
    urgency = rng.choice(words.URGENCY[facts.urgency])
    asides = words.ASIDES + (words.LETDOWNS if facts.intent in GOODS_MATTERS else [])
    aside = rng.choice(asides) if rng.random() < 0.3 else ""
    for order, sentence in beside:  # a lone sum or day makes no first sentence, an order number does
        parts.insert(rng.choice([0, 0, 1, 2] if order else [1, 1, 2]), sentence)
    if aside:
        parts.insert(rng.choice([0, 1, len(parts)]), aside)
    parts.insert(len(parts) if rng.random() < 0.75 else rng.choice([0, 1]), urgency)
    parts = [rng.choice(words.OPENINGS), *parts, rng.choice(words.CLOSINGS)]
    return _join([part for part in parts if part], facts.lang)


def _with_clause(facts: Facts, story: str, left: list[str]) -> tuple[str, list[str]]:
    """Sometimes a fact stands right at the product: 'the kettle I bought on March 3'."""
    if facts.intent in ("cancel", "question") or "{np}" not in story or facts.rng.random() < 0.55:
        return story, left
    starts = story.startswith("{np}")
    if facts.lang == "zh":
        facts.phrase = facts.phrase.removeprefix("那款").removeprefix("你们家的")
    choices = [key for key in WORDS[facts.lang].CLAUSES if set(key) <= set(left) and (starts or key in "od")]
    if facts.lang == "zh" and not starts:
        choices = []
    if facts.quantity and facts.lang == "en":  # "two mugs I paid $9 for" leaves open what $9 bought
        choices = [key for key in choices if "a" not in key]
    choices = [key for key in choices if not ("d" in key and facts.just_delivered())]
    if not choices:
        return story, left
    key = facts.rng.choice(choices)
    clause = facts.rng.choice(WORDS[facts.lang].CLAUSES[key])
    return story.replace("{np}", clause, 1), [letter for letter in left if letter not in key]


def _fact_sentences(facts: Facts, left: list[str]) -> list[str]:
    """One sentence for all facts that are left, or the order number apart from the others."""
    if not left:
        return []
    rng, words = facts.rng, WORDS[facts.lang]
    if "d" in left and facts.just_delivered():
        rest = [letter for letter in left if letter != "d"]
        return [rng.choice(words.DELIVERED), *([rng.choice(words.FACTS["".join(rest)])] if rest else [])]
    if len(left) > 1 and left[0] == "o" and rng.random() < 0.4:
        return [rng.choice(words.FACTS["o"]), rng.choice(words.FACTS["".join(left[1:])])]
    return [rng.choice(words.FACTS["".join(left)])]


def _join(parts: list[str], lang: str) -> str:
    if lang == "zh":
        return "".join(parts)
    sentences = [part[0].upper() + part[1:] for part in parts]
    if sentences[0].endswith(",") and not re.match(r"I\b|[A-Z]{2}", sentences[1]):
        sentences[1] = sentences[1][0].lower() + sentences[1][1:]
    return " ".join(sentences)


def roughen(facts: Facts, message: str) -> str:
    """Slips and missing capitals on some messages; names and facts are left readable."""
    rng = facts.rng
    if rng.random() < SLIP_SHARE:
        slips = [slip for slip in WORDS[facts.lang].SLIPS if slip[0] in message]
        for wrong, right in rng.sample(slips, min(len(slips), 2)):
            message = message.replace(wrong, right, 1)
    if facts.lang == "en" and rng.random() < LOWER_CASE_SHARE:
        message = message.lower()
        facts.name = facts.name.lower() if facts.name else None
    return message


def follow_up(facts: Facts) -> str | None:
    """A second message that adds or corrects one thing; changes `facts`, or None where nothing fits."""
    rng, said = facts.rng, WORDS[facts.lang].FOLLOW_UPS
    others = [action for action in ACTIONS[facts.intent] if action in said and action != facts.action]
    if f"{facts.intent}.{facts.action}" in WORDS[facts.lang].STORIES or facts.intent in (
        "invoice",
        "return",
        "cancel",
    ):
        others = []  # the story itself says what they want
    options = [] if facts.intent == "question" else ["order_fix" if facts.order_id else "order_id"]
    options += [key for key in ("date", "amount") if getattr(facts, key) is None and facts.intent != "question"]
    options += ["quantity"] if "quantity" in said and facts.name and facts.quantity is None else []
    options += ["high", "low"] if facts.urgency == "normal" else []
    options += others * 2
    if not options:
        return None
    key = rng.choice(options)
    count = rng.randint(2, 6)
    if key in ("order_id", "order_fix"):
        facts.order_id = draw_order_id(rng)
    elif key == "date":
        facts.date = facts.received - dt.timedelta(days=rng.randint(4, 20))
    elif key == "amount":
        facts.amount = facts.draw_sum()
    elif key == "quantity":
        facts.quantity = count
    elif key in ("high", "low"):
        facts.urgency = key
    else:
        facts.action = key
    text = rng.choice(said[key]).replace("{n}", f"{count}" + ("件" if facts.lang == "zh" else ""))
    return facts.fill(text)


def make_conversation(rng: random.Random, intent: str, action: str, lang: str) -> list[dict[str, str]]:
    """The turns of one sample: maybe a system turn, a message, its ticket, and for some a second round."""
    facts = Facts(rng, intent, action, lang)
    message = roughen(facts, write_message(facts))
    turns = [{"from": "system", "value": SYSTEM[lang]}] if rng.random() >= NO_SYSTEM_SHARE else []
    turns.append({"from": "user", "value": f"{received_line(facts.received, lang)}\n{message}"})
    turns.append({"from": "assistant", "value": answer_text(facts.ticket())})
    if rng.random() < DIALOGUE_SHARE:
        correction = follow_up(facts)
        if correction is not None:
            turns.append({"from": "user", "value": correction})
            turns.append({"from": "assistant", "value": answer_text(facts.ticket())})
    return turns


def deal_matters(rng: random.Random, count: int) -> list[tuple[str, str]]:
    """`count` pairs of intent and action: every intent as often as the next, actions by their weight."""
    dealt: list[tuple[str, str]] = []
    share = -(-count // len(ACTIONS))
    for intent, weights in ACTIONS.items():
        hand: list[str] = []
        while len(hand) < share:
            hand += [action for action, weight in weights.items() for _ in range(weight)]
        rng.shuffle(hand)
        dealt += [(intent, action) for action in hand[:share]]
    rng.shuffle(dealt)
    return dealt[:count]


def make_samples(seed: int = SEED, per_language: int = PER_LANGUAGE) -> list[dict[str, Any]]:
    """All samples, English and Chinese in turn; no user text stands twice."""
    samples: dict[str, list[dict[str, Any]]] = {"en": [], "zh": []}
    seen: set[str] = set()
    for lang, made in samples.items():
        rng = random.Random(f"{seed}-{lang}")
        for intent, action in deal_matters(rng, per_language):
            turns = make_conversation(rng, intent, action, lang)
            while not _fits(turns, lang) or turns_text(turns) in seen:
                turns = make_conversation(rng, intent, action, lang)
            seen.add(turns_text(turns))
            made.append({"id": f"after-sales-{lang}-{len(made) + 1:04d}", "conversations": turns})
    return [sample for pair in zip(samples["en"], samples["zh"], strict=True) for sample in pair]


def _fits(turns: list[dict[str, str]], lang: str) -> bool:
    """Neither a bare line nor a letter: 12 to 70 English words, 20 to 120 Chinese characters."""
    body = next(turn["value"] for turn in turns if turn["from"] == "user").split("\n", 1)[1]
    return 12 <= len(body.split()) <= 70 if lang == "en" else 20 <= len(body) <= 120


def turns_text(turns: list[dict[str, str]]) -> str:
    """What the user said, without the line that tells the date."""
    said = [turn["value"] for turn in turns if turn["from"] == "user"]
    return "\n".join([said[0].split("\n", 1)[1], *said[1:]])


def render() -> str:
    """The file's text: one JSON list, one line a turn where an editor can follow it."""
    return json.dumps(make_samples(), ensure_ascii=False, indent=1) + "\n"


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
    sys.stderr.write(f"{OUTPUT.name} is not what the generator writes: run python data/make_after_sales.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
