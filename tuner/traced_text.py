"""A text that remembers what a chat template asks of it, so that one rendering speaks for many.

A template that only places and trims a turn's text renders every conversation of the same roles
alike. What it asks on the way ("does the answer hold </think>?") is kept as conditions; another
conversation is rendered alike if it answers them alike. This is the path condition of symbolic
execution (King, 1976). Knows no tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Trim = tuple[str, tuple[str, ...]]
"""A trimming method of str and its arguments: ("strip", ()), ("lstrip", ("\\n",))."""

_TRIMS = ("strip", "lstrip", "rstrip")
_QUESTIONS = ("__contains__", "startswith", "endswith", "__eq__", "__ne__")
_HARMLESS = {
    *("__new__", "__init__", "__str__", "__repr__", "__class__", "__getattribute__", "__doc__"),
    *("__init_subclass__", "__subclasshook__", "__dir__", "__sizeof__", "__reduce__"),
    *("__reduce_ex__", "__getnewargs__", "__setattr__", "__delattr__", "__getstate__"),
}


def trimmed(text: str, trims: tuple[Trim, ...]) -> str:
    for method, arguments in trims:
        text = getattr(text, method)(*arguments)
    return text


@dataclass(frozen=True)
class Condition:
    """A question about a turn's text, after trimming, and the answer that was given."""

    turn: int
    trims: tuple[Trim, ...]
    question: str
    argument: Any
    answer: bool

    def holds(self, text: str) -> bool:
        asked = getattr(trimmed(text, self.trims), self.question)
        return bool(asked(self.argument)) == self.answer


@dataclass
class Trace:
    """What was asked of the texts of one rendering, and how each was trimmed."""

    conditions: dict[Condition, None] = field(default_factory=dict)
    trims: dict[int, dict[tuple[Trim, ...], None]] = field(default_factory=dict)
    is_understood: bool = True
    """Whether nothing but known questions was asked."""


class TracedText(str):
    """The text of one turn, or what a template made of it."""

    trace: Trace
    turn: int
    trims: tuple[Trim, ...]
    is_whole: bool
    """Whether it is the turn's text, perhaps trimmed, and not joined to something else."""

    def __bool__(self) -> bool:
        return len(str(self)) > 0  # a turn's text is never empty, nor is it once trimmed


def traced(
    text: str, trace: Trace, turn: int, trims: tuple[Trim, ...] = (), *, is_whole: bool = True
) -> TracedText:
    made = TracedText(text)
    made.trace, made.turn, made.trims, made.is_whole = trace, turn, trims, is_whole
    if is_whole:
        trace.trims.setdefault(turn, {})[trims] = None
    return made


def _trim(name: str) -> Callable[..., TracedText]:
    plain = getattr(str, name)

    def method(self: TracedText, *arguments: str) -> TracedText:
        trims = (*self.trims, (name, arguments))
        return traced(plain(self, *arguments), self.trace, self.turn, trims, is_whole=self.is_whole)

    return method


def _question(name: str) -> Callable[[TracedText, Any], bool]:
    plain = getattr(str, name)

    def method(self: TracedText, argument: Any) -> bool:
        if argument is None:
            return name == "__ne__"  # of every text alike
        answer = plain(self, argument)
        can_repeat = self.is_whole and type(argument) in (str, tuple)
        if not can_repeat:
            self.trace.is_understood = False
            return bool(answer)
        condition = Condition(self.turn, self.trims, name, argument, answer)
        self.trace.conditions[condition] = None
        return bool(answer)

    return method


def _join(self: TracedText, other: str) -> TracedText:
    return traced(str.__add__(self, other), self.trace, self.turn, is_whole=False)


def _join_after(self: TracedText, other: str) -> TracedText:
    return traced(str.__add__(other, self), self.trace, self.turn, is_whole=False)


def _unknown(name: str) -> Callable[..., Any]:
    plain = getattr(str, name)

    def method(self: TracedText, *arguments: Any, **named: Any) -> Any:
        self.trace.is_understood = False
        return plain(self, *arguments, **named)

    return method


def _method(name: str) -> Callable[..., Any]:
    if name == "__add__":
        return _join
    if name in _TRIMS:
        return _trim(name)
    return _question(name) if name in _QUESTIONS else _unknown(name)


for _name in dir(str):
    if _name not in _HARMLESS and callable(getattr(str, _name)):
        setattr(TracedText, _name, _method(_name))
setattr(TracedText, "__radd__", _join_after)  # noqa: B010 (str has none to be replaced)
