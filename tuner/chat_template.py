"""Compile a model's chat template in a sandbox, with the names such templates expect.

Follows what transformers offers a template, so that the same text comes out; knows no tokens. A
template is a stranger's code: nothing of it runs while it is compiled, and what it computes stays
small. Loops within loops can still take long; who cannot wait renders in a process of its own.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import cache
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tuner.errors import ModelError

PLAIN_TEMPLATE = """\
{%- if bos_token is defined and bos_token != eos_token %}{{ bos_token }}{% endif %}
{%- for message in messages %}
{%- if message['role'] == 'assistant' %}
{{- 'Assistant:\\n' + message['content'] + eos_token + '\\n\\n' }}
{%- else %}
{{- message['role'] | capitalize + ':\\n' + message['content'] + '\\n\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}
"""
"""For base models that bring no chat template. Each turn is its role and a colon on one line, then
its text, then an empty line; the assistant's text ends with the tokenizer's end of text:

    User:
    What follows 41?

    Assistant:
    42<|endoftext|>

No token is needed that a tokenizer might lack. Stored with what is tuned on it, like any other."""

_TOKEN_NAME = re.compile(r"<\|[^<>|\s]+\|>|<(?:start|end)_of_turn>")
"""Texts that are written to be one token each, in the templates of today's families."""

_FACTOR_LIMIT = 10**18
_BASE_LIMIT, _EXPONENT_LIMIT = 10**9, 64
_REPEATED_ITEMS_LIMIT = 100_000


class _GenerationBlock(Extension):
    """Reads {% generation %} ... {% endgeneration %} as its content: we find answers ourselves."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes HTML, which a language model should not learn.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _strftime_now(format_text: str) -> str:
    return datetime.now().strftime(format_text)


class _BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which no single product or power takes the machine's time or memory."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        is_bounded = _is_small_power if operator == "**" else _is_small_product
        if not is_bounded(left, right):
            raise SecurityError(f"it computes {operator} of values that are too large")
        return super().call_binop(context, operator, left, right)


def _is_small_power(base: Any, exponent: Any) -> bool:
    return _is_number(base, _BASE_LIMIT) and _is_number(exponent, _EXPONENT_LIMIT)


def _is_small_product(left: Any, right: Any) -> bool:
    if _is_number(left, _FACTOR_LIMIT) and _is_number(right, _FACTOR_LIMIT):
        return True
    repeated, times = (right, left) if isinstance(left, int) else (left, right)
    if not isinstance(repeated, str | list | tuple) or not _is_number(times, _FACTOR_LIMIT):
        return False
    return len(repeated) * times <= _REPEATED_ITEMS_LIMIT


def _is_number(value: Any, limit: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= limit


@pass_context
def _as_it_is(context: Context, value: Any) -> Any:
    """Given each output at run time, which keeps jinja2 from computing outputs while compiling."""
    return value


def _environment() -> ImmutableSandboxedEnvironment:
    environment = _BoundedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        optimized=False,
        finalize=_as_it_is,
        extensions=[_GenerationBlock, "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def written_tokens(text: str) -> list[str]:
    """What in a rendered conversation looks like the names of tokens."""
    return _TOKEN_NAME.findall(text)


@cache
def compile_template(source: str) -> Template:
    try:
        return _environment().from_string(source)
    except Exception as error:  # Python's compiler adds errors of its own to those of jinja2
        raise ModelError(f"The model's chat template has an error: {error}.") from None
