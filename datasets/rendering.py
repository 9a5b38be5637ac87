"""Examples as a model reads them, token by token.

A chat template is a stranger's code and may run for ever, so it runs in a process of its own with
limits of time and memory. Which base model's template to take is told by whoever knows base models.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache

from datasets.browse import first_examples
from datasets.models import DatasetVersion
from tuner.examples import Example

EXAMPLES_SHOWN = 3
TIME_LIMIT_SECONDS = 10
CACHE_SECONDS = 3600


@dataclass(frozen=True)
class Template:
    """A base model whose template and tokenizer can be read."""

    model_name: str
    folder: Path

    @property
    def fingerprint(self) -> str:
        """Another one for another model, or for files fetched again."""
        changed = self.folder.stat().st_mtime_ns if self.folder.exists() else 0
        return blake2b(f"{self.folder} {changed}".encode(), digest_size=16).hexdigest()


TemplateSource = Callable[[], Template | None]


class RenderingError(Exception):
    """The template did not do its work; the message says why."""


def no_template() -> Template | None:
    """Until somebody says where templates are."""
    return None


_source: TemplateSource = no_template


def set_template_source(source: TemplateSource) -> None:
    """Say where the template comes from; once, when the apps are ready."""
    global _source
    _source = source


def current_template() -> Template | None:
    """The template to show examples with, if a base model is ready."""
    return _source()


def rendered_examples(version: DatasetVersion, template: Template) -> list[dict[str, Any]]:
    """The first examples, each with `pieces` [[text, trained], ...], or `error` with a sentence."""
    key = f"rendered-{version.pk}-{template.fingerprint}"
    rendered: list[dict[str, Any]] | None = cache.get(key)
    if rendered is None:
        rendered = render(template, first_examples(version, EXAMPLES_SHOWN))
        cache.set(key, rendered, CACHE_SECONDS)
    return rendered


def render(template: Template, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Render in a process of its own. RenderingError when it fails or takes too long."""
    try:
        process = subprocess.run(
            [sys.executable, "-m", "datasets.render_process", str(template.folder)],
            input=json.dumps([example.as_dict() for example in examples]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIME_LIMIT_SECONDS,
            cwd=settings.BASE_DIR,
        )
    except subprocess.TimeoutExpired as error:
        raise RenderingError(
            f"The chat template of {template.model_name} did not finish within "
            f"{TIME_LIMIT_SECONDS} seconds."
        ) from error
    if process.returncode != 0:
        said = process.stderr.strip().splitlines()[-1:] or ["it stopped without a word"]
        raise RenderingError(
            f"The chat template of {template.model_name} could not be used: {said[0][:300]}."
        )
    rendered: list[dict[str, Any]] = json.loads(process.stdout)
    return rendered
