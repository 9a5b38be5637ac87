"""One arm of a comparison: a process that holds a model and takes steps when told to.

All arms answer the same lines, whichever engine is inside; so they can take turns, step by step,
on a machine whose speed drifts. Knows nothing of models.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import environments

ROOT = Path(__file__).parent.parent
BASELINE = Path(__file__).parent / "baseline"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What an arm is to tune; `variant` is a precision for ours, a configuration for TRL."""

    variant: str
    base: str
    examples: str
    """The data, from which ours takes its batches by its seed."""
    rows: str
    """The same batches written one after the other, for TRL."""
    batch_size: int
    steps: int
    scratch: str
    learning_rate: float = 2e-4
    rank: int = 8
    seed: int = 0
    full: bool = False
    adapter: str | None = None
    save_start: str | None = None
    show_tokens: bool = False


@dataclass
class Arm:
    """A running arm."""

    name: str
    command: list[str]
    folder: Path
    spec: Spec
    seconds_per_step: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    ready: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Load the model; returns when the first step could be taken."""
        log = Path(self.spec.scratch) / f"{self.name}.log"
        self._process = subprocess.Popen(
            [*self.command, json.dumps(asdict(self.spec))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            cwd=self.folder,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": self.spec.scratch},
        )
        self._log = log
        self.ready = self._reply()

    def go(self, steps: int, *, counts: bool = True) -> None:
        """Take so many steps now; the first ones do not count."""
        assert self._process.stdin
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        reply = self._reply()
        self.losses += reply["losses"]
        if counts:
            self.seconds_per_step.append(reply["seconds"] / steps)

    def finish(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self.peak_bytes = self._reply()["peak_bytes"]
        self._process.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            end = "\n".join(self._log.read_text(encoding="utf-8").splitlines()[-15:])
            raise RuntimeError(f"{self.name} ended early:\n{end}")
        reply: dict[str, Any] = json.loads(line)
        return reply


def ours(name: str, spec: Spec) -> Arm:
    return Arm(name, [sys.executable, "-m", "benchmarks.ours"], ROOT, spec)


def trl(name: str, spec: Spec) -> Arm:
    python = str(environments.trl_python())
    return Arm(name, [python, str(BASELINE / "trl_arm.py")], BASELINE, spec)
