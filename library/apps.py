"""Models on the shelf."""

from __future__ import annotations

from django.apps import AppConfig


class LibraryConfig(AppConfig):
    """Registers the preparation of base models as a kind of work."""

    name = "library"

    def ready(self) -> None:
        """Work kinds are registered by the app that owns them."""
        from library import shelf
        from work import kinds

        kinds.register(kinds.Kind(name=shelf.KIND, queue="cpu", run=shelf.prepare))
