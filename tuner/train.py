"""The tuning loop, in reading order, as a generator of events.

Whoever iterates decides what becomes of the events, and stops the run by ceasing to iterate.
Knows steps, epochs and files; what is learned in a step is the objective's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from tuner import plan
from tuner.checkpoint import load_checkpoint
from tuner.events import Event, Phase
from tuner.examples import Example
from tuner.run import Job, Run
from tuner.settings import TuningSettings
from tuner.storage import check_free


def train(
    settings: TuningSettings,
    examples: Sequence[Example],
    folder: Path,
    *,
    base: Path,
    validation: Sequence[Example] = (),
    resume_from: Path | None = None,
    checkpoint_folder: Callable[[int], Path] | None = None,
    save_now: Callable[[int], bool] | None = None,
    moved: Callable[[], None] | None = None,
) -> Generator[Event]:
    """Tune `base` on `examples` and leave the adapter in `folder`, which must not exist yet.

    With `checkpoint_folder`, the state after an epoch's last step, and after any step for which
    `save_now` says so, goes to the folder it names; `resume_from` goes on from such a folder.
    Closing the generator ends the run, frees the model and leaves nothing half-written. `moved` is
    called between two events where they lie far apart: while many examples are prepared, after
    every group of an evaluation, and before saving. What it raises ends the run as closing does.
    """
    yield Phase(name="preparing")
    check_free(folder)
    job = Job(settings, examples, validation, base, checkpoint_folder, save_now, moved)
    checkpoint = load_checkpoint(resume_from, settings, job.data_hash) if resume_from else None
    yield Phase(name="loading model")
    run = Run(job, checkpoint)
    try:
        yield run.started()
        yield Phase(name="tuning")
        yield from _tune(run)
        yield Phase(name="saving")
        job.moved()
        yield run.save_adapter(folder)
        yield run.finished()
    finally:
        run.release()


def _tune(run: Run) -> Generator[Event]:
    """Every step that is left, and what happens between steps."""
    job = run.job
    batches = plan.training_batches(len(job.training), job.settings, after_step=run.progress.step)
    for step, indices in batches:
        yield run.take_step(step, indices)
        epoch_ends = step % job.steps_per_epoch == 0
        if epoch_ends:
            run.end_epoch()
        evaluates = epoch_ends and len(job.validation) > 0
        saves = job.checkpoint_folder is not None and (epoch_ends or job.wants_save(step))
        if evaluates:
            yield Phase(name="evaluating")
            yield run.evaluate()
        if saves:
            yield Phase(name="saving")
            job.moved()
            yield run.save()
        if (evaluates or saves) and step < job.total_steps:
            yield Phase(name="tuning")
