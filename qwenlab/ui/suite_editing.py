"""A suite being edited, without a page: its history, what is wrong with it, and what one window looks at."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from qwenlab.conversations import strict_json
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.errors import QwenlabError
from qwenlab.evals import suite_edit, suite_store
from qwenlab.evals.suite_check import Examined, examine
from qwenlab.evals.suite_files import Written, read_written
from qwenlab.evals.suite_model import Case
from qwenlab.ui.json_apply import FormError
from qwenlab.ui.json_shape import filled, shape_of
from qwenlab.workspace import Workspace

PAGE = 25
KEPT_STEPS = 200


class Editing:
    """One suite with its history; shared by all windows of a lab.

    Attributes:
        path: of the suite. saved: as its files say it. now: as it is edited. revision: changes with every edit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.revision = 0
        self._read()

    def _read(self) -> None:
        self.saved = self.now = read_written(self.path)
        self._stamp = _look(self.saved)
        self._done: list[tuple[Written, str]] = []
        self._undone: list[Written] = []
        self._examined: tuple[int, Examined] | None = None
        self.revision += 1

    @property
    def edited(self) -> bool:
        """Whether there is something to save."""
        return self.now is not self.saved and suite_edit.differs(self.now, self.saved)

    @property
    def outdated(self) -> bool:
        """Whether another program wrote the files since they were read."""
        return _look(self.saved) != self._stamp

    @property
    def examined(self) -> Examined:
        """What is wrong with it as it is now."""
        if self._examined is None or self._examined[0] != self.revision:
            self._examined = (self.revision, examine(self.now))
        return self._examined[1]

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._undone)

    def put(self, after: Written, mark: str = "") -> None:
        """Make one step; steps in a row with the same mark, such as typing in one box, are one."""
        with self.lock:
            if not (mark and self._done and self._done[-1][1] == mark):
                self._done = [*self._done[-KEPT_STEPS:], (self.now, mark)]
            self._undone.clear()
            self.now = after
            self.revision += 1

    def undo(self) -> None:
        """Take back the last step."""
        with self.lock:
            if self._done:
                self._undone.append(self.now)
                self.now = self._done.pop()[0]
                self.revision += 1

    def redo(self) -> None:
        """Do the last undone step again."""
        with self.lock:
            if self._undone:
                self._done.append((self.now, ""))
                self.now = self._undone.pop()
                self.revision += 1

    def save(self, workspace: Workspace) -> None:
        """Write the files; the version before is kept, and a suite that ships is copied into the workspace first.

        Raises:
            QwenlabError: when it has a fault, was changed meanwhile, or cannot be written.
        """
        with self.lock:
            self.path = suite_edit.save(workspace, self.path, self.saved, self.now)
            self.saved = self.now = read_written(self.path)
            self._stamp = _look(self.saved)
            self._done = [(step, "") for step, _ in self._done]
            self.revision += 1

    def read_again(self) -> None:
        """Drop what was not saved and read the files."""
        with self.lock:
            self._read()

    def versions(self) -> list[Path]:
        """Earlier versions, newest first."""
        return suite_store.versions(self.path)

    def restore(self, version: Path) -> None:
        """Take the content of an earlier version; it is a step like any other and not saved yet.

        Raises:
            QwenlabError: when it is none of this suite's, or cannot be read.
        """
        if version in self.versions():
            self.put(suite_edit.with_content_of(self.now, read_written(version)))


_LOCK = threading.Lock()
_OPEN: dict[tuple[Path, Path], Editing] = {}


def open_suite(workspace: Workspace, path: Path) -> Editing:
    """The suite with its unsaved edits; read again when its files changed and nothing is unsaved.

    Raises:
        QwenlabError: when its files cannot be read.
    """
    with _LOCK:
        for found in _OPEN.values():
            if found.path == path:
                if found.outdated and not found.edited:
                    found.read_again()
                return found
        made = Editing(path)
        _OPEN[workspace.root, path] = made
        return made


def _look(written: Written) -> tuple[Any, ...]:
    paths = [written.file.parent / name for name in written.files]
    return tuple(
        (path.name, stat.st_mtime_ns, stat.st_size) for path in paths if path.exists() and (stat := path.stat())
    )


