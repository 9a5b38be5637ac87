"""The data of the comparisons: shapes of chat, made from a seed out of our own words.

Short: the sample next-number conversations under one system prompt. Long-tailed: lengths by a
lognormal law with a mean of 200 tokens and one in a hundred above 1,000, of which two fifths are
the answer. Knows nothing of engines.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from tuner.encode import ChatEncoder
from tuner.examples import Example, Message, read_examples

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "datasets" / "samples" / "next-number.jsonl"
LONGEST_TOKENS = 1000
"""TRL cuts at 1,024 by default; nothing is as long, so that all engines see the same."""
MEAN_TOKENS = 200
SPREAD = 0.85
"""Of the logarithm: one example in a hundred is above five means, exp(2.33 s - s^2 / 2) = 5."""
ANSWER_SHARE = 0.45
"""Of the words; of the tokens, with what the template adds, two fifths."""
SENTENCE = (
    "the order came late and we asked the shop what to do with this lamp before the end of a week "
    "because nobody in our house could read its small print while my neighbour said that light "
    "from an open window would help more than any answer he had ever heard about green glass or "
    "paper boats on rivers where old trains cross bridges twice each day carrying mail and apples"
)
WORDS = SENTENCE.split()
SYSTEM_PROMPT = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
"""What the default base model's template says by itself."""


@dataclass(frozen=True)
class Shape:
    """A kind of data, by the name the table calls it."""

    name: str
    examples: list[Example]


def short_chat() -> Shape:
    """With the system prompt spelt out, so that no template has to add one."""
    system = Message("system", SYSTEM_PROMPT)
    examples = [Example((system, *example.messages)) for example in read_examples(SAMPLE)]
    return Shape("short chat", examples)


def counting_chat(count: int) -> Shape:
    """As many short conversations as wanted, all different."""
    pairs = ((str(number), str(number + 1)) for number in range(count))
    return Shape("counting chat", [Example.from_pair(*pair) for pair in pairs])


def long_tailed_chat(base: Path, count: int, seed: int = 0) -> Shape:
    """Conversations of one question and one answer; their lengths are the law's own quantiles.

    Drawn at random, few examples would have another mean each time.
    """
    chance = random.Random(f"long-tailed {seed}")
    frame, tokens_per_word = _sizes(base)
    words = [max(4, round((tokens - frame) / tokens_per_word)) for tokens in _lengths(count)]
    chance.shuffle(words)
    return Shape("long-tailed chat", [_of_length(number, chance) for number in words])


def _sizes(base: Path) -> tuple[float, float]:
    """How many tokens of this model a conversation without words has, and a word adds."""
    encoder = ChatEncoder.load(base)
    once, twice = (
        len(encoder.encode_example(_conversation(WORDS * times, WORDS))) for times in (1, 2)
    )
    per_word = (twice - once) / len(WORDS)
    return once - 2 * len(WORDS) * per_word, per_word


def _lengths(count: int) -> list[int]:
    location = math.log(MEAN_TOKENS) - SPREAD**2 / 2
    law = NormalDist(location, SPREAD)
    lengths = (math.exp(law.inv_cdf((index + 0.5) / count)) for index in range(count))
    return [min(LONGEST_TOKENS, round(length)) for length in lengths]


def _of_length(words: int, chance: random.Random) -> Example:
    answer = max(1, round(words * ANSWER_SHARE))
    return _conversation(chance.choices(WORDS, k=words - answer), chance.choices(WORDS, k=answer))


def _conversation(question: Sequence[str], answer: Sequence[str]) -> Example:
    return Example(
        (
            Message("system", SYSTEM_PROMPT),
            Message("user", " ".join(question)),
            Message("assistant", " ".join(answer)),
        )
    )


def write_examples(path: Path, examples: Sequence[Example]) -> Path:
    lines = (json.dumps(example.as_dict()) for example in examples)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
