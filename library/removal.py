"""Take models off the shelf: rows first, then files.

A crash in between leaves files that nothing points at, never a row without its files.
"""

from __future__ import annotations

import shutil

from django.db import transaction
from django.db.models import ProtectedError

from library.models import BaseModel, TunedModel


class InUseError(Exception):
    """Something still stands on this model; the text says what."""


def delete_tuned_model(model: TunedModel) -> None:
    """Remove the row and, once that is certain, the adapter's folder."""
    folder = model.folder
    with transaction.atomic():
        model.delete()
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def delete_base_model(base: BaseModel) -> None:
    """Remove an unused base model, its work item and its folder."""
    folder, work = base.folder, base.work
    if work.is_active:
        raise InUseError(f"{base.name} is being prepared. Cancel that first.")
    try:
        with transaction.atomic():
            base.delete()
            work.delete()
            transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))
    except ProtectedError as error:
        raise InUseError(
            f"{base.name} is what tuned models or jobs were made from, so it stays."
        ) from error
