"""Files that cannot be used are refused in words, and nothing of them stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accounts.models import User
from datasets.errors import (
    ColumnsUnknownError,
    DatasetError,
    NameRefusedError,
    StorageError,
    TooFewExamplesError,
)
from datasets.intake import create_dataset
from datasets.models import Dataset
from tests.datasets.making import (
    as_lines,
    assert_nothing_left,
    files_in,
    make_dataset,
    numbers,
    write,
)

GOOD = as_lines(numbers(30))
LATIN = GOOD.encode() + '{"prompt": "caf\u00e9", "completion": "x"}\n'.encode("latin-1")
ARRAY = json.dumps(numbers(30), indent=1)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "a.jsonl", "The file is empty."),
        (b" \n\n\t\n", "a.jsonl", "only blanks"),
        (b"\xef\xbb\xbf\n", "a.jsonl", "only blanks"),
        (b"\x00\x01\x02" * 50, "a.bin", "binary file, not text: byte 1 is zero"),
        (b"PK\x03\x04rest", "a.xlsx", "an Excel or zip file"),
        (b"%PDF-1.7", "a.pdf", "This is a PDF"),
        (b"PAR1....", "a.parquet", "a Parquet file"),
        (b"\x1f\x8b\x08....", "a.jsonl.gz", "Unpack it"),
        (LATIN, "a.jsonl", "Line 31 is not UTF-8 text: byte"),
        ("ab\n".encode("utf-32"), "a.csv", "Save it as UTF-8"),
        (GOOD.encode("utf-16") + b"\x00\xd8", "a.jsonl", "is not UTF-16 text"),
        (b"just some words\nand more\n", "a.txt", "Only one column was found"),
        (b"prompt\nhello\n", "a.csv", "Only one column was found"),
        (b"prompt,completion\n", "a.csv", "no whole row"),
        (b"a,a,b\n1,2,3\n", "a.csv", "Two columns are named"),
        (",".join(f"c{n}" for n in range(10_000)).encode() + b"\n1\n", "a.csv", "10,000 columns"),
        (b'{\n "data": [1, 2]\n}\n', "a.json", "one JSON object written over several lines"),
        (ARRAY[:-20].encode(), "a.json", "The JSON array breaks at line 12"),
        (ARRAY.encode() + b"]", "a.json", "more text after the end"),
        (b"[" * 100_000, "a.json", "breaks at line 1"),
        (b'[{"a": 1}, {"a" 2}]', "a.json", "breaks at line 1"),
        (b'{"only": "one text"}\n' * 30, "a.jsonl", "needs two fields with text"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    content: bytes, name: str, said: str, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError) as refusal:
        create_dataset(alice, "numbers", write(tmp_path, content, name))
    assert said in str(refusal.value)
    assert not isinstance(refusal.value, ColumnsUnknownError)
    assert_nothing_left(data_dir)


@pytest.mark.parametrize(
    ("beginning", "repeated", "end", "said"),
    [
        ('{"a": "b"},\n{"a": "', "x", '"}', "begins at line 2 is longer than 2,000,000"),
        ('{"a": "b"},\n{"a": [1', ", 1", "]}", "begins at line 2 is longer than 2,000,000"),
        ('{"a" "b"},\n{"a": "', "x", '"}', "The JSON array breaks at line 1"),
    ],
)
def test_an_element_without_end_is_told_from_broken_json(
    beginning: str,
    repeated: str,
    end: str,
    said: str,
    alice: User,
    data_dir: Path,
    tmp_path: Path,
) -> None:
    content = f"[{beginning}{repeated * 3_000_000}{end}]"
    with pytest.raises(DatasetError, match=said):
        make_dataset(alice, tmp_path, content, file_name="a.json")
    assert_nothing_left(data_dir)


def test_the_byte_that_breaks_the_encoding_is_named(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    filler = b'{"prompt": "' + b"x" * 3_000_000 + b'", "completion": "y"}\n'
    with pytest.raises(DatasetError, match="Line 2 is not UTF-8") as refusal:
        make_dataset(alice, tmp_path, filler + b"abc\xff")
    assert f"byte {len(filler) + 4:,} of" in str(refusal.value)


def test_nineteen_examples_are_too_few_and_twenty_are_enough(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(TooFewExamplesError, match="19 good examples; at least 20"):
        make_dataset(alice, tmp_path, numbers(19))
    assert_nothing_left(data_dir)
    assert make_dataset(alice, tmp_path, numbers(20)).current.example_count == 20


def test_the_minimum_counts_good_examples_and_the_report_names_the_bad(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(TooFewExamplesError) as refusal:
        make_dataset(alice, tmp_path, [*numbers(19), {"prompt": "", "completion": "x"}])
    assert [bad["line"] for bad in refusal.value.report["bad_lines"]] == [20]


def test_a_file_over_the_limit_is_refused_with_both_sizes(
    alice: User, data_dir: Path, tmp_path: Path, settings: object
) -> None:
    settings.UPLOAD_LIMIT_BYTES = 1_000_000  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"1\.5 MB; the limit is 1 MB"):
        make_dataset(alice, tmp_path, b"x" * 1_500_000)
    assert_nothing_left(data_dir)


@pytest.mark.parametrize("name", ["numbers", "NUMBERS"])
def test_a_name_is_given_once_whatever_its_capitals(
    name: str, alice: User, bob: User, data_dir: Path, tmp_path: Path
) -> None:
    make_dataset(alice, tmp_path, name="Numbers")
    before = files_in(data_dir)
    with pytest.raises(NameRefusedError, match="already"):
        make_dataset(alice, tmp_path, name=name)
    assert files_in(data_dir) == before
    assert make_dataset(bob, tmp_path, name=name).owner == bob


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 121])
def test_a_name_has_to_be_one(name: str, alice: User, data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(NameRefusedError):
        make_dataset(alice, tmp_path, name=name)
    assert_nothing_left(data_dir)


def test_two_uploads_of_one_name_at_once_leave_one(
    alice: User, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_dataset(alice, tmp_path)
    before = files_in(data_dir)
    unseen = iter([True])
    exists = type(Dataset.objects.all()).exists

    def not_yet(queryset: object) -> bool:
        """The other upload finishes after this one has looked."""
        return False if next(unseen, False) else exists(queryset)  # type: ignore[arg-type]

    monkeypatch.setattr(type(Dataset.objects.all()), "exists", not_yet)
    with pytest.raises(NameRefusedError, match="already"):
        make_dataset(alice, tmp_path, numbers(40), name=first.name)
    assert files_in(data_dir) == before


def test_other_columns_are_a_question_and_not_a_fault(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ColumnsUnknownError):
        make_dataset(alice, tmp_path, b"question,reply\na,b\n", file_name="a.csv")
    assert_nothing_left(data_dir)


def test_a_nearly_full_disk_is_said_before_anything_is_written(
    alice: User, data_dir: Path, tmp_path: Path, settings: object
) -> None:
    settings.FREE_DISK_MINIMUM_BYTES = 1 << 60  # type: ignore[attr-defined]
    with pytest.raises(StorageError, match=r"The disk has .* MB left"):
        make_dataset(alice, tmp_path)
    assert_nothing_left(data_dir)


def test_a_quotation_mark_that_swallows_the_file_refuses_it(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    rows = "".join(f"question {n},answer {n}\n" for n in range(300))
    content = "prompt,completion\n" + rows.replace("question 30,", '"question 30,')
    with pytest.raises(DatasetError, match=r"Line 32: A quotation mark opens here"):
        make_dataset(alice, tmp_path, content, file_name="rows.csv")
    assert_nothing_left(data_dir)
