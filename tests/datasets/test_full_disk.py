"""A disk that is full while saving: a sentence, and nothing half-made."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError
from django.test import Client

from accounts.models import User
from datasets.errors import StorageError
from datasets.intake import create_dataset
from datasets.models import DatasetVersion
from tests.datasets.making import Rows, as_lines, assert_nothing_left, make_dataset, write

FULL = "The disk is full"


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    """The kernel refuses to write further, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def large(count: int = 800) -> Rows:
    """About 4 MB of examples."""
    return [{"prompt": f"{n} " + "x" * 5000, "completion": "y"} for n in range(count)]


@pytest.mark.parametrize("limit_bytes", [0, 100_000])
def test_a_disk_that_fills_up_while_saving_leaves_nothing(
    limit_bytes: int, alice: User, data_dir: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, large())
    with files_no_larger_than(limit_bytes), pytest.raises(StorageError, match=FULL):
        create_dataset(alice, "large", path)
    assert_nothing_left(data_dir)


def test_the_last_bytes_count_too(alice: User, data_dir: Path, tmp_path: Path) -> None:
    """What is still buffered is written at the end, and may be what does not fit."""
    path = write(tmp_path, large(20))
    with files_no_larger_than(100_600), pytest.raises(StorageError, match=FULL):
        create_dataset(alice, "large", path)
    assert_nothing_left(data_dir)


def test_a_database_that_cannot_grow_takes_the_file_with_it(
    alice: User, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **fields: object) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(DatasetVersion.objects, "create", refuse)
    with pytest.raises(StorageError, match=FULL):
        make_dataset(alice, tmp_path)
    assert_nothing_left(data_dir)


def test_the_upload_page_says_so(
    alice: User, data_dir: Path, client: Client, settings: object
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = data_dir / "tmp"  # type: ignore[attr-defined]
    client.force_login(alice)
    file = SimpleUploadedFile("large.jsonl", as_lines(large()).encode())
    with files_no_larger_than(1_000_000):
        answer = client.post("/datasets/new/", {"name": "large", "file": file})
    assert answer.status_code == 507
    assert FULL in answer.content.decode()
    assert_nothing_left(data_dir)
