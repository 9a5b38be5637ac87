"""How long until the first loss: a fresh process, few and many examples, and a warm worker.

TRL prepares all rows before its first step; ours tokenises ahead of the steps. Warm is a process
that has imported everything and forks for each job, as the studio's worker does.

    .venv/bin/python -m benchmarks.first_loss
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks import shapes
from benchmarks.arms import Arm, Spec, ours, trl
from benchmarks.readme import table, write_between
from benchmarks.turns import say

ROOT = Path(__file__).parent.parent
BASE = ROOT / "data" / "models" / "smollm2-135m-instruct"
ROUNDS = 3
COLD_TARGETS = {100: 0.75, 20_000: 0.35}
WARM_TARGET = 0.2
HEAD = ("rows", "TRL", "ours, cold", "ours, warm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    rows = [line(options.base, count, options.rounds) for count in COLD_TARGETS]
    text = f"{table(HEAD, rows)}\n\n{explanation(options.rounds)}"
    say(text)
    write_between("first-loss", text)


def line(base: Path, count: int, rounds: int) -> list[str]:
    """One number of rows."""
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(base, count, Path(folder))
        arms = [
            trl("TRL", replace(spec, variant="defaults")),
            ours("ours, cold", spec),
            ours("ours, warm", replace(spec, warm=True)),
        ]
        seconds: dict[str, list[float]] = {arm.name: [] for arm in arms}
        for _ in range(rounds):
            for arm in arms:
                seconds[arm.name].append(first_loss_seconds(arm))
                say(f"{count} rows, {arm.name}: {seconds[arm.name][-1]:.1f} s")
    theirs, cold, warm = (median(values) for values in seconds.values())
    return [
        f"{count:,}",
        f"{theirs:.1f} s",
        compared(cold, theirs, COLD_TARGETS[count]),
        compared(warm, theirs, WARM_TARGET),
    ]


def make_spec(base: Path, count: int, folder: Path) -> Spec:
    path = shapes.write_examples(folder / "rows.jsonl", shapes.counting_chat(count).examples)
    return Spec(
        variant="auto",
        base=str(base.resolve()),
        examples=str(path),
        rows=str(path),
        scratch=str(folder),
        batch_size=4,
        steps=1,
    )


def first_loss_seconds(arm: Arm) -> float:
    outcome = arm.run()
    return outcome.ready_seconds + outcome.step_seconds[0]


def compared(mine: float, theirs: float, target: float) -> str:
    ratio = mine / theirs
    missed = "" if ratio <= target else f", misses {target:g}"
    return f"{mine:.1f} s ({ratio:.2f} of TRL's{missed})"


def explanation(rounds: int) -> str:
    return (
        "`.venv/bin/python -m benchmarks.first_loss`: from the start of the program, or the fork, "
        f"to the end of the first step of 4 short conversations; medians of {rounds} rounds."
    )


if __name__ == "__main__":
    main()
