"""Take models off the shelf: rows first, then the server's memory and the files.

A crash in between leaves files that nothing points at, never a row without its files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

from django.db import transaction
from django.db.models import ProtectedError

from library import server
from library.models import BaseModel, TunedModel


class InUseError(Exception):
    """Something still stands on this model; the text says what."""


def delete_tuned_model(model: TunedModel) -> None:
    """Remove the row and, once that is certain, the adapter."""
    clear_away = clearing(model)
    with transaction.atomic():
        model.delete()
        transaction.on_commit(clear_away)


def delete_base_model(base: BaseModel) -> None:
    """Remove an unused base model, its work item and its files."""
    clear_away, work = clearing(base), base.work
    if work.is_active:
        raise InUseError(f"{base.name} is being prepared. Cancel that first.")
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
    name, folder = server.served_name(model), model.folder

    def clear_away() -> None:
        server.forget(name)
        shutil.rmtree(folder, ignore_errors=True)

    return clear_away
