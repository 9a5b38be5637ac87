"""Look through the examples of a version, a page at a time, all or those that hold a text.

Reads the file line by line and decodes only what may match, so that a large file stays quick.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from datasets.models import DatasetVersion
from tuner.examples import Example, Message

PAGE_SIZE = 20


@dataclass(frozen=True)
class NumberedExample:
    """An example and its place in the version, from 1."""

    number: int
    example: Example

    @property
    def before(self) -> tuple[Message, ...]:
        """What the model is given: every turn before the last answer."""
        return self.example.messages[:-1]

    @property
    def answer(self) -> str:
        """The last answer."""
        return self.example.messages[-1].content


@dataclass(frozen=True)
class ExamplePage:
    """Some examples, and how many there are of the kind that was asked for."""

    examples: list[NumberedExample]
    number: int
    count: int

    @property
    def page_count(self) -> int:
        """At least one."""
        return max(1, -(-self.count // PAGE_SIZE))

    @property
    def first(self) -> int:
        """The place of the first one among those that were asked for, from 1."""
        return (self.number - 1) * PAGE_SIZE + 1

    @property
    def last(self) -> int:
        """The place of the last one."""
        return self.first + len(self.examples) - 1

    @property
    def has_previous(self) -> bool:
        """Whether there is a page before."""
        return self.number > 1

    @property
    def has_next(self) -> bool:
        """Whether there is a page after."""
        return self.number < self.page_count


def browse(version: DatasetVersion, query: str = "", number: int = 1) -> ExamplePage:
    """Page `number`, or the nearest one there is."""
    count = version.example_count
    if query:
        count = sum(1 for _ in matching(version, query))
    number = min(max(1, number), max(1, -(-count // PAGE_SIZE)))
    start = (number - 1) * PAGE_SIZE
    found = matching(version, query) if query else numbered_lines(version)
    examples = [as_example(*line) for line in islice(found, start, start + PAGE_SIZE)]
    return ExamplePage(examples, number, count)


def first_examples(version: DatasetVersion, count: int) -> list[Example]:
    """The first few."""
    return examples_from(version, 1, count)


def examples_from(version: DatasetVersion, number: int, count: int) -> list[Example]:
    """So many, from this number on (counted from 1), or as many as there are."""
    lines = islice(numbered_lines(version), number - 1, number - 1 + count)
    return [as_example(*line).example for line in lines]


def numbered_lines(version: DatasetVersion) -> Iterator[tuple[int, str]]:
    """Every stored line and its number."""
    with version.path.open(encoding="utf-8", newline="\n") as file:
        yield from enumerate(file, start=1)


def matching(version: DatasetVersion, query: str) -> Iterator[tuple[int, str]]:
    """Lines with the text in any turn, capitals or not."""
    wanted = query.casefold()
    # As it would stand within the JSON; decoding each line first would take ten times as long.
    escaped = json.dumps(query, ensure_ascii=False)[1:-1].casefold()
    for number, line in numbered_lines(version):
        if escaped in line.casefold() and holds(line, wanted):
            yield number, line


def holds(line: str, wanted: str) -> bool:
    """Whether a turn says it, and not only the JSON around the turns."""
    return any(wanted in turn["content"].casefold() for turn in json.loads(line)["messages"])


def as_example(number: int, line: str) -> NumberedExample:
    """A stored line as what it is."""
    return NumberedExample(number, Example.from_dict(json.loads(line)))
