"""Learn from one rendering of marked texts what a chat template makes of an order of roles.

Cut only at special tokens, where every tokenizer begins afresh: the ids of the parts put together
are exactly those of the whole text. What cannot be learned so has no layout. Knows templates and
tokens; no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Protocol

from tokenizers import AddedToken, Tokenizer

from tuner.errors import TunerError
from tuner.examples import Message
from tuner.layout import Fixed, Layout, Place, Slot
from tuner.traced_text import Trace, Trim, traced, trimmed

Span = tuple[int, int]
"""Where something begins and ends in a text, in characters."""


class Renderer(Protocol):
    """What is asked of an encoder to learn a layout from it."""

    tokenizer: Tokenizer

    def render(self, messages: Sequence[Message], generation_prompt: bool) -> str: ...

    def trained_spans(
        self, text: str, messages: Sequence[Message], trained_on: str
    ) -> list[Span]: ...


def learn_layout(encoder: Renderer, roles: Sequence[str], trained_on: str) -> Layout | None:
    """The layout of conversations with these roles, or None if there is none to rely on."""
    try:
        return _learn(encoder, roles, trained_on)
    except (TunerError, _NoLayout):
        return None


class _NoLayout(Exception):
    """The template or the tokenizer does something that one rendering cannot speak for."""


def _mark(turn: int) -> str:
    # What a filter may change is in it: quotes, capitals, white space, marks of HTML and of JSON.
    return f"Qß{turn}x \"'&>\\{{{turn}\n\n{turn}  Éz{turn}q"


def _padded(turn: int) -> str:
    return f"\n \u2003{_mark(turn)}\u2003 \n"


def _learn(encoder: Renderer, roles: Sequence[str], trained_on: str) -> Layout:
    trace = Trace()
    marks = [_mark(turn) for turn in range(len(roles))]
    text = _traced_rendering(encoder, roles, marks, trace)
    where = [_only_place(text, mark) for mark in marks]
    padded = [_padded(turn) for turn in range(len(roles))]
    trims = _find_trims(
        _traced_rendering(encoder, roles, padded, trace), text, where, padded, trace
    )
    if not trace.is_understood:
        raise _NoLayout
    messages = [Message(role, mark) for role, mark in zip(roles, marks, strict=True)]
    spans = encoder.trained_spans(text, messages, trained_on)
    parts = _Cutter(encoder.tokenizer, text, where, spans).parts()
    joined = tuple(_joined(parts))
    slots = tuple(part for part in joined if isinstance(part, Slot))
    return Layout(tuple(trims), tuple(trace.conditions), joined, slots)


def _traced_rendering(
    encoder: Renderer, roles: Sequence[str], texts: Sequence[str], trace: Trace
) -> str:
    """The whole conversation; the prompts are rendered too, for what they ask of the texts."""
    messages = [
        Message(role, traced(text, trace, turn))
        for turn, (role, text) in enumerate(zip(roles, texts, strict=True))
    ]
    for turn, role in enumerate(roles):
        if role == "assistant":
            encoder.render(messages[:turn], generation_prompt=True)
    return encoder.render(messages, generation_prompt=False)


def _only_place(text: str, mark: str) -> Span:
    start = text.find(mark)
    if start < 0 or text.find(mark, start + 1) >= 0:
        raise _NoLayout
    return start, start + len(mark)


def _find_trims(
    rendered: str, text: str, where: Sequence[Span], padded: Sequence[str], trace: Trace
) -> list[tuple[Trim, ...]]:
    """Which of the trims that were tried on each turn's text explains the padded rendering."""
    trims: list[tuple[Trim, ...]] = [()] * len(where)
    ends, done = 0, 0
    for turn in sorted(range(len(where)), key=lambda turn: where[turn]):
        gap = text[ends : where[turn][0]]
        start = done + len(gap)
        tried = sorted(trace.trims[turn], key=lambda trims: -len(trimmed(padded[turn], trims)))
        fitting = (t for t in tried if rendered.startswith(trimmed(padded[turn], t), start))
        found = next(fitting, None)
        if found is None or rendered[done:start] != gap:
            raise _NoLayout
        trims[turn] = found
        ends, done = where[turn][1], start + len(trimmed(padded[turn], found))
    if rendered[done:] != text[ends:]:
        raise _NoLayout
    return trims


@dataclass(frozen=True)
class _Cut:
    """A special token the template wrote, and where its own text stands."""

    index: int
    id: int
    start: int
    end: int


