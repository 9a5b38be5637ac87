"""Render examples with a model folder's chat template: `python -m datasets.render_process FOLDER`.

Started by `datasets.rendering`, which bounds its time; bounds its own memory. Takes the examples as
JSON on standard input and answers JSON. Loads no Django and no model.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

MEMORY_LIMIT_BYTES = 2 << 30
PROCESSOR_LIMIT_SECONDS = 8
TOKENS_SHOWN = 400


def main() -> None:
    """Read, render, answer."""
    limit_process()
    from tuner.encode import ChatEncoder  # after the limits, so that loading is bounded too
    from tuner.errors import TunerError

    records = json.load(sys.stdin)
    try:
        encoder = ChatEncoder.load(Path(sys.argv[1]))
    except TunerError as error:
        sys.exit(str(error))
    json.dump([rendered(encoder, record) for record in records], sys.stdout)


def limit_process() -> None:
    """Memory and processor time that no honest template needs."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_LIMIT_SECONDS, PROCESSOR_LIMIT_SECONDS))
    if sys.platform == "linux":  # elsewhere the limit is refused or has no effect
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def rendered(encoder: Any, record: dict[str, Any]) -> dict[str, Any]:
    """One example's tokens, or the sentence that says why there are none."""
    from tuner.errors import TunerError
    from tuner.examples import Example

    try:
        encoded = encoder.encode_example(Example.from_dict(record))
    except TunerError as error:
        return {"error": str(error)}
    pieces = encoder.pieces(encoded)
    return {
        "tokens": len(encoded),
        "trained": sum(encoded.trained),
        "pieces": [
            (text.replace("\n", "↵\n"), trained) for text, trained, _ in pieces[:TOKENS_SHOWN]
        ],
        "left_out": max(0, len(pieces) - TOKENS_SHOWN),
    }


if __name__ == "__main__":
    main()
