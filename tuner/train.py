"""The tuning loop, in reading order, as a generator of events.

Whoever iterates decides what becomes of the events, and stops the run by ceasing to iterate.
Knows steps, epochs and files; what is learned in a step is the objective's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from tuner import plan
from tuner.checkpoint import load_checkpoint
from tuner.events import Event, Phase
from tuner.examples import Example
from tuner.job import Job
from tuner.memory import MemoryCalibration
from tuner.memory_shortage import memory_shortage_in_words
from tuner.peak import give_back_freed_memory
from tuner.run import Run
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
    stop_now: Callable[[], bool] | None = None,
    moved: Callable[[], None] | None = None,
    token_cache: Path | None = None,
    start_from: Path | None = None,
    start_mode: str = "continue",
    memory: MemoryCalibration | None = None,
) -> Generator[Event]:
    """Tune `base` on `examples` and leave the tuned model in `folder`, which must not exist yet.

    With `checkpoint_folder`, the state after an epoch's last step, after the best evaluation so
    far, and after any step for which `save_now` says so, goes to the folder it names; `resume_from`
    goes on from such a folder. When `stop_now` says so after a step, tuning ends there, and what
    was learned is saved. Closing the generator ends the run, frees the model and leaves nothing
    half-written. `moved` is called between two events where they lie far apart: while many
    examples are prepared, while evaluating, and before saving. What it raises ends the run as
    closing does. In `token_cache`, a folder, encoded examples are kept for later runs. `start_from`
    is the folder of an adapter on the same base: "continue" tunes it further, "stack" a fresh one
    on top of it. `memory` is what was measured of this machine, for choosing what fits into it.
    """
    with memory_shortage_in_words(settings):
        yield Phase(name="preparing")
        check_free(folder)
        job = Job(
            settings,
            examples,
            validation,
            base,
            checkpoint_folder,
            save_now,
            moved,
            stop_now=stop_now,
            output=folder,
            token_cache=token_cache,
            start_from=start_from,
            start_mode=start_mode,
            memory=memory,
        )
        with closing(job):
            checkpoint = (
                load_checkpoint(resume_from, settings, job.data_hash) if resume_from else None
            )
            job.expect_after(checkpoint.progress.step if checkpoint else 0)
            yield Phase(name="loading model")
            run = Run(job, checkpoint)
            try:
                yield from _tune_and_save(run, folder)
            finally:
                run.release()


def _tune_and_save(run: Run, folder: Path) -> Generator[Event]:
    """From the loaded model to the tuned one in its folder."""
    yield run.started()
    yield Phase(name="tuning")
    yield from _tune(run)
    yield run.example_losses()
    run.choose_final_weights()
    yield Phase(name="saving")
    run.job.moved()
    yield run.save_adapter(folder)
    yield run.finished()


def _tune(run: Run) -> Generator[Event]:
    """Every step that is left, and what happens between steps."""
    job = run.job
    if run.progress.step:  # it may have been resumed from its very last step
        run.look_for_end()
        run.look_for_stall()
    batches = plan.training_batches(len(job.training), job.settings, after_step=run.progress.step)
    for step, indices in batches:
        if run.ending:
            return
        yield run.take_step(step, indices)
        epoch_ends = step % job.steps_per_epoch == 0
        if epoch_ends:
            run.end_epoch()
        run.look_for_end()
        evaluates = job.evaluates_after(step) or run.ending is not None
        if evaluates:
            yield Phase(name="evaluating")
            yield from _evaluate(run)
            run.look_for_stall()
        saves = job.checkpoint_folder is not None and run.wants_save(epoch_ends)
        if saves:
            yield Phase(name="saving")
            job.moved()
            yield run.save()
            run.checkpoints.drop_old(run.progress.best_step)
        if (evaluates or saves) and not run.ending:
            yield Phase(name="tuning")


def _evaluate(run: Run) -> Generator[Event]:
    """The validation loss, where there is something to measure it on, and the fixed prompts."""
    # What a step freed lies scattered; an answer's long rows would come on top of it.
    give_back_freed_memory()
    if len(run.job.validation):
        yield run.evaluate()
    sampled = run.sample()
    if sampled.samples:
        yield sampled