@dataclass
class Desk:
    """What one browser window looks at. Kept in gr.State: never compared or copied by value.

    Attributes:
        editing: the suite. at: the open case. page, search, wanted: of the list ("", "faults" or a tag).
        shape: "form" or "text", for expected JSON. trial: an answer to try.
        typed: what was typed into a box and could not be taken: its name -> (text, what is wrong).
        wrong: the same for fields of the form, by pointer. said: what happened last, as HTML.
    """

    editing: Editing
    at: int = 0
    page: int = 0
    search: str = ""
    wanted: str = ""
    shape: str = "form"
    trial: str = ""
    typed: dict[str, tuple[str, str]] = field(default_factory=dict)
    wrong: dict[str, FormError] = field(default_factory=dict)
    said: str = ""

    @property
    def now(self) -> Written:
        """The suite as it is edited."""
        return self.editing.now

    @property
    def raw(self) -> dict[str, Any]:
        """The open case as it is written; {} when there is none, or it is no mapping."""
        self.at = min(max(self.at, 0), max(len(self.now.cases) - 1, 0))
        raw = self.now.cases[self.at].raw if self.now.cases else {}
        return raw if isinstance(raw, dict) else {}

    @property
    def case(self) -> Case | None:
        """The open case, where it can be read."""
        suite, name = self.editing.examined.suite, str(self.raw.get("id", ""))
        return suite.by_id.get(name) if suite is not None else None

    @property
    def as_json(self) -> bool:
        """Whether the open case expects JSON."""
        return self.now.schema is not None and "rule" not in self.raw

    @property
    def schema(self) -> SchemaCheck | None:
        """The suite's schema for forms; None where it cannot be used."""
        return _check(json.dumps(self.now.schema)) if isinstance(self.now.schema, dict) else None

    def matches(self) -> list[int]:
        """Positions of the cases that fit search and filter."""
        words = self.search.casefold().split()
        faulty = {fault.case for fault in self.editing.examined.faults}
        found = []
        for at, case in enumerate(self.now.cases):
            raw = case.raw if isinstance(case.raw, dict) else {}
            fits = not self.wanted or (at in faulty if self.wanted == "faults" else self.wanted in _tags(raw))
            if fits and (not words or all(word in json.dumps(raw, ensure_ascii=False).casefold() for word in words)):
                found.append(at)
        return found

    def tags(self) -> list[str]:
        """Every tag in use."""
        known = {tag for case in self.now.cases if isinstance(case.raw, dict) for tag in _tags(case.raw)}
        return sorted(known)

    def open(self, at: int) -> None:
        """Open another case."""
        self.at = at
        self.typed.clear()
        self.wrong.clear()
        matches = self.matches()
        if at in matches:
            self.page = matches.index(at) // PAGE

    # --- the open case ------------------------------------------------------------------------------------

    def change(self, mark: str = "", **values: Any) -> None:
        """Set keys of the open case; None takes a key out ("expected" alone may be null: see `expect`)."""
        raw = {key: value for key, value in {**self.raw, **values}.items() if value is not None or key == "expected"}
        self._put(raw, mark)

    def expect(self, value: Any, mark: str = "") -> None:
        """Set the expected answer."""
        self._put({**self.raw, "expected": value}, mark)

    def _put(self, raw: dict[str, Any], mark: str) -> None:
        if json.dumps(raw) != json.dumps(self.raw):
            self.editing.put(suite_edit.with_case(self.now, self.at, raw), mark and f"{mark} {self.at}")

    def turns(self) -> list[tuple[str, str]]:
        """(role, text) of the question's turns."""
        history = self.raw.get("history")
        if isinstance(history, list):
            return [
                (str(turn.get("role", "")), str(turn.get("content", ""))) for turn in history if isinstance(turn, dict)
            ]
        return [("user", str(self.raw.get("prompt") or ""))]

    def set_turns(self, turns: list[tuple[str, str]], mark: str = "") -> None:
        """Write the question: one user turn is a prompt, more are a history."""
        rest = {key: value for key, value in self.raw.items() if key not in ("prompt", "history")}
        name = rest.pop("id", "")
        asked: dict[str, Any] = {"prompt": turns[0][1]}
        if [role for role, _ in turns] != ["user"]:
            asked = {"history": [{"role": role, "content": text} for role, text in turns]}
        self._put({"id": name, **asked, **rest}, mark)

    def expected_text(self) -> str:
        """The expected answer as a person edits it."""
        value = self.raw.get("expected")
        if self.as_json:
            return json.dumps(value, ensure_ascii=False)
        return "\n".join(map(str, value)) if isinstance(value, list) else str(value if value is not None else "")

    def set_expected(self, text: str, mark: str = "") -> None:
        """Take an expected answer as it was typed: JSON, or text (one a line for rules that take several).

        Raises:
            NotJsonError: when JSON is expected and this is none.
        """
        if self.as_json:
            self.expect(strict_json.read(text), mark)
        elif self.raw.get("rule", "equals") in ("contains", "not_contains", "any_of") and "\n" in text.strip():
            self.expect([line for line in text.splitlines() if line.strip()], mark)
        else:
            self.expect(text.strip(), mark)

    def set_rule_of_text(self, rule: str) -> None:
        """How the open case is judged: a rule for text, or "json"."""
        raw = {key: value for key, value in self.raw.items() if key != "rule"}
        if rule == "json":
            try:
                value = strict_json.read(self.expected_text())
            except NotJsonError:
                value = self.expected_text()
            self._put({**raw, "expected": value}, "")
            return
        expected = raw.get("expected")
        if self.as_json:  # what was JSON is text from now on
            raw.pop("accept", None)
            expected = json.dumps(expected, ensure_ascii=False)
        if isinstance(expected, list) and rule in ("equals", "regex"):
            expected = "\n".join(map(str, expected))
        self._put({**raw, "rule": rule, "expected": expected}, "")

    def add_case(self) -> None:
        """Add an empty case after the open one, and open it."""
        raw: dict[str, Any] = {"id": suite_edit.free_id(self.now, "case"), "prompt": "", "expected": self._blank()}
        if self.now.schema is not None and "rule" in self.raw:
            raw["rule"] = self.raw["rule"]
        self._insert(raw)

    def duplicate(self) -> None:
        """Copy the open case to the place after it, and open the copy."""
        stem = str(self.raw.get("id") or "case")
        self._insert({**self.raw, "id": suite_edit.free_id(self.now, stem)})

    def _insert(self, raw: dict[str, Any]) -> None:
        at = self.at + 1 if self.now.cases else 0
        self.editing.put(suite_edit.with_new_case(self.now, at, raw))
        self.search = self.wanted = ""
        self.open(at)

    def delete(self) -> None:
        """Take the open case out."""
        if self.now.cases:
            self.editing.put(suite_edit.without_case(self.now, self.at))
            self.open(self.at)

    def _blank(self) -> Any:
        if not isinstance(self.now.schema, dict) or "rule" in self.raw:
            return ""
        return filled(shape_of(self.now.schema, self.now.schema, None), self.now.schema)

    # --- rules and settings -------------------------------------------------------------------------------

    def rules(self) -> dict[str, dict[str, Any]]:
        """The rules as they are written, each as a mapping."""
        fields = self.now.head.get("fields")
        known = fields if isinstance(fields, Mapping) else {}
        return {str(name): dict(rule) if isinstance(rule, Mapping) else {"rule": rule} for name, rule in known.items()}

    def set_rules(self, rules: dict[str, dict[str, Any]], mark: str = "") -> None:
        """Write all rules."""
        if rules != self.rules():
            self.editing.put(suite_edit.with_head(self.now, fields=rules), mark)

    def set_setting(self, part: str, key: str, value: Any, mark: str = "") -> None:
        """Set one of the generation settings or thresholds ("generation", "thresholds"), or a plain key (part "")."""
        if not part:
            after = suite_edit.with_head(self.now, **{key: value})
        else:
            known = self.now.head.get(part)
            group = {**(known if isinstance(known, Mapping) else {}), key: value}
            group = {name: one for name, one in group.items() if one is not None}
            after = suite_edit.with_head(self.now, **{part: group})
        if suite_edit.differs(after, self.now):
            self.editing.put(after, mark)

    def faults(self) -> list[QwenlabError]:
        """What is wrong with the open case."""
        return self.editing.examined.of(self.at) if self.now.cases else []


def _tags(raw: Mapping[str, Any]) -> list[str]:
    tags = raw.get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []


@lru_cache(maxsize=4)
def _check(schema: str) -> SchemaCheck | None:
    try:
        return SchemaCheck(json.loads(schema))
    except ValueError:
        return None
