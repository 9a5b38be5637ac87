"""Bad rows are named by line, with a reason and a remedy, and the good ones stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from accounts.models import User
from datasets.report import BAD_LINES_KEPT
from datasets.rows import ROW_LIMIT_CHARACTERS
from tests.datasets.making import Rows, as_lines, bad_lines, make_dataset, numbers, turns

GOOD = as_lines(numbers(20))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"prompt": "what is', "breaks off"),
        ('{"prompt": "a", "completion": ', "breaks off"),
        ('{"prompt": "a" "completion": "b"}', "This is not JSON"),
        ('{"prompt": "a", "completion": "b"} {}', "This is not JSON: Extra data"),
        ("plain words", "This is not JSON"),
        ("[1, 2]", "This is a list, not an object"),
        ("7", "This is a text or number"),
        ("true", "This is true or false"),
        ("null", "This is null"),
        ('{"prompt": "", "completion": "b"}', "The field prompt is empty"),
        ('{"prompt": "a", "completion": "  "}', "The field completion is empty"),
        ('{"prompt": "a", "completion": null}', "The field completion is not text"),
        ('{"prompt": "a", "completion": NaN}', "The field completion is not text"),
        ('{"prompt": ["a"], "completion": "b"}', "The field prompt is not text"),
        ('{"prompt": "a"}', "No prompt and answer among the fields (prompt)"),
        ('{"prompt": "a", "prompt": "b", "completion": "c"}', "The field prompt stands twice"),
        ('{"prompt": "a\\u0000", "completion": "b"}', "NUL character"),
        ('{"prompt": "a\\ud800", "completion": "b"}', "half of a character"),
        ('{"messages": []}', "messages is not a list of turns"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "no assistant turn"),
        ('{"messages": [{"role": "robot", "content": "a"}]}', "the role 'robot'"),
        ('{"prompt": ' + "[" * 50_000 + "]" * 50_000 + "}", "nested too deeply"),
        ('{"prompt": "' + "x" * ROW_LIMIT_CHARACTERS + '"}', "longer than 2,000,000"),
    ],
)
def test_a_bad_json_line_is_named(
    row: str, reason: str, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    dataset = make_dataset(alice, tmp_path, GOOD + row + "\n" + as_lines(numbers(1, start=50)))
    assert list(bad_lines(dataset)) == [21]
    assert reason in bad_lines(dataset)[21]
    assert dataset.current.report["bad_lines"][0]["remedy"]
    assert dataset.current.example_count == 21


def test_bad_elements_of_an_array_are_named_by_the_line_they_begin_on(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    elements = GOOD.strip().replace("\n", ",\n")
    content = f'[\n{elements},\n12,\n{{"prompt": "a",\n "prompt": "b"}},\n{elements}\n]'
    dataset = make_dataset(alice, tmp_path, content, file_name="rows.json")
    assert list(bad_lines(dataset)) == [22, 23]
    assert dataset.current.example_count == 40


def test_ragged_rows_of_a_table_are_named(alice: User, data_dir: Path, tmp_path: Path) -> None:
    rows = [f"question {n},answer {n}" for n in range(25)]
    rows[3] = "question 3"
    rows[7] = "question 7,answer, with a comma"
    rows[9] = '"question" 9,answer'
    rows[11] = ","
    rows[13] = ",answer"
    content = "\n".join(["prompt,completion", *rows, "", ""])
    dataset = make_dataset(alice, tmp_path, content, file_name="rows.csv")
    assert bad_lines(dataset) == {
        5: "The row has 1 cell; the header has 2.",
        9: "The row has 3 cells; the header has 2.",
        11: "A quotation mark stands where none may be.",
        15: "The field prompt is empty.",
    }
    assert dataset.current.example_count == 20  # and the row of empty cells counts as blank


def test_a_long_prompt_or_answer_is_named_and_never_cut(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    rows: Rows = [
        *numbers(20),
        {"prompt": "x" * 40_000, "completion": "y" * 5_000},
        {"prompt": "x" * 41_000, "completion": "y"},
        {"prompt": "x", "completion": "y" * 5_001},
    ]
    dataset = make_dataset(alice, tmp_path, rows)
    assert bad_lines(dataset) == {
        22: "The prompt has 41,000 characters; the limit is 40,000.",
        23: "The answer has 5,001 characters; the limit is 5,000.",
    }
    assert turns(dataset)[20] == [("user", "x" * 40_000), ("assistant", "y" * 5_000)]


def test_all_bad_lines_are_counted_and_the_first_thousand_kept(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    dataset = make_dataset(alice, tmp_path, GOOD + "broken\n" * 1500)
    report = dataset.current.report
    assert (report["good"], report["bad"], report["total"]) == (20, 1500, 1520)
    assert len(report["bad_lines"]) == BAD_LINES_KEPT


def test_few_examples_and_repeated_ones_are_warned_of(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    few = make_dataset(alice, tmp_path, [*numbers(30), *numbers(2)], name="few")
    assert any("32 good examples are few" in text for text in few.current.report["warnings"])
    assert any("(lines 31, 32)" in text for text in few.current.report["warnings"])
    enough = make_dataset(alice, tmp_path, numbers(100), name="enough")
    assert enough.current.report["warnings"] == []


def test_a_row_with_endless_names_leaves_a_short_reason(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    row = {f"column {n}": "x" for n in range(10_000)}
    dataset = make_dataset(alice, tmp_path, GOOD + as_lines([row]))
    assert len(bad_lines(dataset)[21]) <= 300
