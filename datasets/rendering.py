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

from datasets.browse import examples_from
from datasets.models import DatasetVersion
from tuner.examples import Example

RENDERED_TOGETHER = 8
"""A process costs more than an example, so those around the one asked for come with it."""
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


TemplateSource = Callable[[], Sequence[Template]]


class RenderingError(Exception):
    """The template did not do its work; the message says why."""


def no_templates() -> Sequence[Template]:
    """Until somebody says where templates are."""
    return ()


_source: TemplateSource = no_templates


def set_template_source(source: TemplateSource) -> None:
    """Say which base models there are to read with; once, when the apps are ready."""
    global _source
    _source = source


def templates() -> Sequence[Template]:
    """The base models that are ready, the one to begin with first."""
    return _source()


def rendered_example(
    version: DatasetVersion, template: Template, number: int, trained_on: str
) -> dict[str, Any]:
    """An example, by its number from 1: its `runs` of tokens and counts, or an `error`."""
    first = number - (number - 1) % RENDERED_TOGETHER
    key = f"rendered-{version.pk}-{template.fingerprint}-{first}-{trained_on.replace(' ', '-')}"
    rendered: list[dict[str, Any]] | None = cache.get(key)
    if rendered is None:
        examples = examples_from(version, first, RENDERED_TOGETHER)
        rendered = render(template, examples, trained_on)
        cache.set(key, rendered, CACHE_SECONDS)
    return rendered[number - first]


def render(
    template: Template, examples: Sequence[Example], trained_on: str = "answers"
) -> list[dict[str, Any]]:
    """Render in a process of its own. RenderingError when it fails or takes too long."""
    try:
        process = subprocess.run(
            [sys.executable, "-m", "datasets.render_process", str(template.folder), trained_on],
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
