"""The numbers of the next-number sample: which are taught, and which are kept back to ask later.

`python -m datasets.next_number` writes the sample's file again. Knows numbers, no accounts, no
database; a measurement that asks a tuned model for held-out numbers takes them from here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SAMPLE_FILE = Path(__file__).parent / "samples" / "next-number.jsonl"
# Where the last digit carries, there is little to learn from and much to get wrong: always taught.
CARRIES = (9, 19, 99, 109, 199, 499, 999)
OTHER_FORMS = {
    "0": "1",
    "-1": "0",
    "-2": "-1",
    "-8": "-7",
    "-15": "-14",
    "-64": "-63",
    "-100": "-99",
    "1,000": "1,001",
    "2,499": "2,500",
    "7,318": "7,319",
    "10,000": "10,001",
    "56,120": "56,121",
    "1200": "1201",
    "4086": "4087",
    "8649": "8650",
    "zero": "one",
    "one hundred": "one hundred one",
    "one hundred nine": "one hundred ten",
    "two hundred six": "two hundred seven",
    "six hundred forty": "six hundred forty-one",
    "one thousand": "one thousand one",
    "Seven": "Eight",
    "twenty two": "twenty three",
    "fifty eight": "fifty nine",
    "seventy nine": "eighty",
}
"""A few of every other form people write numbers in."""

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

Pair = tuple[str, str]


def in_words(number: int) -> str:
    """`twenty-one` for 21; from 0 to 100."""
    if number == 100:
        return "one hundred"
    if number < 20:
        return _UNITS[number]
    tens, unit = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_UNITS[unit]}" if unit else "")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A way of writing numbers, and how many of them are taught and held out."""

    numbers: range
    write: Callable[[int], str]
    taught: int
    held_out: int


KINDS = (
    Kind(numbers=range(1, 100), write=str, taught=26, held_out=14),
    Kind(numbers=range(100, 1000), write=str, taught=44, held_out=20),
    Kind(numbers=range(1, 100), write=in_words, taught=54, held_out=26),
)


def taught_pairs() -> list[Pair]:
    """The sample: prompts and answers, in the order of the file."""
    taught, _ = _parted()
    pairs = [*taught, *OTHER_FORMS.items()]
    random.Random("order").shuffle(pairs)
    return pairs


def held_out_pairs() -> list[Pair]:
    """Sixty numbers of the same kinds that the sample never shows as a prompt."""
    _, held_out = _parted()
    return held_out


def _parted() -> tuple[list[Pair], list[Pair]]:
    """Numbers below 1,000 in digits and below 100 in words, parted into taught and held out."""
    generator = random.Random("next number")
    taught: list[Pair] = []
    held_out: list[Pair] = []
    for kind in KINDS:
        pairs = [
            (kind.write(number), kind.write(number + 1))
            for number in _shuffled(generator, kind.numbers)
        ]
        taught += pairs[: kind.taught]
        held_out += pairs[kind.taught : kind.taught + kind.held_out]
    return taught, held_out


def _shuffled(generator: random.Random, numbers: range) -> list[int]:
    """The carries first, the rest in a random but fixed order."""
    carries = [number for number in numbers if number in CARRIES]
    others = [number for number in numbers if number not in CARRIES]
    generator.shuffle(others)
    return carries + others


def write_sample() -> None:
    """Write the sample's file."""
    lines = [
        json.dumps({"text_input": prompt, "output": answer}) + "\n"
        for prompt, answer in taught_pairs()
    ]
    SAMPLE_FILE.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write_sample()
