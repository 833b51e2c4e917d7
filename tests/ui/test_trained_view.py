"""What will be trained as HTML, and what is computed beside the page."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import gradio as gr
import pytest

from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.training.estimate import Estimate, Machine
from qwenlab.training.forecast import Forecast, Pace
from qwenlab.training.preview import Lengths, SampleLength, TokenPiece, TokenView
from qwenlab.ui import trained_view
from qwenlab.ui.background import Background
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator
from qwenlab.ui.trained import Trained, sample_fold, set_fold
from qwenlab.workspace import Workspace

EN, ZH = Translator("en"), Translator("zh")
EVIL = "\"'><script>alert(1)</script>"
VIEW = TokenView(
    (
        TokenPiece("<|im_start|>", (1,), False, True),
        TokenPiece("user\n", (7, 8), False, False),
        TokenPiece(EVIL, (9,), True, False),
        TokenPiece("<|im_end|>", (2,), True, True),
    ),
    tokens=5,
    trained=2,
)


class Tokens(HTMLParser):
    """(text, title, trained) of every token."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, bool]] = []
        self.tags: set[str] = set()
        self._marked = False
        self._title = ""
        self.feed(html[html.index('class="tokens"') :])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._marked = self._marked or tag == "mark"
        if tag == "i":
            self._title = dict(attrs)["title"] or ""
            self.found.append(("", self._title, self._marked))

    def handle_endtag(self, tag: str) -> None:
        self._marked = self._marked and tag != "mark"

    def handle_data(self, data: str) -> None:
        if self.found and data != "↵":
            text, title, marked = self.found[-1]
            self.found[-1] = (text + data, title, marked)


def stats(*tokens: int, limit: int = 1024, all_: int = 0, why: tuple[str, str] = ("Bad.", "坏。")) -> Lengths:
    rows = []
    for at, number in enumerate(tokens):
        reason = why if not number else ("long", "长") if number > limit else None
        rows.append(SampleLength(at, f"s{at}<b>", number, number // 4, reason))
    return Lengths(all_ or len(rows), len(rows), limit, tuple(rows))


def takes(seconds: float, run: str = "") -> Forecast:
    need, machine = Estimate(10**9, seconds, {}, True), Machine(8 * 10**9)
    return Forecast(10, 5, 1000, seconds, Pace(12.5, 0.0, run), need, machine)


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html).split())


# --- one sample ------------------------------------------------------------------------------------------


def test_every_token_stands_there_once_with_its_number_and_trained_ones_are_marked() -> None:
    page = Tokens(trained_view.tokens(VIEW, EN))
    assert page.found == [
        ("<|im_start|>", "token 1", False),
        ("user\n", "tokens 7, 8", False),
        (EVIL, "token 9", True),
        ("<|im_end|>", "token 2", True),
    ]
    assert "script" not in page.tags


def test_counts_and_legend_are_said_in_both_languages() -> None:
    assert "2 of 5 tokens are trained" in words(trained_view.tokens(VIEW, EN, "SmolLM2"))
    assert "with SmolLM2" in words(trained_view.tokens(VIEW, EN, "SmolLM2"))
    assert "5 个 token 中有 2 个参与训练" in words(trained_view.tokens(VIEW, ZH))


def test_tokens_that_are_not_shown_are_counted() -> None:
    html = trained_view.tokens(TokenView(VIEW.pieces, tokens=10_005, trained=2), EN)
    assert "and 10,000 more tokens" in html


def test_reason_for_leaving_out_is_said_in_the_page_s_language() -> None:
    left_out = TokenView((), 0, 0, ("It has no <answer>.", "没有回答。"))
    assert "It has no &lt;answer&gt;." in trained_view.tokens(left_out, EN)
    assert "没有回答" in trained_view.tokens(left_out, ZH)
    assert "No sample is open" in trained_view.tokens(None, EN)


def test_waiting_says_what_for() -> None:
    assert "vocabulary" in trained_view.waiting(EN)
    assert "50 of 200 samples" in trained_view.waiting(EN, 50, 200)
    assert 'aria-valuenow="25"' in trained_view.waiting(ZH, 50, 200)


# --- a whole set -----------------------------------------------------------------------------------------


def test_sums_share_longest_and_time_are_said() -> None:
    said = words(trained_view.lengths(stats(100, 200, 100), EN, takes(90, "run-7"), 3))
    for part in ("3 samples trained", "400 tokens are read", "25%", "(100)", "200 tokens in the longest"):
        assert part in said
    assert "2 min expected here" in said
    assert "for 3 epochs, at the 12 tokens/s of the run run-7" in said
    guessed = words(trained_view.lengths(stats(100), EN, takes(90), 3))
    assert "an estimate: this model has not been trained here yet" in guessed


def test_estimate_is_called_one() -> None:
    said = words(trained_view.lengths(stats(100, 100, all_=10_000), EN))
    assert "2 samples drawn at random, because the set has 10,000" in said
    assert "≈ 1,000,000 tokens" in said
    assert "≈" not in trained_view.lengths(stats(100, 100), EN)


def test_what_is_left_out_is_named_with_the_reason() -> None:
    html = trained_view.lengths(stats(100, 2000, 0), EN)
    assert "longer than 1,024 tokens, left out: 1" in html
    assert 'data-index="2"' in html
    assert "s2&lt;b&gt;" in html
    assert "Bad." in html
    assert "坏" in trained_view.lengths(stats(100, 2000, 0), ZH)
    foreign = Lengths(4, 4, 1024, stats(100).counted)
    assert "is not trained in, left out: 3" in trained_view.lengths(foreign, EN)


