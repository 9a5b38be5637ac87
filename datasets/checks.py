"""Is this example fit to be stored? Limits of length, and characters that cannot be written.

Knows the limits of the settings; no files, no formats.
"""

from __future__ import annotations

import json

from django.conf import settings

from datasets.rows import BadRow, Row, excerpt
from datasets.shapes import ColumnMapping, read_example
from tuner.errors import ExampleError
from tuner.examples import Example


def check_row(row: Row, mapping: ColumnMapping | None) -> tuple[Example, bytes] | BadRow:
    """The example and the line to store, or why there is none."""
    try:
        example = read_example(row.record, mapping)
        check_lengths(example)
        return example, stored_line(example)
    except ExampleError as error:
        return BadRow(row.line, error.reason, error.remedy, excerpt(row.source))


def check_lengths(example: Example) -> None:
    """ExampleError for a prompt or an answer over its limit; nothing is ever cut."""
    parts = (
        ("prompt", example.prompt_text, settings.PROMPT_LIMIT_CHARACTERS),
        ("answer", example.answer_text, settings.ANSWER_LIMIT_CHARACTERS),
    )
    for name, text, limit in parts:
        if len(text) > limit:
            raise ExampleError(
                f"The {name} has {len(text):,} characters; the limit is {limit:,}.",
                "Shorten it or split the example. Nothing was cut.",
            )


def stored_line(example: Example) -> bytes:
    """The canonical line of an example; ExampleError for text that cannot be written."""
    text = json.dumps(example.as_dict(), ensure_ascii=False)
    if "\\u0000" in text and any("\0" in turn.content for turn in example.messages):
        raise ExampleError("The text holds a NUL character.", "Remove it; it is not text.")
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        raise ExampleError(
            "The text holds half of a character (a lone surrogate).",
            "Remove the broken character or write the file again as UTF-8.",
        ) from None
