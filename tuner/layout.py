"""What a chat template makes of one order of roles: fixed tokens, and slots for the turns' texts.

With it, a conversation of the same roles needs neither the template nor a search for its answers.
How a layout is learned stands in `tuner.learn_layout`. Knows no tokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.examples import Message
from tuner.traced_text import Condition, Trim, trimmed


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a slot: so many characters of its own, and the texts that stand before it."""

    own: int
    turns: tuple[int, ...]

    def find(self, texts: Sequence[str]) -> int:
        return self.own + sum(len(texts[turn]) for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Tokens that stand there whatever the turns say."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """Text between two special tokens (at the ends of the text there may be none)."""

    literals: tuple[str, ...]
    """What stands before, between and after the turns' texts, the special tokens included."""
    turns: tuple[int, ...]
    first: int | None
    last: int | None
    """The special tokens' ids: the encoded slot begins and ends with them."""
    trained: tuple[Place, ...] | bool
    """Where trained tokens begin, end, begin again, and so on; an end that is not told is that of
    the slot. True for all of them, False for none."""

    @property
    def places(self) -> tuple[Place, ...]:
        return () if isinstance(self.trained, bool) else self.trained

    def text(self, texts: Sequence[str]) -> str:
        parts = [self.literals[0]]
        for turn, literal in zip(self.turns, self.literals[1:], strict=True):
            parts += (texts[turn], literal)
        return "".join(parts)


@dataclass(frozen=True)
class Layout:
    """One order of roles, as this template and this tokenizer write it."""

    trims: tuple[tuple[Trim, ...], ...]
    conditions: tuple[Condition, ...]
    parts: tuple[Fixed | Slot, ...]
    slots: tuple[Slot, ...]

    def fits(self, messages: Sequence[Message]) -> bool:
        """Whether the template goes the way it went when the layout was learned."""
        return all(
            condition.holds(messages[condition.turn].content) for condition in self.conditions
        )

    def texts(self, messages: Sequence[Message]) -> list[str]:
        return [
            trimmed(message.content, trims) if trims else message.content
            for message, trims in zip(messages, self.trims, strict=True)
        ]
