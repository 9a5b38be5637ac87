"""Pages of the base models: everybody sees them, staff adds and removes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from library import removal, shelf
from library.forms import BaseModelForm
from library.models import BaseModel
from web.http import UserRequest, page_or_fragment, redirect_htmx
from work.models import Worker


def staff_only(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Base models take disk and are everybody's, so only staff may change them."""

    @wraps(view)
    def guarded(request: UserRequest, **arguments: object) -> HttpResponse:
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, **arguments)

    return guarded


def base_models(request: UserRequest) -> HttpResponse:
    """The list, and for staff the form that adds to it."""
    if request.method == "POST":
        return add(request)
    return answer(request, BaseModelForm())


@staff_only
def add(request: UserRequest) -> HttpResponse:
    """Put a model on the shelf; its preparation shows in the list."""
    form = BaseModelForm(request.POST)
    if form.is_valid():
        try:
            base = shelf.add_base_model(**form.cleaned_data, user=request.user)
        except shelf.ShelfError as error:
            form.add_error("source", str(error))
        else:
            messages.success(request, f"{base.name} is being prepared.")
            return redirect_htmx(request, request.path)
    return answer(request, form, status=422)


def answer(request: UserRequest, form: BaseModelForm, status: int = 200) -> HttpResponse:
    """The page with a fresh or a refused form."""
    context = {
        "bases": BaseModel.objects.select_related("work").order_by("name"),
        "form": form,
        "worker_alive": Worker.objects.alive("cpu").exists(),
    }
    page, fragment = "library/base_models.html", "library/_add_base_model.html"
    return page_or_fragment(request, page, fragment, context, status=status)


@require_GET
def state(request: UserRequest, base_id: UUID) -> HttpResponse:
    """One model's card, asked for again while it is being prepared."""
    return card(request, get_object_or_404(BaseModel.objects.select_related("work"), pk=base_id))


@require_POST
@staff_only
def retry(request: UserRequest, base_id: UUID) -> HttpResponse:
    """Prepare a model again that failed or was cancelled."""
    base = get_object_or_404(BaseModel, pk=base_id)
    base.work.requeue()
    return card(request, base) if request.htmx else redirect("library:base_models")


@require_POST
@staff_only
def cancel(request: UserRequest, base_id: UUID) -> HttpResponse:
    """Stop a preparation."""
    base = get_object_or_404(BaseModel, pk=base_id)
    base.work.request_cancel()
    return card(request, base) if request.htmx else redirect("library:base_models")


@require_http_methods(["GET", "POST"])
@staff_only
def delete(request: UserRequest, base_id: UUID) -> HttpResponse:
    """Say what goes, then remove an unused model."""
    base = get_object_or_404(BaseModel.objects.select_related("work"), pk=base_id)
    if request.method != "POST":
        return render(request, "library/delete_base_model.html", {"base": base})
    try:
        removal.delete_base_model(base)
    except removal.InUseError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{base.name} is deleted.")
    return redirect("library:base_models")


def card(request: UserRequest, base: BaseModel) -> HttpResponse:
    """The fragment for one model."""
    worker_alive = Worker.objects.alive("cpu").exists()
    context = {"base": base, "worker_alive": worker_alive}
    return render(request, "library/_base_model.html", context)
