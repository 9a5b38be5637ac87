"""Forms of the dataset pages. The rules of names and files are intake's."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from datasets.errors import DatasetError
from datasets.intake import check_name, too_large_sentence
from datasets.models import Dataset
from datasets.shapes import ColumnMapping

if TYPE_CHECKING:
    from accounts.models import User

NAME_LIMIT = 120
ACCEPTED = ".jsonl,.ndjson,.json,.csv,.tsv,.txt"


class NameForm(forms.Form):
    """A name that this person has not given yet."""

    name = forms.CharField(
        label="Dataset name",
        max_length=NAME_LIMIT,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Give the dataset a name."},
    )

    def __init__(
        self, owner: User, *args: Any, renamed: Dataset | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner
        self.renamed = renamed

    def clean_name(self) -> str:
        """A name that differs from the others by more than capitals."""
        name: str = self.cleaned_data["name"]
        if name and not (self.renamed and name.lower() == self.renamed.name.lower()):
            with_errors(check_name, self.owner, name)
        return name


class UploadForm(NameForm):
    """A file or pasted rows, and a name."""

    file = forms.FileField(
        label="Dataset file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ACCEPTED}),
        error_messages={"empty": "The file is empty. Choose one with at least one row."},
    )
    rows = forms.CharField(
        label="Or paste rows",
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 5,
                "class": "dataset-rows",
                "spellcheck": "false",
                "placeholder": '{"text_input": "7", "output": "8"}\n…',
            }
        ),
    )

    field_order = ["file", "name", "rows"]

    def __init__(self, owner: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(owner, *args, **kwargs)
        self.fields["name"].required = False
        self.fields["name"].help_text = "Without one, the name of the file is taken."

    def clean_file(self) -> UploadedFile[Any] | None:
        """Refuse by size before anything is read."""
        file: UploadedFile[Any] | None = self.cleaned_data["file"]
        if file and (file.size or 0) > settings.UPLOAD_LIMIT_BYTES:
            raise forms.ValidationError(too_large_sentence(file.size or 0))
        return file

    def clean(self) -> dict[str, Any]:
        """One source, and a name for it."""
        data = super().clean() or {}
        file, rows = data.get("file"), (data.get("rows") or "").strip()
        if file and rows:
            self.add_error("rows", "Choose a file or paste rows, not both: remove one of them.")
        if not file and not rows and "file" not in self.errors:
            self.add_error("file", "Choose a file, or paste rows below.")
        if not data.get("name") and "name" not in self.errors:
            self._take_file_name(data, file)
        return data

    def _take_file_name(self, data: dict[str, Any], file: UploadedFile[Any] | None) -> None:
        data["name"] = PurePath(file.name or "").stem[:NAME_LIMIT].strip() if file else ""
        if not data["name"]:
            if file or data.get("rows"):
                self.add_error("name", "Give the dataset a name.")
            return
        try:
            check_name(self.owner, data["name"])
        except DatasetError as error:
            self.add_error("name", str(error))

    @property
    def source(self) -> UploadedFile[Any] | str:
        """The file, or else the pasted text."""
        source: UploadedFile[Any] | str = self.cleaned_data["file"] or self.cleaned_data["rows"]
        return source

    @property
    def has_file(self) -> bool:
        """Whether a file was sent, and not pasted rows."""
        return bool(self.cleaned_data.get("file"))

    @property
    def file_name(self) -> str:
        """Of the file; pasted text has a name that lets its content decide."""
        file = self.cleaned_data["file"]
        return str(file.name) if file else "pasted rows"


class MappingForm(NameForm):
    """Which column is the prompt and which the answer."""

    prompt_column = forms.ChoiceField(label="Prompt column", help_text="What the model is given.")
    answer_column = forms.ChoiceField(label="Answer column", help_text="What it is to say.")

    field_order = ["prompt_column", "answer_column", "name"]

    def __init__(self, owner: User, columns: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(owner, *args, **kwargs)
        for name in ("prompt_column", "answer_column"):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [(column, column) for column in columns]

    def clean(self) -> dict[str, Any]:
        """Two different columns."""
        data = super().clean() or {}
        if data.get("prompt_column") and data.get("prompt_column") == data.get("answer_column"):
            self.add_error(
                "answer_column", "Prompt and answer are the same column. Choose another for one."
            )
        return data

    @property
    def mapping(self) -> ColumnMapping:
        """The two columns."""
        return ColumnMapping(self.cleaned_data["prompt_column"], self.cleaned_data["answer_column"])


def with_errors(check: Any, *arguments: Any) -> None:
    """Run a rule of intake; its sentence becomes the field's."""
    try:
        check(*arguments)
    except DatasetError as error:
        raise forms.ValidationError(str(error)) from error
