"""How well the peak memory of a job is predicted: a table of settings, predicted beside measured.

    python -m benchmarks.memory --base data/models/smollm2-135m-instruct

Calibrates this machine once, then runs every setting for a few steps in a process of its own and
reads the high-water mark that the kernel kept of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuner.convert import read_facts
from tuner.encode import ChatEncoder
from tuner.examples import Example
from tuner.machine import available_memory_bytes
from tuner.memory import MemoryCalibration, MemoryPlan, Sizes, plan_memory
from tuner.settings import TuningSettings
from tuner.workload import shared_prefix

STEPS = 3
EXAMPLES = 48
SHORT, LONG = 10, 90
"""Words of a question; each makes two or three tokens."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    words: int
    answer_words: int = 3
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tuning_settings(self) -> TuningSettings:
        return TuningSettings(max_steps=STEPS, **self.settings)

    def examples(self) -> list[Example]:
        return [
            Example.from_pair(
                " ".join(str(1000 + number * word % 997) for word in range(1, self.words + 1)),
                " ".join(str(number + word) for word in range(self.answer_words)),
            )
            for number in range(EXAMPLES)
        ]


def case(words: int, answer_words: int = 3, **settings: Any) -> Case:
    return Case(words, answer_words, settings)


CASES = (
    case(SHORT, batch_size=4, precision="float32"),
    case(LONG, batch_size=4, precision="float32"),
    case(SHORT, batch_size=16, precision="bfloat16"),
    case(LONG, batch_size=16, precision="bfloat16"),
    case(LONG, batch_size=16, precision="float32", activation_checkpointing="on"),
    case(LONG, batch_size=4, precision="bfloat16", activation_checkpointing="on"),
    case(LONG, batch_size=4, precision="bfloat16", lora_rank=128),
    case(LONG, batch_size=16, precision="float32", micro_batch_tokens=512, lora_rank=32),
    case(SHORT, LONG, batch_size=8, precision="bfloat16", lora_layers="attention"),
    case(SHORT, batch_size=4, precision="float32", method="full"),
    case(LONG, batch_size=4, precision="bfloat16", method="full"),
    case(LONG, batch_size=4, precision="float32", use_dora=True),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--json", action="store_true", help="write rows as JSON")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--calibrate", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.calibrate:
        print_calibration(options.base)
    elif options.case is not None:
        say(run_case(options.base, CASES[options.case]))
    else:
        show(options.base, as_json=options.json)


def show(base: Path, *, as_json: bool) -> None:
    calibration = MemoryCalibration.from_dict(json.loads(answer_of(base, "--calibrate")))
    if not as_json:
        say("| Setting | Tokens at once | Predicted | Measured | Error |")
        say("|---|---|---|---|---|")
    for number, row in enumerate(CASES):
        plan = predict(base, row, calibration)
        measured = int(answer_of(base, "--case", str(number)))
        error = plan.peak_bytes / measured - 1
        if as_json:
            say(json.dumps({"case": number, "predicted": plan.peak_bytes, "measured": measured}))
            continue
        say(
            f"| {describe(row)} | {plan.micro_batch_tokens} | {plan.peak_bytes / 1e6:,.0f} MB "
            f"| {measured / 1e6:,.0f} MB | {error:+.1%} |"
        )


def predict(base: Path, row: Case, calibration: MemoryCalibration) -> MemoryPlan:
    """What the card beside the form would say."""
    encoder = ChatEncoder.load(base)
    encoded = [encoder.encode_example(example) for example in row.examples()]
    tokens = sum(len(example) for example in encoded)
    sizes = Sizes(
        lengths=[len(example) for example in encoded],
        shared_tokens=shared_prefix([example.ids for example in encoded]),
        answer_share=sum(sum(example.trained) for example in encoded) / tokens,
    )
    return plan_memory(
        read_facts(base), row.tuning_settings, sizes, calibration, available_memory_bytes()
    )


def describe(row: Case) -> str:
    words = [f"{row.words} + {row.answer_words} words"]
    words += [f"{name} {value}".replace("_", " ") for name, value in row.settings.items()]
    return ", ".join(words)


def say(words: object) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def answer_of(base: Path, *arguments: str) -> str:
    """What this script says in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--base", str(base), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1]


def print_calibration(base: Path) -> None:
    from tuner.calibrate import calibrate  # imports torch, which the table itself does not need

    say(json.dumps(calibrate(base).memory.as_dict()))


def run_case(base: Path, row: Case) -> int:
    """Take the steps and say what the process held at most."""
    from tuner.train import train

    with tempfile.TemporaryDirectory() as folder:
        settings = row.tuning_settings
        for _ in train(settings, row.examples(), Path(folder) / "tuned", base=base):
            pass
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


if __name__ == "__main__":
    main()
