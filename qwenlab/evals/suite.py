"""Finding and reading suites: every mistake is named with its file and case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qwenlab.errors import QwenlabError, nearest
from qwenlab.evals import audit, suite_mistakes
from qwenlab.evals.bilingual import Words
from qwenlab.evals.suite_files import read_written, suite_file
from qwenlab.evals.suite_model import Case, Suite
from qwenlab.workspace import SHIPPED, Workspace

__all__ = ["Case", "Suite", "find_suite", "find_suites", "load_suite", "suite_from"]


def find_suites(folder: Path) -> list[Path]:
    """Paths under `folder` that `load_suite` takes: sub-folders with a suite file, and single suite files."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and suite_file(path)]
    found += [path for path in folder.iterdir() if path.is_file() and path.suffix in (".yaml", ".yml", ".json")]
    return sorted(found)


def find_suite(workspace: Workspace, named: str) -> Path:
    """A suite by path, or by name in the workspace and among the shipped ones.

    Raises:
        QwenlabError: when there is none.
    """
    if Path(named).exists():
        return Path(named)
    known = {path.stem: path for folder in (SHIPPED / "eval_suites", workspace.suites) for path in find_suites(folder)}
    if named in known:
        return known[named]
    raise QwenlabError(
        f"There is no suite {named}.{nearest(named, known)}",
        f"Known: {', '.join(sorted(known))}.",
        zh=(f"没有测试集 {named}。{nearest(named, known, 'zh')}", f"可用：{'、'.join(sorted(known))}。"),
    )


def load_suite(path: Path) -> Suite:
    """Read, resolve and audit a suite.

    Args:
        path: a folder that holds suite.yaml (or suite.json), or such a file itself.

    Raises:
        QwenlabError: naming the file, the case and what to do, for anything that cannot be read, is not known,
            or does not hold together (see `audit.audit`).
    """
    written = read_written(path)
    suite = suite_from(written.content(), str(written.file), written.places())
    audit.audit(suite, str(written.file))
    return suite


def suite_from(content: Mapping[str, Any], file: str, origin: list[Words] | None = None) -> Suite:
    """Build a suite from plain values; `file` and `origin` (one place per case) name the places in errors."""
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise suite_mistakes.first(error, content, file, origin or []) from error
