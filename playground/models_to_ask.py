"""Which models a person may talk to: their own tuned ones, and every base model that is ready.

Knows rows; not forms, and not how a model is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from uuid import UUID

from django.http import Http404

from accounts.models import User
from library.models import BaseModel, TunedModel

Model = BaseModel | TunedModel
Groups = list[tuple[str, list[Model]]]


def groups(user: User) -> Groups:
    """Own tuned models first, newest first under the base each was made from; then base models."""
    tuned = TunedModel.objects.for_user(user).select_related("base__work", "whole_base")
    by_base = groupby(tuned.order_by("base__name", "-created_at"), key=lambda model: model.base)
    found: Groups = [(f"Tuned from {base.name}", list(models)) for base, models in by_base]
    bases: list[Model] = list(BaseModel.objects.ready().order_by("name"))
    return [*found, ("Base models", bases)] if bases else found


def find_or_404(user: User, model_id: UUID) -> Model:
    """The person's tuned model or a ready base model; anything else is not there."""
    mine = TunedModel.objects.for_user(user).select_related("base", "whole_base")
    model: Model | None = mine.filter(pk=model_id).first()
    model = model or BaseModel.objects.ready().filter(pk=model_id).first()
    if model is None:
        raise Http404
    return model


def base_of(model: Model) -> BaseModel:
    """What a tuned model was made from; a base model itself."""
    return model.base if isinstance(model, TunedModel) else model


def columns(model: Model, compare: bool) -> list[Model]:
    """Who answers, from left to right: before tuning, then after."""
    base = base_of(model)
    return [base, model] if compare and base != model else [model]


def first(found: Groups) -> Model | None:
    """What is chosen when nothing was asked for: the newest of the person's own, else a base."""
    models: Iterable[Model] = (model for _, members in found for model in members)
    mine = [model for model in models if isinstance(model, TunedModel)]
    if mine:
        return max(mine, key=lambda model: model.created_at)
    return found[0][1][0] if found else None
