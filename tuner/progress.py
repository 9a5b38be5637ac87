"""How far a run has come: everything a resumed one must know besides the weights.

Plain numbers that go into a checkpoint's state as they are. Knows no model and no files.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from tuner.settings import TuningSettings


@dataclass(kw_only=True)
class Progress:
    """Written by the run, kept in every checkpoint, and taken up again by a resumed run."""

    step: int = 0
    epoch_loss: float = 0.0
    """Summed over the answer tokens of the epoch so far."""
    epoch_tokens: int = 0
    train_loss: float | None = None
    """Mean of the last whole epoch."""
    validation_loss: float | None = None
    """Of the last evaluation."""
    best_loss: float | None = None
    """The lowest validation loss so far, and the step it was measured at."""
    best_step: int = 0
    loss_to_beat: float | None = None
    """The last validation loss that counted as an improvement for early stopping."""
    evaluations_without_improvement: int = 0
    micro_batch_tokens: int | None = None
    """As planned when the run began, for the memory there was then; and the next likewise."""
    activation_checkpointing: bool | None = None
    example_losses: list[float | None] = field(default_factory=list)
    """By example: its mean loss when it was last trained on."""

    @property
    def mean_train_loss(self) -> float | None:
        """Of the last whole epoch; of the steps so far where no epoch has ended."""
        if self.train_loss is None and self.epoch_tokens:
            return self.epoch_loss / self.epoch_tokens
        return self.train_loss

    def planned(self, settings: TuningSettings) -> TuningSettings:
        """What the settings leave to the machine, as it was chosen when the run began.

        Another choice would round otherwise, and a resumed run equals the uninterrupted one.
        """
        chosen: dict[str, Any] = {}
        if settings.micro_batch_tokens is None and self.micro_batch_tokens is not None:
            chosen["micro_batch_tokens"] = self.micro_batch_tokens
        if (
            settings.activation_checkpointing == "auto"
            and self.activation_checkpointing is not None
        ):
            chosen["activation_checkpointing"] = "on" if self.activation_checkpointing else "off"
        return replace(settings, **chosen)
