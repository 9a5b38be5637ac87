"""Let arms take turns, A B C A B C, and put what they took into medians with their spread.

A machine's speed drifts; arms that take turns drift alike, and a ratio is one of neighbours.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import mean, median, quantiles

from benchmarks.arms import Arm, Outcome

WARM_UP_STEPS = 1
_LAST_STEPS = 3


@dataclass(frozen=True)
class Ratio:
    """How many times as fast, and the middle half around it."""

    times: float
    low: float
    high: float


@dataclass(frozen=True)
class Turns:
    """All rounds of one arm."""

    arm: Arm
    outcomes: list[Outcome]

    @property
    def examples_per_second(self) -> float:
        """Each step at its median over the rounds: a disturbance in one of them weighs little."""
        return self._rate([median(times) for times in zip(*self._counted, strict=True)])

    @property
    def spread(self) -> tuple[float, float]:
        """The slowest and the fastest round."""
        rates = [self._rate(seconds) for seconds in self._counted]
        return min(rates), max(rates)

    @property
    def _counted(self) -> list[list[float]]:
        return [outcome.step_seconds[WARM_UP_STEPS:] for outcome in self.outcomes]

    def _rate(self, seconds: Sequence[float]) -> float:
        return self.arm.spec.batch_size * len(seconds) / sum(seconds)

    @property
    def peak_bytes(self) -> float:
        return median(outcome.peak_bytes for outcome in self.outcomes)

    @property
    def final_loss(self) -> float:
        """Of the last steps; every round takes the same ones."""
        return mean(self.outcomes[-1].losses[-_LAST_STEPS:])

    def times_as_fast_as(self, other: Turns) -> Ratio:
        """The spread is that of single steps, each beside the other's in the same round."""
        pairs = zip(chain(*self._counted), chain(*other._counted), strict=True)
        low, _, high = quantiles([others / mine for mine, others in pairs], n=4)
        return Ratio(self.examples_per_second / other.examples_per_second, low, high)


def take_turns(arms: Sequence[Arm], rounds: int) -> dict[str, Turns]:
    """Every arm in every round, each in a fresh process."""
    turns = {arm.name: Turns(arm, []) for arm in arms}
    for number in range(rounds):
        for arm in arms:
            outcome = arm.run()
            turns[arm.name].outcomes.append(outcome)
            seconds = sum(outcome.step_seconds[WARM_UP_STEPS:])
            say(f"  round {number + 1}, {arm.name}: {seconds:.2f} s")
    return turns


def say(line: str) -> None:
    """One line for whoever waits."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
