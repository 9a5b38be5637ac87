"""`manage.py run_broker`: the embedded broker, in the foreground."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from studio import broker


class Command(BaseCommand):
    """Started by the supervisor; by hand only for tests."""

    help = "Run the embedded Valkey broker in the foreground."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Become the broker."""
        try:
            broker.run()
        except broker.BrokerError as error:
            raise CommandError(str(error)) from error
