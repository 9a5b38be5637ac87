"""Durable background work."""

from __future__ import annotations

from django.apps import AppConfig


class WorkConfig(AppConfig):
    """Starts the workers' own heartbeat when a Celery worker loads the apps."""

    name = "work"

    def ready(self) -> None:
        """Connect to Celery's own signals; ours has none."""
        from work import presence

        presence.connect()
