"""What a training run would make of samples, before it is started: their tokens and their lengths.

Every number comes from the code that training itself uses. Nothing here computes with a model; but the first
tokenizer of a process takes seconds, because transformers imports torch with it, so ask for it off the page's thread.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from qwenlab.conversations.checks import LengthLimit
from qwenlab.conversations.sample import Sample
from qwenlab.models import catalogue, rendering, templates
from qwenlab.models import folder as model_folder
from qwenlab.models.templates import Additions
from qwenlab.training.encoding import IGNORED, Encoded, Labels, TooLong, encode, encode_all
from qwenlab.workspace import Workspace

COUNTED_EXACTLY = 5000
"""Larger sets are estimated from `DRAWN` of their samples."""
DRAWN = 2000
MOST_BINS = 24
LONGEST_CHARACTER = 8
"""Tokens that are joined at most until they make whole characters."""
QUOTED_TOKENS = 40
SHOWN_TOKENS = 4000
"""Nobody reads further, and a browser should not have to draw it."""

Reason = tuple[str, str]
"""Why training leaves a sample out, in English and in Chinese."""


# --- one sample ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenPiece:
    """A token, or the few tokens that make one character together.

    Attributes:
        special: whether it is a sign of the model between turns, not text.
    """

    text: str
    ids: tuple[int, ...]
    trained: bool
    special: bool


@dataclass(frozen=True)
class TokenView:
    """One sample as training sees it.

    Attributes:
        pieces: the first `SHOWN_TOKENS` tokens, in order; empty when there are none at all.
        tokens, trained: how many tokens there are, and how many of them are trained.
        left_out: why training leaves the sample out; None when it does not.
        added: what the model's chat template writes around this sample; None when it has no tokens.
    """

    pieces: tuple[TokenPiece, ...]
    tokens: int
    trained: int
    left_out: Reason | None = None
    added: Additions | None = None


def token_view(
    sample: Sample,
    tokenizer: Any,
    max_length: int,
    languages: Sequence[str] | None = None,
    labels: Labels = "answers",
    too_long: TooLong = "leave_out",
) -> TokenView:
    """The tokens of a sample, and which of them are trained.

    Args:
        max_length, labels, too_long: of the recipe; a sample that is left out is shown all the same.
        languages: those that the run trains in; None for all.

    Raises:
        QwenlabError: when the labels do not suit the model.
    """
    encoded, reason = _encoded(sample, tokenizer, max_length, labels, too_long)
    if languages and _is_foreign(sample, languages):
        names = {"en": ("English", "英文"), "zh": ("Chinese", "中文")}
        which = names[sample.language]
        reason = (f"It is in {which[0]}, which is not trained.", f"内容为{which[1]}，不训练该语言。")
    if encoded is None:
        return TokenView((), 0, 0, reason)
    added = _additions(tokenizer, sample)
    return TokenView(tuple(_pieces(tokenizer, encoded)), len(encoded.ids), encoded.trained, reason, added)


def _additions(tokenizer: Any, sample: Sample) -> Additions:
    added, messages = templates.additions(tokenizer), sample.to_messages()
    told = any(message["role"] == "system" for message in messages)
    thoughts = rendering.last_answer_thinks(messages)
    return replace(added, system="" if told else added.system, no_thoughts=added.no_thoughts and not thoughts)


def _encoded(
    sample: Sample, tokenizer: Any, max_length: int, labels: Labels = "answers", too_long: TooLong = "leave_out"
) -> tuple[Encoded | None, Reason | None]:
    """Tokens and labels where there are any, and why training leaves the sample out, in training's own words."""
    found = encode_all(tokenizer, [sample], sys.maxsize, labels)
    if found.samples and len(found.samples[0].ids) <= max_length:
        return found.samples[0], None
    said = encode_all(tokenizer, [sample], max_length, labels, too_long) if found.samples else found
    if said.samples:  # without its oldest turns
        return said.samples[0], None
    return next(iter(found.samples), None), (said.left_out[0][1], said.left_out_zh[0][1])


def _is_foreign(sample: Sample, languages: Sequence[str]) -> bool:
    return not sample.broken() and sample.language not in languages


