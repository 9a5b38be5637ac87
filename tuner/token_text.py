"""Token ids back to text, never half a character. Knows no templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

_UNFINISHED = "\ufffd"
"""Stands for a character whose last tokens were cut off."""


class Piece(NamedTuple):
    """The text of a token, or of the few tokens that make one character together."""

    text: str
    trained: bool
    ids: tuple[int, ...]


class TextStream:
    """Text of tokens that come one at a time, never half a character."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special_tokens: bool) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=skip_special_tokens)

    def feed(self, token: int) -> str:
        """The text that this token completes; empty while a character is unfinished."""
        text: str | None = self._stream.step(self._tokenizer, token)
        return text or ""


def pieces(tokenizer: Tokenizer, ids: Iterable[int], trained: Iterable[bool]) -> Iterator[Piece]:
    """The text of each token, special ones too; a character split over tokens comes whole."""
    stream = TextStream(tokenizer, skip_special_tokens=False)
    waiting: list[int] = []
    is_trained = False
    for token, is_trained in zip(ids, trained, strict=True):
        waiting.append(token)
        text = stream.feed(token)
        if text:
            yield Piece(text, is_trained, tuple(waiting))
            waiting = []
    if waiting:
        yield Piece(_UNFINISHED, is_trained, tuple(waiting))
