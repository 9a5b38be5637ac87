"""The project: settings, addresses, processes. Wiring only; knows no product rules."""

from __future__ import annotations

from studio.celery import app as celery_app

__all__ = ["celery_app"]
