"""Tuning jobs."""

from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers tuning as a kind of work, and tells datasets whose template to show rows with."""

    name = "jobs"

    def ready(self) -> None:
        """Work kinds are registered by the app that owns them."""
        from datasets import rendering
        from jobs import home, models, runner
        from work import kinds

        kinds.register(
            kinds.Kind(name=models.KIND, queue="gpu", run=runner.run, on_change=runner.announce)
        )
        rendering.set_template_source(home.template_source)
