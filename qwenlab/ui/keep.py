"""From a corrected answer to a new training sample in the open data set, or a new case of a test suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qwenlab.conversations import checks
from qwenlab.conversations.dataset import new_data_set
from qwenlab.conversations.document import Document
from qwenlab.conversations.facts import Facts
from qwenlab.conversations.journal import Change
from qwenlab.conversations.sample import Sample
from qwenlab.errors import QwenlabError
from qwenlab.evals import burned, suite_growth
from qwenlab.models.contestant import Message
from qwenlab.ui import suites
from qwenlab.ui.components import Html, escape, notice
from qwenlab.ui.lab import Lab
from qwenlab.ui.texts import Translator


def keep(
    lab: Lab,
    t: Translator,
    messages: Sequence[Message],
    answer: str,
    origin: str,
    about: str = "",
    case: tuple[str, str] | None = None,
) -> Html:
    """Append the conversation with its right answer to the data set and save it; returns what to say about it.

    It is refused when the answer is empty or breaks the data set's rules, and when the question stands there
    already.

    Args:
        messages: the conversation up to the question.
        answer: the right answer, as the model should have given it.
        origin: begins the sample's id, such as "from-test".
        about: what the Data tab says of where the sample came from.
        case: suite and id of the test case that it was; from then on that one is burned.

    Raises:
        QwenlabError: when the data set cannot be read or written.
    """
    if not answer.strip():
        return notice("bad", t("compare_keep_empty"))
    document = lab.document()
    if document is None:
        lab.choose(dataset=str(new_data_set(lab.workspace, Path(t("new_set_name")).name, [])))
        document = lab.document()
    if document is None:
        raise QwenlabError(t("no_data_set"))
    turns = [(message["role"], message["content"]) for message in messages] + [("assistant", answer.strip())]
    with document.lock:
        refusal = _refusal(document, turns, t)
        if refusal:
            return refusal
        sample = Sample.make(_free_id(document, origin), turns, origin=about or origin)
        wrong = [
            one for one in checks.check_sample(sample, 0, document.schema_for(sample.id)) if one.severity == "error"
        ]
        if wrong:
            reasons = dict.fromkeys(" ".join(checks.explain(one.code, one.detail, t.language)) for one in wrong)
            return notice("bad", t("compare_keep_wrong"), " ".join([*reasons][:3]))
        others_edits = document.edited
        before = document.dataset.path
        document.change(Change(len(document.samples), None, sample))
        if not others_edits:  # unsaved edits of the Data tab are saved by whoever made them
            document.save()
        if document.dataset.path != before:
            lab.saved_as(document)
        if case is not None:
            burned.mark(lab.workspace, case[0], {case[1]: sample.id}, document.dataset.path)
    said = t("compare_kept", name=sample.id, data=document.dataset.name)
    return notice("warn", said, t("compare_keep_unsaved")) if others_edits else notice("ok", said)


def keep_case(lab: Lab, t: Translator, name: str, messages: Sequence[Message], expected: str) -> Html:
    """Add the conversation with its right answer to a test suite; returns what to say about it.

    Args:
        name: the suite; a shipped one is copied into the workspace first.

    Raises:
        QwenlabError: when the case does not fit the suite, or it cannot be read or written.
    """
    path = suites.suite_paths(lab).get(name)
    if path is None:
        return notice("bad", t("test_no_suite"), t("test_no_suite_remedy"))
    if not expected.strip():
        return notice("bad", t("compare_case_empty"))
    grown = suite_growth.add_case(lab.workspace, path, messages, expected, "compare")
    if grown.outcome == "there":
        return notice("warn", t("compare_case_there", name=grown.case, suite=name))
    if grown.outcome == "contradicts":
        said = t("compare_case_contradicts", name=grown.case, suite=name)
        return notice("warn", said, t("compare_case_contradicts_remedy"))
    if suites.chosen_suite(lab) == name:
        lab.choose(suite=str(grown.path))
    said = t("compare_case_kept", name=grown.case, suite=name)
    trained = _sample_asking(lab, messages)
    if trained:
        return notice("ok", said, t("compare_case_trained", name=trained))
    return notice("ok", said, t("compare_case_kept_remedy"))


def _sample_asking(lab: Lab, messages: Sequence[Message]) -> str:
    """The id of a training sample with the same question; "" when there is none."""
    try:
        document = lab.document()
    except QwenlabError:
        return ""
    turns = [(message["role"], message["content"]) for message in messages]
    asked = Facts(Sample.make("", [*turns, ("assistant", "")])).asked
    known = document.facts if document is not None else ()
    return next((facts.id for facts in known if facts.asked == asked), "")


def _refusal(document: Document, turns: list[tuple[str, str]], t: Translator) -> Html:
    """Why the sample is not wanted: it, or its question with another answer, is there already."""
    wanted = Facts(Sample.make("", turns))
    for known in document.facts:
        if known.asked == wanted.asked:
            same = known.answer == wanted.answer
            key = "compare_keep_there" if same else "compare_keep_contradicts"
            return notice("warn", t(key, name=known.id), "" if same else t("compare_keep_contradicts_remedy"))
    return escape("")


def _free_id(document: Document, origin: str) -> str:
    known = {facts.id for facts in document.facts}
    return next(name for number in range(1, len(known) + 2) if (name := f"{origin}-{number:04}") not in known)
