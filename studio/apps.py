"""Gives the project its management commands and its start-up checks."""

from __future__ import annotations

from django.apps import AppConfig


class StudioConfig(AppConfig):
    """The wiring app: no models of its own."""

    name = "studio"
    verbose_name = "Tuning studio"
