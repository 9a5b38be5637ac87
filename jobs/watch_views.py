"""What the page of one job asks for beside its numbers, and what a person asks of a running job."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from jobs.models import Job
from jobs.samples import samples_context
from jobs.views import get_job_or_404, header_context
from jobs.worst import worst_examples
from web.http import UserRequest


@require_GET
def samples(request: UserRequest, job_id: UUID) -> HttpResponse:
    """The fixed prompts and their answers."""
    job = get_job_or_404(request, job_id)
    return render(request, "jobs/_samples.html", {"job": job, **samples_context(job)})


@require_GET
def worst(request: UserRequest, job_id: UUID) -> HttpResponse:
    """The examples learned worst, with their text."""
    job = get_job_or_404(request, job_id)
    return render(request, "jobs/_worst.html", {"job": job, "examples": worst_examples(job)})


@require_POST
def save_now(request: UserRequest, job_id: UUID) -> HttpResponse:
    """Ask the running job for a checkpoint after its current step."""
    job = get_job_or_404(request, job_id)
    job.work.request_save()
    return header_or_page(request, job)


@require_POST
def finish(request: UserRequest, job_id: UUID) -> HttpResponse:
    """Ask the running job to end after its current step, with what it learned as the model."""
    job = get_job_or_404(request, job_id)
    job.work.request_finish()
    return header_or_page(request, job)


def header_or_page(request: UserRequest, job: Job) -> HttpResponse:
    """The header, for htmx; without it, the whole page again."""
    if request.htmx:
        return render(request, "jobs/_header.html", {"job": job, **header_context(job)})
    return redirect(job)
