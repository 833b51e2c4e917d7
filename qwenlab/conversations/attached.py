"""The JSON Schema that the answers of a data set must satisfy: its NAME.lab.json names a file, or a test suite's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from qwenlab.conversations import words
from qwenlab.conversations.dataset import relative, settings_of, sidecar, write_settings


def schema_file(data: Path) -> Path | None:
    """The file that the settings of a data set name: a JSON Schema, or a suite, whose schema is meant."""
    named = settings_of(data).get("schema")
    return (sidecar(data).parent / str(named)).resolve() if named else None


def schema_of(data: Path) -> dict[str, Any] | None:
    """The JSON Schema that assistant turns must satisfy, or None.

    Raises:
        DataError: when the settings name a file that is missing or holds no schema.
    """
    path = schema_file(data)
    if path is None:
        return None
    try:
        return _read(path)
    except FileNotFoundError as error:
        raise words.DataError("schema_unusable", path=path, why="missing", sidecar=sidecar(data).name) from error
    except yaml.YAMLError as error:
        raise words.DataError("schema_unusable", path=path, why="no YAML", sidecar=sidecar(data).name) from error
    except (OSError, ValueError, RecursionError) as error:
        raise words.DataError("schema_unusable", path=path, why=error, sidecar=sidecar(data).name) from error


def name_schema(data: Path, file: Path | None) -> None:
    """Name the file whose schema the answers must satisfy from now on, relative to the data set; None: none."""
    settings = {key: value for key, value in settings_of(data).items() if key != "schema"}
    if file is not None:
        settings["schema"] = relative(file, data.parent)
    write_settings(data, settings)


def _read(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    found = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    if isinstance(found, dict) and "cases" in found:  # a suite
        found = found.get("schema")
        if isinstance(found, str):
            return _read(path.parent / found)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
