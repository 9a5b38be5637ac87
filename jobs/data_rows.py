"""The rows of the form in which more datasets are mixed in, each with its weight.

Works without scripts: there is always one empty row, and a button that asks for another.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import models

from accounts.models import User
from datasets.models import Dataset, DatasetVersion
from datasets.samples import GENERAL_CHAT, add_sample
from jobs.data_parts import Part

MOST_ROWS = 20
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 100.0
WEIGHT_ADVICE = f"Give a weight from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}."


class DatasetChoice(forms.ModelChoiceField):
    """A dataset with its size behind its name. Its queryset comes `with_versions`."""

    def label_from_instance(self, dataset: Dataset) -> str:
        """`support (130 examples)`."""
        newest: DatasetVersion = dataset.listed_versions[0]  # type: ignore[attr-defined]
        return f"{dataset.name} ({newest.example_count:,} examples)"


class ReplayChoice(DatasetChoice):
    """A dataset of general conversations: the person's own, or the one built in.

    Choosing the built-in one brings it among the person's datasets, where it can be read.
    """

    owner: User | None = None

    def offer(self, owner: User, mine: models.QuerySet[Dataset]) -> None:
        """This person's datasets, and before them the one built in."""
        self.owner, self.queryset = owner, mine
        none, *own = self.widget.choices
        built_in = (GENERAL_CHAT.slug, f"{GENERAL_CHAT.title} (built in)")
        self.widget.choices = [none, built_in, *own]

    def to_python(self, value: Any) -> Dataset | None:
        """The dataset that was chosen."""
        if value == GENERAL_CHAT.slug and self.owner:
            sample = add_sample(self.owner, GENERAL_CHAT.slug)
            return Dataset.objects.with_versions().get(pk=sample.pk)
        chosen: Dataset | None = super().to_python(value)
        return chosen


def weight_field(**kwargs: Any) -> forms.FloatField:
    """How often each example of a dataset occurs in an epoch."""
    return forms.FloatField(
        min_value=LEAST_WEIGHT,
        max_value=MOST_WEIGHT,
        initial=1,
        error_messages=dict.fromkeys(("min_value", "max_value", "invalid"), WEIGHT_ADVICE),
        widget=forms.NumberInput(attrs={"step": "any"}),
        **kwargs,
    )


class DataRow(forms.Form):
    """One more dataset. A row without one is no row."""

    dataset = DatasetChoice(
        queryset=Dataset.objects.none(),
        required=False,
        empty_label="None",
        label="Another dataset",
    )
    weight = weight_field(required=False)

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = Dataset.objects.for_user(owner).newest_first().with_versions()
        self.fields["dataset"].queryset = mine  # type: ignore[attr-defined]
        self.fields["dataset"].widget.attrs["data-default"] = ""

    def part(self) -> Part | None:
        """What the row asks for; None when it is empty."""
        dataset = self.cleaned_data.get("dataset")
        if dataset is None:
            return None
        weight = self.cleaned_data.get("weight")
        return Part(version=dataset.current, weight=1.0 if weight is None else weight)


class DataRows(forms.BaseFormSet):
    """All rows, and one empty one to fill."""

    def parts(self) -> list[Part]:
        """What the filled rows ask for."""
        return [part for row in self.forms if (part := row.part())]

    @property
    def filled_count(self) -> int:
        """How many rows have a dataset."""
        return sum(1 for row in self.forms if row["dataset"].value())


Rows = forms.formset_factory(
    DataRow, formset=DataRows, extra=1, max_num=MOST_ROWS, validate_max=True
)


def make_rows(owner: User, data: Any, initial: list[dict[str, Any]] | None) -> DataRows:
    """The rows that were sent, or those to begin with."""
    sent = data if data is not None and "more-TOTAL_FORMS" in data else None
    if sent is None and data is not None:  # a form sent without rows mixes nothing in
        sent = {"more-TOTAL_FORMS": "0", "more-INITIAL_FORMS": "0"}
    rows = Rows(
        sent,
        initial=initial,
        prefix="more",
        form_kwargs={"owner": owner},
        error_messages={
            "too_many_forms": f"A job mixes at most {MOST_ROWS} more datasets. Remove some rows.",
            "missing_management_form": "The rows of more data did not arrive. Reload the page.",
        },
    )
    assert isinstance(rows, DataRows)
    return rows


def with_another_row(data: Any) -> Any:
    """What was sent, asking for one more row."""
    changed = data.copy()
    total = data.get("more-TOTAL_FORMS", "0")
    known = int(total) if total.isdecimal() and len(total) < 4 else 0
    changed["more-TOTAL_FORMS"] = str(min(known + 1, MOST_ROWS))
    return changed
