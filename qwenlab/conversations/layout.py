"""How a train.json is laid out as text, so that what nobody edited is written back byte for byte."""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from qwenlab.conversations import strict_json
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.sample import DEEPEST, Sample, to_json, too_deep
from qwenlab.conversations.words import DataError

_COMMENT_OR_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*')
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True)
class Layout:
    """Text around the samples and the style of a new one.

    Attributes:
        before, between, after: the text before the first sample, between two, and after the last.
        margin: white space at the start of a sample's lines.
        indent: one more level of it; None when a sample stands on one line.
        tight: whether a one-line sample has no space after commas and colons.
    """

    before: str = "[\n  "
    between: str = ",\n  "
    after: str = "\n]\n"
    margin: str = "  "
    indent: str | None = "  "
    tight: bool = False

    def render(self, sample: Sample) -> str:
        """The text of one sample: as it stood in the file, or written anew in the file's style."""
        if sample.source is not None:
            return sample.source
        if self.indent is not None:
            newline = "\r\n" if "\r\n" in self.between + self.before else "\n"
            return to_json(sample.raw, self.indent).replace("\n", newline + self.margin)
        return to_json(sample.raw, tight=self.tight)

    def join(self, samples: Sequence[Sample]) -> bytes:
        """The whole file, in UTF-8."""
        if not samples:
            return b"[]\n"
        content = io.BytesIO()
        content.write(self.before.encode("utf-8"))
        for start in range(0, len(samples), 1000):  # in pieces: a large set in memory twice is enough
            texts = [self.render(sample) for sample in samples[start : start + 1000]]
            content.write(((self.between if start else "") + self.between.join(texts)).encode("utf-8"))
        content.write(self.after.encode("utf-8"))
        return content.getvalue()


def decode(content: bytes) -> str:
    """The text of a file in UTF-8 (with or without BOM), UTF-16 with BOM, or GBK.

    Raises:
        DataError: when it is in none of them.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError("file_encoding")


def split(text: str, facts: list[Facts] | None = None) -> tuple[list[Sample], Layout]:
    """Cut the text of a JSON list into samples, each with its exact text, and find the style.

    `//` comments are accepted; they are gone once the file is edited, because other tools refuse them.

    Args:
        text: the file.
        facts: an empty list to fill with what is known of each sample.

    Raises:
        DataError: naming the sample and line where reading stopped.
    """
    try:
        return _split(text, facts)
    except DataError:
        plain = without_comments(text)
        if plain == text:
            raise
        if facts is not None:
            facts.clear()
        samples, _ = _split(plain, facts)
        return [Sample(sample.raw) for sample in samples], Layout()


def without_comments(text: str) -> str:
    """The text with every `//` comment outside strings blanked, so that line numbers stay."""
    return _COMMENT_OR_STRING.sub(lambda found: " " * len(found[0]) if found[0].startswith("//") else found[0], text)


def _split(text: str, facts: list[Facts] | None) -> tuple[list[Sample], Layout]:
    place = _skip(text, 0)
    if text[place : place + 1] != "[":
        raise _not_a_list(text, place)
    decoder = json.JSONDecoder()
    samples: list[Sample] = []
    gaps: list[str] = []
    end, place = 0, _skip(text, place + 1)
    if text[place : place + 1] == "]":
        _nothing_after(text, place + 1)
        return [], Layout()
    while True:
        gaps.append(text[end:place])
        start = place
        try:
            raw, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise _broken(text, samples, start, error.pos, strict_json.reason(error)) from error
        except RecursionError as error:
            raise _broken(text, samples, start, start, "json_deep") from error
        except ValueError as error:
            raise _broken(text, samples, start, start, "json_number") from error
        source = text[start:end]
        if source.count("[") + source.count("{") > DEEPEST and too_deep(raw):
            raise _broken(text, samples, start, start, "json_deep")
        samples.append(Sample.unread(source))
        if facts is not None:
            facts.append(Facts(samples[-1], raw))
        place = _skip(text, end)
        mark = text[place : place + 1]
        if mark == "]":
            break
        if mark != ",":
            raise _broken(text, samples[:-1], start, place, "json_comma")
        place = _skip(text, place + 1)
    _nothing_after(text, place + 1)
    return samples, _style(gaps, text[end:], samples[0].source or "")


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _style(gaps: list[str], after: str, first: str) -> Layout:
    before = gaps[0]
    between = gaps[1] if len(gaps) > 1 else None
    margin = before.rpartition("\n")[2] if "\n" in before else ""
    if margin.strip():
        margin = ""
    newline = "\r\n" if "\r\n" in before + first else "\n"
    if between is None:
        between = f",{newline}{margin}" if "\n" in before else ", "
    inner = re.match(r"\{[ \t]*\r?\n([ \t]*)", first)
    if inner is None:
        return Layout(before, between, after, margin, None, tight='": ' not in first)
    indent = inner[1].removeprefix(margin) or "  "
    return Layout(before, between, after, margin, indent)


def _not_a_list(text: str, place: int) -> DataError:
    if not text.strip():
        return DataError("file_empty")
    lines = [line for line in text.splitlines()[:3] if line.strip()]
    if text[place] == "{" and len(lines) > 1 and all(line.rstrip().endswith("}") for line in lines):
        return DataError("file_jsonl")
    return DataError("file_object" if text[place] == "{" else "file_not_json")


def _nothing_after(text: str, place: int) -> None:
    place = _skip(text, place)
    if place < len(text):
        raise DataError("file_rest", line=text.count("\n", 0, place) + 1)


def _broken(text: str, done: list[Sample], start: int, place: int, reason: str) -> DataError:
    """Name the sample in which reading stopped, by number and by id when one can still be read."""
    found = re.search(r'"id"\s*:\s*"([^"\n]{1,60})"', text[start : max(place, start) + 1])
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    return DataError(
        "file_broken",
        number=len(done) + 1,
        id=f" ({found[1]})" if found else "",
        line=line,
        column=column,
        reason=reason,
    )
