"""Models on the shelf: base models of this studio, and the models people tuned from them.

Knows folders and facts; not how models are made (`jobs`) or run (`serving`).
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from tuner.memory import MemoryCalibration
from work.models import WorkItem
from work.status import Status

if TYPE_CHECKING:
    from accounts.models import User

SLUG = r"[a-z0-9][a-z0-9.-]{0,62}"


class BaseModelQuerySet(models.QuerySet["BaseModel"]):
    """Verbs that read as English."""

    def ready(self) -> BaseModelQuerySet:
        """Those that can be tuned and asked now."""
        return self.filter(work__status=Status.SUCCEEDED)


class BaseModel(models.Model):
    """A model to tune from, shared by everyone in the studio. Its folder appears when whole."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=63, unique=True, validators=[RegexValidator(f"^{SLUG}$")])
    source = models.CharField(max_length=500)
    """A Hugging Face id, a folder, a GGUF file, or the word of a built-in source."""
    work = models.OneToOneField(WorkItem, models.PROTECT, related_name="base_model")
    facts = models.JSONField(default=dict)
    """What `tuner.convert` read from the files: family, parameters, context length, size."""
    timing = models.JSONField(default=dict)
    """How fast this machine tunes it, from timed steps; empty when not measured yet."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = BaseModelQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        """Hugging Face layout: config.json, model.safetensors, tokenizer files."""
        return Path(settings.DATA_DIR) / "models" / self.name

    @property
    def parameters(self) -> int:
        """How many weights it has; 0 before it was read."""
        return int(self.facts.get("parameters", 0))

    @property
    def memory_calibration(self) -> MemoryCalibration | None:
        """What timed steps on this machine held in memory; None when it was not measured."""
        measured = self.timing.get("memory")
        return MemoryCalibration.from_dict(measured) if measured else None

    @property
    def work_folder(self) -> Path:
        """What was fetched so far, for a second try to go on from. Gone once the model is ready."""
        return Path(settings.TEMPORARY_DIR) / f"base-model-{self.pk}"

    @property
    def is_ready(self) -> bool:
        """Whether the files are there, whole and checked."""
        return self.work.status == Status.SUCCEEDED


class TunedModelQuerySet(models.QuerySet["TunedModel"]):
    """Queries start from the user."""

    def for_user(self, user: User) -> TunedModelQuerySet:
        """What this person may see."""
        return self.filter(owner=user)

    def newest_first(self) -> TunedModelQuerySet:
        """As lists show them."""
        return self.order_by("-created_at")


class TunedModel(models.Model):
    """What tuning made, an adapter or a whole model. Its folder is complete before its row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="tuned_models")
    name = models.CharField(max_length=60)
    base = models.ForeignKey(BaseModel, models.PROTECT, related_name="tuned_models")
    folder_name = models.CharField(max_length=120)
    """Below DATA_DIR: where the run that made it saved the files."""
    is_whole = models.BooleanField(default=False)
    """All weights, tuned in full, in the layout of a base model; else an adapter."""
    whole_base = models.ForeignKey("self", models.RESTRICT, null=True, related_name="adapters")
    """The whole tuned model that this adapter sits on; null: the adapter sits on `base`."""
    provenance = models.JSONField(default=dict)
    """Frozen at the end of tuning: names, ids and hashes of data and base, and the settings."""
    training_loss = models.FloatField(null=True)
    validation_loss = models.FloatField(null=True)
    loss_curve = models.JSONField(default=list)
    """About forty training losses, for the sparkline."""
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TunedModelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="one_tuned_model_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        """An adapter in peft's format with its chat template, or a whole model."""
        return Path(settings.DATA_DIR) / self.folder_name

    @property
    def adapter_config(self) -> dict[str, Any]:
        """What its files say of the adapter, in peft's words; empty for a whole model."""
        try:
            config = json.loads((self.folder / "adapter_config.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return config if isinstance(config, dict) else {}

    @property
    def adapter_size(self) -> int:
        """The width of the adapter; 0 for a whole model."""
        known = self.provenance.get("adapter_size")
        return int(known if known is not None else self.adapter_config.get("r", 0))

    @property
    def weights_folder(self) -> Path:
        """Where the weights are that answer, with this model's adapter on them if it is one."""
        if self.is_whole:
            return self.folder
        return self.whole_base.folder if self.whole_base else self.base.folder
