"""When the steps of a run were taken, for the examples per second.

Reads the time and counts; knows nothing of what a step is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """When steps were taken, for the examples per second: evaluations do not count."""

    started: float = field(default_factory=time.perf_counter)
    first_step: float | None = None
    last_step: float = 0.0
    evaluating: float = 0.0
    evaluating_before_last_step: float = 0.0
    examples: int = 0
    steps: int = 0

    def count_step(self, step_started: float, examples: int) -> float:
        if self.first_step is None:
            self.first_step = step_started
        self.last_step = time.perf_counter()
        self.evaluating_before_last_step = self.evaluating
        self.examples += examples
        self.steps += 1
        return self.last_step - step_started

    @property
    def examples_per_second(self) -> float:
        if self.first_step is None:
            return 0.0
        seconds = self.last_step - self.first_step - self.evaluating_before_last_step
        return self.examples / seconds
