"""Is this file text, and in which encoding?

Reads every byte once, in pieces. Knows nothing of rows or examples.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from datasets.errors import UnreadableFileError

CHUNK_BYTES = 1 << 20
BINARY_PROBE_BYTES = 8192
AS_CSV = "Save the sheet as “CSV UTF-8” and upload that."
UNPACK = "Unpack it and upload the file inside."
SIGNATURES = {
    b"PK\x03\x04": ("an Excel or zip file", f"{AS_CSV} A zip has to be unpacked first."),
    b"\xd0\xcf\x11\xe0": ("an old Office file", AS_CSV),
    b"%PDF": ("a PDF", "Copy its examples into a CSV or JSONL file."),
    b"PAR1": ("a Parquet file", "Write it out as JSONL or CSV."),
    b"\x1f\x8b": ("a gzip file", UNPACK),
    b"\x28\xb5\x2f\xfd": ("a zstd file", UNPACK),
}
UTF16_CODECS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class TextFile:
    """A file that was read to its end and is text throughout."""

    path: Path
    codec: str
    label: str
    """The encoding in words, for the report."""

    def open(self) -> IO[str]:
        """The text without its byte order mark, line ends as they are."""
        return self.path.open(encoding=self.codec, newline="")


def check_text(path: Path) -> TextFile:
    """The encoding of the file; UnreadableFileError for everything that is not text."""
    with path.open("rb") as file:
        head = file.read(BINARY_PROBE_BYTES)
    if not head:
        raise UnreadableFileError("The file is empty. Choose one with at least one row.")
    text = _recognise(path, head)
    if not _check_every_byte(text):
        raise UnreadableFileError("The file holds only blanks. Choose one with at least one row.")
    return text


def _recognise(path: Path, head: bytes) -> TextFile:
    for signature, (kind, remedy) in SIGNATURES.items():
        if head.startswith(signature):
            raise UnreadableFileError(f"This is {kind}, which cannot be read here. {remedy}")
    if head.startswith(UTF32_MARKS):
        raise UnreadableFileError("The file is UTF-32 text. Save it as UTF-8.")
    if head.startswith(tuple(UTF16_CODECS)):
        return TextFile(path, "utf-16", "UTF-16")
    if b"\0" in head:
        raise UnreadableFileError(
            f"This is a binary file, not text: byte {head.index(0) + 1:,} is zero. "
            "Upload JSONL, JSON or CSV, saved as UTF-8."
        )
    if head.startswith(codecs.BOM_UTF8):
        return TextFile(path, "utf-8-sig", "UTF-8 with a byte order mark")
    return TextFile(path, "utf-8", "UTF-8")


def _check_every_byte(text: TextFile) -> bool:
    """Decode all of it. Returns whether there is anything but blanks."""
    lines, start, has_text = 1, 0, False
    for start, chunk, decoded in _decoded_chunks(text):
        if isinstance(decoded, UnicodeDecodeError):
            raise _wrong_encoding(text, decoded, start + len(chunk), lines)
        lines += decoded.count("\n")
        has_text = has_text or bool(decoded.strip().strip("\ufeff\0"))
    return has_text


def _decoded_chunks(text: TextFile) -> Iterator[tuple[int, bytes, str | UnicodeDecodeError]]:
    """(offset, bytes, what they decode to) in pieces, ending with the first error."""
    decoder = codecs.getincrementaldecoder(text.codec)()
    start = 0
    with text.path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK_BYTES)
            try:
                yield start, chunk, decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                yield start, chunk, error
                return
            if not chunk:
                return
            start += len(chunk)


def _wrong_encoding(
    text: TextFile, error: UnicodeDecodeError, end: int, lines: int
) -> UnreadableFileError:
    """Name the byte and the line. `end` is how far the file was read when decoding failed."""
    offset = end - len(error.object) + error.start
    before = error.object[: error.start].decode(error.encoding, "replace")
    line = lines + before.count("\n")
    return UnreadableFileError(
        f"Line {line:,} is not {text.label.split()[0]} text: byte {offset + 1:,} of the file "
        "cannot be read. Save the file as UTF-8 and upload it again "
        "(in a spreadsheet: “CSV UTF-8”)."
    )
