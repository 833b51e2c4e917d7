"""Chat templates of strangers: what a conversation needs is rendered, all else ends in a clear error within seconds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from qwenlab.models.template_limits import LimitError, render

MESSAGES = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
AGAIN = "{% set ns = namespace(x=START, y=START) %}{% for i in range(60) %}DO{% endfor %}"


def doubling(start: str, do: str, after: str = "") -> str:
    return AGAIN.replace("START", start).replace("DO", do) + after


TWICE = "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}"
LINKED = "{% set n = namespace(a=ns.x, b=ns.x) %}{% set ns.x = n %}"
COSTLY = {
    "nested loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "loop of 10^12": "{% for i in range(10**12) %}{% endfor %}",
    "power": "{{ 10 ** (10 ** 10) }}",
    "power of what is not constant": "{% set n = messages|length * 10 %}{{ n ** (n ** n) }}",
    "squares of squares": doubling("7", "{% set ns.x = ns.x * ns.x %}"),
    "text times number": "{{ 'a' * 10 ** 10 }}",
    "list times number": "{{ ([1] * 10 ** 10)|length }}",
    "doubling by ~": doubling("'a'", "{% set ns.x = ns.x ~ ns.x %}"),
    "doubling by +": doubling("'a'", "{% set ns.x = ns.x + ns.x %}"),
    "doubling by a block": doubling("'a'", "{% set b %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = b %}"),
    "list in list printed": doubling("[1]", TWICE, "{{ ns.x }}"),
    "list in list compared": doubling("[1]", TWICE, "{{ ns.x == ns.y }}"),
    "list in list tested": doubling("[1]", TWICE, "{{ ns.x is eq(ns.y) }}"),
    "list in list looked for": doubling("[1]", TWICE, "{{ ns.x in [ns.y] }}"),
    "list in list as JSON": doubling("[1]", TWICE, "{{ ns.x|tojson }}"),
    "dict in dict": doubling("[1]", "{% set ns.x = {'a': ns.x, 'b': ns.x} %}", "{{ ns.x }}"),
    "tuple in tuple": doubling("[1]", "{% set ns.x = (ns.x, ns.x) %}", "{{ ns.x }}"),
    "namespace in namespace": doubling("[1]", LINKED, "{{ ns.x }}"),
    "macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "center": "{{ 'a'|center(10 ** 10) }}",
    "ljust": "{{ 'a'.ljust(10 ** 10) }}",
    "zfill": "{{ '1'.zfill(10 ** 10) }}",
    "expandtabs": "{{ '\\t'.expandtabs(10 ** 10) }}",
    "format": "{{ '{:>10000000000}'.format(1) }}",
    "format with a width": "{{ '{:{w}}'.format(1, w=10 ** 10) }}",
    "percent": "{{ '%10000000000d' % 1 }}",
    "percent star": "{{ '%*d' % (10 ** 10, 1) }}",
    "format filter": "{{ '%10000000000d'|format(1) }}",
    "replace": "{{ ('a' * 100000).replace('', 'b' * 100000) }}",
    "replace filter": "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
    "join": "{{ (['a' * 100000] * 100000)|join }}",
    "join of what is no list": "{{ (['a' * 100000] * 100000)|select|join }}",
    "join by a long text": "{{ (['b'] * 100000)|join(d='a' * 100000) }}",
    "join method": "{{ ('a' * 100000).join(['b'] * 100000) }}",
    "indent by a number": "{{ ('a\n' * 100000)|indent(10 ** 6) }}",
    "indent by a text": "{{ ('a\n' * 100000)|indent('b' * 100000) }}",
    "wordwrap": "{{ ('a' * 100000)|wordwrap(1, wrapstring='b' * 100000) }}",
    "batch": "{{ [1]|batch(10 ** 10, 'x')|list }}",
    "slice": "{{ [1]|slice(10 ** 10)|list }}",
    "JSON with a wide indent": "{{ [[1] * 1000]|tojson(indent=10 ** 9) }}",
    "map": "{{ ['a']|map('center', 10 ** 10)|list }}",
    "filter block": "{% filter center(10 ** 10) %}a{% endfilter %}",
    "date of some width": "{{ strftime_now('%10000000000Y') }}",
    "a long template": "a" * 2_000_000,
}
FORBIDDEN = {
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals of a function": "{{ raise_exception.__globals__['__builtins__']['open']('/etc/passwd').read() }}",
    "globals of a class": "{{ namespace.__init__.__globals__ }}",
    "attributes by format": "{{ '{0.__class__.__mro__}'.format(1) }}",
    "attributes by format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "attributes by the attr filter": "{{ ''|attr('__class__')|attr('__mro__') }}",
    "attributes by map": "{{ ['']|map(attribute='__class__')|list }}",
    "inside of a namespace": "{% set ns = namespace(_Namespace__attrs={}) %}",
    "inside of itself": "{{ self.__init__.__globals__ }}",
    "change of the messages": "{{ messages.append(1) }}{{ messages.clear() }}",
    "file": "{% include '/etc/passwd' %}",
    "our own filters": "{{ 'a'|environment }}",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("template", COSTLY.values(), ids=COSTLY)
def test_template_that_costs_too_much_is_stopped(template: str) -> None:
    with pytest.raises(LimitError):
        render(template, messages=MESSAGES)


@pytest.mark.parametrize("template", FORBIDDEN.values(), ids=FORBIDDEN)
def test_template_that_reaches_for_python_gets_nothing(template: str) -> None:
    before = [dict(message) for message in MESSAGES]
    try:
        said = render(template, messages=MESSAGES)
    except (TemplateError, TypeError):
        said = ""
    assert not any(word in said for word in ("class", "built", "function", "root:"))
    assert before == MESSAGES


@pytest.mark.parametrize(
    "template", ["{{ (((", "{% for %}", "{% if 1 %}" * 3000, "{{" + "(" * 5000 + ")" * 5000, "{% macro f() %}{{ f() }}"]
)
def test_broken_template_is_an_error_like_others(template: str) -> None:
    with pytest.raises((TemplateError, RecursionError, SyntaxError)):
        render(template, messages=MESSAGES)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for m in messages %}{{ m.role ~ ':' ~ m['content'] + '\n' }}{% endfor %}", "user:hi\nassistant:hello\n"),
        ("{% for m in messages[::-1] %}{% set i = messages|length - 1 - loop.index0 %}{{ i }}{% endfor %}", "10"),
        ("{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ m.role }}{% endfor %}", "user"),
        ("{{ messages|tojson }}", '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]'),
        ("{{ {'ä': '<b>'}|tojson(indent=1) }}", '{\n "ä": "<b>"\n}'),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{% generation %}x{% endgeneration %}{{ nothing }}{{ none }}", "xNone"),
        ("{{ 'a</think>b'.split('</think>')[-1].lstrip('\n') }}{{ 'x'.startswith('x') }}", "bTrue"),
        ("{% if 'a' in 'abc' and messages[0].content is string %}yes{% endif %}", "yes"),
        ("{% macro say(x, y=2) %}[{{ x }}{{ y }}]{% endmacro %}{{ say(1) }}{{ '%05d' % 3 }}", "[12]00003"),
        ("{% for a, b in {'k': 1}.items() %}{{ a }}{{ b }}{% endfor %}{{ (1, 2)[1] }}{{ [3] + [4] }}", "k12[3, 4]"),
        ("{{ '{}-{}'.format(1, 2) }}{{ 'a-b'|replace('-', '+') }}{{ ['a', 'b']|join(', ') }}", "1-2a+ba, b"),
    ],
)
def test_what_templates_use_works(template: str, expected: str) -> None:
    assert render(template, messages=MESSAGES) == expected


def test_refusal_of_a_template_is_its_own_words() -> None:
    with pytest.raises(TemplateError, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


def test_long_conversation_is_no_attack() -> None:
    long = [{"role": "user", "content": "word " * 2000}, {"role": "assistant", "content": "<think>x</think>y"}] * 300
    template = "{% for m in messages %}{{ m.role + m.content.split('</think>')[-1].strip() + '\n' }}{% endfor %}"
    assert len(render(template, messages=long)) > 3_000_000


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["{{", "}}", "{%", "%}", " for x in messages ", "endfor", " if x ", "endif", "x", "~", "+", "*", "**", "9"]
            + [
                "messages",
                "|join",
                "|list",
                "(",
                ")",
                "[",
                "]",
                "set y = ",
                "'a'",
                ".format",
                "|tojson",
                "|center(9)",
                " ",
            ]
        ),
        max_size=25,
    ).map("".join)
)
def test_any_template_is_rendered_or_refused(template: str) -> None:
    try:
        assert isinstance(render(template, messages=MESSAGES), str)
    except (TemplateError, TypeError, ValueError, ArithmeticError, SyntaxError, RecursionError, LookupError):
        return