def test_nothing_to_train_is_said() -> None:
    for empty in (stats(), stats(0, 0), stats(5000)):
        assert "No sample of this set can be trained" in trained_view.lengths(empty, EN)


@pytest.mark.parametrize(("limit", "shown"), [(300, True), (10_000, False)])
def test_limit_is_a_line_where_it_is_in_sight(limit: int, shown: bool) -> None:
    html = trained_view.lengths(stats(*range(100, 400, 3), limit=limit), EN)
    assert ('<line class="limit"' in html) == shown
    assert f"longest sample{':' if shown else ''} {limit:,}" in html
    assert ('class="over"' in html) == shown


@pytest.mark.parametrize("t", [EN, ZH], ids=["en", "zh"])
def test_picture_can_be_read_without_seeing_it(t: Translator) -> None:
    html = trained_view.lengths(stats(*range(100, 400, 3), 50_000_000), t)
    assert re.search(r'role="img" aria-label="[^"]{20,}"', html)
    titles = re.findall(r"<title>([^<]*)</title>", html)
    counts = [int(re.findall(r"[\d,]+", title)[-1].replace(",", "")) for title in titles]
    assert sum(counts) == 101
    numbers = [float(one) for one in re.findall(r' (?:x|y|width|height|x1)="([-\d.]+)"', html)]
    assert all(-1 <= one <= 1001 for one in numbers)


# --- beside the page -------------------------------------------------------------------------------------


def until(done: Any) -> None:
    for _ in range(3000):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_background_tells_how_far_it_is_and_computes_once() -> None:
    background, go, calls = Background(), threading.Event(), []

    def work(progress: Any) -> str:
        calls.append(1)
        progress(1, 4)
        go.wait(5)
        return "done"

    task = background.look("a", work)
    until(lambda: task.all)
    assert (task.done, task.all, task.finished) == (1, 4, False)
    go.set()
    until(lambda: background.look("a", work).finished)
    assert background.look("a", work).result == "done"
    assert calls == [1]


def test_background_drops_what_is_not_wanted_any_more_and_keeps_errors() -> None:
    background, go, reached = Background(), threading.Event(), []

    def slow(progress: Any) -> None:
        go.wait(5)
        progress(1, 2)
        reached.append("never")

    def broken(progress: Any) -> None:
        raise QwenlabError("No.", "Do.")

    dropped = background.look("a", slow)
    failed = background.look("b", broken)
    go.set()
    until(lambda: failed.finished)
    assert isinstance(failed.error, QwenlabError)
    time.sleep(0.05)
    assert not dropped.finished
    assert reached == []


# --- the folds -------------------------------------------------------------------------------------------


def looked(look: Callable[[], str]) -> str:
    until(lambda: 'class="progress' not in look())
    return look()


def opened(workspace: Workspace, *samples: Sample) -> Lab:
    lab = Lab(workspace, model="smollm2-135m")
    lab.choose(dataset=str(new_data_set(workspace, "mine", samples)))
    return lab


def test_model_that_is_not_here_is_said_and_nothing_breaks(workspace: Workspace) -> None:
    lab = opened(workspace, Sample.make("a", [("user", "Hi"), ("assistant", "Hello")]))
    document = lab.document()
    assert document is not None
    for _ in range(2):
        assert "not here yet" in Trained(lab).tokens(document.samples[0], EN)
        assert "尚未下载" in Trained(lab).lengths(document, ZH)
    assert "No sample is open" in Trained(lab).tokens(None, EN)
    assert "No sample is open" in Trained(lab).lengths(None, EN)


def test_folds_can_be_built_and_are_closed(workspace: Workspace) -> None:
    with gr.Blocks() as page:
        state = gr.State(None)
        trained = Trained(Lab(workspace))
        sample_fold(trained, state, EN)
        part = set_fold(trained, state, EN, "void 0")
    assert isinstance(part, gr.HTML)
    folds = [block for block in page.blocks.values() if isinstance(block, gr.Accordion)]
    assert [fold.open for fold in folds] == [False, False]
    assert all(not block.active for block in page.blocks.values() if isinstance(block, gr.Timer))


@pytest.mark.model
def test_edits_are_counted_again_with_the_real_model(with_model: Workspace) -> None:
    lab = opened(
        with_model,
        Sample.make("a", [("user", "Hi"), ("assistant", "Hello")]),
        Sample.make("b", [("user", "你好"), ("assistant", "你好")]),
        Sample.make("c", [("user", "Hi")]),
    )
    document, trained = lab.document(), Trained(lab)
    assert document is not None
    said = words(looked(lambda: trained.lengths(document, EN)))
    assert "1 samples trained" in said
    assert "not trained in, left out: 1" in said
    assert "It has no assistant answer" in said
    html = looked(lambda: trained.tokens(document.samples[0], EN))
    assert Tokens(html).found[-2:][0][0] == "Hello"
    assert "SmolLM2-135M-Instruct" in html
    document.change(Change(2, document.samples[2], Sample.make("c", [("user", "Hi"), ("assistant", "Yes")])))
    assert "2 samples trained" in words(looked(lambda: trained.lengths(document, EN)))
    assert "which is not trained" in looked(lambda: trained.tokens(document.samples[1], EN))
