"""The form of a new tuning job: names and help on the page, rules in `tuner.settings`."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.conf import settings

from accounts.models import User
from datasets.models import Dataset
from jobs import launch
from library.models import BaseModel
from tuner.errors import SettingsError
from tuner.settings import SCHEDULES, TuningSettings

ADAPTER_SIZES = [1, 4, 8, 16]
VALIDATION_SHARE = 0.15
ADVANCED = ["seed", "schedule", "warmup_share", "lora_dropout", "weight_decay", "max_length_tokens"]
DEFAULTS = TuningSettings()


class DatasetChoice(forms.ModelChoiceField):
    """A dataset with its size behind its name."""

    def label_from_instance(self, dataset: Dataset) -> str:
        """`support (130 examples)`."""
        return f"{dataset.name} ({dataset.current.example_count:,} examples)"


class BaseModelChoice(forms.ModelChoiceField):
    """A base model, with a word when it is not ready."""

    def label_from_instance(self, base: BaseModel) -> str:
        """`smollm2-135m-instruct`."""
        return base.name if base.is_ready else f"{base.name} (not ready yet)"


class JobForm(forms.Form):
    """What a person chooses. `order()` is what the job is launched with."""

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
    epochs = forms.IntegerField(
        min_value=1,
        max_value=1000,
        initial=DEFAULTS.epochs,
        help_text="How often the model goes through all examples. Usual: 3 to 5.",
    )
    batch_size = forms.IntegerField(
        min_value=1,
        max_value=1024,
        initial=DEFAULTS.batch_size,
        help_text="Examples in one step. Usual: 4. Fewer learns sooner, more is steadier.",
    )
    learning_rate_multiplier = forms.FloatField(
        min_value=0.0001,
        max_value=100,
        initial=DEFAULTS.learning_rate_multiplier,
        help_text="Scales the default learning rate. Usual: 0.5 to 2.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    adapter_size = forms.TypedChoiceField(
        choices=[(size, str(size)) for size in ADAPTER_SIZES],
        coerce=int,
        initial=DEFAULTS.lora_rank,
        help_text="Width of what is learned. Usual: 8. Wider holds more and forgets more.",
    )
    validation_dataset = DatasetChoice(
        queryset=Dataset.objects.none(),
        required=False,
        empty_label=f"Hold out {VALIDATION_SHARE * 100:.0f} % of the examples",
        help_text="Never trained on; its loss shows whether the model learns or memorises.",
    )
    schedule = forms.ChoiceField(
        choices=[(name, name.capitalize()) for name in SCHEDULES],
        initial=DEFAULTS.schedule,
        required=False,
        help_text="How the learning rate falls after the warm-up.",
    )
    warmup_share = forms.FloatField(
        label="Warm-up share",
        initial=DEFAULTS.warmup_share,
        required=False,
        help_text="Share of the steps in which the learning rate rises. Usual: 0.05.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    lora_dropout = forms.FloatField(
        label="Adapter dropout",
        initial=DEFAULTS.lora_dropout,
        required=False,
        help_text="Blanks this share of the adapter's inputs, against memorising. Usual: 0.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    weight_decay = forms.FloatField(
        initial=DEFAULTS.weight_decay,
        required=False,
        help_text="Pulls what is learned towards zero. Usual: 0.",
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    max_length_tokens = forms.IntegerField(
        label="Maximum length in tokens",
        initial=DEFAULTS.max_length_tokens,
        required=False,
        help_text="Longer examples are left out and counted; none is cut.",
    )
    seed = forms.IntegerField(
        initial=DEFAULTS.seed,
        required=False,
        help_text="The same seed on the same machine gives the same model.",
    )

    def __init__(self, owner: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner
        mine = Dataset.objects.for_user(owner).newest_first()
        self.fields["dataset"].queryset = mine  # type: ignore[attr-defined]
        self.fields["validation_dataset"].queryset = mine  # type: ignore[attr-defined]
        bases = BaseModel.objects.select_related("work").order_by("created_at")
        self.fields["base_model"].queryset = bases  # type: ignore[attr-defined]
        self.initial.setdefault("request_id", uuid.uuid4())
        default = bases.filter(name=settings.DEFAULT_BASE_MODEL).first() or bases.first()
        self.initial.setdefault("base_model", default.pk if default else None)

    def clean(self) -> dict[str, Any]:
        """Have the engine's own rules check what the fields let through."""
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.tuning_settings = self.make_settings(values)
            except SettingsError as error:
                raise forms.ValidationError(str(error)) from error
        return values

    def make_settings(self, values: dict[str, Any]) -> TuningSettings:
        """The engine's settings; an empty advanced field means its default."""
        advanced = {name: values[name] for name in ADVANCED if values.get(name) not in {None, ""}}
        return TuningSettings(
            epochs=values["epochs"],
            batch_size=values["batch_size"],
            learning_rate_multiplier=values["learning_rate_multiplier"],
            lora_rank=values["adapter_size"],
            validation_share=0.0 if values["validation_dataset"] else VALIDATION_SHARE,
            **advanced,
        )

    def order(self) -> launch.Order:
        """What to launch. Only for a valid form."""
        values = self.cleaned_data
        validation = values["validation_dataset"]
        return launch.Order(
            owner=self.owner,
            version=values["dataset"].current,
            base_model=values["base_model"],
            tuned_model_name=values["tuned_model_name"].strip(),
            settings=self.tuning_settings,
            validation_version=validation.current if validation else None,
            request_id=values["request_id"],
        )

    @property
    def advanced_fields(self) -> list[forms.BoundField]:
        """Behind the fold."""
        return [self[name] for name in ADVANCED]

    @property
    def changed_advanced_count(self) -> int:
        """How many advanced settings differ from the default."""
        return sum(
            str(field.value()) not in {str(self.fields[field.name].initial), "", "None"}
            for field in self.advanced_fields
        )
