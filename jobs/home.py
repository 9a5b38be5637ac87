"""The first page: where a person stands on the way from examples to a better model."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from datasets import rendering, samples
from datasets.errors import DatasetError
from datasets.models import Dataset
from jobs.launch import LaunchError, Order, launch, suggest_name
from jobs.models import Job
from jobs.obstacles import obstacle
from jobs.setting_fields import VALIDATION_SHARE
from jobs.views import latest_context
from library.models import BaseModel, TunedModel
from tuner.settings import TuningSettings
from web.http import UserRequest, page_or_fragment, redirect_htmx


@require_GET
def home(request: UserRequest) -> HttpResponse:
    """Three cards, what was made so far, and the samples."""
    return page_or_fragment(request, "jobs/home.html", "jobs/_start.html", home_context(request))


def home_context(request: UserRequest, error: str = "") -> dict[str, object]:
    """What the first page shows."""
    user = request.user
    return {
        "samples": samples.SAMPLE_SETS,
        "base_model": default_base_model(),
        "obstacle": obstacle(),
        "dataset_count": Dataset.objects.for_user(user).count(),
        "job_count": Job.objects.for_user(user).count(),
        "model_count": TunedModel.objects.for_user(user).count(),
        "error": error,
        **latest_context(request),
    }


def default_base_model() -> BaseModel | None:
    """The studio's own base model, or the first one on the shelf."""
    bases = BaseModel.objects.select_related("work").order_by("created_at")
    return bases.filter(name=settings.DEFAULT_BASE_MODEL).first() or bases.first()


def template_source() -> list[rendering.Template]:
    """Whose chat templates a dataset's page shows rows with: the ready ones, the default first."""
    default = default_base_model()
    ready = sorted(BaseModel.objects.ready(), key=lambda base: (base != default, base.name))
    return [rendering.Template(base.name, base.folder) for base in ready]


@require_POST
def start_with_sample(request: UserRequest, slug: str) -> HttpResponse:
    """Bring the sample in, tune on it with the defaults, and go to the live chart."""
    if samples.get_sample_set(slug) is None:
        raise Http404
    base = default_base_model()
    if base is None or not base.is_ready:
        return refuse(request, "The base model is still being prepared. Try again in a minute.")
    try:
        job = launch(sample_order(request.user, slug, base))
    except (DatasetError, LaunchError) as error:
        return refuse(request, str(error))
    return redirect_htmx(request, job.get_absolute_url())


def sample_order(owner: User, slug: str, base: BaseModel) -> Order:
    """A job with the defaults on the sample, which is brought in if it is not there yet."""
    return Order(
        owner=owner,
        version=samples.add_sample(owner, slug).current,
        base_model=base,
        tuned_model_name=suggest_name(owner, slug),
        settings=TuningSettings(validation_share=VALIDATION_SHARE),
    )


def refuse(request: UserRequest, sentence: str) -> HttpResponse:
    """The first page again, with what stands in the way."""
    return render(request, "jobs/home.html", home_context(request, sentence), status=422)
