"""Pages on which a file becomes a dataset: the upload, and the mapping of its columns."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_POST

from datasets import samples
from datasets.checks import check_row
from datasets.errors import (
    ColumnsUnknownError,
    DatasetError,
    NameRefusedError,
    StorageError,
    TooFewExamplesError,
)
from datasets.forms import MappingForm, UploadForm
from datasets.intake import Inspection, create_dataset, inspect
from datasets.models import Upload
from datasets.rows import BadRow
from datasets.shapes import ColumnMapping, flatten, guess_mapping
from datasets.storage import saying_when_full
from datasets.uploads import keep_for_mapping, map_columns, received
from web.http import UserRequest, page_or_fragment, redirect_htmx

ROWS_SHOWN = 5
PREVIEWS_SHOWN = 2


@csrf_exempt  # the token is checked by `upload`, after the body was read where a failure is caught
def new(request: UserRequest) -> HttpResponse:
    """The form of a new dataset, and what happens when it is sent."""
    try:
        with saying_when_full():
            request.FILES.keys()
    except StorageError as error:
        drop_half_written(request)
        return upload_page(request, UploadForm(request.user), problem=str(error), status=507)
    except RequestDataTooBig:
        problem = (
            "The pasted rows are too long for a form "
            f"({settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1_000_000} MB at most). Nothing was saved. "
            "Save them as a file and upload that."
        )
        return upload_page(request, UploadForm(request.user), problem=problem, status=422)
    return upload(request)


def drop_half_written(request: UserRequest) -> None:
    """Delete what had been written of the file, now and not when it is collected."""
    for handler in request.upload_handlers:
        with suppress(OSError):  # closing tries once more to write what did not fit
            handler.upload_interrupted()


@csrf_protect
def upload(request: UserRequest) -> HttpResponse:
    """Take the form, or show it empty."""
    if request.method != "POST":
        return upload_page(request, UploadForm(request.user))
    form = UploadForm(request.user, request.POST, request.FILES)
    if not form.is_valid():
        return upload_page(request, form, status=422)
    try:
        return take(request, form)
    except DatasetError as error:
        form.add_error(
            error.field if error.field == "name" or form.has_file else "rows", str(error)
        )
        report = error.report if isinstance(error, TooFewExamplesError) else None
        return upload_page(request, form, report=report, status=422)


def take(request: UserRequest, form: UploadForm) -> HttpResponse:
    """The dataset's page, or the mapping when a person has to say which columns to take."""
    name = form.cleaned_data["name"]
    with received(form.source) as path:
        try:
            dataset = create_dataset(request.user, name, path, file_name=form.file_name)
        except ColumnsUnknownError:
            waiting = keep_for_mapping(request.user, name, path, form.file_name)
            return redirect_htmx(request, waiting.get_absolute_url())
    return redirect_htmx(request, dataset.get_absolute_url())


def upload_page(
    request: UserRequest,
    form: UploadForm,
    *,
    problem: str = "",
    report: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    """The form with what was wrong, and the bad lines if there are any."""
    context = {
        "form": form,
        "problem": problem,
        "report": report,
        "limit_bytes": settings.UPLOAD_LIMIT_BYTES,
        "limit_megabytes": settings.UPLOAD_LIMIT_BYTES // 1_000_000,
        "minimum": settings.MINIMUM_EXAMPLES,
        "recommended": settings.RECOMMENDED_EXAMPLES,
        "samples": samples.SAMPLE_SETS,
    }
    fragment = "datasets/_upload_form.html"
    return page_or_fragment(request, "datasets/new.html", fragment, context, status=status)


def get_upload_or_404(request: UserRequest, upload_id: UUID) -> Upload:
    """A waiting file of this person; 404 for anyone else's, as if it did not exist."""
    waiting = get_object_or_404(Upload.objects.for_user(request.user), pk=upload_id)
    if not waiting.path.exists():
        raise Http404
    return waiting


def mapping(request: UserRequest, upload_id: UUID) -> HttpResponse:
    """Ask which column is the prompt and which the answer."""
    waiting = get_upload_or_404(request, upload_id)
    inspection = inspect(waiting.path, waiting.file_name)
    columns = inspection.columns
    if request.method == "POST":
        return save_mapping(request, waiting, inspection)
    guess = guess_mapping(columns)
    initial = {
        "name": waiting.name,
        "prompt_column": guess.prompt,
        "answer_column": guess.answer,
    }
    form = MappingForm(request.user, columns, initial=initial)
    return mapping_page(request, waiting, inspection, form, guess)


def save_mapping(request: UserRequest, waiting: Upload, inspection: Inspection) -> HttpResponse:
    """Make the dataset with the chosen columns, or say why not; the file stays waiting."""
    form = MappingForm(request.user, inspection.columns, request.POST)
    report = None
    if form.is_valid():
        try:
            name = form.cleaned_data["name"]
            return redirect(map_columns(waiting, name, form.mapping))
        except DatasetError as error:
            form.add_error("name" if isinstance(error, NameRefusedError) else None, str(error))
            report = error.report if isinstance(error, TooFewExamplesError) else None
    chosen = ColumnMapping(
        request.POST.get("prompt_column", ""), request.POST.get("answer_column", "")
    )
    return mapping_page(request, waiting, inspection, form, chosen, report=report, status=422)


def mapping_page(
    request: UserRequest,
    waiting: Upload,
    inspection: Inspection,
    form: MappingForm,
    chosen: ColumnMapping,
    *,
    report: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    """The question, the first rows, and what they become."""
    context = {
        "upload": waiting,
        "form": form,
        "columns": inspection.columns,
        "table": first_cells(inspection),
        "previews": previews(inspection, chosen),
        "report": report,
    }
    return render(request, "datasets/mapping.html", context, status=status)


@require_GET
def mapping_preview(request: UserRequest, upload_id: UUID) -> HttpResponse:
    """What the first rows become with the columns as chosen now."""
    waiting = get_upload_or_404(request, upload_id)
    chosen = ColumnMapping(
        request.GET.get("prompt_column", ""), request.GET.get("answer_column", "")
    )
    inspection = inspect(waiting.path, waiting.file_name)
    context = {"previews": previews(inspection, chosen)}
    return render(request, "datasets/_mapping_preview.html", context)


def first_cells(inspection: Inspection) -> list[list[object]]:
    """The first rows, cell by cell under the columns that can be chosen."""
    columns = inspection.columns
    flat = [flatten(row.record) for row in islice(inspection.rows, ROWS_SHOWN)]
    return [[values.get(column, "") for column in columns] for values in flat]


def previews(inspection: Inspection, chosen: ColumnMapping) -> list[dict[str, Any]]:
    """The first rows as examples, or why they would be refused."""
    shown: list[dict[str, Any]] = []
    for row in inspection.rows[:PREVIEWS_SHOWN]:
        checked = check_row(row, chosen)
        if isinstance(checked, BadRow):
            shown.append({"problem": checked})
        else:
            shown.append({"example": checked[0]})
    return shown


@require_POST
def discard(request: UserRequest, upload_id: UUID) -> HttpResponse:
    """Forget a waiting file."""
    waiting = get_upload_or_404(request, upload_id)
    waiting.discard()
    messages.success(request, f"The file “{waiting.file_name}” is discarded.")
    return redirect("datasets:list")
