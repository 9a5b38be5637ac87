"""Which evaluation is the best so far, and when to stop waiting for a better one.

Works on a run's progress alone, so that a resumed run decides as the uninterrupted one. The rule
is the usual one (Prechelt, Early Stopping - But When?, 1998): so many evaluations in a row whose
loss is not below the last improvement by more than the minimum change.
"""

from __future__ import annotations

from tuner.progress import Progress
from tuner.settings import TuningSettings


def count_evaluation(progress: Progress, loss: float, settings: TuningSettings) -> bool:
    """Take a new validation loss into account; whether it is the lowest so far."""
    progress.validation_loss = loss
    minimum_change = settings.early_stopping_minimum_change
    if progress.loss_to_beat is None or loss < progress.loss_to_beat - minimum_change:
        progress.loss_to_beat = loss
        progress.evaluations_without_improvement = 0
    else:
        progress.evaluations_without_improvement += 1
    is_best = progress.best_loss is None or loss < progress.best_loss
    if is_best:
        progress.best_loss, progress.best_step = loss, progress.step
    return is_best


def has_stalled(progress: Progress, settings: TuningSettings) -> bool:
    """Whether there were as many evaluations without improvement as the settings allow."""
    patience = settings.early_stopping_patience
    return patience is not None and progress.evaluations_without_improvement >= patience
