"""The messages from a job to the pages that watch it. The socket only listens.

Client to server: nothing after the address, /ws/jobs/<uuid>/?since=<seq>&log=<number>.
"""

from __future__ import annotations

from typing import Literal, TypedDict


class Point(TypedDict):
    """One metric at one step. `seq` counts a job's points and is never used again."""

    seq: int
    name: str
    step: int
    epoch: float
    value: float


class MetricsMessage(TypedDict):
    """New points, in order of `seq`."""

    type: Literal["metrics"]
    points: list[Point]


class StatusMessage(TypedDict):
    """The job's state changed; also sent once on connect."""

    type: Literal["status"]
    status: str
    phase: str


class LogMessage(TypedDict):
    """A line of the job's log. `number` grows with each line."""

    type: Literal["log"]
    number: int
    text: str


class CheckpointMessage(TypedDict):
    """A checkpoint lies complete on disk."""

    type: Literal["checkpoint"]
    step: int
    epoch: float
    is_best: bool


class SampleAnswer(TypedDict):
    """What the model says now to one of the job's fixed prompts."""

    position: int
    answer: str


class SamplesMessage(TypedDict):
    """The fixed prompts were answered. Also sent once on connect, if they were before."""

    type: Literal["samples"]
    step: int
    epoch: float
    answers: list[SampleAnswer]


class RewindMessage(TypedDict):
    """There are no points and no answers after `step`: drop those you have. Also sent once on
    connect."""

    type: Literal["rewind"]
    step: int


Message = (
    MetricsMessage | StatusMessage | LogMessage | CheckpointMessage | SamplesMessage | RewindMessage
)
