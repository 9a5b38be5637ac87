"""What a training run tells its listener, in the order it happens.

Every event can be written as one flat dictionary; the five keys that all of them share are always
there, null where an event has nothing to say about them. Knows nothing of who listens.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

ENDINGS = ("complete", "stopped early", "stopped by hand")
"""Why a run finished: all steps taken, no improvement any more, or asked to stop and save."""

PHASES = ("preparing", "loading model", "tuning", "evaluating", "saving")
SHARED_KEYS = ("step", "epoch", "train_loss", "validation_loss")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened. `kind` is its name in JSON."""

    kind: ClassVar[str] = ""

    def as_dict(self) -> dict[str, Any]:
        return {"event": self.kind, **dict.fromkeys(SHARED_KEYS), **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Phase(Event):
    """The run now does something else: one of PHASES."""

    kind: ClassVar[str] = "phase"
    name: str


@dataclass(frozen=True, kw_only=True)
class Started(Event):
    """The model is loaded and the first step is next: what will be done, and how."""

    kind: ClassVar[str] = "started"
    step: int
    """The step the run starts after: 0, or that of the checkpoint it resumes from."""
    total_steps: int
    training_examples: int
    validation_examples: int
    dropped_examples: int
    """Left out because they are longer than max_length_tokens."""
    truncated_examples: int
    """Cut to max_length_tokens, where the settings ask for that."""
    trainable_parameters: int
    learning_rate: float
    method: str
    layout: str
    """"packed": the fast path; "padded": the plain one, for families not proven on the other."""
    activation_checkpointing: bool
    micro_batch_tokens: int
    precision: str
    device: str
    threads: int
    torch_version: str


@dataclass(frozen=True, kw_only=True)
class Step(Event):
    """One optimiser step was taken."""

    kind: ClassVar[str] = "step"
    step: int
    epoch: float
    train_loss: float
    token_accuracy: float
    """Share of the trained tokens that the model would have said itself."""
    learning_rate: float
    gradient_norm: float
    tokens: int
    """Tokens of the batch's examples, without padding, with what they share counted each time."""
    memory_bytes: int
    """What the process holds now: resident memory, or that of the GPU."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The loss over the validation examples was measured."""

    kind: ClassVar[str] = "evaluated"
    step: int
    epoch: float
    validation_loss: float
    token_accuracy: float
    is_best: bool
    """The lowest validation loss so far."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A fixed prompt and what the model answers to it now."""

    prompt: str
    answer: str
    expected: str


@dataclass(frozen=True, kw_only=True)
class Sampled(Event):
    """The fixed prompts were answered, the same at every evaluation."""

    kind: ClassVar[str] = "sampled"
    step: int
    epoch: float
    samples: tuple[Sample, ...]


@dataclass(frozen=True, kw_only=True)
class ExampleLosses(Event):
    """How well each example was learned when it was last trained on, worst first."""

    kind: ClassVar[str] = "example_losses"
    step: int
    losses: tuple[tuple[int, float], ...]
    """(place of the example in the training data, mean loss of its tokens), at most 100."""


@dataclass(frozen=True, kw_only=True)
class Saved(Event):
    """A checkpoint, or at the end the adapter, lies complete on disk."""

    kind: ClassVar[str] = "saved"
    step: int
    epoch: float
    path: str
    is_adapter: bool
    """True for the finished adapter, False for a checkpoint on the way."""


@dataclass(frozen=True, kw_only=True)
class Finished(Event):
    """The run is over and the adapter is in its folder."""

    kind: ClassVar[str] = "finished"
    step: int
    epoch: float
    train_loss: float | None
    """Mean over the last epoch's answer tokens; null if a resumed run had no step left."""
    validation_loss: float | None
    ending: str
    """One of ENDINGS."""
    model_step: int
    """The step whose weights became the model: that of the best evaluation, or the last."""
    steps: int
    wall_seconds: float
    examples_per_second: float
