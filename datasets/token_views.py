"""Any example of a dataset as a base model reads it, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.http import HttpResponse, QueryDict
from django.views.decorators.http import require_GET

from datasets import rendering
from datasets.browse import examples_from
from datasets.models import DatasetVersion
from datasets.views import PAGE_DIGITS_LIMIT, get_dataset_or_404
from tuner.settings import TRAINED_ON
from web.http import UserRequest, page_or_fragment


@require_GET
def as_model_sees(request: UserRequest, dataset_id: UUID) -> HttpResponse:
    """An example through a base model's chat template, or as plain turns where there is none."""
    dataset = get_dataset_or_404(request, dataset_id)
    version = dataset.current
    templates = rendering.templates()
    template = chosen_template(templates, request.GET.get("model", ""))
    number = chosen_number(request.GET.get("example", ""), version.example_count)
    trained_on = request.GET.get("trained_on", "")
    trained_on = trained_on if trained_on in TRAINED_ON else TRAINED_ON[0]
    context = {
        "dataset": dataset,
        "templates": templates,
        "template": template,
        "number": number,
        "count": version.example_count,
        "trained_on": trained_on,
        "choices": TRAINED_ON,
        "kept": kept_choices(template, trained_on),
        **shown_example(version, template, number, trained_on),
    }
    fragment = "datasets/_as_model_sees.html"
    return page_or_fragment(request, "datasets/as_model_sees.html", fragment, context)


def shown_example(
    version: DatasetVersion, template: rendering.Template | None, number: int, trained_on: str
) -> dict[str, Any]:
    """Its tokens, or its turns and what kept them from being tokens."""
    try:
        if template:
            return {"shown": rendering.rendered_example(version, template, number, trained_on)}
        problem = "No base model is ready yet."
    except rendering.RenderingError as error:
        problem = str(error)
    return {"problem": problem, "examples": examples_from(version, number, 1)}


def chosen_template(
    templates: Sequence[rendering.Template], name: str
) -> rendering.Template | None:
    """The one of this name, or the first."""
    named = (template for template in templates if template.model_name == name)
    return next(named, templates[0] if templates else None)


def chosen_number(text: str, count: int) -> int:
    """The number asked for, or the nearest there is."""
    is_number = text.isdecimal() and len(text) <= PAGE_DIGITS_LIMIT
    return min(max(1, int(text) if is_number else 1), max(1, count))


def kept_choices(template: rendering.Template | None, trained_on: str) -> str:
    """What the links to other examples carry along."""
    choices = QueryDict(mutable=True)
    if template:
        choices["model"] = template.model_name
    choices["trained_on"] = trained_on
    return choices.urlencode()
