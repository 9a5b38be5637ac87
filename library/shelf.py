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
from library import sources
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
    try:
        with transaction.atomic():
            return BaseModel.objects.create(
                name=name, source=source, work=WorkItem.enqueue(KIND, user)
            )
    except IntegrityError as error:
        raise ShelfError(
            f"There is a base model named {name} already. Choose another name."
        ) from error


def add_default_base_model() -> None:
    """On the first start, put the studio's own base model on the shelf."""
    name = settings.DEFAULT_BASE_MODEL
    if not BaseModel.objects.filter(name=name).exists():
        add_base_model(name)


def prepare(claim: Claim) -> None:
    """Run one work item: fetch, convert, check, move into place, measure this machine's speed."""
    base = BaseModel.objects.get(work=claim.item)
    needs_space()
    claim.set_phase("preparing")
    draft = Path(settings.DATA_DIR) / "models" / f".{base.name}.{claim.token}"
    work_folder = Path(settings.TEMPORARY_DIR) / f"base-model-{base.pk}"
    try:
        if not base.folder.exists():
            sources.fetch(base.source, draft, work_folder, progress_writer(claim))
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
    shutil.rmtree(work_folder, ignore_errors=True)


def needs_space() -> None:
    """Fail before the disk is full, not after."""
    if disk.free_bytes(settings.DATA_DIR) < settings.FREE_DISK_MINIMUM_BYTES:
        raise WorkFailedError("The disk is nearly full. Free at least 1 GB and try again.")


def record_facts(claim: Claim, base: BaseModel) -> None:
    """Write down what the model is and how fast this machine tunes it."""
    from tuner.calibrate import measure_timing  # imports torch

    base.facts = check_base_model(base.folder).as_dict()
    base.timing = measure_timing(base.folder).as_dict()
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
