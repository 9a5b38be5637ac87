"""The page of a new tuning job: the form, the card beside it, and what happens when it is sent."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from datasets.models import Dataset
from jobs import estimate
from jobs.data_parts import parts_of
from jobs.data_rows import with_another_row
from jobs.door import LaunchError, check, check_memory, check_name
from jobs.form_folds import FIELD_OF, methods, usual_values
from jobs.forms import JobForm
from jobs.launch import launch, predict, suggest_name
from jobs.models import Job
from jobs.obstacles import obstacle
from jobs.setting_fields import AUTOMATIC, METHOD_LINES, VALIDATION_SHARE, plain
from jobs.views import get_job_or_404
from library.models import BaseModel, TunedModel
from tuner.auto import is_auto
from tuner.families import layout
from tuner.settings import TuningSettings, default_learning_rate
from web.http import UserRequest, redirect_htmx

PATHS = {
    "packed": "takes the fast path: examples are packed without padding",
    "padded": "takes the plain path, padded to the longest example: right, but slower",
}


def new(request: UserRequest) -> HttpResponse:
    """The form of a new job, and what happens when it is sent."""
    if request.method == "POST" and "add_row" in request.POST:
        form = JobForm(request.user, with_another_row(request.POST))
        return render(request, "jobs/new.html", {**form_context(form), "is_unfinished": True})
    if request.method == "POST":
        return start(request, JobForm(request.user, request.POST))
    form = JobForm(request.user, initial=initial_values(request))
    return render(request, "jobs/new.html", form_context(form))


def start(request: UserRequest, form: JobForm) -> HttpResponse:
    """Launch the job and go to its page, or show the form again with what is wrong."""
    if form.is_valid():
        try:
            job = launch(form.order())
        except LaunchError as error:
            form.add_error(error.field, str(error))
        else:
            return redirect_htmx(request, job.get_absolute_url())
    return render(request, "jobs/new.html", form_context(form), status=422)


@require_POST
def show_estimate(request: UserRequest) -> HttpResponse:
    """The card beside the form for the values typed so far, and what the form says of them."""
    form = JobForm(request.user, request.POST)
    context = {"estimate": foreseen(form), **form_context(form)}
    said = render_to_string("jobs/_form_words.html", {**context, "is_out_of_band": True}, request)
    return HttpResponse(render_to_string("jobs/_estimate.html", context, request) + said)


def foreseen(form: JobForm) -> estimate.Estimate | None:
    """What the job would cost; None, and a word at its field, when it would be refused."""
    if not form.is_valid():
        return None
    order = form.order()
    prediction = predict(order)
    try:
        check(order)
        check_name(order)
        check_memory(order, prediction)
    except LaunchError as error:
        form.add_error(error.field, str(error))
        return prediction if error.field == "accepts_memory" else None
    return prediction


def form_context(form: JobForm) -> dict[str, object]:
    """What the page of the form shows."""
    return {
        "form": form,
        "methods": methods(form),
        "usual_values": usual_values(),
        "words": words(form),
        "obstacle": obstacle(),
    }


def words(form: JobForm) -> dict[str, Any]:
    """What follows from the values typed so far, as far as they are right."""
    values = form.cleaned_data if form.is_bound and form.errors is not None else {}
    base = (
        values.get("base_model") or BaseModel.objects.filter(pk=form["base_model"].initial).first()
    )
    if base is None:
        return {}
    chosen = form.tuning_settings or TuningSettings(method=values.get("method") or "lora")
    return {
        "base": base,
        "family": family(base),
        "path": PATHS[layout(family(base), chosen)],
        "method_name": METHOD_LINES[chosen.method][0],
        "default_rate": default_learning_rate(chosen.method, base.parameters),
        "learning_rate": chosen.learning_rate_for(base.parameters),
        "automatic": automatic(form, values),
        "examples": form.training_examples,
    }


def automatic(form: JobForm, values: dict[str, Any]) -> dict[str, Any]:
    """What the studio chose where a field says "auto"."""
    if form.tuning_settings is None:
        return {}
    chosen = form.tuning_settings
    return {name: getattr(chosen, name) for name in AUTOMATIC if is_auto(values.get(name))}


def family(base: BaseModel) -> str:
    """Which architecture the model is of."""
    return str(base.facts.get("family", ""))


def initial_values(request: UserRequest) -> dict[str, object]:
    """From a dataset's or a model's page: that one; from a job's page: all its choices."""
    datasets = Dataset.objects.for_user(request.user)
    values: dict[str, object] = {}
    if like := valid_uuid(request.GET.get("like")):
        values |= choices_of(get_job_or_404(request, like))
    if model_id := valid_uuid(request.GET.get("start_from")):
        models = TunedModel.objects.for_user(request.user)
        values |= going_on_from(get_object_or_404(models, pk=model_id))
    if dataset_id := valid_uuid(request.GET.get("dataset")):
        values["dataset"] = get_object_or_404(datasets, pk=dataset_id)
    dataset = values.get("dataset") or datasets.newest_first().first()
    if isinstance(dataset, Dataset):
        values["dataset"] = dataset
        values["tuned_model_name"] = suggest_name(request.user, dataset.name)
    return values


def choices_of(job: Job) -> dict[str, object]:
    """The form's values for a job like this one."""
    first, *more = parts_of(job)
    replay = next((part.version.dataset for part in more if part.is_replay), None)
    values: dict[str, object] = {
        FIELD_OF.get(name, name): plain(value) for name, value in job.settings.items()
    }
    if job.validation_version:
        values["validation_share"] = VALIDATION_SHARE
    return {
        **values,
        **dict.fromkeys(job.automatic, "auto"),
        "dataset": first.version.dataset,
        "dataset_weight": plain(first.weight),
        "replay_share": job.settings.get("replay_share") or None,
        "more": [
            {"dataset": part.version.dataset, "weight": plain(part.weight)}
            for part in more
            if not part.is_replay
        ],
        "replay_dataset": replay,
        "validation_dataset": job.validation_version and job.validation_version.dataset,
        "base_model": job.base_model_id,
        "start_from": job.start_from_id,
        "start_mode": job.start_mode or None,
    }


def going_on_from(model: TunedModel) -> dict[str, object]:
    """The form's values for tuning a tuned model further: its own, as far as they matter."""
    values: dict[str, object] = {"start_from": model.pk, "base_model": model.base_id}
    if model.is_whole:
        return {**values, "method": "full"}
    config = model.adapter_config
    switches = {name: config.get(name, False) for name in ("use_rslora", "use_dora")}
    return {**values, **switches, "adapter_size": config.get("r", model.adapter_size)}


def valid_uuid(text: str | None) -> UUID | None:
    """The address's id, or None when there is none. 404 when it is no id."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error
