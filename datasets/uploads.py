"""What a person sent, on its way to becoming a dataset.

Bytes and pasted text become a file on our disk first; a file whose columns have to be mapped waits
beside a row. Knows forms' files; not what is in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from datasets.errors import UnreadableFileError
from datasets.intake import check_name, create_dataset, too_large_sentence
from datasets.models import Dataset, Upload
from datasets.shapes import ColumnMapping
from datasets.storage import saying_when_full, temporary_path

if TYPE_CHECKING:
    from accounts.models import User


@contextmanager
def received(source: UploadedFile[Any] | str) -> Iterator[Path]:
    """The file or the pasted text as a file, until the end of the block."""
    path = temporary_path()
    try:
        with saying_when_full():
            _write(path, source.chunks() if isinstance(source, UploadedFile) else [encoded(source)])
        yield path
    finally:
        path.unlink(missing_ok=True)


def encoded(text: str) -> bytes:
    """Pasted text as a file would hold it: browsers send each line end as two characters."""
    return text.replace("\r\n", "\n").encode("utf-8", "replace")


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    """Write and count: the size a browser claims is not the size that comes."""
    size_bytes = 0
    with path.open("xb") as file:
        for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > settings.UPLOAD_LIMIT_BYTES:
                raise UnreadableFileError(too_large_sentence(size_bytes))
            file.write(chunk)


def keep_for_mapping(owner: User, name: str, path: Path, file_name: str) -> Upload:
    """Let the file wait until a person has said which columns to take."""
    upload = Upload(owner=owner, name=name, file_name=file_name[-255:])
    upload.path.parent.mkdir(parents=True, exist_ok=True)
    path.replace(upload.path)
    try:
        upload.save(force_insert=True)
    except BaseException:
        upload.path.unlink(missing_ok=True)
        raise
    return upload


def map_columns(upload: Upload, name: str, mapping: ColumnMapping) -> Dataset:
    """The dataset of a waiting file; the file stays waiting when it cannot be made."""
    check_name(upload.owner, name)
    dataset = create_dataset(
        upload.owner, name, upload.path, file_name=upload.file_name, mapping=mapping
    )
    upload.discard()
    return dataset
