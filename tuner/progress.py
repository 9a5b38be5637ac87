"""How far a run has come: everything a resumed one must know besides the weights.

Plain numbers that go into a checkpoint's state as they are. Knows no model and no files.
"""

from __future__ import annotations

from dataclasses import dataclass, field


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
    example_losses: list[float | None] = field(default_factory=list)
    """By example: its mean loss when it was last trained on."""

    @property
    def mean_train_loss(self) -> float | None:
        """Of the last whole epoch; of the steps so far where no epoch has ended."""
        if self.train_loss is None and self.epoch_tokens:
            return self.epoch_loss / self.epoch_tokens
        return self.train_loss
