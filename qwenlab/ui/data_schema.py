"""Which suite's JSON Schema the answers of the open data set must satisfy: one schema from the editor to the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from qwenlab.conversations import attached
from qwenlab.conversations.document import Document
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite_files import suite_file
from qwenlab.ui.lab import Lab
from qwenlab.ui.suites import read_suite, suite_paths
from qwenlab.ui.texts import Translator

NONE = ""


def choices(lab: Lab, document: Document | None, t: Translator) -> tuple[list[tuple[str, str]], str]:
    """(label, file) of each suite with a schema, and of what the data set names now; and that one."""
    known = {NONE: t("data_schema_none")}
    for name, path in suite_paths(lab).items():
        try:
            suite = read_suite(lab, name)
        except QwenlabError:
            continue
        if suite is not None and suite.is_json:
            known[str(_file(path))] = name
    named = attached.schema_file(document.dataset.path) if document is not None else None
    now = str(named) if named is not None else NONE
    if now not in known and named is not None:
        now = next((file for file in known if file and Path(file).parent == named.parent), now)
        known.setdefault(now, f"{named.parent.name}/{named.name}")
    return [(label, file) for file, label in known.items()], now


def shown(lab: Lab, document: Document | None, t: Translator) -> Any:
    """The list as it is now."""
    offered, now = choices(lab, document, t)
    return gr.update(choices=offered, value=now)


def choose(lab: Lab, file: str | None, t: Translator) -> None:
    """The answers of the open data set must satisfy the schema of this suite from now on.

    Raises:
        QwenlabError: when the list does not offer it, or there is no data set.
    """
    document = lab.document()
    offered, now = choices(lab, document, t)
    if document is None or file not in [value for _, value in offered]:
        raise QwenlabError(t("data_schema_gone"), t("data_schema_gone_remedy"))
    if file != now:
        before = document.dataset.path
        document.satisfy(Path(file) if file else None)
        if document.dataset.path != before:
            lab.saved_as(document)


def _file(path: Path) -> Path:
    found = suite_file(path) if path.is_dir() else path
    return (found or path).resolve()
