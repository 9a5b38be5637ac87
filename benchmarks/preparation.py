"""How many conversations a second are tokenised, masked and packed: ours beside TRL's preparation.

Ours is what a job does, from conversations in memory to packed batches, every example once and
nothing from a cache.

    .venv/bin/python -m benchmarks.preparation
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import environments, shapes
from benchmarks.arms import BASELINE, PREFIX, ROOT
from benchmarks.readme import table, write_between
from benchmarks.turns import say
from tuner import plan
from tuner.batch import packed_batch
from tuner.encode import ChatEncoder
from tuner.encoded import EncodedExamples
from tuner.examples import read_examples
from tuner.settings import TuningSettings

BASE = ROOT / "data" / "models" / "smollm2-135m-instruct"
ROUNDS = 3
ROWS = 4000
TARGET = 10.0
SETTINGS = TuningSettings(epochs=1, batch_size=16)
HEAD = ("data", "TRL, rows/s", "ours, rows/s", "ours is")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--ours", type=Path, help="prepare this file and say how long it took")
    options = parser.parse_args()
    if options.ours:
        sys.stdout.write(json.dumps(prepare(options.base, options.ours)) + "\n")
        return
    made = (shapes.counting_chat(ROWS), shapes.long_tailed_chat(options.base, ROWS))
    lines = [line(options.base, shape, options.rounds) for shape in made]
    text = f"{table(HEAD, lines)}\n\n{explanation(options.rounds)}"
    say(text)
    write_between("preparation", text)


def prepare(base: Path, path: Path) -> dict[str, float]:
    """What happens to examples before the model sees them."""
    encoder = ChatEncoder.load(base)
    examples = read_examples(path)
    started = time.perf_counter()
    encoded = EncodedExamples(encoder, examples, SETTINGS.max_length_tokens, lambda: None)
    batches = [indices for _, indices in plan.training_batches(len(encoded), SETTINGS)]
    encoded.expect(index for batch in batches for index in batch)
    tokens = 0
    for batch in batches:
        chosen = [encoded[index] for index in batch]
        packed_batch(chosen)
        tokens += sum(map(len, chosen))
    return {"seconds": time.perf_counter() - started, "tokens": tokens}


def line(base: Path, shape: shapes.Shape, rounds: int) -> list[str]:
    """One kind of data."""
    theirs, mine = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = shapes.write_examples(Path(folder) / "rows.jsonl", shape.examples)
        for _ in range(rounds):
            theirs.append(trl_rate(base, path, len(shape.examples)))
            mine.append(our_rate(base, path, len(shape.examples)))
            say(f"{shape.name}: TRL {theirs[-1]:.0f}, ours {mine[-1]:.0f} rows per second")
    ratio = median(one / other for one, other in zip(mine, theirs, strict=True))
    missed = "" if ratio >= TARGET else f" (misses {TARGET:g})"
    return [
        shape.name,
        f"{median(theirs):,.0f} ({min(theirs):,.0f} to {max(theirs):,.0f})",
        f"{median(mine):,.0f} ({min(mine):,.0f} to {max(mine):,.0f})",
        f"{ratio:.1f} times as fast{missed}",
    ]


def our_rate(base: Path, path: Path, count: int) -> float:
    command = [sys.executable, "-m", "benchmarks.preparation", "--base", base, "--ours", path]
    return count / _seconds([*PREFIX, *map(str, command)], ROOT)


def trl_rate(base: Path, path: Path, count: int) -> float:
    few = shapes.write_examples(path.with_name("few.jsonl"), shapes.counting_chat(4).examples)
    spec = {
        "variant": "padded",
        "base": str(base.resolve()),
        "rows": str(path),
        "warm_up_rows": str(few),
        "held_out": None,
        "scratch": str(path.parent),
        "batch_size": 4,
        "steps": 1,
        "learning_rate": 2e-4,
        "seed": 0,
        "method": "lora",
        "rank": 8,
    }
    program = str(BASELINE / "trl_preparation.py")
    command = [*PREFIX, str(environments.trl_python()), program, json.dumps(spec)]
    return count / _seconds(command, BASELINE)


def _seconds(command: list[str], folder: Path) -> float:
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env=alone,
    )
    if done.returncode:
        raise RuntimeError(f"{command[-2]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    seconds: float = json.loads(done.stdout.splitlines()[-1])["seconds"]
    return seconds


def explanation(rounds: int) -> str:
    return (
        f"`.venv/bin/python -m benchmarks.preparation`: {ROWS:,} conversations, tokenised, masked "
        f"and packed in a fresh process, without caches; medians of {rounds} rounds, in brackets "
        "the slowest and the fastest."
    )


if __name__ == "__main__":
    main()
