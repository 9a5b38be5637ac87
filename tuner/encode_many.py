"""Encode many examples at once, with the results of encoding each by itself.

Examples of the same roles share a layout, learned once; those without one, and those for which the
template goes another way, are encoded one by one. Every layout is tried against the slow way on
its first examples and now and then after. Knows no limits of length and keeps no examples.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from tuner.encode import ChatEncoder, Encoded
from tuner.errors import ExampleError
from tuner.examples import Example
from tuner.layout import Fixed, Layout, Slot
from tuner.learn_layout import learn_layout
from tuner.text_tokens import Asked, Counted, TextTokens

_TRIED_FIRST = 2
_TRIED_AGAIN = 1000
"""The first examples of each order of roles, and then one in so many, are encoded both ways."""

Outcome = Encoded | ExampleError


class ManyEncoder:
    """Encodes lists of examples for one base model and one choice of what is trained."""

    def __init__(self, encoder: ChatEncoder, trained_on: str = "answers") -> None:
        self._encoder = encoder
        self._trained_on = trained_on
        self._tokens = TextTokens(encoder.tokenizer)
        self._layouts: dict[tuple[str, ...], Layout | None] = {}
        self._seen: Counter[tuple[str, ...]] = Counter()
        self._lock = threading.Lock()

    def encode(self, examples: Sequence[Example]) -> list[Outcome]:
        """For each example its tokens, or the error that says why there are none."""
        with self._lock:
            return self._encode(examples)

    def _encode(self, examples: Sequence[Example]) -> list[Outcome]:
        layouts = [self._layout(example) for example in examples]
        texts = [
            layout.texts(example.messages) if layout else []
            for layout, example in zip(layouts, examples, strict=True)
        ]
        asked = [
            _asked(part, texts[index])
            for index, layout in enumerate(layouts)
            if layout
            for part in layout.slots
        ]
        counted = iter(self._tokens.encode(asked))
        outcomes: list[Outcome] = []
        for example, layout in zip(examples, layouts, strict=True):
            quick = _assembled(layout, counted, self._trained_on) if layout else None
            outcomes.append(self._tried(example, quick) if quick else self._one_by_one(example))
        return outcomes

    def has_layout(self, roles: Sequence[str]) -> bool:
        """Whether conversations with these roles are encoded the quick way."""
        return self._layouts.get(tuple(roles)) is not None

    def _layout(self, example: Example) -> Layout | None:
        roles = tuple(message.role for message in example.messages)
        if roles not in self._layouts:
            self._layouts[roles] = learn_layout(self._encoder, roles, self._trained_on)
        layout = self._layouts[roles]
        return layout if layout and layout.fits(example.messages) else None

    def _tried(self, example: Example, quick: Encoded) -> Outcome:
        """The quick result; where it is this example's turn, only if the slow one is the same."""
        roles = tuple(message.role for message in example.messages)
        self._seen[roles] += 1
        if self._seen[roles] > _TRIED_FIRST and self._seen[roles] % _TRIED_AGAIN:
            return quick
        slow = self._one_by_one(example)
        if slow != quick:
            self._layouts[roles] = None
        return slow

    def _one_by_one(self, example: Example) -> Outcome:
        try:
            return self._encoder.encode_example(example, self._trained_on)
        except ExampleError as error:
            return error


def many_encoder(encoder: ChatEncoder, trained_on: str = "answers") -> ManyEncoder:
    """The one for this encoder, which knows what was learned of its template before."""
    known: ManyEncoder = encoder.learned.setdefault(trained_on, ManyEncoder(encoder, trained_on))
    return known


def _asked(slot: Slot, texts: Sequence[str]) -> Asked:
    return slot.text(texts), tuple(place.find(texts) for place in slot.places)


def _assembled(layout: Layout, counted: Iterator[Counted], trained_on: str) -> Encoded | None:
    """The parts put together; None if a slot did not begin and end with its special tokens."""
    ids: list[int] = []
    trained: list[bool] = []
    is_whole = True
    for part in layout.parts:
        if isinstance(part, Fixed):
            ids += part.ids
            trained += part.trained
            continue
        found = next(counted)
        first, last = part.first is not None, part.last is not None
        is_whole &= not (first and found.ids[0] != part.first)
        is_whole &= not (last and found.ids[-1] != part.last)
        end = len(found.ids) - last
        ids += found.ids[first:end]
        trained += _flags(part, found, first, end)
    if trained_on == "everything" and trained:
        trained[0] = False  # nothing comes before it from which it could be told
    return Encoded(ids, trained) if is_whole and any(trained) else None


def _flags(slot: Slot, found: Counted, first: int, end: int) -> list[bool]:
    if isinstance(slot.trained, bool):
        return [slot.trained] * (end - first)
    flags: list[bool] = []
    for number, place in enumerate(found.before):
        flags += [number % 2 == 1] * (min(place, end) - first - len(flags))
    return flags + [len(found.before) % 2 == 1] * (end - first - len(flags))
