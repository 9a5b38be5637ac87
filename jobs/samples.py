"""A job's fixed prompts and how the answers to them changed, from one evaluation to the next.

Answers that stayed the same are told once, with the steps they lasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.metrics import sampled_step
from jobs.models import Job, JobSample
from jobs.protocol import SampleAnswer, SamplesMessage

SHOWN = 5
"""Answers of a prompt that are open to the eye; older ones are folded away."""


@dataclass
class AnswerSpan:
    """One answer, and the evaluations at which it was given in a row."""

    text: str
    first_step: int
    last_step: int
    is_expected: bool


@dataclass
class Probe:
    """One prompt, the answer it should get, and those it got, newest first."""

    prompt: str
    expected: str
    spans: list[AnswerSpan] = field(default_factory=list)

    @property
    def shown(self) -> list[AnswerSpan]:
        """The newest few."""
        return self.spans[:SHOWN]

    @property
    def earlier(self) -> list[AnswerSpan]:
        """All before those."""
        return self.spans[SHOWN:]

    def take(self, sample: JobSample) -> None:
        """The answer of a later evaluation."""
        text = sample.answer.strip()
        if self.spans and self.spans[0].text == text:
            self.spans[0].last_step = sample.step
            return
        is_expected = text == self.expected.strip()
        self.spans.insert(0, AnswerSpan(text, sample.step, sample.step, is_expected))


def probes_of(job: Job) -> list[Probe]:
    """The prompts in their order."""
    probes: dict[int, Probe] = {}
    for sample in job.samples.order_by("step", "position"):
        probe = probes.setdefault(sample.position, Probe(sample.prompt, sample.expected))
        probe.take(sample)
    return [probes[position] for position in sorted(probes)]


def samples_context(job: Job) -> dict[str, object]:
    """What that part of the page shows."""
    return {"probes": probes_of(job), "sampled_step": sampled_step(job)}


def samples_message(rows: Sequence[JobSample]) -> SamplesMessage:
    """The answers of one evaluation, as pages receive them."""
    return SamplesMessage(
        type="samples",
        step=rows[0].step,
        epoch=rows[0].epoch,
        answers=[SampleAnswer(position=row.position, answer=row.answer) for row in rows],
    )
