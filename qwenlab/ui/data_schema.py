"""Which suite's JSON Schema the answers of the open data set must satisfy: one schema from the editor to the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import yaml

from qwenlab.conversations import attached
from qwenlab.conversations.words import DataError
from qwenlab.errors import QwenlabError
from qwenlab.evals.suite_files import suite_file
from qwenlab.ui.lab import Lab
from qwenlab.ui.suites import suite_paths
from qwenlab.ui.texts import Translator

NONE = ""


def choices(lab: Lab, t: Translator) -> tuple[list[tuple[str, str]], str]:
    """(label, file) of each suite with a schema, and of what the chosen data set names now; and that one.

    Neither the data set nor the cases of a suite are read.
    """
    known = {NONE: t("data_schema_none")}
    for name, path in suite_paths(lab).items():
        file = (suite_file(path) or path).resolve() if path.is_dir() else path.resolve()
        try:
            attached.read_schema(file)
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            continue
        known[str(file)] = name
    data = lab.dataset_path()
    named = attached.schema_file(data) if data is not None else None
    now = str(named) if named is not None else NONE
    if now not in known and named is not None:
        now = next((file for file in known if file and Path(file).parent == named.parent), now)
        known.setdefault(now, f"{named.parent.name}/{named.name}")
    return [(label, file) for file, label in known.items()], now


def shown(lab: Lab, t: Translator) -> Any:
    """The list as it is now."""
    offered, now = choices(lab, t)
    return gr.update(choices=offered, value=now)


def choose(lab: Lab, file: str | None, t: Translator) -> None:
    """The answers of the open data set must satisfy the schema of this suite from now on.

    Raises:
        QwenlabError: when the list does not offer it, or there is no data set.
    """
    data = lab.dataset_path()
    offered, now = choices(lab, t)
    if data is None or file not in [value for _, value in offered]:
        raise QwenlabError(t("data_schema_gone"), t("data_schema_gone_remedy"))
    if file == now:
        return
    chosen = Path(file) if file else None
    try:
        document = lab.document(data)
    except DataError:  # perhaps its schema is gone: then nothing but another choice opens it again
        attached.name_schema(data, chosen)
        return
    if document is not None:
        document.satisfy(chosen)
        if document.dataset.path != data:
            lab.saved_as(document)
