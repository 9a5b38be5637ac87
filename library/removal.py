"""Take models off the shelf: rows first, then the server's memory and the files.

A crash in between leaves files that nothing points at, never a row without its files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import ProtectedError, RestrictedError

from library import server
from library.models import BaseModel, TunedModel
from work.status import ACTIVE


class InUseError(Exception):
    """Something still stands on this model; the text says what."""


def delete_tuned_model(model: TunedModel) -> None:
    """Remove the row and, once that is certain, the files."""
    clear_away = clearing(model)
    try:
        with transaction.atomic():
            refuse_start_of_a_job(model)
            model.delete()
            transaction.on_commit(clear_away)
    except RestrictedError as error:
        names = ", ".join(sorted(str(adapter) for adapter in error.restricted_objects))
        raise InUseError(
            f"{model.name} is what these models were tuned from and need: {names}. "
            "Delete them first."
        ) from error


def refuse_start_of_a_job(model: TunedModel) -> None:
    """A job that is not finished still has to read the model that it starts from."""
    job = model.further_jobs.filter(work__status__in=ACTIVE).first()
    if job:
        raise InUseError(
            f"The tuning job {job} starts from {model.name} and is not finished. "
            "Cancel it first, or wait for its end."
        )


def delete_base_model(base: BaseModel) -> None:
    """Remove an unused base model, its work item and its files."""
    if base.work.is_active:
        raise InUseError(f"{base.name} is being prepared. Cancel that first.")
    discard_base_model(base)


def discard_base_model(base: BaseModel) -> None:
    """The same in the middle of its preparation, which cannot write anything from then on."""
    clear_away, work = clearing(base), base.work
    try:
        with transaction.atomic():
            base.delete()
            work.delete()
            transaction.on_commit(clear_away)
    except ProtectedError as error:
        raise InUseError(
            f"{base.name} is what tuned models or jobs were made from, so it stays."
        ) from error


def clearing(model: BaseModel | TunedModel) -> Callable[[], None]:
    """What frees memory and disk; made while the row is there, for when it is gone."""
    name, folders = server.served_name(model), [model.folder]
    if isinstance(model, BaseModel):
        folders.append(model.work_folder)

    def clear_away() -> None:
        server.forget(name)
        for folder in folders:
            remove_folder(folder)

    return clear_away


def remove_folder(folder: Path) -> None:
    """Take a folder away under its name at once, then delete it.

    Whoever is killed in between leaves it among the temporary files, which the next start sweeps;
    under its own name it would look like a model.
    """
    aside = Path(settings.TEMPORARY_DIR) / f"removed-{uuid4().hex}"
    try:
        folder.rename(aside)
    except OSError:  # it is not there, or on another disk
        aside = folder
    shutil.rmtree(aside, ignore_errors=True)