def _pieces(tokenizer: Any, encoded: Encoded) -> list[TokenPiece]:
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    ids, labels = encoded.ids, encoded.labels
    found: list[TokenPiece] = []
    start, before = 0, 0  # where the piece begins, and where the one before it began
    while start < min(len(ids), SHOWN_TOKENS):
        trained, end = labels[start] != IGNORED, start + 1
        # Some tokenizers write a blank between tokens only, so each is read behind its neighbour.
        known = len(_decode(tokenizer, ids[before:start]))
        text = _decode(tokenizer, ids[before:end])[known:]
        while (
            text.endswith("\ufffd")
            and end < min(len(ids), start + LONGEST_CHARACTER)
            and (labels[end] != IGNORED) == trained
            and not {ids[end], ids[start]} & special
        ):
            end += 1
            text = _decode(tokenizer, ids[before:end])[known:]
        found.append(TokenPiece(text, tuple(ids[start:end]), trained, ids[start] in special))
        before, start = start, end
    return found


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)) if ids else ""


def cut_quote(sample: Sample, tokenizer: Any, limit: int) -> str:
    """The words that stand beyond `limit` tokens, a line of them; "" when nothing does.

    Raises:
        QwenlabError: when the sample cannot be trained at all.
    """
    ids = encode(tokenizer, sample).ids
    return _decode(tokenizer, ids[limit : limit + QUOTED_TOKENS]).strip("\ufffd")


def length_limit(tokenizer: Any, max_length: int) -> LengthLimit:
    """What the check for samples that are too long needs to know of a model."""
    return LengthLimit(
        limit=max_length,
        count=lambda sample: len(encode(tokenizer, sample).ids),
        cut=lambda sample, limit: cut_quote(sample, tokenizer, limit),
    )


# --- a whole set -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SampleLength:
    """One sample that was counted.

    Attributes:
        index: its position in the set.
        tokens, trained: 0 where it has no tokens at all.
        left_out: why training leaves it out; None when it does not.
        language: "" where no turns can be read.
    """

    index: int
    name: str
    tokens: int
    trained: int
    left_out: Reason | None = None
    language: str = ""


