"""How long TRL takes to tokenise, mask and pack rows: its own preparation, on its own.

Told what by the same JSON as trl_arm.py, and answers with one line.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from trl_arm import ANSWER, Clock, make_trainer, rows


def main() -> None:
    spec: dict[str, Any] = json.loads(sys.argv[1])
    trainer = make_trainer(spec | {"rows": spec["warm_up_rows"]}, Clock())
    data = rows(spec["rows"])
    started = time.perf_counter()
    prepared = trainer._prepare_dataset(
        data, trainer.processing_class, trainer.args, True, None, "train"
    )
    seconds = time.perf_counter() - started
    tokens = sum(len(row["input_ids"]) for row in prepared)
    ANSWER.write(json.dumps({"seconds": seconds, "tokens": tokens}) + "\n")


if __name__ == "__main__":
    main()
