"""A stranger's chat template, rendered with limits: it cannot reach Python, loop for ever or fill the memory.

Jinja's sandbox keeps a template from attributes and functions it should not have. What it leaves open is cost: nested
loops, numbers like 10**10**10, texts that double. Here every step, and every character that is made, is paid from a
budget before it happens. Otherwise the text is the one that transformers makes, which a test asserts.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_context
from jinja2.visitor import NodeTransformer

BUDGET = 100_000_000
"""Characters that one rendering may make or look through: about a second's work at most."""
STEP, ITEM = 200, 50
"""What a turn of a loop costs, and an item of a list; a call costs two turns."""
COMPARING = {"eq", "equalto", "==", "ne", "!=", "in", "lt", "lessthan", "<", "le", "<=", "gt", "greaterthan", ">", "ge"}
WIDENING = {"indent", "wordwrap", "urlize"}
"""Filters that may put a text of the template's own into another one again and again."""
LONGEST = 1_000_000
"""Characters of a template."""
WIDE = re.compile(r"\d{5,}|\*")
"""A width in a format that makes a short text long."""


class LimitError(TemplateError):
    """A template that wants more than any conversation needs."""


def render(template: str, **values: Any) -> str:
    """The text that a chat template makes of `values`, such as messages and add_generation_prompt.

    Raises:
        LimitError: when it costs too much.
        jinja2.TemplateError: when it is broken, does what is not allowed, or refuses the values.
    """
    if len(template) > LONGEST:
        raise LimitError(f"it has more than {LONGEST:,} characters")
    compiled = _compiled(template)
    compiled.environment.begin()
    return compiled.render(**values)


@functools.lru_cache(maxsize=16)
def _compiled(template: str) -> Any:
    environment = _Limited()
    environment.begin()
    return environment.from_string(template)


