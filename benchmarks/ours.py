"""The product's own engine as one arm of a comparison: tunes as told, and answers with one line.

    python -m benchmarks.ours '{"variant": "auto", ...}'

Answers as baseline/trl_arm.py does. Knows nothing of TRL.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import closing  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

from benchmarks.arms import Outcome, Spec  # noqa: E402
from tuner import families  # noqa: E402
from tuner.events import Evaluated, Event, Started, Step  # noqa: E402
from tuner.examples import Example, read_examples  # noqa: E402
from tuner.settings import TuningSettings  # noqa: E402
from tuner.train import train  # noqa: E402

_NEVER = 10_000_000


def main() -> None:
    spec = Spec(**json.loads(sys.argv[1]))
    if spec.warm:
        run_in_child(spec)
    else:
        run(spec, STARTED)


def run_in_child(spec: Spec) -> None:
    """What the worker does for each job."""
    forked = time.perf_counter()
    child = os.fork()
    if not child:
        run(spec, forked)
        return
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def run(spec: Spec, started: float) -> None:
    if spec.padded:
        families.FAST_FAMILIES = frozenset()
    options: dict[str, Any] = {"start_from": Path(spec.start_from)} if spec.start_from else {}
    events = train(
        make_settings(spec),
        read_examples(Path(spec.examples)),
        Path(spec.scratch) / "tuned",
        base=Path(spec.base),
        validation=held_out(spec),
        **options,
    )
    with closing(events):
        outcome = measured(events, spec, started)
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")


def make_settings(spec: Spec) -> TuningSettings:
    """The settings that mean what TRL is told: no warm-up, no schedule, no evaluation between."""
    return TuningSettings(
        method=spec.method,
        batch_size=spec.batch_size,
        max_steps=spec.steps,
        learning_rate=spec.learning_rate,
        lora_rank=spec.rank,
        schedule="constant",
        warmup_share=0.0,
        seed=spec.seed,
        precision=spec.variant,
        evaluate_every_steps=_NEVER,
        final_model="last",
    )


def held_out(spec: Spec) -> list[Example]:
    return read_examples(Path(spec.held_out)) if spec.held_out else []


def measured(events: Iterator[Event], spec: Spec, began: float) -> Outcome:
    """Follow the run to its last step, and to its evaluation if there is one."""
    started = next(event for event in events if isinstance(event, Started))
    clock = time.perf_counter()
    ready_seconds = clock - began
    losses: list[float] = []
    seconds: list[float] = []
    while len(losses) < spec.steps:
        event = next(events)
        if isinstance(event, Step):
            losses.append(event.train_loss)
            now = time.perf_counter()
            seconds.append(now - clock)
            clock = now
    peak = peak_bytes()
    return Outcome(
        ready_seconds=ready_seconds,
        step_seconds=seconds,
        losses=losses,
        peak_bytes=peak,
        threads=started.threads,
        precision=started.precision,
        held_out_loss=held_out_loss(events) if spec.held_out else None,
    )


def held_out_loss(events: Iterator[Event]) -> float:
    evaluated = next(event for event in events if isinstance(event, Evaluated))
    return evaluated.validation_loss


def peak_bytes() -> int:
    """The most memory this process has held: the kernel's high-water mark, or the GPU's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
