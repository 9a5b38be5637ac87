"""The settings of a job for the template that shows them, whichever page it is on."""

from __future__ import annotations

from typing import Any

from django import template

from jobs import settings_card as cards
from jobs.models import Job

register = template.Library()


@register.simple_tag
def settings_card(job: Job) -> dict[str, Any]:
    """What it was tuned on, which settings are unusual, and all others."""
    return cards.card(job)
