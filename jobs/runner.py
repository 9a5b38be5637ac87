"""Run one tuning job: rows in, the engine in the middle, rows and a tuned model out.

Called for a claimed work item of kind "tuning", in a child of the tuning worker.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import OperationalError

from jobs import provenance
from jobs.data_parts import examples_of
from jobs.models import Checkpoint, Job
from jobs.protocol import StatusMessage
from jobs.recorder import Recorder, checkpoint_folder
from jobs.series import TRAINING_LOSS
from library.models import TunedModel
from tuner.errors import CheckpointError, TunerError
from tuner.events import Event, Saved
from tuner.storage import check_folder
from web import disk, live
from work.claim import Claim, LeaseLostError, ReleasedError, StopRequestedError, WorkFailedError
from work.models import WorkItem

CURVE_POINTS = 40
"""As many as a sparkline can show."""
MOVED_SECONDS = 0.5
"""How often a question in the middle of an evaluation is worth a query."""
NO_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


def run(claim: Claim) -> None:
    """The kind's door: do the job that this work item stands for."""
    job = Job.objects.for_pages().get(work=claim.item)
    if job.tuned_model:
        return  # a run before this one got that far and died before it could say so
    recorder = Recorder(job, claim)
    claim.set_phase("preparing")
    try:
        with holding_processor():
            tune(job, claim, recorder)
    except StopRequestedError:
        recorder.flush()
        recorder.log(f"Cancelled at step {job.step} of {job.total_steps}. No model was made.")
        raise
    except ReleasedError:
        recorder.log("The worker was stopped; the job goes back to the queue and will go on.")
        raise
    except (LeaseLostError, OperationalError, WorkFailedError):
        raise
    except Exception as error:
        raise WorkFailedError(explain(error)) from error


def tune(job: Job, claim: Claim, recorder: Recorder) -> None:
    """Feed the engine, record what it says, and put the finished adapter into the library."""
    from tuner.train import train  # imports torch

    if disk.free_bytes(settings.DATA_DIR) < settings.FREE_DISK_MINIMUM_BYTES:
        raise WorkFailedError("The disk is nearly full. Free at least 1 GB and tune again.")
    checkpoint = last_checkpoint(job, recorder)
    recorder.rewind(checkpoint)
    if checkpoint:
        recorder.log(f"Going on from the checkpoint at step {checkpoint.step}.")
    training, validation = examples_of(job)
    result = Path(settings.DATA_DIR) / "adapters" / f"{job.pk}-{claim.token}"
    events = train(
        job.tuning_settings,
        training,
        result,
        **where_it_begins(job),
        validation=validation,
        resume_from=checkpoint.folder if checkpoint else None,
        checkpoint_folder=lambda step: checkpoint_folder(job, claim.token, step),
        save_now=lambda step: claim.must_release.is_set() or claim.take_save_request(),
        stop_now=lambda: claim.must_finish,
        moved=lambda: moved(claim),
        token_cache=Path(settings.DATA_DIR) / "cache" / "tokens",
        memory=job.base_model.memory_calibration,
    )
    with closing(events):
        follow(events, claim, recorder)
    publish_model(job, claim, result)


def where_it_begins(job: Job) -> dict[str, Any]:
    """The folder of the weights to load, and the adapter that tuning goes on from."""
    start = job.start_from
    if start is None and job.started_from_name:
        raise WorkFailedError(
            f"The tuned model {job.started_from_name}, which this job starts from, was deleted. "
            "Start a new job from another model."
        )
    if start is None:
        return {"base": job.base_model.folder}
    if not start.folder.is_dir():
        raise WorkFailedError(
            f"The files of {start.name}, which this job starts from, are not there any more. "
            "Start a new job from another model."
        )
    if start.is_whole:
        return {"base": start.folder}
    return {
        "base": start.weights_folder,
        "start_from": start.folder,
        "start_mode": job.start_mode,
    }


def moved(claim: Claim) -> None:
    """The engine is in the middle of something long, and well: beat, and stop if asked to."""
    if time.monotonic() - claim.last_progress >= MOVED_SECONDS:
        claim.made_progress()
        claim.check_stop()


