"""Start a tuning job: the checks at the door, then the rows.

One verb for the form, the sample button and later the API. Knows rows; the rules are in
`jobs.door`, and where values came from is nobody's business here.
"""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction

from accounts.models import User
from jobs import estimate
from jobs.data_parts import Part, parts_of
from jobs.door import LaunchError, Order, check, check_memory, check_name
from jobs.models import KIND, Job, JobDataset
from library.models import TunedModel
from work.models import WorkItem

__all__ = ["LaunchError", "Order", "launch", "predict", "suggest_name"]


def launch(order: Order) -> Job:
    """Create the job and queue it. The same order with the same `request_id` is one job."""
    if already := same_order(order):
        return already
    check(order)
    predicted = predict(order)
    check_memory(order, predicted)
    try:
        with transaction.atomic():
            check_name(order)
            return create(order, predicted)
    except IntegrityError:
        already = same_order(order)  # sent twice at once, and the other one was first
        if already is None:
            raise
        return already


def predict(order: Order) -> estimate.Estimate:
    """What the job will cost."""
    return estimate.predict(
        order.parts,
        order.base_model,
        order.settings,
        order.validation_version,
        order.automatic,
    )


def same_order(order: Order) -> Job | None:
    """The job that this very form made before, with the very same choices."""
    if order.request_id is None:
        return None
    job = (
        Job.objects.for_user(order.owner)
        .filter(
            request_id=order.request_id,
            dataset_version=order.version,
            validation_version=order.validation_version,
            base_model=order.base_model,
            start_from=order.start_from,
            start_mode=order.start_mode,
            tuned_model_name=order.tuned_model_name,
            settings=order.settings.as_dict(),
        )
        .first()
    )
    return job if job and parts_of(job) == list(order.parts) else None


def create(order: Order, predicted: estimate.Estimate) -> Job:
    """The rows of a job that may start."""
    job = Job.objects.create(
        owner=order.owner,
        work=WorkItem.enqueue(KIND, order.owner),
        base_model=order.base_model,
        dataset_version=order.version,
        dataset_weight=order.dataset_weight,
        validation_version=order.validation_version,
        start_from=order.start_from,
        started_from_name=order.start_from.name if order.start_from else "",
        start_mode=order.start_mode,
        tuned_model_name=order.tuned_model_name,
        settings=order.settings.as_dict(),
        automatic=list(order.automatic),
        total_steps=predicted.steps,
        predicted_seconds=predicted.raw_seconds,
        request_id=free_request_id(order),
    )
    JobDataset.objects.bulk_create(row_of(job, part) for part in order.more)
    return job


def row_of(job: Job, part: Part) -> JobDataset:
    """A dataset beyond the first."""
    return JobDataset(job=job, version=part.version, weight=part.weight, is_replay=part.is_replay)


def free_request_id(order: Order) -> uuid.UUID:
    """The form's own id; a new one when the form was changed and sent again."""
    wanted = order.request_id
    if wanted is None or Job.objects.filter(request_id=wanted).exists():
        return uuid.uuid4()
    return wanted


def suggest_name(owner: User, stem: str) -> str:
    """A name like `stem` that is free for this person."""
    taken = {
        name.lower() for name in TunedModel.objects.for_user(owner).values_list("name", flat=True)
    }
    jobs = Job.objects.for_user(owner).active().values_list("tuned_model_name", flat=True)
    taken |= {name.lower() for name in jobs}
    name, number = stem[:50], 2
    while name.lower() in taken:
        name = f"{stem[:50]} {number}"
        number += 1
    return name
