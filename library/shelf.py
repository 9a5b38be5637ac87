"""Put base models on the shelf: check the request, make the row, and prepare the files.

The files are prepared by a helper worker as a work item of kind "base model".
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from library import removal, sources
from library.models import SLUG, BaseModel
from tuner.convert import check_base_model
from tuner.errors import TunerError
from web import disk
from work.claim import Claim, WorkFailedError
from work.models import WorkItem

KIND = "base model"
PROGRESS_SECONDS = 0.5


class ShelfError(Exception):
    """The model cannot be added; the text says why and what to do."""


def add_base_model(source: str, name: str = "", user: User | None = None) -> BaseModel:
    """Register a base model and queue its preparation. Raises ShelfError with a sentence."""
    source = sources.full(source.strip())
    name = name.strip() or sources.slug(source)
    try:
        sources.check(source)
    except sources.SourceError as error:
        raise ShelfError(str(error)) from error
    if not re.fullmatch(SLUG, name):
        raise ShelfError(
            f"{name!r} cannot be a model's name. Use small letters, digits, dots and dashes, "
            "beginning with a letter or digit, 63 at most."
        )
    refuse_own_folder(source, name)
    try:
        with transaction.atomic():
            return BaseModel.objects.create(
                name=name, source=source, work=WorkItem.enqueue(KIND, user)
            )
    except IntegrityError as error:
        raise ShelfError(
            f"There is a base model named {name} already. Choose another name."
        ) from error


def refuse_own_folder(source: str, name: str) -> None:
    """A model's folder is emptied before it is filled, so it cannot be its own source."""
    folder = BaseModel(name=name).folder.resolve()
    if Path(source).is_relative_to(folder):
        raise ShelfError(
            f"{folder} is where the studio would put a model named {name}. Choose another name, "
            "or move the files elsewhere first."
        )


def add_default_base_model() -> None:
    """On the first start, put the studio's own base model on the shelf.

    A shelf with others on it is not a first start: somebody has taken this one off.
    """
    if not BaseModel.objects.exists():
        add_base_model(settings.DEFAULT_BASE_MODEL)


def prepare(claim: Claim) -> None:
    """Run one work item: fetch, convert, check, move into place, measure this machine's speed."""
    base = BaseModel.objects.get(work=claim.item)
    sweep(base, is_first_try=claim.token == 1)
    needs_space()
    claim.set_phase("preparing")
    draft = base.folder.with_name(f".{base.name}.{claim.token}")
    try:
        if not base.folder.exists():
            sources.fetch(base.source, draft, base.work_folder, progress_writer(claim))
            check_base_model(draft)
            draft.rename(base.folder)
        claim.set_phase("measuring")
        record_facts(claim, base)
    except (sources.SourceError, TunerError) as error:
        raise WorkFailedError(str(error)) from error
    except OSError as error:
        raise WorkFailedError(
            f"The model could not be written: {error.strerror}. Free some space and try again."
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(base.work_folder, ignore_errors=True)


def sweep(base: BaseModel, *, is_first_try: bool) -> None:
    """Remove what a killed preparation left, and whatever has the name of a model that is new.

    On a later try the folder is this model's own: it was moved into place before a stop.
    """
    draft = re.compile(rf"\.{re.escape(base.name)}\.\d+|\.\.{re.escape(base.name)}\.\d+\.partial")
    for folder in base.folder.parent.glob(".*"):
        if draft.fullmatch(folder.name):
            removal.remove_folder(folder)
    if is_first_try:
        removal.remove_folder(base.folder)


def needs_space() -> None:
    """Fail before the disk is full, not after."""
    if disk.free_bytes(settings.DATA_DIR) < settings.FREE_DISK_MINIMUM_BYTES:
        raise WorkFailedError("The disk is nearly full. Free at least 1 GB and try again.")


def record_facts(claim: Claim, base: BaseModel) -> None:
    """Write down what the model is, how fast this machine tunes it and what that holds."""
    from tuner.calibrate import calibrate  # imports torch

    base.facts = check_base_model(base.folder).as_dict()
    base.timing = calibrate(base.folder).as_dict()
    with claim.fenced(progress=1.0):
        base.save(update_fields=["facts", "timing"])


def progress_writer(claim: Claim) -> Callable[[float, str], None]:
    """A progress callback that writes at most twice a second and notices a stop."""
    written_at = 0.0

    def write(share: float, words: str) -> None:
        nonlocal written_at
        if time.monotonic() - written_at >= PROGRESS_SECONDS:
            written_at = time.monotonic()
            claim.check_stop()
            claim.check_release()
            with claim.fenced(progress=share, phase=words):
                claim.item.phase = words
            claim.made_progress()

    return write
