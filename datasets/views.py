"""Pages of datasets: list, one dataset and its examples, rename, delete. Intake's are elsewhere."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from datasets import samples
from datasets.browse import browse
from datasets.errors import DatasetError, InUseError
from datasets.forms import NameForm
from datasets.histograms import histograms
from datasets.models import Dataset, Upload, in_use_sentence
from web.http import UserRequest, redirect_htmx

BAD_LINES_A_PAGE = 10
QUERY_LIMIT = 200
PAGE_DIGITS_LIMIT = 12


def get_dataset_or_404(request: UserRequest, dataset_id: UUID) -> Dataset:
    """A dataset of this person; 404 for anyone else's, as if it did not exist."""
    return get_object_or_404(Dataset.objects.for_user(request.user), pk=dataset_id)


@require_GET
def list_datasets(request: UserRequest) -> HttpResponse:
    """All datasets, and files that wait for their columns."""
    context = {
        "datasets": Dataset.objects.for_user(request.user).with_versions().newest_first(),
        "uploads": Upload.objects.for_user(request.user).order_by("-created_at"),
        "samples": samples.SAMPLE_SETS,
    }
    return render(request, "datasets/list.html", context)


@require_POST
def use_sample(request: UserRequest, slug: str) -> HttpResponse:
    """Bring a sample set in, and show it."""
    if samples.get_sample_set(slug) is None:
        raise Http404
    try:
        dataset = samples.add_sample(request.user, slug)
    except DatasetError as error:
        messages.error(request, str(error))
        return redirect("datasets:list")
    return redirect_htmx(request, dataset.get_absolute_url())


@require_GET
def detail(request: UserRequest, dataset_id: UUID) -> HttpResponse:
    """What is in a dataset, how good it is, and the way on."""
    return detail_page(request, get_dataset_or_404(request, dataset_id))


def detail_page(
    request: UserRequest, dataset: Dataset, form: NameForm | None = None
) -> HttpResponse:
    """The page, with the form of its new name when that was refused."""
    version = dataset.current
    context = {
        "dataset": dataset,
        "version": version,
        "report": version.report,
        "histograms": histograms(version.report),
        "bad_page": bad_lines_page(request, version.report),
        "form": form or NameForm(request.user, initial={"name": dataset.name}),
        **rows_context(request, dataset),
    }
    return render(
        request, "datasets/detail.html", context, status=422 if form and form.errors else 200
    )


@require_GET
def bad_lines(request: UserRequest, dataset_id: UUID) -> HttpResponse:
    """The table of bad lines, another page of it."""
    dataset = get_dataset_or_404(request, dataset_id)
    if not request.htmx:
        return detail_page(request, dataset)
    report = dataset.current.report
    context = {
        "dataset": dataset,
        "report": report,
        "bad_page": bad_lines_page(request, report),
    }
    return render(request, "datasets/_bad_lines.html", context)


def bad_lines_page(request: UserRequest, report: dict[str, Any]) -> Any:
    """The page of bad lines that the address names."""
    paginator = Paginator(report.get("bad_lines", []), BAD_LINES_A_PAGE)
    return paginator.get_page(request.GET.get("bad_page"))


@require_GET
def rows(request: UserRequest, dataset_id: UUID) -> HttpResponse:
    """The examples, searched and turned over."""
    dataset = get_dataset_or_404(request, dataset_id)
    if not request.htmx:
        return detail_page(request, dataset)
    return render(
        request, "datasets/_rows.html", {"dataset": dataset, **rows_context(request, dataset)}
    )


def rows_context(request: UserRequest, dataset: Dataset) -> dict[str, Any]:
    """The page of examples that the address names."""
    query = request.GET.get("search", "")[:QUERY_LIMIT].strip()
    number = request.GET.get("page", "1")
    is_number = number.isdecimal() and len(number) <= PAGE_DIGITS_LIMIT
    page = browse(dataset.current, query, int(number) if is_number else 1)
    return {"page": page, "search": query}


@require_POST
def rename(request: UserRequest, dataset_id: UUID) -> HttpResponse:
    """Another name; jobs and versions stay what they are."""
    dataset = get_dataset_or_404(request, dataset_id)
    form = NameForm(request.user, request.POST, renamed=dataset)
    if form.is_valid():
        try:
            dataset.rename(form.cleaned_data["name"])
            return redirect(dataset)
        except IntegrityError:  # somebody was faster
            form.add_error("name", "You have a dataset of this name already.")
    dataset.refresh_from_db()
    return detail_page(request, dataset, form)


def delete(request: UserRequest, dataset_id: UUID) -> HttpResponse:
    """Ask first, saying what goes; then delete."""
    dataset = get_dataset_or_404(request, dataset_id)
    if request.method == "POST":
        return delete_now(request, dataset)
    uses = len(dataset.uses())
    refusal = in_use_sentence(uses) if uses else ""
    return delete_page(request, dataset, refusal)


def delete_now(request: UserRequest, dataset: Dataset) -> HttpResponse:
    """Delete, or say why not."""
    name = dataset.name
    try:
        dataset.delete_with_files()
    except InUseError as error:
        return delete_page(request, dataset, str(error), status=422)
    messages.success(request, f"The dataset “{name}” is deleted.")
    return redirect("datasets:list")


def delete_page(
    request: UserRequest, dataset: Dataset, refusal: str, status: int = 200
) -> HttpResponse:
    """The question, or the reason why there is none."""
    context = {
        "dataset": dataset,
        "versions": dataset.versions.defer("report"),
        "refusal": refusal,
        "recommended": settings.RECOMMENDED_EXAMPLES,
    }
    return render(request, "datasets/delete.html", context, status=status)
