"""Pages of 'My library': the tuned models of the person who is signed in."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from library import removal
from library.forms import RenameForm
from library.models import BaseModel, TunedModel
from web import disk
from web.http import UserRequest


def get_model_or_404(request: UserRequest, model_id: UUID) -> TunedModel:
    """The person's own model; anyone else's is not there."""
    models = TunedModel.objects.for_user(request.user).select_related("base", "job", "whole_base")
    return get_object_or_404(models, pk=model_id)


@require_GET
def list_models(request: UserRequest) -> HttpResponse:
    """All tuned models, newest first, narrowed by what is typed."""
    search = request.GET.get("search", "").strip()
    mine = TunedModel.objects.for_user(request.user).select_related("base", "job")
    context = {
        "models": mine.filter(name__icontains=search).newest_first(),
        "search": search,
        "total": mine.count(),
        "base_model_count": BaseModel.objects.ready().count(),
    }
    return render(request, "library/list.html", context)


@require_GET
def detail(request: UserRequest, model_id: UUID) -> HttpResponse:
    """Where one model came from, how good it got, and what can be done with it."""
    model = get_model_or_404(request, model_id)
    return render(request, "library/detail.html", page(model, RenameForm(instance=model)))


@require_POST
def rename(request: UserRequest, model_id: UUID) -> HttpResponse:
    """Give the model another name."""
    model = get_model_or_404(request, model_id)
    form = RenameForm(request.POST, instance=model)
    if form.is_valid() and form.renames():
        messages.success(request, f"The model is now called {model.name}.")
        return redirect("library:detail", model.pk)
    model.refresh_from_db(fields=["name"])  # the form has put the refused name into it
    return render(request, "library/detail.html", page(model, form), status=422)


@require_http_methods(["GET", "POST"])
def delete(request: UserRequest, model_id: UUID) -> HttpResponse:
    """Say what goes and what stays, then remove row and files."""
    model = get_model_or_404(request, model_id)
    if request.method == "POST":
        try:
            removal.delete_tuned_model(model)
        except removal.InUseError as error:
            messages.error(request, str(error))
            return redirect("library:detail", model.pk)
        messages.success(request, f"{model.name} is deleted.")
        return redirect("library:list")
    size_bytes = disk.folder_bytes(model.folder)
    return render(request, "library/delete.html", {"model": model, "size_bytes": size_bytes})


def page(model: TunedModel, form: RenameForm) -> dict[str, object]:
    """What the page of one model shows."""
    return {
        "model": model,
        "form": form,
        "made": model.provenance,
        "size_bytes": disk.folder_bytes(model.folder),
    }
