"""Examples as tokens of a base model: `python -m datasets.render_process FOLDER TRAINED_ON`.

Started by `datasets.rendering`, which bounds its time; bounds its own memory. Takes the examples as
JSON on standard input and answers JSON. Loads no Django and no model.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

MEMORY_LIMIT_BYTES = 2 << 30
PROCESSOR_LIMIT_SECONDS = 8
TOKENS_SHOWN = 2000


def main() -> None:
    """Read, render, answer."""
    limit_process()
    from tuner.encode import ChatEncoder  # after the limits, so that loading is bounded too
    from tuner.errors import TunerError

    folder, trained_on = sys.argv[1:]
    records = json.load(sys.stdin)
    try:
        encoder = ChatEncoder.load(Path(folder))
        encoder.check_for_tuning()
    except TunerError as error:
        sys.exit(str(error))
    json.dump([rendered(encoder, record, trained_on) for record in records], sys.stdout)


def limit_process() -> None:
    """Memory and processor time that no honest template needs."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_LIMIT_SECONDS, PROCESSOR_LIMIT_SECONDS))
    if sys.platform == "linux":  # elsewhere the limit is refused or has no effect
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def rendered(encoder: Any, record: dict[str, Any], trained_on: str) -> dict[str, Any]:
    """One example's tokens, or the sentence that says why there are none."""
    from tuner.errors import TunerError
    from tuner.examples import Example
    from tuner.inspection import inspect_example

    try:
        found = inspect_example(encoder, Example.from_dict(record), trained_on=trained_on)
    except TunerError as error:
        return {"error": str(error)}
    return {
        "tokens": found.tokens,
        "trained": found.trained,
        "plain_template": found.uses_plain_template,
        "runs": runs(found.pieces[:TOKENS_SHOWN]),
        "left_out": max(0, len(found.pieces) - TOKENS_SHOWN),
    }


def runs(pieces: Iterable[Any]) -> list[dict[str, Any]]:
    """Neighbouring tokens that are all learned, or all only read."""
    return [
        {
            "trained": trained,
            "tokens": [
                {"text": piece.text.replace("\n", "↵\n"), "ids": " ".join(map(str, piece.ids))}
                for piece in group
            ],
        }
        for trained, group in groupby(pieces, key=lambda piece: piece.trained)
    ]


if __name__ == "__main__":
    main()
