"""How an answer's state and end are put into words on the page."""

from __future__ import annotations

from library.server import End

LOADING = "Loading the model…"


def ending(end: End, max_tokens: int) -> str:
    """`Finished · 42 tokens · 15.3 tokens/s`."""
    parts = [_reason(end, max_tokens), _count(end.answer_tokens)]
    if end.tokens_per_second is not None:
        parts.append(f"{end.tokens_per_second:.1f} tokens/s")
    return " · ".join(parts)


def _reason(end: End, max_tokens: int) -> str:
    if end.reason != "length":
        return "Finished"
    if end.answer_tokens >= max_tokens:
        return "Cut off at max tokens"
    return "Cut off at the end of the model's context"


def _count(tokens: int) -> str:
    return "1 token" if tokens == 1 else f"{tokens:,} tokens"
