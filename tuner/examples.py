"""Examples: what a person wants said, as chat turns, and the shapes they may arrive in.

Knows field names and the rules an example must keep. Knows no model, no tokens and no limits of
length; and of files only enough to read one from a command line.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from tuner.errors import ExampleError, SettingsError
from tuner.json_text import DECODER, RepeatedFieldError

Item = TypeVar("Item")

ROLES = ("system", "user", "assistant")
INSTRUCTION_FIELDS = ("instruction", "input", "output")
FIELD_PAIRS = (("text_input", "output"), ("prompt", "completion"), ("input", "output"))
_FIELDS_REMEDY = (
    "Name the fields text_input and output, prompt and completion, input and output, "
    "instruction and output, or messages."
)
_MESSAGES_REMEDY = (
    'Write messages as a list of {"role": "system", "user" or "assistant", "content": "..."}.'
)


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str

    def as_dict(self) -> dict[str, str]:
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Example:
    """A conversation whose assistant turns are to be learned."""

    messages: tuple[Message, ...]

    @property
    def prompt_text(self) -> str:
        """Everything the model is given, for limits and previews."""
        return "\n".join(turn.content for turn in self.messages if turn.role != "assistant")

    @property
    def answer_text(self) -> str:
        """Everything the model is to say, for limits and previews."""
        return "\n".join(turn.content for turn in self.messages if turn.role == "assistant")

    def as_dict(self) -> dict[str, list[dict[str, str]]]:
        return {"messages": [turn.as_dict() for turn in self.messages]}

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> Example:
        return _example_from_messages(record.get("messages"))

    @classmethod
    def from_pair(cls, prompt: str, answer: str) -> Example:
        return cls((Message("user", prompt), Message("assistant", answer)))


def example_from_fields(record: Mapping[str, object]) -> Example:
    """The example in a record with any of the recognised fields."""
    match recognised_fields(record):
        case ("messages",):
            return _example_from_messages(record["messages"])
        case (asked, *added, answer):
            prompt = _prompt(record, asked, added)
            return Example.from_pair(prompt, _checked_text(record[answer], answer))
    found = ", ".join(str(name) for name in record) or "none"
    raise ExampleError(f"No prompt and answer among the fields ({found}).", _FIELDS_REMEDY)


def recognised_fields(record: Mapping[str, object]) -> tuple[str, ...]:
    """The fields that make an example of this record, the answer last; none if it is not one."""
    if "messages" in record:
        return ("messages",)
    if "instruction" in record and "output" in record:
        return tuple(name for name in INSTRUCTION_FIELDS if name in record)
    return next((pair for pair in FIELD_PAIRS if set(pair) <= record.keys()), ())


def _prompt(record: Mapping[str, object], asked: str, added: Sequence[str]) -> str:
    """An instruction with its input: the input alone would lose what was asked."""
    given = [asked, *(name for name in added if record[name] is not None)]
    texts = [_text(record[name], name) for name in given]
    return _checked_text("\n\n".join(text for text in texts if text.strip()), asked)


def _text(value: object, name: str) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # a column of numbers is text to a language model
    if not isinstance(value, str):
        raise ExampleError(f"The field {name} is not text.", "Write it as a string.")
    return value


def _checked_text(value: object, name: str) -> str:
    text = _text(value, name)
    if not text.strip():
        raise ExampleError(f"The field {name} is empty.", "Fill it in or remove the example.")
    return text


def _example_from_messages(value: object) -> Example:
    if not isinstance(value, list | tuple) or not value:
        raise ExampleError("messages is not a list of turns.", _MESSAGES_REMEDY)
    turns = tuple([_message(turn, number) for number, turn in enumerate(value, start=1)])
    _check_roles(tuple([turn.role for turn in turns]))
    return Example(turns)


def _message(turn: object, number: int) -> Message:
    if type(turn) is dict:  # almost always, and files have millions of them
        role, content = turn.get("role"), turn.get("content")
        if type(content) is str and role in ROLES and content and not content.isspace():
            return Message(role, content)
    if not isinstance(turn, Mapping) or "role" not in turn or "content" not in turn:
        raise ExampleError(f"Turn {number} has no role and content.", _MESSAGES_REMEDY)
    role = turn["role"]
    if role not in ROLES:
        raise ExampleError(
            f"Turn {number} has the role {role!r}.", "Use system, user or assistant."
        )
    return Message(role, _checked_text(turn["content"], f"content of turn {number}"))


@lru_cache(maxsize=1000)
def _check_roles(roles: tuple[str, ...]) -> None:
    if "system" in roles[1:]:
        raise ExampleError("A system turn stands after another turn.", "Put it first.")
    if "assistant" not in roles:
        raise ExampleError("There is no assistant turn to learn.", "Add the answer you want.")
    if "user" not in roles[: roles.index("assistant")]:
        raise ExampleError("The assistant speaks before any user turn.", "Begin with a user turn.")
    if roles[-1] != "assistant":
        raise ExampleError("The last turn is not the assistant's.", "End with the answer.")


def read_examples(path: Path) -> list[Example]:
    """All examples of a .jsonl, .json, .csv or .tsv file; the first bad one ends the reading."""
    try:
        examples = [_numbered_example(where, record) for where, record in _records(path)]
    except FileNotFoundError:
        raise ExampleError(f"There is no file {path}.", "Check the path.") from None
    except OSError as error:
        raise ExampleError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    except UnicodeDecodeError:
        raise ExampleError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None
    if not examples:
        raise ExampleError(f"{path} holds no examples.", "Add one example per line.")
    return examples


def _numbered_example(where: str, record: object) -> Example:
    if not isinstance(record, Mapping):
        raise ExampleError(f"{where} is not an object.", _FIELDS_REMEDY)
    try:
        return example_from_fields(record)
    except ExampleError as error:
        raise ExampleError(f"{where}: {error.reason}", error.remedy) from None


def _records(path: Path) -> Iterator[tuple[str, object]]:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _json_records(path)
    if suffix in (".csv", ".tsv"):
        return _table_records(path, "\t" if suffix == ".tsv" else ",")
    return _json_line_records(path)


def _json_line_records(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield f"Line {number}", _parsed(line, f"Line {number}")


def _json_records(path: Path) -> Iterator[tuple[str, object]]:
    records = _parsed(path.read_text(encoding="utf-8-sig"), str(path))
    if not isinstance(records, list):
        raise ExampleError(f"{path} is not a JSON array.", "Write [{...}, {...}] or use .jsonl.")
    for number, record in enumerate(records, start=1):
        yield f"Example {number}", record


def _parsed(text: str, where: str) -> Any:
    try:
        return DECODER.decode(text)
    except RepeatedFieldError as error:
        raise ExampleError(f"{where}: {error}", "Keep one of the two.") from None
    except (ValueError, RecursionError) as error:
        raise ExampleError(f"{where} is not JSON: {error}.", "Correct or remove it.") from None


def _table_records(path: Path, delimiter: str) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        try:
            _check_header(reader.fieldnames or ())
            for record in reader:
                yield f"Line {reader.line_num}", _whole_row(record, reader.line_num)
        except csv.Error as error:
            raise ExampleError(
                f"Line {reader.line_num}: {error}.", "Quote every cell that holds a separator."
            ) from None


def _check_header(names: Sequence[str]) -> None:
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ExampleError(f"Two columns are named {repeated}.", "Give each its own name.")


def _whole_row(record: dict[Any, Any], number: int) -> dict[str, str]:
    if None in record or None in record.values():
        raise ExampleError(
            f"Line {number} has another number of cells than the header.",
            "Quote cells that hold separators or line breaks.",
        )
    return record


def split_examples(
    examples: Sequence[Item], share: float, seed: int
) -> tuple[list[Item], list[Item]]:
    """(training, validation), the same split for the same seed, both in their original order."""
    if share <= 0:
        return list(examples), []
    if len(examples) < 2:
        raise SettingsError("One example cannot be split. Add examples or hold none out.")
    count = min(len(examples) - 1, max(1, round(len(examples) * share)))
    held_out = set(random.Random(f"split {seed}").sample(range(len(examples)), count))
    training = [example for index, example in enumerate(examples) if index not in held_out]
    return training, [examples[index] for index in sorted(held_out)]