class _Cutter:
    """Cuts a rendering of marked texts into fixed tokens and slots."""

    def __init__(
        self, tokenizer: Tokenizer, text: str, where: Sequence[Span], spans: Sequence[Span]
    ) -> None:
        self._added: dict[int, AddedToken] = tokenizer.get_added_tokens_decoder()
        self._has_normalizer = tokenizer.normalizer is not None
        self._text, self._where, self._spans = text, where, spans
        if any(token.single_word and token.content in text for token in self._added.values()):
            raise _NoLayout  # whether it is found depends on the letters of a turn beside it
        encoding = tokenizer.encode(text, add_special_tokens=False)
        self._ids, self._starts = encoding.ids, [start for start, _ in encoding.offsets]
        self._cuts = [cut for cut in map(self._cut, range(len(self._ids))) if cut]

    def parts(self) -> Iterable[Fixed | Slot]:
        before = _Cut(-1, -1, 0, 0)
        after = _Cut(len(self._ids), -1, len(self._text), len(self._text))
        for left, right in pairwise([before, *self._cuts, after]):
            turns = self._turns_between(left.start, right.end)
            between = range(left.index + 1, right.index)
            if turns:
                yield self._slot(left, right, turns)
            elif between:
                yield self._fixed(between)
            if right is not after:
                yield self._fixed(range(right.index, right.index + 1))

    def _fixed(self, indices: range) -> Fixed:
        starts = (self._starts[index] for index in indices)
        trained = tuple(any(a <= start < b for a, b in self._spans) for start in starts)
        return Fixed(tuple(self._ids[index] for index in indices), trained)

    def _slot(self, left: _Cut, right: _Cut, turns: Sequence[int]) -> Slot:
        edges = [left.start, *(edge for turn in turns for edge in self._where[turn]), right.end]
        literals = (
            self._text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)
        )
        return Slot(
            literals=tuple(literals),
            turns=tuple(turns),
            first=left.id if left.index >= 0 else None,
            last=right.id if right.index < len(self._ids) else None,
            trained=self._trained(left, right, turns),
        )

    def _trained(self, left: _Cut, right: _Cut, turns: Sequence[int]) -> tuple[Place, ...] | bool:
        inside = [(max(a, left.end), min(b, right.start)) for a, b in self._spans]
        edges = [edge for a, b in inside if a < b for edge in (a, b)]
        if edges == [left.end, right.start]:
            return True
        if edges and edges[-1] == right.start:
            edges.pop()
        return tuple(self._place(left, turns, edge) for edge in edges) or False

    def _place(self, left: _Cut, turns: Sequence[int], at: int) -> Place:
        if any(self._where[turn][0] < at < self._where[turn][1] for turn in turns):
            raise _NoLayout
        before = tuple(turn for turn in turns if self._where[turn][1] <= at)
        taken = sum(self._where[turn][1] - self._where[turn][0] for turn in before)
        return Place(at - left.start - taken, before)

    def _turns_between(self, start: int, end: int) -> list[int]:
        inside = [turn for turn, (a, b) in enumerate(self._where) if start <= a and b <= end]
        return sorted(inside, key=lambda turn: self._where[turn])

    def _in_a_turn(self, cut: _Cut) -> bool:
        return any(start < cut.end and cut.start < end for start, end in self._where)

    def _cut(self, index: int) -> _Cut | None:
        token = self._added.get(self._ids[index])
        if token is None:
            return None
        # The token may have taken white space beside it; its own text comes within that.
        start = self._text.find(token.content, self._starts[index])
        cut = _Cut(index, self._ids[index], start, start + len(token.content))
        if self._in_a_turn(cut):
            return None
        if self._divides(token):
            return cut
        if token.special:
            raise _NoLayout  # it may end an answer here and go unseen in another conversation
        return None

    def _divides(self, token: AddedToken) -> bool:
        """Whether the tokenizer surely finds this token wherever its text stands.

        Added tokens are found from the left, the longest first, before anything else is done to
        the text, unless one reads normalised text or minds its neighbours.
        """
        if token.lstrip or (token.normalized and self._has_normalizer):
            return False
        others = (other.content for other in self._added.values())
        return not any(_overlap(token.content, other) for other in others)


def _overlap(token: str, other: str) -> bool:
    """Whether text exists in which `other` keeps `token` from being found."""
    if other != token and other.startswith(token):
        return True
    cuts_into = any(
        token.startswith(other[at:]) or other[at:].startswith(token) for at in range(1, len(other))
    )
    is_cut = any(
        other.startswith(token[at:]) or token[at:].startswith(other) for at in range(1, len(token))
    )
    return cuts_into or is_cut


def _joined(parts: Iterable[Fixed | Slot]) -> Iterable[Fixed | Slot]:
    """The same parts, with neighbouring fixed ones made one."""
    for is_fixed, group in groupby(parts, key=lambda part: isinstance(part, Fixed)):
        if not is_fixed:
            yield from group
            continue
        fixed = [part for part in group if isinstance(part, Fixed)]
        ids = chain.from_iterable(part.ids for part in fixed)
        yield Fixed(tuple(ids), tuple(chain.from_iterable(part.trained for part in fixed)))
