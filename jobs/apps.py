"""Tuning jobs."""

from __future__ import annotations

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """Registers tuning as a kind of work."""

    name = "jobs"

    def ready(self) -> None:
        """Work kinds are registered by the app that owns them."""
        from jobs import models, runner
        from work import kinds

        kinds.register(
            kinds.Kind(name=models.KIND, queue="gpu", run=runner.run, on_change=runner.announce)
        )
