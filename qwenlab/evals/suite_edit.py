"""A suite as it was changed by hand or on the page, written back with as little of its text touched as possible."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwenlab import files
from qwenlab.conversations import strict_json
from qwenlab.errors import QwenlabError
from qwenlab.evals import suite_store
from qwenlab.evals.suite import suite_from
from qwenlab.evals.suite_check import examine
from qwenlab.evals.suite_files import LISTS, Placed, Written, read_written, suite_file
from qwenlab.evals.yaml_edit import rewritten
from qwenlab.evals.yaml_text import parse_yaml
from qwenlab.workspace import Workspace


def save(workspace: Workspace, path: Path, before: Written, after: Written) -> Path:
    """Write a changed suite; returns where it stands, which for a suite outside the workspace is now a copy in it.

    Args:
        path: the suite's folder or file. before: as it was read. after: as it is to be.

    Raises:
        QwenlabError: when `after` has a fault, somebody changed the files meanwhile, or they cannot be written.
    """
    for fault in examine(after).faults:
        raise fault.error
    with suite_store.WRITING:
        if read_written(path).stamp != before.stamp:
            raise QwenlabError(
                f"The files of the suite {before.name} were changed meanwhile.",
                "Read them again and repeat your change; your version is lost then.",
                zh=(f"测试集 {before.name} 的文件在此期间被修改过。", "请重新读取后再修改；此处未保存的改动将丢失。"),
            )
        changed = changes(before, after)
        own = suite_store.own(workspace, path)
        if changed:
            file = suite_file(own) if own.is_dir() else own
            assert file is not None, "it was copied as a whole"
            changed = {file.name if name == before.file.name else name: text for name, text in changed.items()}
            wanted = suite_from(after.content(), str(own)).fingerprint()
            suite_store.write(own, changed, lambda suite: suite.fingerprint() == wanted)
        return own


def changes(before: Written, after: Written) -> dict[str, str]:
    """File name -> new text, in the order to write them: what the suite's own file names comes before it."""
    folder = before.file.parent
    found: dict[str, str] = {}
    homes: dict[str, str] = {}
    for home in dict.fromkeys(case.home for case in after.cases if case.home):
        old = [case for case in before.cases if case.home == home]
        new = [case for case in after.cases if case.home == home]
        homes[home] = home
        if _raw(old) == _raw(new):
            continue
        if not home.endswith(LISTS):  # tables are read only: their cases move into a file of lines
            homes[home] = _free(folder, Path(home).stem)
        found[homes[home]] = _case_file(folder / homes[home], old, new)
    if after.schema_home and _canonical(after.schema) != _canonical(before.schema):
        found[after.schema_home] = json.dumps(after.schema, ensure_ascii=False, indent=2) + "\n"
    content: dict[str, Any] = dict(after.head)
    if after.schema is not None:
        content["schema"] = after.schema_home or after.schema
    content["cases"] = _named(after.cases, homes)
    text = files.read_text(before.file)
    as_json = before.file.suffix == ".json"
    now = strict_json.read(text) if as_json else parse_yaml(text)
    if isinstance(now["cases"], str) and len(content["cases"]) == 1 and isinstance(content["cases"][0], str):
        content["cases"] = content["cases"][0]
    if _canonical(now) != _canonical(content):
        dumped = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        found[before.file.name] = dumped if as_json else rewritten(text, content)
    return found


def _raw(cases: Sequence[Placed]) -> str:
    return _canonical([case.raw for case in cases])


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _named(cases: Sequence[Placed], homes: dict[str, str]) -> list[Any]:
    """What stands under "cases": the name of a file for all of its cases, the others themselves."""
    found: list[Any] = []
    for case in cases:
        if not case.home:
            found.append(case.raw)
        elif homes[case.home] not in found:
            found.append(homes[case.home])
    return found


def _case_file(path: Path, old: Sequence[Placed], new: Sequence[Placed]) -> str:
    if path.suffix == ".jsonl":
        lines = [case.source or json.dumps(case.raw, ensure_ascii=False) for case in new]
        return "".join(f"{line}\n" for line in lines)
    raw = [case.raw for case in new]
    if path.suffix in (".yaml", ".yml") and old:
        return rewritten(files.read_text(path), raw)
    return json.dumps(raw, ensure_ascii=False, indent=2) + "\n"


def _free(folder: Path, stem: str) -> str:
    names = [f"{stem}.jsonl", *(f"{stem}-{number}.jsonl" for number in range(2, 1000))]
    return next(name for name in names if not (folder / name).exists())


# --- changing ---------------------------------------------------------------------------------------------


def with_case(written: Written, at: int, raw: dict[str, Any]) -> Written:
    """The suite with the case at `at` written anew."""
    cases = list(written.cases)
    cases[at] = replace(cases[at], raw=raw, source="")
    return replace(written, cases=tuple(cases))


def with_new_case(written: Written, at: int, raw: dict[str, Any]) -> Written:
    """The suite with one more case at `at`, in the file of the case before it (or after it, for the first)."""
    cases = list(written.cases)
    home = cases[max(at - 1, 0)].home if cases else ""
    cases.insert(at, Placed(raw, home))
    return replace(written, cases=tuple(cases))


def without_case(written: Written, at: int) -> Written:
    """The suite without the case at `at`."""
    return replace(written, cases=(*written.cases[:at], *written.cases[at + 1 :]))


def with_content_of(written: Written, other: Written) -> Written:
    """The suite with everything that an earlier version of it says."""
    homes = [case.home for case in written.cases]
    cases = other.cases
    if not {case.home for case in cases} <= set(homes):  # its files are gone: all into one that is there
        home = next((name for name in homes if name.endswith(LISTS)), "")
        cases = tuple(replace(case, home=home, source="") for case in cases)
    schema_home = written.schema_home if other.schema is not None else ""
    return replace(written, head=other.head, schema=other.schema, schema_home=schema_home, cases=cases)


def differs(one: Written, other: Written) -> bool:
    """Whether two suites say different things."""
    return one is not other and _canonical(one.content()) != _canonical(other.content())


def with_head(written: Written, **changed: Any) -> Written:
    """The suite with other settings; None or an empty mapping takes one out."""
    head = {**written.head, **changed}
    return replace(written, head={key: value for key, value in head.items() if value not in (None, {}, "")})


def with_schema(written: Written, schema: dict[str, Any]) -> Written:
    """The suite with another schema, in the file where the old one stood."""
    return replace(written, schema=schema)


def free_id(written: Written, stem: str) -> str:
    """An id that no case has yet: stem-0001, ..."""
    known = {case.raw.get("id") for case in written.cases if isinstance(case.raw, dict)}
    return next(name for number in range(1, len(known) + 2) if (name := f"{stem}-{number:04}") not in known)
