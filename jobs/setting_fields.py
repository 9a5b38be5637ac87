"""The form's field for each setting of the engine: its kind and help come from `tuner.settings`.

Knows how settings are worded and grouped on the page; ranges and rules stay with the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from django import forms

from tuner.auto import AUTO, is_auto
from tuner.settings import (
    ADAPTED_LAYERS,
    FINAL_MODELS,
    METHODS,
    OVER_LENGTH_POLICIES,
    PRECISIONS,
    SCHEDULES,
    SWITCHES,
    TRAINED_ON,
    TuningSettings,
    help_text,
    label,
)

DEFAULTS = TuningSettings()
AUTOMATIC = ("epochs", "batch_size", "learning_rate_multiplier")
"""Settings that may be left to the studio, which then goes by the number of examples."""
VALIDATION_SHARE = 0.15
REPLAY_SHARE = 0.1
"""Of a job that replays a dataset, unless another share is given."""


@dataclass(frozen=True)
class Topic:
    """Settings that belong together, behind one fold of the form."""

    slug: str
    title: str
    names: tuple[str, ...]


TOPICS = (
    Topic(
        "adapter",
        "Adapter",
        ("lora_rank", "lora_alpha", "lora_dropout", "lora_layers", "use_rslora", "use_dora"),
    ),
    Topic(
        "length",
        "Length and what is trained",
        ("max_length_tokens", "over_length", "trained_on"),
    ),
    Topic(
        "learning-rate",
        "Learning rate",
        ("learning_rate", "schedule", "warmup_share", "weight_decay", "gradient_clip_norm"),
    ),
    Topic(
        "evaluation",
        "Evaluation and stopping",
        (
            "validation_share",
            "evaluate_every_steps",
            "max_steps",
            "early_stopping_patience",
            "early_stopping_minimum_change",
            "final_model",
            "checkpoints_kept",
        ),
    ),
    Topic(
        "memory",
        "Memory and precision",
        ("precision", "activation_checkpointing", "micro_batch_tokens", "seed"),
    ),
)
"""All settings but those that stand in the open, and the replay share beside its dataset."""

LABELS = {
    "lora_rank": "Adapter size",
    "lora_alpha": "Adapter strength (alpha)",
    "lora_dropout": "Adapter dropout",
    "lora_layers": "Adapted layers",
    "use_rslora": "Scale by the root of the size (rsLoRA)",
    "use_dora": "Learn length and direction apart (DoRA)",
    "max_length_tokens": "Maximum length in tokens",
    "over_length": "Longer examples",
    "warmup_share": "Warm-up share",
    "gradient_clip_norm": "Longest gradient",
    "validation_share": "Held-out share",
    "max_steps": "Most steps",
    "evaluate_every_steps": "Steps between evaluations",
    "early_stopping_patience": "Patience",
    "early_stopping_minimum_change": "Least improvement",
    "final_model": "Weights that become the model",
    "micro_batch_tokens": "Tokens computed at once",
    "replay_share": "Share of general conversations",
}
HELP = {
    "epochs": "How often the model goes through all examples. Usual: 3 to 5.",
    "batch_size": "Examples in one step. Usual: 4. Fewer learns sooner, more is steadier.",
    "learning_rate_multiplier": "Scales the default learning rate. Usual: 0.5 to 2.",
    "lora_rank": "Width of what is learned, 1 to 256. Usual: 8. Wider holds and forgets more.",
    "lora_alpha": "How loud the adapter is; empty takes twice its size.",
    "lora_dropout": "Blanks this share of the adapter's inputs, against memorising. Usual: 0.",
    "lora_layers": "all, attention, mlp, or names of modules with commas between. Usual: all.",
    "use_rslora": "Suits sizes above 32.",
    "use_dora": "At times better at small sizes. Slower: it takes the plain path.",
    "max_length_tokens": "The longest example that is used whole. Usual: 2048.",
    "over_length": "However it is done, the job's page counts them.",
    "learning_rate": "Given outright, in place of the multiplier, which then has to be 1.",
    "schedule": "How the learning rate falls after the warm-up.",
    "warmup_share": "Share of the steps in which the learning rate rises. Usual: 0.05.",
    "weight_decay": "Pulls what is learned towards zero. Usual: 0.",
    "gradient_clip_norm": "A longer gradient is shortened to this. Usual: 1.",
    "validation_share": "Of every dataset, when no validation dataset is chosen. Usual: 0.15.",
    "evaluate_every_steps": "Empty evaluates after each epoch.",
    "max_steps": "Stops after so many, whatever the epochs; empty goes by epochs.",
    "early_stopping_patience": "Stops after so many evaluations without improvement. Usual: 3; "
    "empty never stops early.",
    "early_stopping_minimum_change": "A smaller fall of the validation loss is no improvement.",
    "final_model": "Those of the evaluation with the lowest loss, or those of the last step.",
    "checkpoints_kept": "The newest so many stay while the job runs; the best one stays too.",
    "precision": "Number format of the base model; automatic takes what is faster here.",
    "activation_checkpointing": "Computes twice instead of keeping: less memory, a third slower.",
    "micro_batch_tokens": "Empty lets the memory of this machine decide.",
    "replay_share": "Of all that is trained on, against forgetting. Usual: 0.1 to 0.3.",
}
METHOD_LINES = {
    "lora": ("LoRA", "Tunes a small adapter on the base model. Fast, small, and right for most."),
    "qlora": ("QLoRA", "The same over a base model in 4 bits: a quarter of the memory, slower."),
    "full": ("Full", "Tunes every weight. Learns and forgets most; the result is a whole model."),
}
CHOICES: dict[str, dict[str, str]] = {
    "method": {name: METHOD_LINES[name][0] for name in METHODS},
    "schedule": {name: name.capitalize() for name in SCHEDULES},
    "precision": {name: "Automatic" if name == AUTO else name for name in PRECISIONS},
    "activation_checkpointing": {
        name: "Automatic" if name == AUTO else name.capitalize() for name in SWITCHES
    },
    "over_length": dict(
        zip(OVER_LENGTH_POLICIES, ("Leave them out", "Cut them", "Refuse to start"), strict=True)
    ),
    "trained_on": dict(
        zip(TRAINED_ON, ("Every answer", "Only the last answer", "Everything"), strict=True)
    ),
    "final_model": dict(zip(FINAL_MODELS, ("The best", "The last"), strict=True)),
}
SUGGESTIONS = {
    "epochs": (AUTO, "1", "3", "5"),
    "batch_size": (AUTO, "2", "4", "8", "16"),
    "learning_rate_multiplier": (AUTO, "0.5", "1", "2"),
    "lora_layers": tuple(ADAPTED_LAYERS),
}
"""Usual values of fields that take more than those."""
EMPTY_MEANS = {
    "lora_alpha": "twice the size",
    "learning_rate": "by the multiplier",
    "max_steps": "by epochs",
    "evaluate_every_steps": "each epoch",
    "early_stopping_patience": "never",
    "micro_batch_tokens": "automatic",
    "replay_share": f"{REPLAY_SHARE:g} when chosen",
}
"""Shown in an empty field whose emptiness is a choice."""


class NumberOrAutoField(forms.Field):
    """A number, or the word that leaves it to the studio."""

    def __init__(self, number: forms.Field, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number

    def to_python(self, value: Any) -> Any:
        """ "auto" as it is, anything else as a number."""
        if is_auto(value):
            return AUTO
        try:
            return self.number.clean(value)
        except forms.ValidationError as error:
            if error.code != "invalid":
                raise
            raise forms.ValidationError("Type a number, or auto.", code="invalid") from error


def setting_field(name: str) -> forms.Field:
    """The field of one setting; an empty one means the setting's default."""
    default = {"validation_share": VALIDATION_SHARE, "replay_share": None}.get(
        name, getattr(DEFAULTS, name)
    )
    words: dict[str, Any] = {
        "label": LABELS.get(name, label(name)),
        "help_text": HELP.get(name, help_text(name)),
        "initial": plain(default),
        "required": False,
    }
    if name in AUTOMATIC:
        return automatic_field(name, words)
    if name in CHOICES:
        widget = forms.RadioSelect if name == "method" else forms.Select
        return forms.ChoiceField(choices=list(CHOICES[name].items()), widget=widget, **words)
    if isinstance(default, bool):
        return forms.BooleanField(**words)
    if name in SUGGESTIONS:
        return forms.CharField(max_length=500, widget=suggesting(name), **words)
    attributes = {"step": "any", "placeholder": EMPTY_MEANS.get(name, "")}
    return number_field(name)(widget=forms.NumberInput(attrs=attributes), **words)


def plain(value: Any) -> Any:
    """A number without a fraction that says nothing: 1 for 1.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def automatic_field(name: str, words: dict[str, Any]) -> forms.Field:
    """A number or "auto"; the only settings that may not be left empty."""
    number = number_field(name)()
    return NumberOrAutoField(number, widget=suggesting(name), **{**words, "required": True})


def suggesting(name: str) -> forms.TextInput:
    """A field of text; the page has a list of usual values for it, which need not be taken."""
    return forms.TextInput(attrs={"list": f"usual_{name}", "autocomplete": "off"})


def number_field(name: str) -> type[forms.IntegerField] | type[forms.FloatField]:
    """Whole numbers or others, by the engine's own type."""
    kinds = {setting.name: str(setting.type) for setting in fields(TuningSettings)}
    return forms.IntegerField if kinds[name].startswith("int") else forms.FloatField