@dataclass(frozen=True)
class Lengths:
    """How long the samples of a set are.

    Attributes:
        all: samples in the set.
        measured: how many of them were counted; fewer than `all` when the totals are extrapolated.
        max_length: tokens of the longest sample that is trained.
        counted: those that were counted and are in a language that is trained.
    """

    all: int
    measured: int
    max_length: int
    counted: tuple[SampleLength, ...] = field(repr=False)

    @property
    def estimated(self) -> bool:
        """Whether the totals are extrapolated."""
        return self.measured < self.all

    def _whole(self, number: int) -> int:
        return round(number * self.all / self.measured) if self.measured else 0

    def within(self, max_length: int, languages: Sequence[str] = (), too_long: TooLong = "leave_out") -> Lengths:
        """The same samples as a recipe trains them, when they were counted without a limit.

        Args:
            languages: those that the run trains in; empty for all.
            too_long: with "drop_history" a sample that is too long counts as one that fills `max_length`.
        """
        counted = [one for one in self.counted if not (languages and one.language and one.language not in languages)]
        if too_long == "drop_history":
            counted = [replace(one, tokens=min(one.tokens, max_length)) for one in counted]
        return replace(self, max_length=max_length, counted=tuple(counted))

    @cached_property
    def used(self) -> list[SampleLength]:
        """Those of `counted` that are trained."""
        return [one for one in self.counted if one.left_out is None and one.tokens <= self.max_length]

    @property
    def samples(self) -> int:
        """Samples that are trained."""
        return self._whole(len(self.used))

    @property
    def tokens(self) -> int:
        """Tokens that one epoch reads."""
        return self._whole(sum(one.tokens for one in self.used))

    @property
    def trained(self) -> int:
        """Tokens that one epoch trains."""
        return self._whole(sum(one.trained for one in self.used))

    @property
    def longest(self) -> int:
        """Tokens of the longest sample that was counted, too long or not."""
        return max((one.tokens for one in self.counted), default=0)

    @property
    def over(self) -> int:
        """Samples that are too long."""
        return self._whole(sum(one.tokens > self.max_length for one in self.counted))

    @property
    def foreign(self) -> int:
        """Samples in a language that is not trained."""
        return self._whole(self.measured - len(self.counted))

    @property
    def unusable(self) -> list[SampleLength]:
        """Counted samples that have no tokens: broken, or without an answer."""
        return [one for one in self.counted if one.left_out is not None and not one.tokens]

    def bins(self) -> list[tuple[int, int, int]]:
        """A histogram: (from, up to and without, samples counted), of equal round widths; the last may be open.

        Samples far beyond the rest and the limit stand together in the last bin.
        """
        lengths = sorted(one.tokens for one in self.counted if one.tokens)
        if not lengths:
            return []
        usual = lengths[min(len(lengths) - 1, len(lengths) * 99 // 100)]
        top = min(lengths[-1], max(2 * usual, self.max_length + 1)) + 1
        rounds = (factor * 10**power for power in range(12) for factor in (1, 2, 5))
        width = next(wide for wide in rounds if top / wide <= MOST_BINS)
        edges = list(range(lengths[0] // width * width, top, width))
        counts = [0] * len(edges)
        for tokens in lengths:
            counts[min((tokens - edges[0]) // width, len(edges) - 1)] += 1
        ends = [*edges[1:], max(edges[-1] + width, lengths[-1] + 1)]
        return list(zip(edges, ends, counts, strict=True))


Known = dict[int, tuple[Sample, SampleLength]]
"""Samples that were counted before, by their identity."""


def lengths(
    samples: Sequence[Sample],
    tokenizer: Any,
    max_length: int,
    progress: Callable[[int, int], None] | None = None,
    languages: Sequence[str] | None = None,
    known: Known | None = None,
    seed: int = 7,
) -> Lengths:
    """Count the tokens of a set as training will.

    Args:
        max_length: of the recipe.
        progress: called now and then with samples done and samples to do.
        languages: those that the run trains in; None for all.
        known: samples that were counted before with this tokenizer and `max_length`; it is brought up to date.
        seed: which samples are drawn where a set is too large to count each.
    """
    chosen: Sequence[int] = range(len(samples))
    if len(samples) > COUNTED_EXACTLY:
        chosen = sorted(random.Random(seed).sample(chosen, DRAWN))
    counted: list[tuple[Sample, SampleLength]] = []
    for done, index in enumerate(chosen):
        if progress and done % 50 == 0:
            progress(done, len(chosen))
        sample = samples[index]
        if languages and _is_foreign(sample, languages):
            continue
        # A sample never changes, and `known` holds it, so that no other one gets its id.
        before = (known or {}).get(id(sample))
        length = before[1] if before else _counted(sample, tokenizer, max_length)
        counted.append((sample, replace(length, index=index, name=sample.id or f"#{index + 1}")))
    if known is not None:
        known.clear()
        known.update((id(sample), (sample, length)) for sample, length in counted)
    return Lengths(len(samples), len(chosen), max_length, tuple(length for _, length in counted))


def _counted(sample: Sample, tokenizer: Any, max_length: int) -> SampleLength:
    encoded, reason = _encoded(sample, tokenizer, max_length)
    tokens, trained = (len(encoded.ids), encoded.trained) if encoded else (0, 0)
    return SampleLength(0, "", tokens, trained, reason, "" if sample.broken() else sample.language)


# --- the tokenizer ---------------------------------------------------------------------------------------

_tokenizers: dict[tuple[Path, int], Any] = {}
_loading = threading.Lock()


def tokenizer_for(workspace: Workspace, model: str) -> Any:
    """The tokenizer of a model, read once while its files stay the same; the first one takes seconds.

    Raises:
        QwenlabError: when the model is not here or its tokenizer is broken.
    """
    key = tokenizer_key(workspace, model)
    with _loading:
        if key not in _tokenizers:
            from qwenlab.models import loading

            _tokenizers.clear()  # one model is looked at at a time
            _tokenizers[key] = loading.load_tokenizer(key[0])
        return _tokenizers[key]


def is_loaded(workspace: Workspace, model: str) -> bool:
    """Whether `tokenizer_for` would answer at once. Raises QwenlabError when the model is not here."""
    return tokenizer_key(workspace, model) in _tokenizers


def tokenizer_key(workspace: Workspace, model: str) -> tuple[Path, int]:
    """Names a tokenizer as its files stand now. Raises QwenlabError when the model is not here."""
    folder = catalogue.locate(workspace, model)
    known = [folder / name for name in model_folder.TOKENIZER_FILES if (folder / name).exists()]
    return folder, max((path.stat().st_mtime_ns for path in known), default=0)
