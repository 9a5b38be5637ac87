"""How fast a model is tuned: examples per second and memory, ours beside TRL's, and what it means.

B0 is TRL with its defaults, in the faster number format; B1 is TRL as an expert sets it up, in
the fastest way that is correct. All see the same examples in the same order and take turns. Speed
counts only after equal losses.

    .venv/bin/python -m benchmarks.tuning_speed
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import shapes
from benchmarks.arms import Arm, Spec, ours, trl
from benchmarks.matrix_rate import matrix_rate
from benchmarks.readme import table, write_between
from benchmarks.turns import WARM_UP_STEPS, Turns, say, take_turns
from benchmarks.work import Work, needed_operations, real_tokens

ROOT = Path(__file__).parent.parent
BASE = ROOT / "data" / "models" / "smollm2-135m-instruct"
ROUNDS = 3
LORA_RATE, FULL_RATE = 2e-4, 2e-5
LOSS_TOLERANCE = 0.02
"""Relative, between the last steps' losses: bfloat16 rounds coarsely, each engine elsewhere."""
DEFAULTS = ("defaults", "defaults-float32")
EXPERTS = ("padding-free", "padding-free-eager", "padded")
HEAD = ("what", "batch", "", "examples/s", "tokens/s", "peak memory", "ours is", "matrix rate")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """How the cells of a table are measured, and what they are measured against."""

    base: Path
    rounds: int
    rate: float
    """Of the machine's matrix products, in operations per second."""
    targets: Mapping[str, float]
    """Times as fast as each baseline; "full" in full tuning; and a share of B0's memory."""
    experts: Sequence[str] = EXPERTS
    has_baseline: bool = True


@dataclass(frozen=True)
class Cell:
    """One part of the table: which data, how many of it, and against what."""

    method: str
    shape: str
    batch_size: int
    steps: int
    """Those that count, in each round."""

    def data(self, base: Path) -> shapes.Shape:
        if self.shape == "short chat":
            return shapes.short_chat()
        return shapes.long_tailed_chat(base, self.batch_size * (self.steps + WARM_UP_STEPS))


