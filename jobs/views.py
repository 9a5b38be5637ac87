"""Pages of tuning jobs: list, form, detail, and the fragments that keep them current."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs import metrics
from jobs.models import Job
from jobs.obstacles import obstacle
from jobs.samples import samples_context
from jobs.series import CHARTS
from tuner.events import PHASES
from web.http import UserRequest, page_or_fragment, redirect_htmx

LATEST_JOBS = 5


def get_job_or_404(request: UserRequest, job_id: UUID) -> Job:
    """A job of this person; 404 for anyone else's, as if it did not exist."""
    return get_object_or_404(Job.objects.for_user(request.user).for_pages(), pk=job_id)


@require_GET
def list_jobs(request: UserRequest) -> HttpResponse:
    """All jobs, newest first."""
    jobs = Job.objects.for_user(request.user).for_pages().newest_first()
    context = table_context(jobs, reverse("jobs:list"))
    return page_or_fragment(request, "jobs/list.html", "jobs/_table.html", context)


@require_GET
def latest(request: UserRequest) -> HttpResponse:
    """The table of the first page."""
    return render(request, "jobs/_table.html", latest_context(request))


def latest_context(request: UserRequest) -> dict[str, object]:
    """The newest few jobs, and where to ask for them again."""
    jobs = Job.objects.for_user(request.user).for_pages().newest_first()[:LATEST_JOBS]
    return table_context(jobs, reverse("jobs:latest"))


def table_context(jobs: Iterable[Job], address: str) -> dict[str, object]:
    """What the table shows; it asks again at its address while one of the jobs is active."""
    jobs = list(jobs)
    return {
        "jobs": jobs,
        "table_address": address,
        "any_active": any(job.work.is_active for job in jobs),
    }


def whole_number(text: str | None) -> int:
    """The address's number; 0 when it is missing or none."""
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0


@require_GET
def detail(request: UserRequest, job_id: UUID) -> HttpResponse:
    """The job's page."""
    job = get_job_or_404(request, job_id)
    lines = reversed(job.log_lines.order_by("-pk")[: metrics.LOG_LINES])
    context = {
        "job": job,
        "log_lines": lines,
        "charts": CHARTS,
        **samples_context(job),
        **header_context(job),
    }
    return render(request, "jobs/detail.html", context)


@require_GET
def header(request: UserRequest, job_id: UUID) -> HttpResponse:
    """Status, phases and progress, asked for again while the job is active."""
    job = get_job_or_404(request, job_id)
    return render(request, "jobs/_header.html", {"job": job, **header_context(job)})


def header_context(job: Job) -> dict[str, object]:
    """What the header says beyond the job itself."""
    return {
        "phases": PHASES,
        "obstacle": obstacle(),
        "position": job.work.position(),
        "checkpoints": job.checkpoints.order_by("-step"),
    }


@require_GET
def read_metrics(request: UserRequest, job_id: UUID) -> JsonResponse:
    """Points after `since`, for the first paint and for pages without a socket."""
    job = get_job_or_404(request, job_id)
    since, log = (whole_number(request.GET.get(name)) for name in ("since", "log"))
    return JsonResponse(metrics.after(job, since, log))


@require_GET
def numbers(request: UserRequest, job_id: UUID) -> HttpResponse:
    """The losses as a table, for those who rather read than look."""
    job = get_job_or_404(request, job_id)
    return render(request, "jobs/_numbers.html", {"job": job, "rows": metrics.by_epoch(job)})


@require_POST
def cancel(request: UserRequest, job_id: UUID) -> HttpResponse:
    """Ask the job to stop."""
    get_job_or_404(request, job_id).work.request_cancel()
    return header_or_page(request, job_id)


def header_or_page(request: UserRequest, job_id: UUID) -> HttpResponse:
    """The job as it is now: its header alone for a script, else the way back to its page."""
    job = get_job_or_404(request, job_id)
    if request.htmx:
        return render(request, "jobs/_header.html", {"job": job, **header_context(job)})
    return redirect(job)


@require_POST
def retry(request: UserRequest, job_id: UUID) -> HttpResponse:
    """Put a failed or cancelled job back in the queue; it goes on from its last checkpoint."""
    job = get_job_or_404(request, job_id)
    job.work.requeue()
    return redirect_htmx(request, job.get_absolute_url())


@require_http_methods(["GET", "POST"])
def delete(request: UserRequest, job_id: UUID) -> HttpResponse:
    """Say what goes and what stays, then delete a job that has ended."""
    job = get_job_or_404(request, job_id)
    if not job.work.is_finished:
        messages.error(request, "The job has not ended. Cancel it first, then delete it.")
        return redirect(job)
    if request.method == "GET":
        return render(request, "jobs/delete.html", {"job": job})
    job.delete_with_files()
    messages.success(request, f"The job {job.tuned_model_name} is deleted.")
    return redirect("jobs:list")


@require_GET
def running(request: UserRequest) -> HttpResponse:
    """What runs now, for the rail of every page."""
    jobs = Job.objects.for_user(request.user).active().for_pages().newest_first()[:5]
    rows = [{"job": job, "curve": metrics.sparkline(job)} for job in jobs]
    return render(request, "jobs/_running.html", {"rows": rows})
