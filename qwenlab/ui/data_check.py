"""Check all: in a thread of its own, so that the page stays usable, with the chosen model's limit and all suites."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from qwenlab.conversations.checks import Extras
from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.training import preview
from qwenlab.training import recipe as recipes
from qwenlab.ui.lab import Lab
from qwenlab.ui.suites import read_suite, suite_paths

LOOKS_EVERY = 0.3
"""Seconds between two pictures of the progress."""


def extras(lab: Lab) -> Extras:
    """What only the lab knows: how long samples may be for the chosen model, and the questions of its suites.

    A model that is not here yet, or a suite that cannot be read, is left out.
    """
    questions = {}
    for name in suite_paths(lab):
        try:
            suite = read_suite(lab, name)
        except QwenlabError:
            continue
        if suite is not None:
            questions[name] = [(case.id, case.question) for case in suite.cases]
    model = lab.model_name()
    try:
        tokenizer = preview.tokenizer_for(lab.workspace, model)
    except QwenlabError:
        return Extras(suites=questions)
    limit = recipes.read(recipes.recommended(model)).max_length
    return Extras(preview.length_limit(tokenizer, limit), questions)


def run(lab: Lab, document: Document) -> Iterator[tuple[int, int]]:
    """Check every sample; yields (done, all) until it is finished.

    Raises:
        QwenlabError: what the check itself raised.
    """
    seen = [0, len(document.samples)]
    failed: list[BaseException] = []

    def work() -> None:
        try:
            document.check(lambda done, number: seen.__setitem__(slice(2), [done, number]), extras(lab))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(LOOKS_EVERY)
        yield seen[0], seen[1]
    if failed:
        raise failed[0]
