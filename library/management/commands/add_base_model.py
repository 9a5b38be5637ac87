"""`manage.py add_base_model SOURCE [--name NAME]`: put a base model on the shelf, here and now."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from library import removal, shelf
from work import runner
from work.status import Status


class Command(BaseCommand):
    """Prepares the model in this process, so that it works without a running studio."""

    help = "Add a base model: a Hugging Face id, a local folder, a .gguf file, or the word tiny."

    def add_arguments(self, parser: CommandParser) -> None:
        """The source, and a name if its last part does not do."""
        parser.add_argument("source", help="owner/name, /a/folder, /a/file.gguf or tiny")
        parser.add_argument("--name", default="", help="small letters, digits, dots and dashes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register the model, prepare it, and say where it is."""
        logging.getLogger("work.tasks").setLevel(logging.ERROR)  # no broker is no news here
        try:
            base = shelf.add_base_model(options["source"], options["name"])
        except shelf.ShelfError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Preparing {base.name} ...")
        try:
            item = runner.run_item(base.work)
        except KeyboardInterrupt:
            removal.discard_base_model(base)
            raise CommandError("Stopped; nothing was kept.") from None
        if item.status != Status.SUCCEEDED:
            removal.discard_base_model(base)
            raise CommandError(item.error or "It was stopped; nothing was kept.")
        self.stdout.write(f"{base.name} is ready in {base.folder}")
