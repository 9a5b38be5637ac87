"""The form of a new tuning job: what is chosen on the page, made into an order.

Names and help of the settings are in `jobs.setting_fields`, their rules in `tuner.settings`.
"""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings

from accounts.models import User
from datasets.models import Dataset
from jobs import launch
from jobs.data_parts import Part, counts
from jobs.data_rows import DatasetChoice, ReplayChoice, make_rows, weight_field
from jobs.form_folds import FIELD_OF, Fold, Problem, data_fold, folds, mark_defaults, problems
from jobs.setting_fields import (
    AUTOMATIC,
    REPLAY_SHARE,
    TOPICS,
    VALIDATION_SHARE,
    setting_field,
)
from library.models import BaseModel, TunedModel
from tuner.auto import is_auto, resolve
from tuner.errors import SettingsError
from tuner.settings import TuningSettings
from tuner.start import START_MODES

OPEN = ("method", *AUTOMATIC)
"""Settings that stand in the open; the others are behind the folds of TOPICS."""
SETTINGS = (*OPEN, *(name for topic in TOPICS for name in topic.names), "replay_share")
MODE_LINES = dict(
    zip(START_MODES, ("Go on tuning its adapter", "Put a new adapter on top of it"), strict=True)
)


class BaseModelChoice(forms.ModelChoiceField):
    """A base model, with a word when it is not ready."""

    def label_from_instance(self, base: BaseModel) -> str:
        """`smollm2-135m-instruct`."""
        return base.name if base.is_ready else f"{base.name} (not ready yet)"


class StartChoice(forms.ModelChoiceField):
    """A tuned model, with what it is."""

    def label_from_instance(self, model: TunedModel) -> str:
        """`support (adapter of size 8 on smollm2-135m-instruct)`."""
        what = "whole model" if model.is_whole else f"adapter of size {model.adapter_size}"
        return f"{model.name} ({what} on {model.base.name})"


