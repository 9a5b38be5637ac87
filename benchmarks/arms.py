"""One arm of a comparison: a process that tunes a few steps and tells what they took.

Whichever engine is inside, it answers with the same line; so engines that cannot share an
environment can be compared. BENCHMARK_PREFIX is put before each arm's command, to pin it to
cores for example ("taskset -c 0,1"). Knows nothing of models.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import environments

ROOT = Path(__file__).parent.parent
BASELINE = Path(__file__).parent / "baseline"
PREFIX = shlex.split(os.environ.get("BENCHMARK_PREFIX", ""))
_LINES_OF_AN_ERROR = 15


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What an arm is to tune; `variant` is a precision for ours, a configuration for TRL."""

    variant: str
    base: str
    examples: str
    """The data, of which ours takes its batches by the seed."""
    rows: str
    """The same batches written one after the other, for TRL."""
    batch_size: int
    steps: int
    scratch: str
    held_out: str | None = None
    method: str = "lora"
    learning_rate: float = 2e-4
    rank: int = 8
    seed: int = 0
    padded: bool = False
    """Ours takes the plain path, also where a faster one is proven."""
    start_from: str | None = None
    """Folder of the adapter that ours starts with."""
    save_start: str | None = None
    """Folder for the adapter that TRL starts with."""
    show_tokens: bool = False
    warm: bool = False
    """Ours is forked from a process that has imported everything, as jobs are."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an arm says when it is done."""

    ready_seconds: float
    """From the program's first line, or from the fork, to the first step."""
    step_seconds: list[float]
    losses: list[float]
    peak_bytes: int
    threads: int
    held_out_loss: float | None = None
    precision: str = ""
    ids: list[list[int]] | None = None
    labels: list[list[int]] | None = None


@dataclass(frozen=True)
class Arm:
    """An engine with its settings, by the name that the table calls it."""

    name: str
    spec: Spec
    is_ours: bool

    def run(self) -> Outcome:
        """Tune in a process of its own, alone."""
        log = Path(self.spec.scratch) / "log.txt"
        with log.open("w", encoding="utf-8") as errors:
            done = subprocess.run(
                [*PREFIX, *self._command, json.dumps(asdict(self.spec))],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT if self.is_ours else BASELINE,
                env=_environment(self.spec),
            )
        if done.returncode:
            end = log.read_text(encoding="utf-8").splitlines()[-_LINES_OF_AN_ERROR:]
            raise RuntimeError(f"{self.name} ended with {done.returncode}:\n" + "\n".join(end))
        return Outcome(**json.loads(done.stdout.splitlines()[-1]))

    @property
    def _command(self) -> list[str]:
        if self.is_ours:
            return [sys.executable, "-m", "benchmarks.ours"]
        return [str(environments.trl_python()), str(BASELINE / "trl_arm.py")]


def ours(name: str, spec: Spec) -> Arm:
    return Arm(name, spec, is_ours=True)


def trl(name: str, spec: Spec) -> Arm:
    return Arm(name, spec, is_ours=False)


def _environment(spec: Spec) -> dict[str, str]:
    """Nothing is fetched, and no cache of an earlier run is found."""
    without_path = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**without_path, "HF_HUB_OFFLINE": "1", "HF_HOME": spec.scratch}
