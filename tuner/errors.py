"""Everything the engine refuses or gives up on, as sentences a person can act on.

TunerError
 |-- SettingsError     a setting is unknown, out of range, or contradicts another
 |-- ExampleError      an example or a file of examples cannot be used (reason and remedy)
 |-- ModelError        a base model folder is missing, incomplete or cannot be read
 |-- AdapterError      an adapter is damaged, of another base, or of a kind that is not served
 |-- PromptTooLongError  a conversation does not fit the model's context
 |-- CheckpointError   a checkpoint is incomplete, damaged, or belongs to other settings
 |-- StorageError      a file could not be written, most often because the disk is full
 |-- DivergedError     the loss became infinite or not a number
 |-- MemoryShortageError  an allocation failed
"""

from __future__ import annotations


class TunerError(Exception):
    """Something a person can put right; the message says what happened and what to do."""


class SettingsError(TunerError):
    """A setting is unknown, out of range, or contradicts another."""


class ExampleError(TunerError):
    """An example cannot be used: `reason` says why, `remedy` what to change."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


class ModelError(TunerError):
    """A base model folder is missing, incomplete or cannot be read."""


class AdapterError(TunerError):
    """An adapter is damaged, belongs to another base model, or is of a kind that is not served."""


class PromptTooLongError(TunerError):
    """A conversation does not fit the model's context."""


class CheckpointError(TunerError):
    """A checkpoint is incomplete, damaged, or belongs to other settings."""


class StorageError(TunerError):
    """A file could not be written, most often because the disk is full."""


class DivergedError(TunerError):
    """The loss became infinite or not a number; what was saved before is intact."""


class MemoryShortageError(TunerError):
    """An allocation failed; what was saved before is intact."""


def diverged(
    value: float, name: str, step: int, learning_rate: float, intact_step: int | None
) -> DivergedError:
    """What became no number, where, what to do, and which checkpoint is still good."""
    kept = (
        "no checkpoint had been saved yet"
        if intact_step is None
        else f"the checkpoint of step {intact_step} is intact"
    )
    return DivergedError(
        f"The {name} became {value} at step {step}, so tuning stopped there. Lower the "
        f"learning rate (it was {learning_rate:g}) and start again; {kept}."
    )
