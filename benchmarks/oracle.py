"""Is tuning right? Step by step the losses of TRL's SFTTrainer, from the same adapter in float32.

TRL begins; ours starts with the adapter that TRL began with and takes the same examples in the
same order, once on the plain padded path and once on the path that jobs take. Token ids and labels
are compared one by one, then the losses of every step, then the loss on examples held out.

    .venv/bin/python -m benchmarks.oracle
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from benchmarks import shapes
from benchmarks.arms import Outcome, Spec, ours, trl
from benchmarks.readme import table, write_between
from benchmarks.turns import say
from benchmarks.work import Work
from tuner.encode import Encoded

ROOT = Path(__file__).parent.parent
BASE = ROOT / "data" / "models" / "smollm2-135m-instruct"
SEEDS = (0, 1, 2)
STEPS, FIRST_STEPS = 50, 10
BATCH_SIZE = 4
HELD_OUT = 30
FIRST_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-3
HEAD = ("path", "largest difference, 10 steps", "largest relative, 50 steps", "held-out loss")


@dataclass(frozen=True)
class Compared:
    """One seed: TRL, and ours on both paths."""

    trl: Outcome
    padded: Outcome
    fast: Outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    seeds = [compare(options.base, seed, options.steps) for seed in SEEDS]
    text = f"{report(seeds)}\n\n{explanation(seeds, options.steps)}"
    say(text)
    if options.steps == STEPS:
        write_between("oracle", text)


def compare(base: Path, seed: int, steps: int) -> Compared:
    """All three runs of one seed."""
    everything = shapes.short_chat()
    shape = shapes.Shape(everything.name, everything.examples[HELD_OUT:])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        held_out = shapes.write_examples(folder / "held-out.jsonl", everything.examples[:HELD_OUT])
        work = Work.prepare(shape, make_spec(base, seed, steps, held_out), folder)
        start = str(folder / "start")
        baseline = replace(work.spec, variant="defaults-float32", save_start=start)
        theirs = trl("TRL", replace(baseline, show_tokens=True)).run()
        check_tokens(work.steps, theirs)
        spec = replace(work.spec, start_from=start)
        compared = Compared(
            theirs, ours("padded", replace(spec, padded=True)).run(), ours("fast", spec).run()
        )
    say(f"seed {seed}: {differences(compared.padded, theirs)}")
    return compared


def make_spec(base: Path, seed: int, steps: int, held_out: Path) -> Spec:
    return Spec(
        variant="float32",
        base=str(base.resolve()),
        examples="",
        rows="",
        scratch="",
        batch_size=BATCH_SIZE,
        steps=steps,
        seed=seed,
        held_out=str(held_out),
    )


def check_tokens(steps: Sequence[Sequence[Encoded]], theirs: Outcome) -> None:
    """TRL made its ids and labels from the conversations itself; they must be ours."""
    mine = [example for step in steps for example in step]
    assert theirs.ids and theirs.labels
    for example, ids, labels in zip(mine, theirs.ids, theirs.labels, strict=True):
        marked = zip(example.ids, example.trained, strict=True)
        if example.ids != ids or labels != [token if on else -100 for token, on in marked]:
            raise SystemExit(f"TRL reads an example differently: {ids} {labels}, not {example}")


def differences(mine: Outcome, theirs: Outcome) -> tuple[float, float]:
    """The largest one of the first steps, and the largest relative one of all."""
    pairs = list(zip(mine.losses, theirs.losses, strict=True))
    return (
        max(abs(one - other) for one, other in pairs[:FIRST_STEPS]),
        max(abs(one - other) / other for one, other in pairs),
    )


def report(seeds: Sequence[Compared]) -> str:
    """The table."""
    rows = [["TRL", "", "", held_out_text([seed.trl for seed in seeds])]]
    for name in ("padded", "fast"):
        mine: list[Outcome] = [getattr(seed, name) for seed in seeds]
        found = [differences(one, seed.trl) for one, seed in zip(mine, seeds, strict=True)]
        first, relative = (max(values) for values in zip(*found, strict=True))
        rows.append(
            [
                f"ours, {name}",
                f"{first:.1e}{missed(first <= FIRST_TOLERANCE)}",
                f"{relative:.1e}{missed(relative <= RELATIVE_TOLERANCE)}",
                held_out_text(mine) + missed(is_near(mine, [seed.trl for seed in seeds])),
            ]
        )
    return table(HEAD, rows)


def held_out_text(outcomes: Sequence[Outcome]) -> str:
    losses = held_out_losses(outcomes)
    return f"{mean(losses):.4f} ± {stdev(losses):.4f}"


def is_near(mine: Sequence[Outcome], theirs: Sequence[Outcome]) -> bool:
    """Within two standard deviations of TRL's over the seeds."""
    expected = held_out_losses(theirs)
    return abs(mean(held_out_losses(mine)) - mean(expected)) <= 2 * stdev(expected)


def held_out_losses(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.held_out_loss for outcome in outcomes if outcome.held_out_loss is not None]


def missed(reached: bool) -> str:
    return "" if reached else " (too far)"


def explanation(seeds: Sequence[Compared], steps: int) -> str:
    return (
        f"`.venv/bin/python -m benchmarks.oracle`: SmolLM2-135M, LoRA rank 8, float32, batch "
        f"{BATCH_SIZE}, learning rate 2e-4, next-number chat, {steps} steps, {len(seeds)} seeds. "
        "All token ids and labels are TRL's. Bounds: 1e-4 in the first ten steps, 1e-3 relative in "
        "all, and two standard deviations of TRL's held-out loss."
    )


if __name__ == "__main__":
    main()
