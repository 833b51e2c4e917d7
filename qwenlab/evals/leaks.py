"""Cases that also stand in the training data: exactly, or nearly."""

from __future__ import annotations

from collections.abc import Iterable

from qwenlab.conversations.overlap import Questions
from qwenlab.evals.suite_model import Suite


def leaked(suite: Suite, training_texts: Iterable[str]) -> set[str]:
    """Ids of the cases whose question also stands in the training data (see `overlap.Questions`).

    Args:
        training_texts: what the model was trained to answer: the user turns of the training samples.
    """
    questions = Questions((case.id, case.question) for case in suite.cases)
    return {case for text in training_texts for case in questions.inside(text)}
