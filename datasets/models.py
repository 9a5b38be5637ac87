"""Datasets and their versions. Examples lie in files; rows only describe them.

Knows owners and files; not which job or model will read the examples.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.db.models.deletion import Collector
from django.db.models.functions import Lower
from django.urls import reverse

from datasets.errors import InUseError
from tuner.examples import Example, read_examples

if TYPE_CHECKING:
    from accounts.models import User


class OwnedQuerySet(models.QuerySet["Dataset"]):
    """Queries start from the user."""

    def for_user(self, user: User) -> OwnedQuerySet:
        """What this person may see."""
        return self.filter(owner=user)

    def newest_first(self) -> OwnedQuerySet:
        """As lists show them."""
        return self.order_by("-created_at")

    def with_versions(self) -> OwnedQuerySet:
        """With `listed_versions`, the newest first; without their reports, which may be long."""
        versions = DatasetVersion.objects.defer("report").order_by("-number")
        return self.prefetch_related(
            models.Prefetch("versions", queryset=versions, to_attr="listed_versions")
        )


class Dataset(models.Model):
    """A named set of checked examples. Exists only with at least one whole version."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("owner", Lower("name"), name="one_dataset_of_a_name")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The page of this dataset."""
        return reverse("datasets:detail", args=[self.pk])

    def rename(self, name: str) -> None:
        """Only the name changes."""
        self.name = name
        with transaction.atomic():
            self.save(update_fields=["name"])

    @property
    def current(self) -> DatasetVersion:
        """The newest version."""
        return self.versions.latest("number")

    def uses(self) -> list[models.Model]:
        """What needs this dataset and would be broken without it."""
        try:
            Collector(using=self._state.db or "default", origin=self).collect([self])
        except models.ProtectedError as error:
            return list(error.protected_objects)
        return []

    def delete_with_files(self) -> None:
        """The rows first, then the files: a file without a row is only wasted space."""
        paths = [version.path for version in self.versions.all()]
        with transaction.atomic():
            try:
                self.delete()
            except models.ProtectedError as error:
                raise InUseError(in_use_sentence(len(error.protected_objects))) from error
        for path in paths:
            path.unlink(missing_ok=True)


class DatasetVersion(models.Model):
    """The examples of a dataset at one time. Never changed; jobs point at the one they used."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(default=1)
    example_count = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    report = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="one_version_of_a_number")
        ]

    def __str__(self) -> str:
        return f"{self.dataset.name}, version {self.number}"

    @property
    def path(self) -> Path:
        """The canonical examples, one JSON object with `messages` a line."""
        return Path(settings.DATA_DIR) / "datasets" / f"{self.id}.jsonl"

    def examples(self) -> list[Example]:
        """All examples, read from the file."""
        return read_examples(self.path)


def in_use_sentence(count: int) -> str:
    """Why a dataset stays."""
    jobs = "1 tuning job was" if count == 1 else f"{count} tuning jobs were"
    return (
        f"{jobs} made with this dataset and would lose the way back to its data, so it cannot be "
        "deleted. Delete the jobs first."
    )


class UploadQuerySet(models.QuerySet["Upload"]):
    """Queries start from the user."""

    def for_user(self, user: User) -> UploadQuerySet:
        """What this person may see."""
        return self.filter(owner=user)


class Upload(models.Model):
    """A file whose columns are not known yet: it waits for a person to map them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="uploads")
    name = models.CharField(max_length=120)
    file_name = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UploadQuerySet.as_manager()

    def __str__(self) -> str:
        return self.file_name

    def get_absolute_url(self) -> str:
        """The page on which its columns are mapped."""
        return reverse("datasets:mapping", args=[self.pk])

    def discard(self) -> None:
        """Forget the row and the file."""
        path = self.path
        self.delete()  # takes the id, and with it the path
        path.unlink(missing_ok=True)

    @property
    def path(self) -> Path:
        """The bytes as they came."""
        return Path(settings.DATA_DIR) / "uploads" / str(self.id)
