"""The table of tuning speed on a GPU: random weights in the shapes of a 1.5B and an 8B model.

Needs torch, transformers, peft and what the engine needs, but no Django; and for the baselines an
interpreter with TRL (BASELINE_PYTHON, see environments.py), or `--without-baseline`.

    python -m benchmarks.gpu_speed
    python -m benchmarks.gpu_speed --device cpu --shape tiny    # only to see that it runs
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import torch

from benchmarks.matrix_rate import matrix_rate
from benchmarks.random_model import SHAPES, make_random_model
from benchmarks.readme import table, write_between
from benchmarks.tuning_speed import HEAD, Bench, Cell, explanation, measure
from benchmarks.turns import say

ROUNDS = 3
REAL_SHAPES = ("1.5B", "8B")
EXPERTS = ("padding-free", "padding-free-flash", "padded")
TARGETS = {"B0": 2.5, "B1": 1.15, "full": 1.5, "memory": 0.8}
CELLS = tuple(
    Cell(method, shape, 16, 8)
    for method in ("lora", "qlora", "full")
    for shape in ("short chat", "long-tailed chat")
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--shape", choices=tuple(SHAPES), help="this one alone, written nowhere")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--without-baseline", action="store_true")
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for the arms, which take a GPU if there is one
    elif not torch.cuda.is_available():
        raise SystemExit("No GPU is found. Try --device cpu --shape tiny to see that it runs.")
    rate = matrix_rate(torch.device(options.device))
    lines: list[list[str]] = []
    for shape in [options.shape] if options.shape else REAL_SHAPES:
        with tempfile.TemporaryDirectory() as name:
            base = make_random_model(shape, Path(name), torch.device(options.device))
            bench = Bench(
                base=base,
                rounds=options.rounds,
                rate=rate,
                targets=TARGETS,
                experts=EXPERTS,
                has_baseline=not options.without_baseline,
            )
            for cell in CELLS:
                lines += [[f"{shape} {what}", *rest] for what, *rest in tried(cell, bench)]
    text = f"{table(HEAD, lines)}\n\n{explanation('make bench-gpu', bench)}"
    say(text)
    if not options.shape:
        write_between("gpu-speed", text)


def tried(cell: Cell, bench: Bench) -> list[list[str]]:
    """The cell's lines, or one that says why there are none: not every model fits every GPU."""
    try:
        return measure(cell, bench)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1]
        say(f"  {error}")
        name = f"{cell.method}, {cell.shape}"
        return [[name, str(cell.batch_size), f"did not run: {reason}", "", "", "", "", ""]]


if __name__ == "__main__":
    main()
