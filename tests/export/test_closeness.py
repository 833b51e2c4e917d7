"""How far quantizing moved the next token: against numbers computed otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from qwenlab.export.prove_closeness import Row, Seen, compare, divergence


def seen(probabilities: list[float], came: int = 0, top: int | None = None) -> Seen:
    logs = np.log(np.array(probabilities))
    order = np.argsort(-logs)[:top]
    return Seen(order, logs[order], float(logs[came]))


def test_divergence_is_that_of_kullback_and_leibler() -> None:
    p, q = [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]
    wanted = 0.5 * np.log(0.5 / 0.4) + 0.3 * np.log(0.3 / 0.4)
    assert divergence(seen(p), seen(q)) == pytest.approx(wanted, abs=1e-6)
    assert divergence(seen(p), seen(p)) == 0


def test_lumping_the_rest_only_lowers_it() -> None:
    generator = np.random.default_rng(0)
    p, q = (generator.dirichlet(np.full(50, 0.2)) + 1e-6 for _ in range(2))
    p, q = p / p.sum(), q / q.sum()
    whole = divergence(seen(list(p)), seen(list(q)))
    lumped = [divergence(seen(list(p), top=top), seen(list(q), top=top)) for top in (5, 20, 45)]
    assert all(0 < one <= whole + 1e-6 for one in lumped)
    assert lumped[-1] == pytest.approx(whole, rel=0.2)


def test_means_over_all_positions() -> None:
    left = [[seen([0.9, 0.1]), seen([0.8, 0.2])], [seen([0.5, 0.5])]]
    right = [[seen([0.9, 0.1]), seen([0.2, 0.8])], [seen([0.5, 0.5])]]
    found = compare(left, right)
    assert found["same_next_token"] == 2
    assert (found["tokens"], found["rows"]) == (3, 2)
    assert found["nll"] == pytest.approx(-(np.log(0.9) + np.log(0.2) + np.log(0.5)) / 3)
    assert found["rises"] == pytest.approx([np.log(4) / 2, 0], abs=1e-5), "of each conversation"
    assert found["kl"] > 0.1


def test_row_looks_at_answers_only_and_spreads_over_long_ones() -> None:
    assert Row.of([7, 8, 9, 10], [False, False, True, True]).at == [2, 3]
    assert Row.of([1, 2], [True, False]).at == [], "the very first token has nothing before it"
    assert Row.of(list(range(101)), [False] + [True] * 100, most=10).at == list(range(1, 101, 10))
