"""Start a tuning job: the checks at the door, then the rows.

One verb for the form, the sample button and later the API. Knows rules; not where values came from.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from datasets.models import DatasetVersion
from jobs import estimate
from jobs.models import KIND, Job
from library.models import BaseModel, TunedModel
from tuner.settings import TuningSettings
from web import disk
from work.models import WorkItem
from work.status import ACTIVE


class LaunchError(Exception):
    """The job cannot start. `field` names the setting at fault, when there is one."""

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Order:
    """Everything a job is made of."""

    owner: User
    version: DatasetVersion
    base_model: BaseModel
    tuned_model_name: str
    settings: TuningSettings
    validation_version: DatasetVersion | None = None
    request_id: uuid.UUID | None = None


def launch(order: Order) -> Job:
    """Create the job and queue it. The same order with the same `request_id` is one job."""
    if already := same_order(order):
        return already
    check(order)
    predicted = estimate.predict(
        order.version, order.base_model, order.settings, order.validation_version
    )
    try:
        with transaction.atomic():
            check_name(order)
            return create(order, predicted)
    except IntegrityError:
        already = same_order(order)  # sent twice at once, and the other one was first
        if already is None:
            raise
        return already


def same_order(order: Order) -> Job | None:
    """The job that this very form made before, with the very same choices."""
    if order.request_id is None:
        return None
    return (
        Job.objects.for_user(order.owner)
        .filter(
            request_id=order.request_id,
            dataset_version=order.version,
            validation_version=order.validation_version,
            base_model=order.base_model,
            tuned_model_name=order.tuned_model_name,
            settings=order.settings.as_dict(),
        )
        .first()
    )


def create(order: Order, predicted: estimate.Estimate) -> Job:
    """The rows of a job that may start."""
    return Job.objects.create(
        owner=order.owner,
        work=WorkItem.enqueue(KIND, order.owner),
        base_model=order.base_model,
        dataset_version=order.version,
        validation_version=order.validation_version,
        tuned_model_name=order.tuned_model_name,
        settings=order.settings.as_dict(),
        total_steps=predicted.steps,
        predicted_seconds=predicted.raw_seconds,
        request_id=free_request_id(order),
    )


def free_request_id(order: Order) -> uuid.UUID:
    """The form's own id; a new one when the form was changed and sent again."""
    wanted = order.request_id
    if wanted is None or Job.objects.filter(request_id=wanted).exists():
        return uuid.uuid4()
    return wanted


def check(order: Order) -> None:
    """Refuse what would fail later."""
    if not order.base_model.is_ready:
        raise LaunchError(f"The base model {order.base_model} is not ready yet.", "base_model")
    if order.version.example_count < settings.MINIMUM_EXAMPLES:
        raise LaunchError(
            f"The dataset has {order.version.example_count} examples; tuning needs at least "
            f"{settings.MINIMUM_EXAMPLES}.",
            "dataset",
        )
    if order.validation_version and order.validation_version == order.version:
        raise LaunchError(
            "The validation dataset is the training dataset. Choose another one, or none: then "
            "a part of the examples is held out.",
            "validation_dataset",
        )
    if disk.free_bytes(settings.DATA_DIR) < settings.FREE_DISK_MINIMUM_BYTES:
        raise LaunchError("The disk is nearly full. Free at least 1 GB, then start again.")


def check_name(order: Order) -> None:
    """A name belongs to one model, or to one job that will make it."""
    name = order.tuned_model_name
    models = TunedModel.objects.for_user(order.owner).filter(name__iexact=name)
    jobs = Job.objects.for_user(order.owner).filter(
        tuned_model_name__iexact=name, work__status__in=ACTIVE
    )
    if models.exists():
        raise LaunchError(
            f"You have a tuned model named {name} already. Choose another name.",
            "tuned_model_name",
        )
    if jobs.exists():
        raise LaunchError(
            f"A job that is not finished will make a model named {name}. Choose another name.",
            "tuned_model_name",
        )


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
