"""From a row to an example: recognised field names, or the two columns a person chose.

Knows names of fields and columns; not where rows come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tuner.errors import ExampleError
from tuner.examples import Example, example_from_fields

PROMPT_WORDS = ("prompt", "question", "instruction", "input", "dialogue", "text", "message", "user")
ANSWER_WORDS = (
    *("completion", "answer", "answers", "response", "reply", "output", "summary"),
    *("translation", "category", "label", "labels", "target", "intent", "assistant"),
)
NESTING_LIMIT = 4


@dataclass(frozen=True)
class ColumnMapping:
    """Which column holds the prompt and which the answer."""

    prompt: str
    answer: str


def read_example(record: Mapping[str, object], mapping: ColumnMapping | None) -> Example:
    """The example of a row; ExampleError says what is wrong with it."""
    if mapping is None:
        return example_from_fields(record)
    values = flatten(record)
    return example_from_fields(
        {"prompt": _value(values, mapping.prompt), "completion": _value(values, mapping.answer)}
    )


def _value(values: Mapping[str, object], column: str) -> object:
    if column not in values:
        what = "There is no list of one item for" if "[0]" in column else "There is no value for"
        raise ExampleError(f"{what} {column}.", "Fill it in or remove the example.")
    value = values[column]
    if isinstance(value, str) and not value.strip():
        raise ExampleError(f"The column {column} is empty.", "Fill it in or remove the example.")
    return value


def flatten(record: Mapping[str, object], depth: int = NESTING_LIMIT) -> dict[str, object]:
    """Columns of a nested row: `answer.text`, and `answers[0]` where a list has one item.

    A longer list stays as it is: to take its first item alone would lose the others silently.
    """
    columns: dict[str, object] = {}
    for name, value in record.items():
        if isinstance(value, list) and len(value) == 1:
            name, value = f"{name}[0]", value[0]
        if isinstance(value, dict) and depth > 0:
            inner = flatten(value, depth - 1)
            columns.update({f"{name}.{key}": item for key, item in inner.items()})
        else:
            columns[name] = value
    return columns


def columns_of(records: Iterable[Mapping[str, object]]) -> list[str]:
    """Every column that holds text in any of the rows, in the order they appear."""
    columns: dict[str, None] = {}
    for record in records:
        for name, value in flatten(record).items():
            if isinstance(value, str):
                columns[name] = None
    return list(columns)


def guess_mapping(columns: list[str]) -> ColumnMapping:
    """A first proposal by whole words of the names, else the first two columns."""
    prompt = _first_named(columns, PROMPT_WORDS) or columns[0]
    others = [column for column in columns if column != prompt]
    answer = _first_named(others, ANSWER_WORDS) or others[0]
    return ColumnMapping(prompt, answer)


def _first_named(columns: list[str], words: tuple[str, ...]) -> str | None:
    by_word = {
        word: column
        for column in reversed(columns)
        for word in re.findall(r"[a-z]+", _spaced(column))
    }
    return next((by_word[word] for word in words if word in by_word), None)


def _spaced(column: str) -> str:
    """`userInput` as `user input`, so that its words are whole words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower()
