"""What may start: an order for a job, and the rules that refuse what would fail later.

Each refusal is one sentence and names the field at fault. Makes no rows.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.conf import settings

from accounts.models import User
from datasets.models import DatasetVersion
from jobs.data_parts import Part
from jobs.estimate import Estimate
from jobs.models import Job
from library.models import BaseModel, TunedModel
from tuner.convert import read_facts
from tuner.errors import TunerError
from tuner.memory import WILL_NOT_FIT
from tuner.methods import check_method
from tuner.settings import TuningSettings
from tuner.start import check_start as check_start_mode
from tuner.start import read_start
from web import disk
from web.templatetags.format import gigabytes
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
    dataset_weight: float = 1.0
    more: tuple[Part, ...] = ()
    """Datasets beyond the first, the replay dataset last."""
    start_from: TunedModel | None = None
    start_mode: str = ""
    automatic: tuple[str, ...] = ()
    """Names of the settings that were left to the studio."""
    accepts_memory: bool = False
    """Start even though it will probably not fit."""
    request_id: uuid.UUID | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """All datasets, the first one first."""
        return (Part(version=self.version, weight=self.dataset_weight), *self.more)


def check(order: Order) -> None:
    """Refuse what would fail later."""
    if not order.base_model.is_ready:
        raise LaunchError(f"The base model {order.base_model} is not ready yet.", "base_model")
    check_datasets(order)
    check_replay(order)
    check_start(order)
    check_here(order)
    if disk.free_bytes(settings.DATA_DIR) < settings.FREE_DISK_MINIMUM_BYTES:
        raise LaunchError("The disk is nearly full. Free at least 1 GB, then start again.")


def check_here(order: Order) -> None:
    """The base model's files are there, and this machine can tune them by the method chosen."""
    try:
        facts = read_facts(order.base_model.folder)
    except TunerError as error:
        raise LaunchError(str(error), "base_model") from error
    try:
        check_method(order.settings, facts)
    except TunerError as error:
        raise LaunchError(str(error), "method") from error


def check_datasets(order: Order) -> None:
    """Enough examples, and each dataset in one place only."""
    if order.version.example_count < settings.MINIMUM_EXAMPLES:
        raise LaunchError(
            f"The dataset has {order.version.example_count} examples; tuning needs at least "
            f"{settings.MINIMUM_EXAMPLES}.",
            "dataset",
        )
    trained_on = [part.version for part in order.parts]
    if order.validation_version in trained_on:
        raise LaunchError(
            "The validation dataset is a training dataset. Choose another one, or none: then "
            "a part of the examples is held out.",
            "validation_dataset",
        )
    twice = next((version for version in trained_on if trained_on.count(version) > 1), None)
    if twice:
        raise LaunchError(
            f"{twice.dataset.name} is chosen twice. Choose it once and give it more weight."
        )


def check_replay(order: Order) -> None:
    """The dataset and its share come together or not at all."""
    has_dataset = any(part.is_replay for part in order.more)
    if has_dataset and not order.settings.replay_share:
        raise LaunchError(
            "A dataset of general conversations is chosen, but no share. Give a share, such as "
            "0.1, or choose none.",
            "replay_share",
        )
    if order.settings.replay_share and not has_dataset:
        raise LaunchError(
            "A share of general conversations is asked for. Choose the dataset to take them from.",
            "replay_dataset",
        )


def check_start(order: Order) -> None:
    """A job goes on from what fits its base model, its method and its adapter."""
    start = order.start_from
    if start is None:
        return
    if start.base_id != order.base_model.pk:
        raise LaunchError(
            f"{start.name} was tuned from {start.base.name}. Choose that base model, or another "
            "model to start from.",
            "base_model",
        )
    if start.is_whole:
        return
    if not order.settings.uses_adapter:
        raise LaunchError(
            f"{start.name} is an adapter, which full tuning cannot go on from. Choose LoRA or "
            "QLoRA, or start from the base model itself.",
            "method",
        )
    try:
        if order.start_mode == "continue":
            check_same_adapter(start, order.settings)
        check_start_mode(start.folder, order.start_mode, order.settings, start.weights_folder)
    except TunerError as error:
        raise LaunchError(str(error), "start_mode") from error


def check_same_adapter(start: TunedModel, chosen: TuningSettings) -> None:
    """An adapter that is tuned on keeps its size and its switches."""
    adapter = read_start(start.folder)
    if adapter.rank != chosen.lora_rank:
        raise LaunchError(
            f"The adapter of {start.name} has size {adapter.rank} and keeps it while it is "
            f"tuned on. Choose {adapter.rank}, or put a new adapter on top of it.",
            "adapter_size",
        )
    for name, word in (("use_rslora", "rsLoRA"), ("use_dora", "DoRA")):
        if getattr(adapter, name) != getattr(chosen, name):
            raise LaunchError(
                f"{start.name} was tuned {'without' if getattr(chosen, name) else 'with'} {word}, "
                "and so it has to be tuned on. Change the switch, or start from another model.",
                name,
            )


def check_memory(order: Order, predicted: Estimate) -> None:
    """What will not fit starts only when the person says so."""
    memory = predicted.memory
    if memory and memory.verdict == WILL_NOT_FIT and not order.accepts_memory:
        raise LaunchError(
            f"This needs about {gigabytes(memory.peak_bytes)} of memory, and "
            f"{gigabytes(memory.available_bytes)} are free. Choose a smaller batch, length or base "
            "model, or tick the box to start all the same.",
            "accepts_memory",
        )


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