CELLS = (
    Cell("lora", "short chat", 4, 8),
    Cell("lora", "short chat", 16, 4),
    Cell("lora", "long-tailed chat", 4, 4),
    Cell("lora", "long-tailed chat", 16, 1),
    Cell("full", "short chat", 4, 6),
    Cell("full", "long-tailed chat", 4, 3),
)
TARGETS = {"B0": 2.5, "B1": 1.4, "full": 2.0, "memory": 0.6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", help="cells whose name contains this, written nowhere")
    options = parser.parse_args()
    rate = matrix_rate(torch.device("cpu"))
    bench = Bench(base=options.base, rounds=options.rounds, rate=rate, targets=TARGETS)
    lines = [line for cell in chosen(options.only) for line in measure(cell, bench)]
    command = ".venv/bin/python -m benchmarks.tuning_speed"
    text = f"{table(HEAD, lines)}\n\n{explanation(command, bench)}"
    say(text)
    if not options.only:
        write_between("tuning-speed", text)


def chosen(part: str | None) -> list[Cell]:
    names = {cell: f"{cell.method} {cell.shape} {cell.batch_size}" for cell in CELLS}
    return [cell for cell, name in names.items() if part is None or part in name]


def measure(cell: Cell, bench: Bench) -> list[list[str]]:
    """The lines of one cell."""
    say(f"{cell.method}, {cell.shape}, batch {cell.batch_size}")
    with tempfile.TemporaryDirectory() as folder:
        work = Work.prepare(cell.data(bench.base), spec(cell, bench.base), Path(folder))
        turns = take_turns(arms(cell, work.spec, bench), bench.rounds)
    gate = losses_agree(list(turns.values()))
    return [line(cell, work, one, turns["ours"], bench, gate) for one in turns.values()]


def arms(cell: Cell, spec: Spec, bench: Bench) -> list[Arm]:
    """Ours starts with the adapter that TRL starts with, where TRL is there to leave it."""
    if not bench.has_baseline:
        return [ours("ours", spec)]
    if cell.method == "full":
        return [ours("ours", spec), fastest("B0", DEFAULTS, spec)]
    start = str(Path(spec.scratch) / "start")
    saving = replace(spec, save_start=start)
    baselines = [fastest("B0", DEFAULTS, saving), fastest("B1", bench.experts, saving)]
    return [ours("ours", replace(spec, start_from=start)), *baselines]


def spec(cell: Cell, base: Path) -> Spec:
    return Spec(
        variant="auto",
        base=str(base.resolve()),
        examples="",
        rows="",
        scratch="",
        batch_size=cell.batch_size,
        steps=cell.steps + WARM_UP_STEPS,
        method=cell.method,
        learning_rate=FULL_RATE if cell.method == "full" else LORA_RATE,
    )


def fastest(name: str, variants: Sequence[str], spec: Spec) -> Arm:
    """TRL in that of its configurations which is the fastest here, tried once each."""
    tried: list[Turns] = []
    for variant in variants:
        arm = trl(f"{name} ({variant})", replace(spec, variant=variant))
        try:
            tried += take_turns([arm], 1).values()
        except RuntimeError as error:  # not every configuration runs on every machine
            say(f"  {error}")
    best = max(tried, key=lambda turns: turns.examples_per_second)
    return replace(best.arm, name=name)


def losses_agree(turns: Sequence[Turns]) -> bool:
    """The gate before any speed counts."""
    for one in turns:
        say(f"  {one.arm.name}: loss {one.outcomes[0].losses[0]:.4f} to {one.final_loss:.4f}")
    losses = [one.final_loss for one in turns]
    agree = max(losses) - min(losses) <= LOSS_TOLERANCE * min(losses)
    say(f"  final losses {'agree' if agree else 'DIFFER'}")
    return agree


def line(cell: Cell, work: Work, one: Turns, mine: Turns, bench: Bench, gate: bool) -> list[str]:
    counted = work.counted(WARM_UP_STEPS)
    examples = sum(map(len, counted))
    low, high = one.spread
    passes = one.examples_per_second / examples
    return [
        f"{cell.method}, {cell.shape}",
        str(cell.batch_size),
        "ours" if one is mine else f"{one.arm.name} ({one.arm.spec.variant})",
        f"{one.examples_per_second:.2f} ({low:.2f} to {high:.2f})",
        f"{real_tokens(counted) * passes:,.0f}",
        f"{one.peak_bytes / 2**20:,.0f} MB",
        "" if one is mine else compared(cell, one, mine, bench, gate),
        f"{needed_operations(counted, one.arm.spec) * passes / bench.rate:.0%}",
    ]


def compared(cell: Cell, other: Turns, mine: Turns, bench: Bench, gate: bool) -> str:
    """How ours stands against it, and what misses its target."""
    if not gate:
        return "not counted: the final losses differ"
    ratio = mine.times_as_fast_as(other)
    target = bench.targets["full" if cell.method == "full" else other.arm.name]
    spread = f"({ratio.low:.2f} to {ratio.high:.2f})"
    text = f"{ratio.times:.2f} {spread} times as fast{missed(ratio.times >= target, target)}"
    if other.arm.name == "B0" and cell.method == "lora":
        memory = mine.peak_bytes / other.peak_bytes
        limit = bench.targets["memory"]
        text += f", {memory:.2f} of the memory{missed(memory <= limit, limit)}"
    return text


def missed(reached: bool, target: float) -> str:
    return "" if reached else f" (misses {target:g})"


def explanation(command: str, bench: Bench) -> str:
    return (
        f"`{command}`: medians of {bench.rounds} rounds in which the arms take turns; in brackets "
        "the slowest and the fastest round, and of the ratios the middle half over all steps. Only "
        "real tokens count, and the losses of the last steps are within "
        f"{LOSS_TOLERANCE:.0%}. The last column is the arithmetic that tuning cannot do without, "
        f"as a share of this machine's own bfloat16 matrix rate, {bench.rate / 1e9:,.0f} GFLOP/s."
    )


if __name__ == "__main__":
    main()
