"""`python -m tuner inspect`: one example token by token, with what is trained marked."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tuner.convert import read_facts
from tuner.encode import ChatEncoder
from tuner.errors import ExampleError
from tuner.examples import read_examples
from tuner.inspection import Inspection, inspect_example
from tuner.settings import OVER_LENGTH_POLICIES, TRAINED_ON, TuningSettings
from tuner.token_text import Piece

_TRAINED, _PLAIN = "\x1b[1;32m", "\x1b[0m"
_ID_COLUMN = 12


def add_arguments(inspect: argparse.ArgumentParser) -> None:
    defaults = TuningSettings()
    inspect.add_argument(
        "--data", type=Path, required=True, help="examples: .jsonl, .json, .csv or .tsv"
    )
    inspect.add_argument("--base", type=Path, required=True, help="folder of the base model")
    inspect.add_argument("--example", type=int, default=1, metavar="N", help="which, from 1")
    inspect.add_argument("--trained-on", choices=TRAINED_ON, default=defaults.trained_on)
    inspect.add_argument("--max-length-tokens", type=int, default=defaults.max_length_tokens)
    inspect.add_argument(
        "--over-length", choices=OVER_LENGTH_POLICIES, default=defaults.over_length
    )
    inspect.add_argument("--json", action="store_true", help="write one JSON object")


def run(options: argparse.Namespace) -> None:
    settings = TuningSettings(
        trained_on=options.trained_on,
        max_length_tokens=options.max_length_tokens,
        over_length=options.over_length,
    )
    examples = read_examples(options.data)
    if not 1 <= options.example <= len(examples):
        raise ExampleError(
            f"There is no example {options.example} in {options.data}.",
            f"Choose one from 1 to {len(examples)}.",
        )
    context = read_facts(options.base).context_length_tokens
    inspection = inspect_example(
        ChatEncoder.load(options.base),
        examples[options.example - 1],
        trained_on=settings.trained_on,
        limit=min(settings.max_length_tokens, context),
        over_length=settings.over_length,
    )
    if options.json:
        record = {"example": options.example, "examples": len(examples), **inspection.as_dict()}
        sys.stdout.write(json.dumps(record) + "\n")
        return
    sys.stdout.write(f"Example {options.example} of {len(examples)}: {_summary(inspection)}\n")
    for line in _lines(inspection, coloured=sys.stdout.isatty()):
        sys.stdout.write(line + "\n")


def _summary(inspection: Inspection) -> str:
    counts = f"{inspection.tokens} tokens, {inspection.trained} of them trained (marked *)"
    fates = {
        "truncated": f"; cut from {inspection.length}, the limit is {inspection.limit}",
        "dropped": f"; would be dropped, {inspection.length} tokens are over {inspection.limit}",
        "refused": f"; would be refused, {inspection.length} tokens are over {inspection.limit}",
    }
    template = "; the model has no chat template, so the plain one is used"
    return counts + fates.get(inspection.fate, "") + template * inspection.uses_plain_template


def _lines(inspection: Inspection, *, coloured: bool) -> Iterator[str]:
    place = 0
    for piece in inspection.pieces:
        yield _line(place, piece, coloured=coloured)
        place += len(piece.ids)


def _line(place: int, piece: Piece, *, coloured: bool) -> str:
    ids = " ".join(map(str, piece.ids))
    # As Python writes text: no character of an example may move the cursor or change colours.
    line = f"{place:6}  {ids:<{_ID_COLUMN}} {'*' if piece.trained else ' '} {piece.text!r}"
    return f"{_TRAINED}{line}{_PLAIN}" if coloured and piece.trained else line
