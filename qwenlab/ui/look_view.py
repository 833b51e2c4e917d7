"""What the Train tab shows of the looks at a run: the score at each, which state is best, and what went wrong."""

from __future__ import annotations

from qwenlab.training.looks import Score
from qwenlab.training.runs import Progress
from qwenlab.ui.components import NOTHING, Html, duration, escape, fold, notice, table
from qwenlab.ui.loss_curve import Spot, score_curve
from qwenlab.ui.texts import Translator


def percent(share: float) -> str:
    """A score as people read it; few cases give no more digits."""
    return f"{100 * share:.0f} %"


def best_score(progress: Progress) -> str:
    """The best score, for a table; "" where no test has decided."""
    return percent(progress.best[1].score) if progress.best else ""


def best_words(progress: Progress, t: Translator) -> str:
    """The best score with step and cases; "" where no test has decided."""
    return _words("looks_row_best_one", *progress.best, t) if progress.best else ""


def best_fact(progress: Progress, t: Translator) -> Html:
    """The best score among a run's facts."""
    if not progress.best:
        return NOTHING
    step, score = progress.best
    about = escape(t("looks_score_about"))
    words = f"<b>{percent(score.score)}</b> <span>{escape(t('looks_fact_best', step=f'{step:,}'))}</span>"
    return Html(f'<div title="{about}">{words}</div>')


def scores(progress: Progress, t: Translator) -> Html:
    """The score of each look as a plot and in a fold, which one is best, and looks that failed."""
    failed = _failed(progress, t)
    taken = [(one.step, one.score, one.seconds) for _, one in sorted(progress.looks.items()) if one.score]
    if not taken:
        return Html(failed)
    best = progress.best[0] if progress.best else None
    spots = [
        Spot(step, 100 * score.score, _words("looks_point", step, score, t), step == best) for step, score, _ in taken
    ]
    mark = t("looks_best_mark", score=best_score(progress))
    first = min(progress.losses, default=0)
    plot = score_curve(spots, (first, max(progress.step, first + 1)), mark, t)
    return Html(f"{failed}{plot}{_verdict(progress, t)}{_fold(taken, t)}")


def _failed(progress: Progress, t: Translator) -> Html:
    """One notice for each reason."""
    tongue, steps = "_zh" if t.language == "zh" else "", dict[str, list[int]]()
    for step, why in sorted(progress.failed_looks.items()):
        steps.setdefault(f"{why['reason' + tongue]} {why['remedy' + tongue]}", []).append(step)
    comma = "、" if t.language == "zh" else ", "
    return Html(
        "".join(
            notice("warn", t("looks_failed", steps=comma.join(f"{step:,}" for step in found)), why)
            for why, found in steps.items()
        )
    )


def _verdict(progress: Progress, t: Translator) -> Html:
    over = progress.state in ("finished", "stopped")
    if progress.best:
        words = _words("looks_best" if over else "looks_best_so_far", *progress.best, t)
    else:
        words = t("looks_nothing_right" if progress.state == "finished" else "looks_nothing_right_yet")
    return Html(f'<p class="quiet">{escape(words)}</p>')


def _fold(taken: list[tuple[int, Score, float]], t: Translator) -> Html:
    keys = ("looks_col_step", "looks_col_score", "looks_col_passed", "looks_col_cases", "looks_col_seconds")
    heads = [t(key) for key in keys]
    rows = [
        [f"{step:,}", percent(score.score), percent(score.passed), score.n, duration(t, seconds)]
        for step, score, seconds in taken
    ]
    inner = f"<p>{escape(t('looks_fold_about'))}</p>{table(heads, rows, range(5))}"
    return fold("looks", t("looks_fold", number=len(taken)), inner)


def _words(key: str, step: int, score: Score, t: Translator) -> str:
    return t(key, step=f"{step:,}", score=percent(score.score), cases=score.n)
