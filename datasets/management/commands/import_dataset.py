"""Make a dataset of a file from a shell: the same checks as the page, the same report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from datasets.errors import ColumnsUnknownError, DatasetError, TooFewExamplesError
from datasets.intake import create_dataset, inspect
from datasets.models import Dataset
from datasets.shapes import ColumnMapping


class Command(BaseCommand):
    """`manage.py import_dataset FILE --owner USERNAME --name NAME`."""

    help = "Check a file of examples and keep it as a dataset."

    def add_arguments(self, parser: CommandParser) -> None:
        """What the form of the page asks, as options."""
        parser.add_argument("file", type=Path, help="JSONL, JSON, CSV or TSV")
        parser.add_argument("--owner", required=True, help="the username it will belong to")
        parser.add_argument("--name", required=True, help="the name of the dataset")
        parser.add_argument("--prompt-column", help="when the columns have other names")
        parser.add_argument("--answer-column", help="when the columns have other names")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import, then say how it went."""
        path: Path = options["file"]
        owner = User.objects.filter(username=options["owner"]).first()
        if owner is None:
            raise CommandError(f"There is no account named {options['owner']}.")
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        try:
            dataset = create_dataset(owner, options["name"], path, mapping=chosen_mapping(options))
        except ColumnsUnknownError as error:
            columns = ", ".join(inspect(path, path.name).columns)
            raise CommandError(
                f"{error} Columns: {columns}. Use --prompt-column and --answer-column."
            ) from error
        except TooFewExamplesError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": str(error), **error.report}))
            raise CommandError(str(error)) from error
        except DatasetError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(as_json(dataset) if options["json"] else as_words(dataset))


def chosen_mapping(options: dict[str, Any]) -> ColumnMapping | None:
    """The two columns, if they were named."""
    prompt, answer = options["prompt_column"], options["answer_column"]
    if bool(prompt) != bool(answer):
        raise CommandError("Give both --prompt-column and --answer-column, or neither.")
    return ColumnMapping(prompt, answer) if prompt else None


def as_json(dataset: Dataset) -> str:
    """The report with the ids of what was made, as one line."""
    version = dataset.current
    ids = {"dataset": str(dataset.pk), "version": str(version.pk), "name": dataset.name}
    return json.dumps({**ids, "sha256": version.sha256, **version.report})


def as_words(dataset: Dataset) -> str:
    """The headline and the bad lines."""
    report = dataset.current.report
    lines = [f"{dataset.name}: {report['good']:,} of {report['total']:,} examples are good."]
    lines += [f"  Warning: {warning}" for warning in report["warnings"]]
    lines += [
        f"  Line {bad['line']:,}: {bad['reason']} {bad['remedy']}" for bad in report["bad_lines"]
    ]
    return "\n".join(lines)
