"""`manage.py import_dataset`: the same checks as the page, the report on standard output."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from datasets.models import Dataset
from tests.datasets.making import as_lines, assert_nothing_left, numbers, write


def imported(path: Path, *options: str) -> str:
    """What the command prints."""
    output = io.StringIO()
    call_command("import_dataset", str(path), "--owner", "alice", *options, stdout=output)
    return output.getvalue()


def test_the_report_is_one_json_object(alice: User, data_dir: Path, tmp_path: Path) -> None:
    path = write(tmp_path, as_lines(numbers(25)) + "broken\n")
    report: dict[str, Any] = json.loads(imported(path, "--name", "numbers", "--json"))
    dataset = Dataset.objects.get()
    assert report["dataset"] == str(dataset.pk)
    assert (report["good"], report["bad"]) == (25, 1)
    assert report["bad_lines"][0]["line"] == 26
    assert dataset.owner == alice


def test_words_name_the_bad_lines(alice: User, data_dir: Path, tmp_path: Path) -> None:
    path = write(tmp_path, as_lines(numbers(25)) + "broken\n")
    said = imported(path, "--name", "numbers")
    assert "25 of 26 examples are good" in said
    assert "Line 26: This is not JSON" in said


def test_columns_are_chosen_by_options(alice: User, data_dir: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "question,reply\n" + "a,b\n" * 20, "a.csv")
    with pytest.raises(CommandError, match="Columns: question, reply"):
        imported(path, "--name", "numbers")
    imported(path, "--name", "n", "--prompt-column", "question", "--answer-column", "reply")
    assert Dataset.objects.get().current.example_count == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--owner", "nobody"], "no account named nobody"),
        (["--prompt-column", "text_input"], "Give both"),
    ],
)
def test_mistakes_are_said(
    options: list[str], said: str, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match=said):
        imported(write(tmp_path, numbers(25)), "--name", "numbers", *options)
    assert_nothing_left(data_dir)


def test_too_few_examples_print_the_report_and_fail(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    output = io.StringIO()
    path = write(tmp_path, numbers(19))
    options = ("--owner", "alice", "--name", "n", "--json")
    with pytest.raises(CommandError, match="at least 20"):
        call_command("import_dataset", str(path), *options, stdout=output)
    assert json.loads(output.getvalue())["good"] == 19
    assert_nothing_left(data_dir)
