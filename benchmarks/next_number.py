"""Does tuning work? The sample next-number job, from the command line a person would type.

Tunes the default base model on datasets/samples/next-number.jsonl with default settings for three
seeds, asks base and tuned model for 60 numbers that are not in it (half in digits, half in words;
same prompts, likeliest token always), counts exact answers, and writes the README's line.

    .venv/bin/python -m benchmarks.next_number
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tuner.examples import Message, read_examples
from tuner.generate import Engine, Request
from tuner.sampling import Sampling

ROOT = Path(__file__).parent.parent
DATA = ROOT / "datasets" / "samples" / "next-number.jsonl"
BASE = ROOT / "data" / "models" / "smollm2-135m-instruct"
README = ROOT / "README.md"
MARK_START, MARK_END = "<!-- next-number -->", "<!-- /next-number -->"
SEEDS = (0, 1, 2)
QUESTIONS = 60
LARGEST_IN_DIGITS, LARGEST_IN_WORDS = 999, 198
UNIT_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
TENS_NAMES = "- - twenty thirty forty fifty sixty seventy eighty ninety"
UNITS, TENS = UNIT_NAMES.split(), TENS_NAMES.split()
GREEDY = Sampling(temperature=0, max_tokens=16)


@dataclass(frozen=True)
class Result:
    """One seed: what the tuned model knows, and what it took."""

    correct: int
    seconds: float
    examples_per_second: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--base", type=Path, default=BASE)
    options = parser.parse_args()
    questions = held_out_questions(options.data)
    base_correct = count_correct(options.base, None, questions)
    say(f"base: {base_correct} of {QUESTIONS}")
    results = []
    for seed in SEEDS:
        results.append(tune_and_ask(options.data, options.base, seed, questions))
        say(f"seed {seed}: {results[-1]}")
    line = summary(base_correct, results, len(read_examples(options.data)))
    say(line)
    write_into_readme(line)


def held_out_questions(data: Path) -> list[tuple[str, str]]:
    """Number and next number, none of which the training data has as a question."""
    known = {example.prompt_text.strip().lower() for example in read_examples(data)}
    digits = [(str(number), str(number + 1)) for number in range(1, LARGEST_IN_DIGITS)]
    words = [(in_words(number), in_words(number + 1)) for number in range(LARGEST_IN_WORDS)]
    choose = random.Random("held out")
    chosen = []
    for pairs in (digits, words):
        unknown = [pair for pair in pairs if pair[0] not in known]
        chosen += choose.sample(unknown, QUESTIONS // 2)
    return chosen


def in_words(number: int) -> str:
    if number < len(UNITS):
        return UNITS[number]
    if number < 100:
        tens, units = divmod(number, 10)
        return TENS[tens] + (f"-{UNITS[units]}" if units else "")
    hundreds, rest = divmod(number, 100)
    return f"{UNITS[hundreds]} hundred" + (f" {in_words(rest)}" if rest else "")


def tune_and_ask(data: Path, base: Path, seed: int, questions: list[tuple[str, str]]) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        command = ["--data", data, "--base", base, "--out", adapter, "--seed", seed, "--json"]
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tuner", "train", *map(str, command)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=ROOT,
        )
        seconds = time.monotonic() - started
        finished = json.loads(done.stdout.splitlines()[-1])
        correct = count_correct(base, adapter, questions)
    return Result(correct, seconds, finished["examples_per_second"])


def count_correct(base: Path, adapter: Path | None, questions: list[tuple[str, str]]) -> int:
    with closing(Engine.load(base)) as engine:
        if adapter:
            engine.load_adapter("tuned", adapter)
        streams = [
            engine.submit(
                Request(
                    messages=(Message("user", question),),
                    adapter="tuned" if adapter else None,
                    sampling=GREEDY,
                )
            )
            for question, _ in questions
        ]
        answers = ["".join(stream).strip() for stream in streams]
    return sum(answer == right for answer, (_, right) in zip(answers, questions, strict=True))


def summary(base_correct: int, results: Sequence[Result], examples: int) -> str:
    shares = sorted(100 * result.correct / QUESTIONS for result in results)
    seconds = sorted(result.seconds for result in results)
    speeds = sorted(result.examples_per_second for result in results)
    return (
        f"{examples} examples, default settings, {QUESTIONS} held-out numbers, {len(SEEDS)} seeds: "
        f"{100 * base_correct / QUESTIONS:.0f} % exact before tuning, "
        f"{median(shares):.0f} % after ({shares[0]:.0f} to {shares[-1]:.0f} %); "
        f"{median(seconds):.0f} s per job ({seconds[0]:.0f} to {seconds[-1]:.0f} s), "
        f"{median(speeds):.1f} examples per second."
    )


def write_into_readme(line: str) -> None:
    """Put the line between its two marks."""
    before, rest = README.read_text(encoding="utf-8").split(MARK_START)
    _, after = rest.split(MARK_END)
    text = f"{before}{MARK_START}\n{line}\n{MARK_END}{after}"
    README.write_text(text, encoding="utf-8")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
