"""What is done in the form of a JSON answer, turned into its new text."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from qwenlab.conversations import json_edit, strict_json, words
from qwenlab.conversations.json_edit import below
from qwenlab.conversations.schema_check import SchemaCheck
from qwenlab.conversations.strict_json import NotJsonError
from qwenlab.ui.json_shape import Shape, blank, filled, inside, kind_of, shape_of
from qwenlab.ui.texts import Translator

ACTIONS = ("form", "form_add", "form_drop", "form_move")
"""What a form sends; `apply_form` does it."""
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""A number as JSON writes it."""
_NOT_THERE: Any = object()


class FormError(ValueError):
    """Something typed that its field cannot take; the answer was left as it was.

    Attributes:
        pointer: the field.
        typed: what was typed, to be shown again.
    """

    def __init__(self, key: str, pointer: str, typed: str, why: NotJsonError | None = None) -> None:
        super().__init__(key)
        self.key = key
        self.pointer = pointer
        self.typed = typed
        self.why = why

    def say(self, t: Translator) -> str:
        """What is wrong and what to do."""
        why = words.json_reason(self.why.code, t.language, **self.why.values) if self.why else ""
        typed = self.typed if len(self.typed) <= 40 else self.typed[:39] + "…"
        return t(self.key, typed=typed, why=why)


def apply_form(text: str, schema: SchemaCheck, data: Mapping[str, Any]) -> str:
    """The answer's new text after one action of its form.

    Args:
        text: the answer as it stands; empty to begin one ("form_add" at the pointer "").
        schema: what it must satisfy.
        data: {"do": one of `ACTIONS`, "pointer", "kind", "text": what was typed, "by": for "form_move"}.

    Raises:
        FormError: when the field cannot take what was typed.
        NotJsonError: when the answer is no JSON any more.
        IndexError: when the field is not there any more.
    """
    do, pointer, typed = str(data["do"]), str(data.get("pointer", "")), str(data.get("text") or "")
    root = schema.schema
    if do == "form_drop":
        return json_edit.remove(text, pointer)
    if do == "form_move":
        return json_edit.move(text, pointer, int(data.get("by") or 0))
    if do == "form_add" and not text.strip():
        return json.dumps(filled(shape_of(root, root, None), root), ensure_ascii=False)
    asked, there = _asked(strict_json.read(text), root, pointer)
    shape = shape_of(asked, root, None if there is _NOT_THERE else there)
    if do == "form_add" and isinstance(there, list):
        item = inside(shape.schema, str(len(there)), True)
        return json_edit.insert(text, below(pointer, "-"), blank(item, root, 1))
    if do == "form_add":
        if there is not None and there is not _NOT_THERE:
            raise IndexError("it is filled in already")
        return _put(text, root, pointer, filled(shape, root))
    kind = str(data.get("kind"))
    if kind == "branch":
        return _put_branch(text, root, pointer, shape, typed)
    if not typed and shape.nullable and kind in ("string", "number", "date"):
        empty = _put(text, root, pointer, "")
        here = pointer or "/"
        if kind == "number" or any(one["pointer"] == here for one in schema.why_not(strict_json.read(empty))):
            return _put(text, root, pointer, None)  # an emptied field means that nothing was said
    changed = _put(text, root, pointer, _read(kind, typed, pointer))
    try:
        strict_json.read(changed)
    except NotJsonError as error:
        raise FormError("form_not_text", pointer, typed) from error
    return changed


def _read(kind: str, typed: str, pointer: str) -> Any:
    if kind in ("string", "date"):
        return typed
    if kind == "null":
        return None
    if kind == "number":
        # Full-width digits, and the minus signs that input methods write.
        written = re.sub("[−﹣–]", "-", unicodedata.normalize("NFKC", typed).strip())
        try:
            if NUMBER.fullmatch(written) and strict_json.read(written) is not None:
                return json_edit.Literal(written)
        except NotJsonError:
            pass
        raise FormError("form_not_number", pointer, typed)
    try:
        strict_json.read(typed)
    except NotJsonError as error:
        raise FormError("form_not_json", pointer, typed, error) from error
    return json_edit.Literal(typed.strip())


def _put_branch(text: str, root: Any, pointer: str, shape: Shape, typed: str) -> str:
    """Begin another alternative: null, or one of `shape.others` by its position."""
    if typed == "null":
        return _put(text, root, pointer, None)
    if not (typed.isascii() and typed.isdigit() and int(typed) < len(shape.others)):
        raise IndexError("no such alternative")
    schema = shape.others[int(typed)]
    begun = Shape(kind_of(schema, None), schema, shape.others, int(typed), shape.nullable)
    return _put(text, root, pointer, filled(begun, root))


def _asked(value: Any, root: Any, pointer: str) -> tuple[Any, Any]:
    """The schema at `pointer`, and what stands there."""
    schema: Any = root
    for key in json_edit.keys_of(pointer):
        known = range(len(value)) if isinstance(value, list) else ()
        if not isinstance(value, dict) and key not in map(str, known):
            raise IndexError(f"nothing stands at {pointer!r}")
        schema = inside(shape_of(schema, root, value).schema, key, isinstance(value, list))
        value = value[int(key)] if isinstance(value, list) else value.get(key, _NOT_THERE)
    return schema, value


def _put(text: str, root: Any, pointer: str, value: Any) -> str:
    """Set a value; a key that is not there yet goes where the schema lists it."""
    whole = strict_json.read(text)
    if _asked(whole, root, pointer)[1] is not _NOT_THERE:
        return json_edit.set_value(text, pointer, value)
    around, key = pointer.rpartition("/")[0], json_edit.keys_of(pointer)[-1]
    schema, holder = _asked(whole, root, around)
    order = list(shape_of(schema, root, holder).schema.get("properties", {}))
    earlier = order[: order.index(key)] if key in order else list(holder)
    at = max((place + 1 for place, known in enumerate(holder) if known in earlier), default=0)
    return json_edit.insert(text, pointer, value, at)
