"""Whatever bytes come: a report or a refusal, soon, and nothing half-made."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from accounts.models import User
from datasets.errors import DatasetError
from datasets.intake import create_dataset
from datasets.models import Dataset
from datasets.shapes import ColumnMapping
from tests.datasets.making import as_lines, files_in, numbers, write

PARTS = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"'", b"\\", b"\n", b"\r", b"\r\n", b"\t", b";"),
    *(b"|", b" ", b"\0", b"\xff", b"\xfe", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe4", b"\xc3\xa4"),
    *(b"\\u0000", b"\\ud800", b"null", b"NaN", b"1e999", b"-0", b"9" * 5000, b'""', b'"a": "b"'),
    *(b'{"prompt": "a", "completion": "b"}\n', b"prompt,completion\n", b"a,b\n", b"=cmd|' /C'!A0"),
    *(b'{"messages": [', b'"role": "user"', b'"content": 7', b"[" * 2000, b'{"a":' * 2000),
]
NAMES = ["a.jsonl", "a.json", "a.csv", "a.tsv", "a.txt", "a", "a.xlsx", "\u202ea.csv"]
GOOD = [
    as_lines(numbers(25)).encode(),
    json.dumps(numbers(25)).encode(),
    b"prompt,completion\n" + b'"a, ""b""\nc",d\n' * 25,
    as_lines(numbers(25)).encode("utf-16"),
]


def mixture(chance: random.Random) -> bytes:
    """Parts that mean something somewhere, in any order."""
    return b"".join(chance.choices(PARTS, k=chance.randrange(60)))


def damaged(chance: random.Random) -> bytes:
    """A good file with some bytes changed, cut out or put in."""
    content = bytearray(chance.choice(GOOD))
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(content))
        content[start : start + chance.randrange(4)] = chance.choice(PARTS)
    return bytes(content)


@pytest.mark.parametrize("seed", range(8))
def test_any_bytes_end_in_a_report_or_a_refusal(
    seed: int, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    started = time.monotonic()
    for number in range(50):
        content = damaged(chance) if number % 2 else mixture(chance)
        path = write(tmp_path, content, "upload")
        mapping = ColumnMapping("a", "b") if chance.random() < 0.3 else None
        try:
            dataset = create_dataset(
                alice, f"{number}", path, file_name=chance.choice(NAMES), mapping=mapping
            )
        except DatasetError as refusal:
            assert len(str(refusal)) < 1000
        else:
            assert len(dataset.current.examples()) == dataset.current.report["good"] >= 20
    assert len(files_in(data_dir)) == Dataset.objects.count()
    assert time.monotonic() - started < 20