class _Limited(ImmutableSandboxedEnvironment):
    """The sandbox that transformers uses, and a budget for each rendering."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        self._purse = threading.local()  # several threads may render at once
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], finalize=self._seen
        )
        known: dict[str, Any] = {**self.filters, "tojson": _to_json}
        self.filters = {name: self._paid(name, one) for name, one in known.items()}
        self.filters.update({STEPPED: self._step, JOINED: self._joined, WEIGHED: self._weighed})
        tests: dict[str, Any] = self.tests
        self.tests = {name: self._paid(name, one) if name in COMPARING else one for name, one in tests.items()}
        del self.globals["lipsum"]
        self.globals.update(raise_exception=_refuse, strftime_now=_now, dict=_new_dict, namespace=_Names)

    def begin(self) -> None:
        """Fill the purse for one rendering in this thread."""
        self._purse.left = BUDGET

    def pay(self, cost: int) -> None:
        """Spend, or raise LimitError."""
        self._purse.left -= cost
        if self._purse.left < 0:
            raise LimitError("it loops too long or makes too much text")

    @pass_context  # so that none of them is computed once and for all when the template is read
    def _step(self, _: Any, text: str) -> str:
        self.pay(STEP)
        return text

    @pass_context
    def _joined(self, _: Any, parts: list[Any]) -> str:
        self.pay(_weight(parts))
        return "".join(map(str, parts))

    @pass_context
    def _weighed(self, _: Any, value: Any) -> Any:
        self.pay(_weight(value))
        return value

    def concat(self, parts: Iterable[str]) -> str:
        """What a block, a macro and the whole template make."""
        known = list(parts)
        self.pay(sum(map(len, known)))
        return "".join(known)

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Any call in the template."""
        owner = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)  # the sandbox wraps str.format
        values = [owner, *args] if isinstance(owner, str | bytes | list | tuple | dict) else list(args)
        self.pay(2 * STEP + _cost(getattr(__obj, "__name__", ""), [*values, *kwargs.values()]))
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """An operator whose result can be far larger than its sides."""
        if operator == "+" and type(left) is type(right) is str:  # by far the most frequent
            self.pay(len(left) + len(right))
            return left + right
        numbers = isinstance(left, int) and isinstance(right, int)
        if operator == "**":
            self.pay(_bits(left) * max(1, int(right)) if numbers else STEP)
        elif operator == "*" and numbers:
            self.pay(_bits(left) * _bits(right) // 1000)
        elif operator == "*":
            self.pay(_cost("*", [left, right]))
        elif operator == "%" and isinstance(left, str):
            self.pay(_cost("format", [left, right]))
        elif not numbers:
            self.pay(_weight([left, right]))
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Counted().visit(super()._parse(source, name, filename))

    def _seen(self, value: Any) -> Any:
        """What stands between {{ and }}."""
        self.pay(len(value) if type(value) is str else _weight(value))
        return value

    def _paid(self, name: str, one: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(one)  # with jinja's marks on it
        def paid(*args: Any, **kwargs: Any) -> Any:
            own = 1 if hasattr(one, "jinja_pass_arg") else 0
            if name == "join" and not isinstance(args[own], str | Sequence | Mapping):
                args = (*args[:own], list(args[own]), *args[own + 1 :])  # to know what will be joined
            self.pay(STEP + _cost(name, [*args[own:], *kwargs.values()]))
            return one(*args, **kwargs)

        return paid


class _Counted(NodeTransformer):
    """Puts a step into each loop, and lets what can grow without a call be paid for; jinja names the methods."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        """Count each turn."""
        self.generic_visit(node)
        step = _through(STEPPED, nodes.Const("", lineno=node.lineno))
        node.body.insert(0, nodes.Output([step], lineno=node.lineno))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        """Join what stands between ~."""
        self.generic_visit(node)
        return _through(JOINED, nodes.List(node.nodes, lineno=node.lineno))

    def visit_List(self, node: nodes.List) -> nodes.Expr:  # noqa: N802
        """A list that holds itself twice, again and again, is soon too large to compare or print."""
        self.generic_visit(node)
        return _through(WEIGHED, node) if node.items else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:  # noqa: N802
        """As a list, unless it is what a loop or an assignment fills."""
        self.generic_visit(node)
        return _through(WEIGHED, node) if node.ctx == "load" and node.items else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:  # noqa: N802
        """As a list."""
        self.generic_visit(node)
        return _through(WEIGHED, node) if node.items else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        """Comparing with a plain word costs nothing; comparing two made-up things does."""
        self.generic_visit(node)
        if not any(isinstance(side, nodes.Const) for side in [node.expr, *(one.expr for one in node.ops)]):
            node.expr = _through(WEIGHED, node.expr)
        return node


STEPPED, JOINED, WEIGHED = "a step", "a join", "a weight"
"""Filters of ours; a template cannot name them, for the space."""


def _through(name: str, what: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(what, name, [], [], None, None, lineno=what.lineno)


class _Generation(Extension):
    """Lets {% generation %} be, with which some templates mark what the assistant says."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Scope:
        """Its body, in a scope of its own."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


class _Names(Namespace):
    """A template's variables, without names that reach into Python."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, given = args[0], dict(*args[1:], **kwargs)
        for name in given:
            _check_name(name)
        Namespace.__init__(self, given)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if str(name).startswith("_"):
        raise SecurityError(f"the name {name!r} is not allowed")


def _new_dict(*args: Any, **kwargs: Any) -> dict[Any, Any]:
    return dict(*args, **kwargs)


def _refuse(message: object) -> None:
    raise TemplateError(str(message))


def _now(form: str) -> str:
    if WIDE.search(form):
        raise LimitError("it wants a date of that width")
    return datetime.now().strftime(form)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


# --- what things cost -------------------------------------------------------------------------------------


def _cost(name: str, values: list[Any]) -> int:
    """At least the characters, or items, that a function makes of these."""
    if name == "replace" and len(values) > 2 and all(isinstance(value, str) for value in values[:3]):
        text, old, new = values[:3]
        return len(text) + (text.count(old) if old else len(text) + 1) * len(new)
    if name == "join":
        items = max(len(value) if isinstance(value, Sequence | Mapping) else 1 for value in [*values, ""])
        texts = [len(value) for value in values if isinstance(value, str)]
        return _weight(values) + items * max(texts, default=0)
    if name.startswith("format") and any(isinstance(value, str) and WIDE.search(value) for value in values):
        raise LimitError("it wants a text of that width")
    product = 1 + _weight([value for value in values if not isinstance(value, int)])
    if name in WIDENING:
        product *= max((len(value) for value in values[1:] if isinstance(value, str)), default=1) or 1
    for value in values:
        if isinstance(value, int):
            product *= max(1, min(abs(value), BUDGET))
    return product


def _weight(value: Any) -> int:
    """Characters of all texts in a value, and ITEM for anything else; it stops counting past the budget."""
    total, waiting = 0, [value]
    while waiting and total <= BUDGET:
        one = waiting.pop()
        total += len(one) + 1 if isinstance(one, str | bytes) else ITEM
        if isinstance(one, Namespace):
            waiting.append(one._Namespace__attrs)
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set):
            waiting += one
    return total


def _bits(number: int) -> int:
    return max(1, abs(number).bit_length())