def follow(events: Iterator[Event], claim: Claim, recorder: Recorder) -> None:
    """Record every event; stop between two when asked to, or go once a checkpoint is saved."""
    for event in events:
        recorder.record(event)
        claim.check_stop()
        if isinstance(event, Saved):
            claim.check_release()


def last_checkpoint(job: Job, recorder: Recorder) -> Checkpoint | None:
    """The newest checkpoint that is whole and on this machine; says which ones are not."""
    for checkpoint in job.checkpoints.order_by("-step"):
        try:
            check_folder(checkpoint.folder)
        except CheckpointError:
            recorder.log(
                f"The checkpoint at step {checkpoint.step} is missing or damaged; "
                "an earlier one is taken, or the job begins anew."
            )
        else:
            return checkpoint
    return None


def publish_model(job: Job, claim: Claim, result: Path) -> None:
    """The tuned model's row, now that its files are complete, and the job's link to it."""
    curve = list(
        job.points.filter(name=TRAINING_LOSS).order_by("step").values_list("value", flat=True)
    )
    model = TunedModel(
        owner=job.owner,
        name=free_name(job),
        base=job.base_model,
        folder_name=str(result.relative_to(settings.DATA_DIR)),
        is_whole=not job.tuning_settings.uses_adapter,
        whole_base=whole_base(job),
        provenance=provenance.of(job),
        training_loss=job.training_loss,
        validation_loss=job.validation_loss,
        loss_curve=thinned(curve, CURVE_POINTS),
    )
    model.provenance["adapter_size"] = model.adapter_size  # from its files: a stack is wider
    with claim.fenced():
        model.save()
        job.tuned_model = model
        job.save(update_fields=["tuned_model"])


def whole_base(job: Job) -> TunedModel | None:
    """The whole tuned model that the new adapter needs, if it is one and needs one."""
    start = job.start_from
    if start is None or not job.tuning_settings.uses_adapter:
        return None
    return start if start.is_whole else start.whole_base


def free_name(job: Job) -> str:
    """The name asked for; with a number behind it if another model took it meanwhile."""
    taken = set(TunedModel.objects.for_user(job.owner).values_list("name", flat=True))
    name, number = job.tuned_model_name, 2
    while name in taken:
        name = f"{job.tuned_model_name[:50]} {number}"
        number += 1
    return name


def thinned(values: list[float], count: int) -> list[float]:
    """At most `count` of the values, evenly spread, first and last among them."""
    if len(values) <= count:
        return values
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def explain(error: Exception) -> str:
    """What happened and what to do, for the page."""
    if isinstance(error, TunerError):
        return str(error)
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return "The disk is full. What was saved before is intact. Free some space and tune again."
    if isinstance(error, MemoryError):
        return "There is not enough memory. Tune with a smaller batch size or base model."
    return (
        f"Tuning stopped for a reason the studio did not expect ({type(error).__name__}: {error})."
    )


@contextmanager
def holding_processor() -> Iterator[None]:
    """Hold the lock by which the model server knows that a job needs this machine's cores."""
    descriptor = os.open(Path(settings.DATA_DIR) / "locks" / "cpu", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def announce(item: WorkItem) -> None:
    """Drop what the run left behind, and tell the pages that watch this item's job."""
    job = Job.objects.select_related("tuned_model").filter(work=item).first()
    if job is None:
        return
    if item.is_finished:
        drop_leftovers(job)
    message = StatusMessage(type="status", status=item.status, phase=item.phase)
    sent = live.publish(job.group, message)
    if item.is_finished:  # this process may end now, and the message must not end with it
        with suppress(TimeoutError):
            sent.result(timeout=1)


def drop_leftovers(job: Job) -> None:
    """Adapters that became no model; and the checkpoints of a job that needs none any more."""
    kept = job.tuned_model.folder if job.tuned_model else None
    for folder in (Path(settings.DATA_DIR) / "adapters").glob(f"*{job.pk}-*"):
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)
    if job.tuned_model:
        job.checkpoints.all().delete()
        shutil.rmtree(job.folder, ignore_errors=True)
