"""What the tests of datasets are made of: files good and bad, and a look at what is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from accounts.models import User
from datasets.intake import create_dataset
from datasets.models import Dataset, DatasetVersion, Upload

Rows = list[dict[str, object]]


def numbers(count: int, start: int = 0) -> Rows:
    """`count` different examples."""
    return [
        {"text_input": f"what follows {n}?", "output": str(n + 1)}
        for n in range(start, start + count)
    ]


def as_lines(rows: Iterable[Mapping[str, object]]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(folder: Path, content: str | bytes | Rows, name: str = "rows.jsonl") -> Path:
    """A file with exactly this content; rows become JSON lines."""
    path = folder / name
    if isinstance(content, list):
        content = as_lines(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def make_dataset(
    owner: User,
    folder: Path,
    content: str | bytes | Rows | None = None,
    name: str = "numbers",
    file_name: str = "rows.jsonl",
) -> Dataset:
    """A dataset of thirty numbers, or of this content."""
    content = numbers(30) if content is None else content
    return create_dataset(owner, name, write(folder, content, file_name))


def turns(dataset: Dataset) -> list[list[tuple[str, str]]]:
    """Every example as (role, content) pairs."""
    return [
        [(turn.role, turn.content) for turn in example.messages]
        for example in dataset.current.examples()
    ]


def bad_lines(dataset: Dataset) -> dict[int, str]:
    """The reason of every bad line."""
    return {bad["line"]: bad["reason"] for bad in dataset.current.report["bad_lines"]}


def files_in(data_dir: Path) -> list[str]:
    """Everything that lies in the folders which intake writes to."""
    folders = (data_dir / name for name in ("tmp", "datasets", "uploads"))
    return sorted(
        str(path.relative_to(data_dir)) for folder in folders for path in folder.glob("*")
    )


def assert_nothing_left(data_dir: Path) -> None:
    """No row and no file of any dataset."""
    assert Dataset.objects.count() == DatasetVersion.objects.count() == 0
    assert Upload.objects.count() == 0
    assert files_in(data_dir) == []