class JobForm(forms.Form):
    """What a person chooses. `order()` is what the job is launched with."""

    tuning_settings: TuningSettings | None = None
    """What the engine is given, once all that was typed is right."""
    training_examples = 0
    """In an epoch, which is what automatic settings go by."""

    request_id = forms.UUIDField(widget=forms.HiddenInput)
    dataset = DatasetChoice(queryset=Dataset.objects.none(), empty_label="Choose a dataset")
    base_model = BaseModelChoice(
        queryset=BaseModel.objects.none(),
        empty_label=None,
        help_text="The model that learns from your examples.",
    )
    tuned_model_name = forms.CharField(
        label="Tuned model name",
        max_length=60,
        help_text="How you will find the result in your library.",
    )
    validation_dataset = DatasetChoice(
        queryset=Dataset.objects.none(),
        required=False,
        empty_label="Hold out a share of the examples",
        help_text="Never trained on; its loss shows whether the model learns or memorises.",
    )
    dataset_weight = weight_field(
        required=False,
        label="Weight of the first dataset",
        help_text="2 shows each of its examples twice an epoch, 0.5 shows half of them.",
    )
    replay_dataset = ReplayChoice(
        queryset=Dataset.objects.none(),
        required=False,
        empty_label="None",
        label="General conversations",
        help_text="A dataset of everyday talk that is mixed in, so that the model keeps it.",
    )
    start_from = StartChoice(
        queryset=TunedModel.objects.none(),
        required=False,
        empty_label="The base model itself",
        help_text="A tuned model of yours to go on from; it stays as it is.",
    )
    start_mode = forms.ChoiceField(
        choices=list(MODE_LINES.items()),
        initial=START_MODES[0],
        required=False,
        label="How to go on",
        help_text="Of no meaning for a whole model, which is tuned as a base model is.",
    )
    accepts_memory = forms.BooleanField(
        required=False,
        label="Start although it will probably not fit into memory",
    )

    def __init__(self, owner: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner
        for name in SETTINGS:
            self.fields[FIELD_OF.get(name, name)] = setting_field(name)
        rows = self.initial.pop("more", None)
        self.rows = make_rows(owner, self.data if self.is_bound else None, rows)
        self.offer_datasets()
        self.offer_models()
        self.initial.setdefault("request_id", uuid.uuid4())
        mark_defaults(self)

    def offer_datasets(self) -> None:
        """This person's own."""
        mine = Dataset.objects.for_user(self.owner).newest_first().with_versions()
        for name in ("dataset", "validation_dataset"):
            self.fields[name].queryset = mine  # type: ignore[attr-defined]
        replay = self.fields["replay_dataset"]
        assert isinstance(replay, ReplayChoice)
        replay.offer(self.owner, mine)

    def offer_models(self) -> None:
        """Every base model, the default one chosen; this person's tuned models to go on from."""
        bases = BaseModel.objects.select_related("work").order_by("created_at")
        self.fields["base_model"].queryset = bases  # type: ignore[attr-defined]
        default = bases.filter(name=settings.DEFAULT_BASE_MODEL).first() or bases.first()
        self.initial.setdefault("base_model", default.pk if default else None)
        tuned = TunedModel.objects.for_user(self.owner).select_related("base").newest_first()
        self.fields["start_from"].queryset = tuned  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Have the engine's own rules check what the fields let through."""
        values: dict[str, Any] = super().clean() or {}
        self.refuse_single_settings(values)
        if not self.rows.is_valid():
            for sentence in self.rows.non_form_errors():
                self.add_error(None, sentence)
        if not self.errors and self.rows.is_valid():
            try:
                self.tuning_settings = self.make_settings(values)
            except SettingsError as error:
                self.add_error(field_at_fault(values), str(error))
        return values

    def is_valid(self) -> bool:
        """Rows included."""
        return super().is_valid() and self.rows.is_valid()

    def refuse_single_settings(self, values: dict[str, Any]) -> None:
        """Let the engine judge each value alone, so that its sentence stands at the field."""
        for name, value in self.chosen(values).items():
            try:
                if not is_auto(value):
                    TuningSettings(**{name: value})
            except SettingsError as error:
                field = FIELD_OF.get(name, name)
                if field not in self.errors and name not in ("use_rslora", "use_dora"):
                    self.add_error(field, str(error))

    def chosen(self, values: dict[str, Any]) -> dict[str, Any]:
        """The settings as typed; an empty field means the setting's default."""
        sent = {name: values.get(FIELD_OF.get(name, name)) for name in SETTINGS}
        given = {name: value for name, value in sent.items() if value not in (None, "")}
        given.setdefault("validation_share", VALIDATION_SHARE)
        if values.get("replay_dataset"):
            given.setdefault("replay_share", REPLAY_SHARE)
        if values.get("validation_dataset"):
            given["validation_share"] = 0.0
        return given

    def make_settings(self, values: dict[str, Any]) -> TuningSettings:
        """The engine's settings, with numbers for what was left to the studio."""
        given = self.chosen(values)
        validation = values["validation_dataset"]
        share = {name: given[name] for name in ("validation_share", "seed") if name in given}
        replay = {"replay_share": given.get("replay_share", 0.0)}
        version = validation.current if validation else None
        self.training_examples, _ = counts(
            self.parts(values), TuningSettings(**share, **replay), version
        )
        return TuningSettings(**resolve(given, self.training_examples))

    def parts(self, values: dict[str, Any]) -> list[Part]:
        """All datasets, the first one first."""
        weight = values.get("dataset_weight")
        first = Part(version=values["dataset"].current, weight=1.0 if weight is None else weight)
        replay = values.get("replay_dataset")
        last = [Part(version=replay.current, is_replay=True)] if replay else []
        return [first, *self.rows.parts(), *last]

    def folds(self) -> list[Fold]:
        """What lies behind the folds of the page, but for the data."""
        return folds(self)

    def data_fold(self) -> Fold:
        """More data, and what to start from."""
        return data_fold(self)

    def problems(self) -> list[Problem]:
        """All that stands in the way."""
        return problems(self)

    def order(self) -> launch.Order:
        """What to launch. Only for a valid form."""
        assert self.tuning_settings is not None
        values = self.cleaned_data
        validation, start = values["validation_dataset"], values["start_from"]
        first, *more = self.parts(values)
        return launch.Order(
            owner=self.owner,
            version=first.version,
            dataset_weight=first.weight,
            more=tuple(more),
            base_model=values["base_model"],
            start_from=start,
            start_mode=start_mode(start, values["start_mode"]),
            tuned_model_name=values["tuned_model_name"].strip(),
            settings=self.tuning_settings,
            automatic=tuple(name for name in AUTOMATIC if is_auto(values[name])),
            validation_version=validation.current if validation else None,
            request_id=values["request_id"],
            accepts_memory=values["accepts_memory"],
        )


def start_mode(start: TunedModel | None, chosen: str) -> str:
    """The way to go on from an adapter; there is only one from anything else."""
    if start is None or start.is_whole:
        return ""
    return chosen or START_MODES[0]


def field_at_fault(values: dict[str, Any]) -> str | None:
    """Where two settings that do not go together are best put right."""
    if values.get("learning_rate") is not None:
        return "learning_rate"
    if values.get("method") == "full" and (values.get("use_rslora") or values.get("use_dora")):
        return "method"
    return None
