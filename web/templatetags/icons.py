"""Icons of our own drawing, as inline SVG from templates/web/icons/."""

from __future__ import annotations

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.simple_tag
def icon(name: str) -> SafeString:
    """The drawing `name`. Decorative: the word beside it is what is read out."""
    return mark_safe(render_to_string(f"web/icons/{name}.svg").strip())
