"""What the command palette can find beyond the pages: the person's own things, newest first.

Here and not in an app, because it speaks of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.http import JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from datasets.models import Dataset
from jobs.models import Job
from library.models import TunedModel
from web.http import UserRequest

ENTRIES_OF_A_KIND = 50


@require_GET
def palette(request: UserRequest) -> JsonResponse:
    """Names, kinds and addresses."""
    user = request.user
    datasets = Dataset.objects.for_user(user).newest_first()[:ENTRIES_OF_A_KIND]
    models = TunedModel.objects.for_user(user).newest_first()[:ENTRIES_OF_A_KIND]
    jobs = Job.objects.for_user(user).newest_first()[:ENTRIES_OF_A_KIND]
    entries = [
        *of_kind("Tuned model", "library:detail", models),
        *of_kind("Dataset", "datasets:detail", datasets),
        *of_kind("Tuning job", "jobs:detail", jobs),
    ]
    return JsonResponse({"entries": entries})


def of_kind(
    kind: str, url_name: str, things: Iterable[Dataset | TunedModel | Job]
) -> list[dict[str, str]]:
    """Entries for things that are called by their own name."""
    return [
        {"name": str(thing), "kind": kind, "url": reverse(url_name, args=[thing.pk])}
        for thing in things
    ]
