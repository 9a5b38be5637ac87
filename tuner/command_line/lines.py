"""Events as lines for people."""

from __future__ import annotations

from tuner.events import (
    Evaluated,
    Event,
    ExampleLosses,
    Finished,
    Phase,
    Sampled,
    Saved,
    Started,
    Step,
)

_WORST_SHOWN = 3


def line_of(event: Event) -> str | None:
    """What a person reads of an event; None for nothing."""
    match event:
        case Started():
            return _started(event)
        case Step():
            return f"step {event.step}  epoch {event.epoch:.2f}  loss {event.train_loss:.4f}"
        case Evaluated():
            best = "  best so far" if event.is_best else ""
            return f"epoch {event.epoch:.2f}  validation loss {event.validation_loss:.4f}{best}"
        case Sampled():
            return "\n".join(
                f"  {_short(sample.prompt)!r} -> {_short(sample.answer)!r}"
                for sample in event.samples
            )
        case ExampleLosses():
            return _worst(event)
        case Saved():
            return f"saved {event.path}"
        case Finished():
            return _finished(event)
        case Phase():
            return f"{event.name} ..."
    return None


def _started(event: Started) -> str:
    counts = (
        (event.dropped_examples, "left out as too long"),
        (event.truncated_examples, "truncated"),
    )
    said = "".join(f", {count} {what}" for count, what in counts if count)
    return (
        f"{event.training_examples} examples{said}, {event.total_steps} steps, "
        f"{event.trainable_parameters:,} trainable parameters, learning rate "
        f"{event.learning_rate:g}, {event.method}, {event.precision}, {event.layout}"
    )


def _worst(event: ExampleLosses) -> str | None:
    worst = event.losses[:_WORST_SHOWN]
    if not worst:
        return None
    named = ", ".join(f"{place + 1} ({loss:.3f})" for place, loss in worst)
    return f"hardest examples by their last loss: {named}"


def _finished(event: Finished) -> str:
    ending = "" if event.ending == "complete" else f", {event.ending}"
    return (
        f"finished in {event.wall_seconds:.1f} s{ending}, "
        f"{event.examples_per_second:.1f} examples per second, weights of step {event.model_step}"
    )


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
