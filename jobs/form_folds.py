"""The parts of the form's page: what lies behind which fold, and whether it was changed.

Knows the form and its wording; what the values mean is the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from jobs.setting_fields import METHOD_LINES, SUGGESTIONS, TOPICS

if TYPE_CHECKING:
    from jobs.forms import JobForm

DATA = ("dataset_weight", "replay_dataset", "replay_share", "start_from", "start_mode")
FIELD_OF = {"lora_rank": "adapter_size"}
"""Settings whose field has a name of its own."""


@dataclass(frozen=True)
class Fold:
    """Fields that belong together, how many were changed, and whether it has to be seen."""

    slug: str
    title: str
    fields: list[forms.BoundField]
    changed_count: int
    has_errors: bool

    @property
    def is_open(self) -> bool:
        """What was changed or is wrong is not hidden."""
        return bool(self.changed_count) or self.has_errors


@dataclass(frozen=True)
class Problem:
    """Something that stands in the way: where, and what."""

    label: str
    field_id: str
    sentence: str


def folds(form: JobForm) -> list[Fold]:
    """One for each topic of settings; the validation dataset goes with the evaluation."""
    found = []
    for topic in TOPICS:
        names = [FIELD_OF.get(name, name) for name in topic.names]
        if topic.slug == "evaluation":
            names.insert(0, "validation_dataset")
        found.append(fold(form, topic.slug, topic.title, names))
    return found


def data_fold(form: JobForm) -> Fold:
    """More datasets, general conversations, and what to start from."""
    plain = fold(form, "data", "More data", list(DATA))
    wrong = plain.has_errors or any(form.rows.errors)
    count = plain.changed_count + form.rows.filled_count
    return Fold(plain.slug, plain.title, plain.fields, count, wrong)


def fold(form: JobForm, slug: str, title: str, names: list[str]) -> Fold:
    """The fold of these fields."""
    bound = [form[name] for name in names]
    changed = sum(is_changed(form, field) for field in bound)
    return Fold(slug, title, bound, changed, any(field.errors for field in bound))


def is_changed(form: JobForm, field: forms.BoundField) -> bool:
    """Whether the field says something else than it does on an untouched form."""
    default = form.fields[field.name].initial
    value: Any = field.value()
    if value in (None, "") or value == default:
        return bool(value != default and default is True)
    return form.fields[field.name].has_changed(default, value)


def mark_defaults(form: JobForm) -> None:
    """Tell the page's script what each field behind a fold says when nobody touched it."""
    behind = [name for topic in TOPICS for name in topic.names]
    for name in (*(FIELD_OF.get(name, name) for name in behind), "validation_dataset", *DATA):
        default = form.fields[name].initial
        said = str(default).lower() if isinstance(default, bool) else default
        form.fields[name].widget.attrs["data-default"] = "" if said is None else str(said)


def methods(form: JobForm) -> list[dict[str, Any]]:
    """The radio cards of the method."""
    chosen = str(form["method"].value())
    return [
        {"value": name, "title": title, "line": line, "is_chosen": name == chosen}
        for name, (title, line) in METHOD_LINES.items()
    ]


def problems(form: JobForm) -> list[Problem]:
    """All that stands in the way, in the order of the page, each with the way to its field."""
    found = [
        Problem(str(field.label), field.id_for_label or field.auto_id, str(error))
        for field in form.visible_fields()
        for error in field.errors
    ]
    for number, row in enumerate(form.rows.forms, start=1):
        found += [
            Problem(f"More data, row {number}, {field.label}", field.id_for_label, str(error))
            for field in row.visible_fields()
            for error in field.errors
        ]
    return found + [Problem("", "", str(error)) for error in form.non_field_errors()]


def usual_values() -> list[dict[str, Any]]:
    """The lists from which a field of text suggests."""
    return [{"id": f"usual_{name}", "values": values} for name, values in SUGGESTIONS.items()]
