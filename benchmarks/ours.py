"""The product's own engine as one arm of a comparison: told by lines on stdin how many steps to go.

Answers as baseline/trl_arm.py does. Knows nothing of TRL.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

import torch  # noqa: E402

from benchmarks.arms import Spec  # noqa: E402
from tuner.events import Event, Started, Step  # noqa: E402
from tuner.examples import read_examples  # noqa: E402
from tuner.settings import TuningSettings  # noqa: E402
from tuner.train import train  # noqa: E402


def main() -> None:
    spec = Spec(**json.loads(sys.argv[1]))
    examples = read_examples(Path(spec.examples))
    with tempfile.TemporaryDirectory() as folder:
        events = train(settings(spec), examples, Path(folder) / "tuned", base=Path(spec.base))
        with closing(events):
            started = next(event for event in events if isinstance(event, Started))
            reply(
                ready_seconds=time.perf_counter() - STARTED,
                threads=started.threads,
                precision=started.precision,
                layout=started.layout,
            )
            for line in sys.stdin:
                take(events, int(line))
    reply(peak_bytes=peak_bytes())


def settings(spec: Spec) -> TuningSettings:
    return TuningSettings(
        method="full" if spec.full else "lora",
        batch_size=spec.batch_size,
        max_steps=spec.steps,
        learning_rate=spec.learning_rate,
        lora_rank=spec.rank,
        schedule="constant",
        warmup_share=0.0,
        seed=spec.seed,
        precision=spec.variant,
    )


def take(events: Any, steps: int) -> None:
    asked = time.perf_counter()
    losses: list[float] = []
    while len(losses) < steps:
        event: Event = next(events)
        if isinstance(event, Step):
            losses.append(event.train_loss)
    reply(seconds=time.perf_counter() - asked, losses=losses)


def peak_bytes() -> int:
    """The most memory this process has held."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def reply(**values: Any) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
