"""JSON lines and JSON arrays, row by row.

Numbers stay the text they were: a language model reads digits, and no number is too large for that.
Knows JSON; not what a row means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from datasets.errors import UnreadableFileError
from datasets.rows import ROW_LIMIT_CHARACTERS, BadRow, Lines, Row, RowTooLongError, excerpt
from tuner.json_text import DECODER, RepeatedFieldError

CHUNK_CHARACTERS = 1 << 20
OBJECT_REMEDY = 'Write each row as {"text_input": "...", "output": "..."}.'
_BLANKS = re.compile(r"[ \t\n\r]*")
_LENIENT_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


def read_lines(file: IO[str]) -> Iterator[Row | BadRow]:
    """One JSON object a line; blank lines are skipped."""
    lines = Lines(file)
    while True:
        try:
            text = next(lines)
        except StopIteration:
            return
        except RowTooLongError as error:
            yield error.as_bad_row()
            continue
        if text.strip():
            yield _row_of_line(text, lines.number)


def _row_of_line(text: str, line: int) -> Row | BadRow:
    try:
        value = DECODER.decode(text)
    except json.JSONDecodeError as error:
        return _not_json(error, text, line)
    except RepeatedFieldError as error:
        return BadRow(line, str(error), "Keep one of the two.", excerpt(text))
    except RecursionError:
        return BadRow(line, "The JSON is nested too deeply.", OBJECT_REMEDY, excerpt(text))
    return _row_of_value(value, line, text)


def _not_json(error: json.JSONDecodeError, text: str, line: int) -> BadRow:
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        reason = "The line breaks off in the middle of its JSON."
        remedy = "Complete it or remove it."
    else:
        reason = f"This is not JSON: {error.msg} at character {error.pos + 1}."
        remedy = "Correct or remove it. Each line has to be one whole JSON object."
    return BadRow(line, reason, remedy, excerpt(text))


def _row_of_value(value: Any, line: int, source: str) -> Row | BadRow:
    if isinstance(value, dict):
        return Row(line, value, source)
    kind = {list: "a list", str: "a text or number", bool: "true or false"}.get(type(value), "null")
    return BadRow(
        line, f"This is {kind}, not an object with fields.", OBJECT_REMEDY, excerpt(source)
    )


def read_array(file: IO[str]) -> Iterator[Row | BadRow]:
    """The objects of one JSON array. Broken JSON ends it: what follows cannot be told apart."""
    array = _ArrayReader(file)
    array.expect("[")
    if array.peek() == "]":
        array.expect("]")
        array.expect_end()
        return
    while True:
        yield array.read_element()
        if array.peek() == "]":
            array.expect("]")
            array.expect_end()
            return
        array.expect(",")


class _ArrayReader:
    """Reads an array element by element from a window on the file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._window = ""
        self._position = 0
        self._line = 1

    def peek(self) -> str:
        """The next character that is no blank; empty at the end of the file."""
        while True:
            self._move_to(_BLANKS.match(self._window, self._position).end())  # type: ignore[union-attr]
            if self._position < len(self._window):
                return self._window[self._position]
            if not self._read_more():
                return ""

    def expect(self, character: str) -> None:
        """Step over `character`, or refuse the file."""
        found = self.peek()
        if found != character:
            what = "the file ends" if not found else f"there is “{found}”"
            raise self._broken(f"{what} where “{character}” should be")
        self._move_to(self._position + 1)

    def expect_end(self) -> None:
        """Refuse a file that goes on after its array."""
        if self.peek():
            raise self._broken("there is more text after the end of the array")

    def read_element(self) -> Row | BadRow:
        """The next element."""
        self.peek()
        line = self._line
        while True:
            try:
                return self._decode(line)
            except json.JSONDecodeError as error:
                # Perhaps only the window ends here. Doubling keeps the retries few.
                if self._read_more(max(CHUNK_CHARACTERS, len(self._window) - self._position)):
                    continue
                self._check_length(error, line)
                broken_line = self._line + self._window.count("\n", self._position, error.pos)
                raise self._broken(error.msg[:1].lower() + error.msg[1:], broken_line) from None
            except RecursionError:
                raise self._broken("the JSON is nested too deeply") from None

    def _check_length(self, error: json.JSONDecodeError, line: int) -> None:
        """Refuse an element of which the window, wide as it may get, holds only a part."""
        is_cut = error.msg.startswith("Unterminated") or error.pos > len(self._window) - 10
        if is_cut and len(self._window) - self._position > ROW_LIMIT_CHARACTERS:
            raise UnreadableFileError(
                f"The row that begins at line {line:,} is longer than {ROW_LIMIT_CHARACTERS:,} "
                "characters, or a quotation mark in it is never closed. Shorten or correct it and "
                "upload the file again."
            )

    def _decode(self, line: int) -> Row | BadRow:
        start = self._position
        try:
            value, end = DECODER.raw_decode(self._window, start)
            repeated = ""
        except RepeatedFieldError as error:
            value, end = _LENIENT_DECODER.raw_decode(self._window, start)
            repeated = str(error)
        if end == len(self._window) and self._read_more():
            return self._decode(line)  # a number may go on in what was just read
        source = self._window[start : min(end, start + 1000)]
        self._move_to(end)
        if repeated:
            return BadRow(line, repeated, "Keep one of the two.", excerpt(source))
        return _row_of_value(value, line, source)

    def _move_to(self, position: int) -> None:
        self._line += self._window.count("\n", self._position, position)
        self._position = position

    def _read_more(self, characters: int = CHUNK_CHARACTERS) -> bool:
        """Widen the window and drop what lies behind. False at the end of the file."""
        if len(self._window) - self._position > ROW_LIMIT_CHARACTERS:
            return False
        text = self._file.read(characters)
        self._window = self._window[self._position :] + text
        self._position = 0
        return bool(text)

    def _broken(self, what: str, line: int | None = None) -> UnreadableFileError:
        return UnreadableFileError(
            f"The JSON array breaks at line {line or self._line:,}: {what}. "
            "Correct the file there and upload it again."
        )
