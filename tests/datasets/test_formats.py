"""Every format and every shape of row becomes the same examples."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from accounts.models import User
from datasets.intake import create_dataset
from tests.datasets.making import Rows, as_lines, bad_lines, make_dataset, numbers, turns, write

ROWS = numbers(20)
EXPECTED = [[("user", row["text_input"]), ("assistant", row["output"])] for row in ROWS]


def as_table(rows: Rows, delimiter: str = ",") -> str:
    """A table as spreadsheets write it."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.jsonl", as_lines(ROWS)),
        ("lines.json", as_lines(ROWS)),
        ("array.json", json.dumps(ROWS)),
        ("array.jsonl", json.dumps(ROWS, indent=2)),
        ("comma.csv", as_table(ROWS)),
        ("semicolon.csv", as_table(ROWS, ";")),
        ("tab.tsv", as_table(ROWS, "\t")),
        ("tab.csv", as_table(ROWS, "\t")),
        ("pipe.txt", as_table(ROWS, "|")),
        ("pasted rows", as_lines(ROWS)),
        ("pasted rows", as_table(ROWS)),
        ("blank lines.jsonl", "\n\n" + as_lines(ROWS).replace("\n", "\n\n")),
    ],
)
def test_every_format_gives_the_same_examples(
    name: str, content: str, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    dataset = create_dataset(alice, "numbers", write(tmp_path, content, name))
    assert turns(dataset) == EXPECTED
    assert dataset.current.report["bad"] == 0


@pytest.mark.parametrize(
    ("encoding", "label"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with a byte order mark"),
        ("utf-16", "UTF-16"),
    ],
)
def test_the_encoding_is_recognised_and_said(
    encoding: str, label: str, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    rows: Rows = [*numbers(20), {"text_input": "größer 世界 🙂", "output": "é"}]
    dataset = make_dataset(alice, tmp_path, as_lines(rows).encode(encoding))
    assert turns(dataset)[-1] == [("user", "größer 世界 🙂"), ("assistant", "é")]
    assert dataset.current.report["encoding"] == label


@pytest.mark.parametrize("fields", [("prompt", "completion"), ("input", "output")])
def test_each_pair_of_fields_is_recognised(
    fields: tuple[str, str], alice: User, data_dir: Path, tmp_path: Path
) -> None:
    rows: Rows = [{fields[0]: row["text_input"], fields[1]: row["output"], "id": 1} for row in ROWS]
    dataset = make_dataset(alice, tmp_path, rows)
    assert turns(dataset) == EXPECTED
    assert dataset.current.report["columns"] == list(fields)
    assert dataset.current.report["columns_unused"] == ["id"]


def test_conversations_keep_their_system_turn_and_all_answers(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    conversation = [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "And now?"),
        ("assistant", "Bye."),
    ]
    messages = [{"role": role, "content": content} for role, content in conversation]
    rows: Rows = [*numbers(20), {"messages": messages}]
    dataset = make_dataset(alice, tmp_path, rows)
    assert turns(dataset)[-1] == conversation
    assert dataset.current.report["with_system"] == 1
    assert dataset.current.report["multi_turn"] == 1


def test_an_instruction_is_not_lost_beside_its_input(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    rows: Rows = [
        {"instruction": f"Add one, {n}", "input": "" if n else "7", "output": "8"}
        for n in range(20)
    ]
    dataset = make_dataset(alice, tmp_path, rows)
    assert turns(dataset)[0][0] == ("user", "Add one, 0\n\n7")
    assert turns(dataset)[1][0] == ("user", "Add one, 1")


def test_line_breaks_inside_quoted_cells_are_kept_and_counted(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    content = as_table([{"prompt": f"{n}\nsecond\nthird", "completion": "ok"} for n in range(20)])
    content += "only one cell\n"
    dataset = make_dataset(alice, tmp_path, content, file_name="rows.csv")
    assert turns(dataset)[0][0] == ("user", "0\nsecond\nthird")
    assert list(bad_lines(dataset)) == [62]  # the header, then twenty rows of three lines


def test_numbers_stay_the_text_they_were(alice: User, data_dir: Path, tmp_path: Path) -> None:
    digits = "9" * 5000  # more than Python turns into a number
    rows = as_lines(numbers(20)) + f'{{"prompt": {digits[:4999]}, "completion": 1.50}}\n'
    dataset = make_dataset(alice, tmp_path, rows)
    assert turns(dataset)[-1] == [("user", digits[:4999]), ("assistant", "1.50")]


def test_the_stored_lines_are_canonical_and_hashed(
    alice: User, data_dir: Path, tmp_path: Path
) -> None:
    first = make_dataset(alice, tmp_path, as_lines(ROWS), name="lines").current
    second = create_dataset(alice, "table", write(tmp_path, as_table(ROWS), "a.csv")).current
    assert first.sha256 == second.sha256
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.size_bytes == first.path.stat().st_size
    assert list(json.loads(first.path.read_text().splitlines()[0])) == ["messages"]
